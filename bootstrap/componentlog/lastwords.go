package componentlog

import (
	"regexp"
	"strconv"
	"strings"
)

// maxWords is how much of a line is worth repeating.
const maxWords = 400

var (
	// final are lines with which a program ends.
	final = regexp.MustCompile(`^(panic: |fatal error: |F\d{4} |(?i:error|fatal): )|\blevel=(fatal|panic)\b`)
	// failing are lines that report an error, of which the program may or may not have died.
	failing = regexp.MustCompile(`^E\d{4} |\blevel=error\b`)
	header  = regexp.MustCompile(`^[EF]\d{4} [\d:.]+ +(\d+ )?\S+\] `)
	field   = regexp.MustCompile(`(?:^|\s)(msg|err|error)=`)
)

// LastWords is what a component's log gives as the reason for its failure: the message and the error of the last line
// with which it ended, otherwise of the last line that reports an error. It is empty if there is none. It understands
// klog's lines, those of containerd, and what Go programs print when they end.
func LastWords(log string) string {
	last := ""
	for line := range strings.Lines(log) {
		line = strings.TrimRight(line, "\r\n")
		if final.MatchString(line) {
			last = words(line)
		}
	}
	if last != "" {
		return last
	}
	for line := range strings.Lines(log) {
		if line = strings.TrimRight(line, "\r\n"); failing.MatchString(line) {
			last = words(line)
		}
	}
	return last
}

// words are the message and the error of a line, without time and place.
func words(line string) string {
	text := header.ReplaceAllString(line, "")
	if text == line && !strings.HasPrefix(line, "time=") {
		text = line[len(prefixOf(line)):]
	}
	var message, cause string
	at := field.FindAllStringSubmatchIndex(text, -1)
	if len(at) == 0 || strings.HasPrefix(text, `"`) || at[0][0] > 0 && !strings.HasPrefix(text, "time=") {
		message = unquoted(text)
	}
	for _, m := range at {
		switch value := unquoted(text[m[1]:]); {
		case text[m[2]:m[3]] == "msg":
			message = value
		case cause == "":
			cause = value
		}
	}
	if message != "" && cause != "" {
		message += ": "
	}
	words := message + cause
	return strings.ToValidUTF8(words[:min(len(words), maxWords)], "")
}

// prefixOf is the word by which a program announces that it ends.
func prefixOf(line string) string {
	for _, p := range []string{"panic: ", "error: ", "fatal: "} {
		if len(line) > len(p) && strings.EqualFold(line[:len(p)], p) {
			return line[:len(p)]
		}
	}
	return ""
}

// unquoted is the value at the beginning of a text: a quoted string, or everything up to the next pair of key and value.
func unquoted(text string) string {
	if q, err := strconv.QuotedPrefix(text); err == nil {
		if s, err := strconv.Unquote(q); err == nil {
			return strings.Join(strings.Fields(s), " ")
		}
	}
	if at := pair.FindStringIndex(text); at != nil {
		text = text[:at[0]]
	}
	return strings.TrimSpace(text)
}

// pair is the beginning of the next pair of key and value.
var pair = regexp.MustCompile(`\s[\w.]+=("|\S)`)
