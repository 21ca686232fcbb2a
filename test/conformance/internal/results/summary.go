package results

import (
	"fmt"
	"strings"
)

// Summary counts what came of the tests of a plan.
type Summary struct {
	Passed, Failed, Skipped, NotRun int
	// Failures are the outcomes of the failed tests, in the order of the plan.
	Failures []Outcome
}

// Summarize counts the outcomes of the tests with these names.
func Summarize(names []string, outcome func(name string) (Outcome, bool)) Summary {
	var s Summary
	for _, name := range names {
		o, ok := outcome(name)
		switch {
		case !ok:
			s.NotRun++
		case o.State == Passed:
			s.Passed++
		case o.State == Skipped:
			s.Skipped++
		default:
			s.Failed++
			s.Failures = append(s.Failures, o)
		}
	}
	return s
}

// Line is the one line that says it all: "conformance: 460 passed, 1 failed, 1 skipped of 462".
func (s Summary) Line(title string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d passed, %d failed, %d skipped", title, s.Passed, s.Failed, s.Skipped)
	if s.NotRun > 0 {
		fmt.Fprintf(&b, ", %d not run", s.NotRun)
	}
	fmt.Fprintf(&b, " of %d", s.Passed+s.Failed+s.Skipped+s.NotRun)
	return b.String()
}

// Complete reports whether every test has a result.
func (s Summary) Complete() bool { return s.NotRun == 0 }
