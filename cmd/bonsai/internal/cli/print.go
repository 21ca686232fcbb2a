package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"golang.org/x/term"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/termsafe"
)

// style is how text is formatted on one writer.
type style struct{ terminal, color, utf8 bool }

// styleFor checks where w leads. Everything except a terminal gets plain text.
func styleFor(w io.Writer) style {
	s := style{terminal: isTerminal(w)}
	s.color = s.terminal && os.Getenv("NO_COLOR") == ""
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if locale := os.Getenv(name); locale != "" {
			s.utf8 = strings.Contains(strings.ToUpper(strings.ReplaceAll(locale, "-", "")), "UTF8")
			break
		}
	}
	return s
}

func isTerminal(stream any) bool { return isScreen(stream) && os.Getenv("TERM") != "dumb" }

// isScreen reports whether stream is a terminal, if only a dumb one.
func isScreen(stream any) bool {
	if o, ok := stream.(*output); ok {
		stream = o.Writer
	}
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func (s style) paint(code, text string) string {
	if !s.color {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (s style) red(text string) string    { return s.paint("31", text) }
func (s style) green(text string) string  { return s.paint("32", text) }
func (s style) yellow(text string) string { return s.paint("33", text) }
func (s style) dim(text string) string    { return s.paint("2", text) }

// printError prints every part of a joined error as a separate problem.
func (a *app) printError(err error) {
	for _, e := range parts(err) {
		p := a.named(fault.Problem(e).For(a.profile))
		if a.json() {
			_ = writeJSONLine(a.Stderr, p)
			continue
		}
		printProblem(a.Stderr, a.style, p)
	}
}

// parts splits what errors.Join joined, and nothing that has its own text.
func parts(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || errors.Join(joined.Unwrap()...).Error() != err.Error() {
		return []error{err}
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, parts(e)...)
	}
	return all
}

// printProblem prints what is wrong, why, the lines that prove it, and what to do.
func printProblem(w io.Writer, s style, p cluster.Problem) {
	word := s.red("error")
	switch p.Severity {
	case cluster.SeverityWarning:
		word = s.yellow("warning")
	case cluster.SeverityInfo:
		word = "note"
	}
	fmt.Fprintf(w, "%s: %s\n", word, safeLines(subject(p)+p.Summary, "  "))
	if p.Cause != "" {
		fmt.Fprintf(w, "  cause: %s\n", safeLines(p.Cause, "    "))
	}
	for _, line := range p.Evidence {
		fmt.Fprintf(w, "  %s\n", s.dim("| "+termsafe.String(line)))
	}
	if hint := p.HintText(); hint != "" {
		fmt.Fprintf(w, "  hint: %s\n", safeLines(hint, "    "))
	}
}

// subject is the beginning of a sentence about an object that it does not name: of pods, the namespace and the name of the
// only one, or of their controller; of anything else, its kind, too.
func subject(p cluster.Problem) string {
	parts := strings.Split(p.Object, "/")
	switch {
	case len(parts) == 2 && !hasWord(p.Summary, parts[1]):
		return parts[0] + " " + parts[1] + ": "
	case len(parts) != 3 || parts[0] == "component":
		return ""
	case p.Count == 1 && len(p.Pods) == 1:
		return p.Pods[0] + ": "
	case p.Count > 0:
		return parts[1] + "/" + parts[2] + ": "
	}
	return parts[0] + " " + parts[1] + "/" + parts[2] + ": "
}

// hasWord says whether name stands in text, and not only as a part of a longer name.
func hasWord(text, name string) bool {
	words := strings.FieldsFunc(text, func(r rune) bool {
		return r != '-' && r != '.' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
	return slices.ContainsFunc(words, func(w string) bool { return strings.TrimRight(w, ".") == name })
}

// safeLines keeps the line breaks of a text and indents the lines after them.
func safeLines(text, indent string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i, line := range lines {
		lines[i] = termsafe.String(line)
	}
	return strings.Join(lines, "\n"+indent)
}

// firstLine is the part of an error that fits into a progress line.
func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return termsafe.String(line)
}

// note prints something on stderr that is not an error.
func (a *app) note(format string, args ...any) {
	if !a.json() {
		fmt.Fprintf(a.Stderr, "note: %s\n", fmt.Sprintf(format, args...))
	}
}

// writeJSON writes one indented value, for people and scripts. Invisible characters are escaped.
func writeJSON(w io.Writer, v any) error { return encodeJSON(w, v, "  ") }

// writeJSONLine writes one value in one line, for streams.
func writeJSONLine(w io.Writer, v any) error { return encodeJSON(w, v, "") }

func encodeJSON(w io.Writer, v any, indent string) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", indent)
	if err := enc.Encode(v); err != nil {
		return err
	}
	_, err := w.Write(termsafe.JSON(b.Bytes()))
	return err
}

// table writes rows in aligned columns.
func table(w io.Writer, rows [][]string) error {
	tw := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			if row[i] = termsafe.String(cell); row[i] == "" {
				row[i] = "-"
			}
		}
		if _, err := fmt.Fprintln(tw, strings.Join(row, "\t")); err != nil {
			return err
		}
	}
	return tw.Flush()
}

// age is a duration as kubectl prints it: one unit, or two where the first alone says little.
func age(d time.Duration) string {
	s := max(0, int(d.Seconds()))
	two := func(big, small int, units string) string {
		if small == 0 {
			return fmt.Sprintf("%d%c", big, units[0])
		}
		return fmt.Sprintf("%d%c%d%c", big, units[0], small, units[1])
	}
	switch {
	case s < 120:
		return fmt.Sprintf("%ds", s)
	case s < 600:
		return two(s/60, s%60, "ms")
	case s < 3*3600:
		return fmt.Sprintf("%dm", s/60)
	case s < 8*3600:
		return two(s/3600, s/60%60, "hm")
	case s < 48*3600:
		return fmt.Sprintf("%dh", s/3600)
	case s < 8*86400:
		return two(s/86400, s/3600%24, "dh")
	default:
		return fmt.Sprintf("%dd", s/86400)
	}
}

// seconds is a step's time.
func seconds(d time.Duration) string { return fmt.Sprintf("%.2fs", d.Seconds()) }

// sortedKeys makes the order of a map's output stable.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
