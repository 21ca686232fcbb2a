package diagnose

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
)

// evidenceLines is how many lines of a log prove a problem.
const evidenceLines = 4

// maxLine is how much of a line is examined.
const maxLine = 300

// log returns the last lines of a container that has exited, none if they are not known.
func (d *diagnosis) log(c container, e ending) []string {
	var lines []string
	if e.ContainerID != "" {
		a, _ := d.ask(Question{
			Topic: LogOf, Namespace: c.pod.Namespace, Name: c.pod.Name, Container: c.spec.Name, ID: e.ContainerID,
			Previous: e.previous,
		})
		lines = a.Lines
	}
	if len(lines) == 0 && e.Message != "" {
		lines = strings.Split(e.Message, "\n") // the termination message
	}
	var clean []string
	for _, l := range lines {
		if l = strings.TrimRight(l, " \t\r"); strings.TrimSpace(l) != "" {
			clean = append(clean, clip(l, maxLine))
		}
	}
	return clean
}

func lastOf(lines []string, n int) []string { return lines[max(0, len(lines)-n):] }

var (
	// frames are lines of a stack trace, and other lines after an error without more information.
	frame = regexp.MustCompile(`^\s+at |^\s+File "|^goroutine \d|^\s+\S*\.(go|py|js|rb|java):\d+|^\S+\(.*\)$|^exit status \d|^\s*\.\.\. \d+ more|^created by |^\[signal |^npm (ERR!|error) (A complete log|code|errno|path)|^Node\.js v\d|^\s*note: run with|^Traceback `)
	// Words with which programs announce that they give up, the strongest first.
	lastWords = []*regexp.Regexp{
		regexp.MustCompile(`^(panic|fatal error|Fatal|FATAL|thread '.*' panicked)|\b(FATAL|PANIC|CRITICAL|emerg)\b`),
		regexp.MustCompile(`(?i)^(caused by|error|[\w.]*(error|exception))\b|\b(fatal|level=error|panic)\b`),
		regexp.MustCompile(`(?i)\b(error|exception|failed|failure|cannot|can't|could not|couldn't|unable|refused|denied|invalid|missing|not found|no such|unknown|unexpected|bad)\b`),
	}
)

// errorLine is the line of a log that best explains why the program exited: the last one that reports an error,
// otherwise the last one.
func errorLine(lines []string) string {
	var said []string
	for _, l := range lines {
		if !frame.MatchString(l) {
			said = append(said, l)
		}
	}
	for _, words := range lastWords {
		for _, l := range slices.Backward(said) {
			if text := structured(l); words.MatchString(l) || words.MatchString(text) {
				return clip(strings.TrimSpace(text), maxLine)
			}
		}
	}
	if len(said) == 0 {
		return ""
	}
	return clip(strings.TrimSpace(structured(said[len(said)-1])), maxLine)
}

// structured is the message of a line that is JSON, and other lines as they are.
func structured(line string) string {
	if !strings.HasPrefix(strings.TrimSpace(line), "{") {
		return line
	}
	var fields map[string]any
	if json.Unmarshal([]byte(line), &fields) != nil {
		return line
	}
	field := func(names ...string) string {
		for _, n := range names {
			if s, ok := fields[n].(string); ok && s != "" {
				return s
			}
		}
		return ""
	}
	message, cause := field("msg", "message", "event", "text"), field("error", "err", "exception", "reason")
	switch {
	case message != "" && cause != "" && !strings.Contains(message, cause):
		return message + ": " + cause
	case message != "":
		return message
	case cause != "":
		return cause
	}
	return line
}
