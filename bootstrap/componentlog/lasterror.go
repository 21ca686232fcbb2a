package componentlog

import (
	"log/slog"
	"runtime"
	"slices"
	"strings"
)

// keptErrors is among how many errors LastError looks: while a component gives up, others may log errors, too.
const keptErrors = 16

// loggedError is an error that a component has logged.
type loggedError struct {
	function, component, text string
}

// noteError remembers an error for LastError.
func (s *Set) noteError(r slog.Record, component, text string) {
	function := ""
	if r.PC != 0 {
		function = frameAt(r.PC).Function
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.errors = append(s.errors[max(0, len(s.errors)+1-keptErrors):], loggedError{function, component, strings.TrimSpace(text)})
}

// LastError returns the last error that the calling goroutine has logged, as "COMPONENT: TEXT", or the last of anybody
// if there is none; "" without any. Upstream's components log an error when they end the process; a hook on that
// (klog.OsExit) learns here why.
func (s *Set) LastError() string {
	callers := make([]uintptr, 64)
	frames := runtime.CallersFrames(callers[:runtime.Callers(2, callers)])
	var stack []string
	for {
		f, more := frames.Next()
		stack = append(stack, f.Function)
		if !more {
			break
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.errors) == 0 {
		return ""
	}
	last := s.errors[len(s.errors)-1]
	for _, e := range slices.Backward(s.errors) {
		if slices.Contains(stack, e.function) {
			last = e
			break
		}
	}
	return last.component + ": " + last.text
}
