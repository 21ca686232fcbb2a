package textview

import (
	"strings"
	"time"
	"unicode/utf8"

	"bonsai/bootstrap/kube"
	"bonsai/tui/paint"
)

// Line is one line of text. It is made by NewLine or PlainLine, which do all that is worth doing once per line.
type Line struct {
	Time time.Time
	// Source is where a line of a log comes from; zero for other text.
	Source kube.LogSource
	// Tag is for those who made the line: what it is about. Nothing here reads it.
	Tag int64
	// Text is clean, and as it came otherwise. Marker lines are drawn as rules.
	Text   string
	Marker bool
	// Spans are the looks of parts of Text, in order, for text that is not a log.
	Spans []Span

	log bool
	// readable is a JSON line as people read it, or empty; its fields begin at fields.
	readable      string
	fields        int
	width         int // of Text in cells
	readableWidth int
}

// Span is the look of a part of a text, from and to in bytes.
type Span struct {
	From, To int
	Role     paint.Role
}

// longest is how much of a line is kept. A log line of a container has no limit of its own.
const longest = 1 << 20

// NewLine makes a line of a log: it makes the text harmless, reads JSON and measures. It may be called by any goroutine;
// for a line of 100 kB it takes a millisecond or so, hence by others than the one that draws.
func NewLine(t time.Time, from kube.LogSource, text string, marker bool) Line {
	if len(text) > longest {
		cut := longest
		for cut > 0 && !utf8.RuneStart(text[cut]) {
			cut--
		}
		text = text[:cut]
	}
	from = kube.LogSource{
		Namespace: paint.Clean(from.Namespace), Pod: paint.Clean(from.Pod), Node: paint.Clean(from.Node), Container: paint.Clean(from.Container),
	}
	l := Line{Time: t, Source: from, Text: paint.CleanLog(strings.TrimRight(text, "\r\n")), Marker: marker, log: !marker}
	l.width = paint.Width(l.Text)
	if marker {
		return l
	}
	if r, ok := readJSON(text); ok {
		l.readable, l.fields = r.text, r.fields
		l.readableWidth = paint.Width(l.readable)
		if l.Time.IsZero() {
			l.Time = r.time
		}
	}
	return l
}

// PlainLine makes a line of clean text with the looks of its parts.
func PlainLine(text string, spans ...Span) Line {
	return Line{Text: text, Spans: spans, width: paint.Width(text)}
}

// shown is the text that is drawn and searched, and its width.
func (l *Line) shown(raw bool) (text string, width int) {
	if l.readable != "" && !raw {
		return l.readable, l.readableWidth
	}
	return l.Text, l.width
}

// JSON says that the line has a readable form beside the one it came in.
func (l *Line) JSON() bool { return l.readable != "" }

// size is about what the line takes of memory.
func (l *Line) size() int64 { return int64(len(l.Text)+len(l.readable)) + 192 }

// spans are the looks of the parts of what is shown. Only drawing asks.
func (l *Line) spans(raw bool, text string) []Span {
	if !l.log {
		return l.Spans
	}
	var list []Span
	if s, ok := level(text); ok {
		list = append(list, s)
	}
	if l.readable != "" && !raw {
		list = fieldSpans(list, text, l.fields)
	}
	return list
}

// levelReach is how far into a line a level is looked for.
const levelReach = 96

// levelWords are the words for levels, in the forms of the logging libraries that are about.
var levelWords = map[string]paint.Role{
	"EMERG": paint.Fail, "EMERGENCY": paint.Fail, "ALERT": paint.Fail, "FATAL": paint.Fail, "PANIC": paint.Fail, "CRIT": paint.Fail, "CRITICAL": paint.Fail,
	"ERROR": paint.Fail, "ERR": paint.Fail, "ERRO": paint.Fail, "SEVERE": paint.Fail, "FAIL": paint.Fail, "WARN": paint.Warn, "WARNING": paint.Warn,
	"NOTICE": paint.Busy, "INFO": paint.OK, "INFORMATION": paint.OK, "DEBUG": paint.Dim, "DEBU": paint.Dim, "TRACE": paint.Dim, "VERBOSE": paint.Dim,
}

// level finds the word in a line that says how bad it is: an upper-case word (ERROR), one in brackets ([error]), the
// value of a field (level=error), or the first letter of klog's lines (E0314 12:04:29).
func level(text string) (Span, bool) {
	text = text[:min(len(text), levelReach)]
	if s, ok := klogLevel(text); ok {
		return s, true
	}
	for i := 0; i < len(text); {
		if !letter(text[i]) {
			i++
			continue
		}
		from := i
		for i < len(text) && letter(text[i]) {
			i++
		}
		if i-from > 11 || i-from < 3 || from > 0 && digit(text[from-1]) {
			continue
		}
		word := text[from:i]
		upper := strings.ToUpper(word)
		role, ok := levelWords[upper]
		if ok && (word == upper || bracketed(text, from, i) || valueOfLevel(text[:from])) {
			return Span{from, i, role}, true
		}
	}
	return Span{}, false
}

func letter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
func digit(c byte) bool  { return c >= '0' && c <= '9' }

func bracketed(text string, from, to int) bool {
	return from > 0 && to < len(text) && text[from-1] == '[' && text[to] == ']'
}

// valueOfLevel says that what comes before a word makes it the value of a level: level=, "level":".
func valueOfLevel(before string) bool {
	before = strings.TrimRight(before, `"' `)
	if !strings.HasSuffix(before, "=") && !strings.HasSuffix(before, ":") {
		return false
	}
	before = strings.TrimRight(before[:len(before)-1], `"' `)
	for _, key := range []string{"level", "lvl", "severity"} {
		if n := len(before) - len(key); n >= 0 && strings.EqualFold(before[n:], key) {
			return true
		}
	}
	return false
}

// klogLevel reads "E0314 12:04:29.101…", which Kubernetes' own components write.
func klogLevel(text string) (Span, bool) {
	if len(text) < 8 || text[5] != ' ' || !digit(text[1]) || !digit(text[2]) || !digit(text[3]) || !digit(text[4]) || !digit(text[6]) {
		return Span{}, false
	}
	switch text[0] {
	case 'I':
		return Span{0, 1, paint.OK}, true
	case 'W':
		return Span{0, 1, paint.Warn}, true
	case 'E', 'F':
		return Span{0, 1, paint.Fail}, true
	}
	return Span{}, false
}
