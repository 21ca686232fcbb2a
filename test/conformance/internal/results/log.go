package results

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"
)

// Log is a writer for what "ginkgo run -v" prints. It calls found with the outcome of each of the tests when the lines
// about it have come, which is when the test ends. ginkgo's reports say more, but only at the end of all tests.
//
// (e2e.test has a --progress-report-url for this, but posts nothing when a test ends.)
type Log struct {
	found func(Outcome)
	names map[string]string // by how ginkgo prints them

	line    []byte // what has come of the current line
	after   bool   // the line before was a delimiter
	first   string // the first line after the last delimiter
	pending *Outcome
}

// NewLog returns a log of these tests. found is called by Write.
func NewLog(names []string, found func(Outcome)) *Log {
	l := &Log{found: found, names: map[string]string{}}
	for _, name := range names {
		l.names[printed(name)] = name
	}
	return l
}

// Write never fails.
func (l *Log) Write(p []byte) (int, error) {
	l.line = append(l.line, p...)
	for {
		end := bytes.IndexByte(l.line, '\n')
		if end < 0 {
			return len(p), nil
		}
		l.read(string(l.line[:end]))
		l.line = l.line[end+1:]
	}
}

const delimiter = "------------------------------"

// ended matches "• [1.234 seconds]", "• [FAILED] [1.234 seconds]", "S [SKIPPED] [0.123 seconds]".
var ended = regexp.MustCompile(`^(?:•|S) (?:\[([A-Z]+)\] )?\[([0-9.]+) seconds\]$`)

// With several processes ginkgo prints, when a test ends, a delimiter, the line that says so, and the test's name. With
// one process it prints a delimiter and the name when the test begins, and the line when it ends.
func (l *Log) read(line string) {
	if o := l.pending; o != nil {
		l.pending = nil
		l.report(*o, line)
	}
	switch m := ended.FindStringSubmatch(line); {
	case line == delimiter:
		l.after = true
		return
	case m != nil:
		states := map[string]State{"": Passed, "FAILED": Failed, "PANICKED": Failed, "TIMEDOUT": Failed, "SKIPPED": Skipped}
		state, ok := states[m[1]]
		seconds, err := strconv.ParseFloat(m[2], 64)
		if !ok || err != nil {
			break
		}
		o := Outcome{State: state, Seconds: seconds}
		if l.after {
			l.pending = &o
		} else {
			l.report(o, l.first)
		}
	case l.after:
		l.first = line
	}
	l.after = false
}

// report calls found if the text is the name of one of the tests. Behind it there may be labels in brackets.
func (l *Log) report(o Outcome, text string) {
	text = printed(text)
	for text != "" {
		if name, ok := l.names[text]; ok {
			o.Name = name
			l.found(o)
			return
		}
		cut := strings.LastIndex(text, " [")
		if cut < 0 {
			return
		}
		text = text[:cut]
	}
}

// step is what ginkgo inserts into a name to say where the test failed.
var step = regexp.MustCompile(`(TOP-LEVEL )?\[(It|(Just)?(Before|After)Each|(Before|After)All|DeferCleanup \((Each|All)\))\]`)

// printed makes a name and what ginkgo prints of it the same.
func printed(name string) string {
	return strings.Join(strings.Fields(step.ReplaceAllString(name, " ")), " ")
}
