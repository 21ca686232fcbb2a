// Package yamldiff compares two YAML texts of one object for people: only the lines that differ, each group below a heading
// that says where in the object it is ("spec.template.spec.containers[web]"), in place of line numbers and context. Terminal UI and
// dashboard show changes with it.
package yamldiff

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/diff"
)

// Kind is what a line of a comparison is.
type Kind byte

// The kinds of lines.
const (
	Removed Kind = '-'
	Added   Kind = '+'
	Path    Kind = '@' // a heading, which is in neither text
)

// Line is one line of a comparison. Text is without its end, and as it is in the YAML: with the indentation.
type Line struct {
	Kind Kind
	Text string
}

var (
	versionLine = regexp.MustCompile(`(?m)^  resourceVersion: .*$`)
	// unstable are the lines of metadata that others change without changing what the object is meant to be.
	unstable = regexp.MustCompile(`(?m)^  (?:resourceVersion|generation): .*\n|^    deployment\.kubernetes\.io/revision: .*\n`)
	status   = regexp.MustCompile(`(?m)^status:.*\n(?:[ -].*\n)*`)
)

// Essence is an object's YAML without what changes on its own: its status and its version. That of no text is empty.
func Essence(text string) string {
	if text == "" {
		return ""
	}
	return status.ReplaceAllString(unstable.ReplaceAllString(strings.TrimRight(text, "\n")+"\n", ""), "")
}

// WithVersion is an object's YAML with the version of the object that current is.
func WithVersion(text, current string) string {
	version := versionLine.FindString(current)
	if version == "" {
		return text
	}
	return versionLine.ReplaceAllLiteralString(text, version)
}

// Changes compares what an object was with what it is, without what changes on its own. Each group of lines begins at the left: its
// heading says where it is.
func Changes(before, after string) []Line { return Flush(Of(Essence(before), Essence(after))) }

// Flush takes away the indentation that all lines of a group have.
func Flush(list []Line) []Line {
	for from := 0; from < len(list); {
		if list[from].Kind == Path {
			from++
			continue
		}
		to, least := from, 1<<20
		for to < len(list) && list[to].Kind != Path {
			if text := strings.TrimLeft(list[to].Text, " "); text != "" {
				least = min(least, len(list[to].Text)-len(text))
			}
			to++
		}
		for i := from; i < to; i++ {
			list[i].Text = list[i].Text[min(least, len(list[i].Text)):]
		}
		from = to
	}
	return list
}

// Of compares two texts. Equal texts have no lines.
func Of(before, after string) []Line {
	before, after = ended(before), ended(after)
	unified := string(diff.Diff("before", []byte(before), "after", []byte(after)))
	if unified == "" {
		return nil
	}
	olds, news := strings.Split(before, "\n"), strings.Split(after, "\n")
	var list []Line
	oldAt, newAt := 0, 0 // the next lines of the texts
	heading, inside := "", false
	for i, line := range strings.Split(strings.TrimSuffix(unified, "\n"), "\n") {
		switch {
		case i < 3 || line == "": // the heading that names the texts
		case strings.HasPrefix(line, "@@ "):
			oldAt, newAt = starts(line)
			inside = false
		case line[0] == ' ':
			oldAt++
			newAt++
			inside = false
		case line[0] == '-' || line[0] == '+':
			kind, path := Kind(line[0]), pathOf(olds, oldAt)
			if kind == Added {
				path = pathOf(news, newAt)
				newAt++
			} else {
				oldAt++
			}
			if !inside && path != heading {
				list = append(list, Line{Path, path})
				heading = path
			}
			inside = true
			list = append(list, Line{kind, line[1:]})
		}
	}
	return list
}

func ended(text string) string {
	if text == "" || strings.HasSuffix(text, "\n") {
		return text
	}
	return text + "\n"
}

// starts reads the heading of a hunk: "@@ -3,7 +3,8 @@".
func starts(line string) (before, after int) {
	fields := strings.Fields(line)
	number := func(text string) int {
		first, _, _ := strings.Cut(strings.TrimLeft(text, "+-"), ",")
		n, _ := strconv.Atoi(first)
		return max(0, n-1)
	}
	if len(fields) < 3 {
		return 0, 0
	}
	return number(fields[1]), number(fields[2])
}

// depth orders lines of block YAML by what they are inside of: an entry of a list is deeper than the key that has the list,
// which may have the same indentation, and what is in the entry is deeper than that. -1 is a line of nothing.
func depth(line string) int {
	text := strings.TrimLeft(line, " ")
	if text == "" {
		return -1
	}
	n := 2 * (len(line) - len(text))
	if text == "-" || strings.HasPrefix(text, "- ") {
		n++
	}
	return n
}

// pathOf is what a line of an object's YAML is inside of: "spec.containers[web]"; "" for what is at the top.
func pathOf(lines []string, at int) string {
	if at >= len(lines) {
		return ""
	}
	var parts []string
	text := strings.TrimLeft(lines[at], " ")
	if first, ok := strings.CutPrefix(text, "- "); ok && (strings.Contains(first, ": ") || strings.HasSuffix(first, ":")) {
		parts = append(parts, "["+entryName(lines, at)+"]") // the first key of an entry
	}
	for limit, i := depth(lines[at]), at-1; i >= 0 && limit > 0; i-- {
		d := depth(lines[i])
		if d < 0 || d >= limit {
			continue
		}
		text := strings.TrimLeft(lines[i], " ")
		if d%2 == 1 {
			if key, _, ok := strings.Cut(strings.TrimPrefix(text, "- "), ":"); ok && limit > d+3 { // inside of its first key
				parts = append(parts, key)
			}
			parts = append(parts, "["+entryName(lines, i)+"]")
			limit = d
			continue
		}
		limit = d
		key, _, _ := strings.Cut(text, ":")
		parts = append(parts, key)
	}
	var b strings.Builder
	for _, part := range slices.Backward(parts) {
		if b.Len() > 0 && part[0] != '[' {
			b.WriteByte('.')
		}
		b.WriteString(part)
	}
	return b.String()
}

// entryName is the name of an entry of a list, or else its number.
func entryName(lines []string, at int) string {
	d := depth(lines[at])
	for i := at; i < len(lines); i++ {
		if i > at && depth(lines[i]) >= 0 && depth(lines[i]) <= d {
			break
		}
		text := strings.TrimPrefix(strings.TrimLeft(lines[i], " "), "- ")
		if name, ok := strings.CutPrefix(text, "name: "); ok && (i == at || depth(lines[i]) == d+3) {
			return name
		}
	}
	n := 0
	for i := at - 1; i >= 0 && (depth(lines[i]) < 0 || depth(lines[i]) >= d); i-- {
		if depth(lines[i]) == d {
			n++
		}
	}
	return strconv.Itoa(n)
}
