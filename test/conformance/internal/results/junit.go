package results

import (
	"encoding/xml"
	"fmt"
	"os"
	"strings"

	"github.com/onsi/ginkgo/v2/reporters"
)

// JUnit is a report in the form that e2e.test writes.
type JUnit = reporters.JUnitTestSuites

// ReadJUnit reads a report. It is an error if there is none.
func ReadJUnit(path string) (JUnit, error) {
	var report JUnit
	data, err := os.ReadFile(path)
	if err != nil {
		return report, err
	}
	if err := xml.Unmarshal(data, &report); err != nil {
		return report, fmt.Errorf("%s: %w", path, err)
	}
	return report, nil
}

// testPrefix marks tests in a report; the other cases are set-up and tear-down of the whole suite.
const testPrefix = "[It] "

// testName is the full text of a case that is a test.
func testName(c reporters.JUnitTestCase) (string, bool) { return strings.CutPrefix(c.Name, testPrefix) }

// Outcomes of the tests that a report has a result of, and the names of the set-up and tear-down steps that went wrong.
func Outcomes(report JUnit) (outcomes []Outcome, broken []string) {
	for _, suite := range report.TestSuites {
		for _, c := range suite.TestCases {
			name, isTest := testName(c)
			if !isTest {
				if c.Status != "passed" && c.Status != "skipped" && c.Status != "pending" {
					broken = append(broken, c.Name)
				}
				continue
			}
			o := Outcome{Name: name, Seconds: c.Time}
			switch c.Status {
			case "passed":
				o.State = Passed
			case "skipped":
				// What the filters leave out is marked as skipped too, but without a reason.
				reason, ran := "", false
				if c.Skipped != nil {
					reason, ran = strings.CutPrefix(c.Skipped.Message, "skipped - ")
				}
				if !ran {
					continue
				}
				o.State, o.Why = Skipped, reason
			case "interrupted", "aborted", "pending":
				continue
			default: // failed, panicked, timedout
				o.State = Failed
				if c.Failure != nil {
					o.Why = firstLine(c.Failure.Message, c.Failure.Description)
				} else if c.Error != nil {
					o.Why = firstLine(c.Error.Message, c.Error.Description)
				}
			}
			outcomes = append(outcomes, o)
		}
	}
	return outcomes, broken
}

func firstLine(texts ...string) string {
	for _, text := range texts {
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); line != "" {
				return line
			}
		}
	}
	return ""
}

// Merge makes one report of those of several runs, the oldest first, and of a journal, which alone knows the results of
// a run that was killed. The cases of the names given have the result that counts; the others are those of the last run.
func Merge(reports []JUnit, names []string, outcome func(name string) (Outcome, bool)) JUnit {
	best := map[string]reporters.JUnitTestCase{}
	for _, r := range reports {
		for _, s := range r.TestSuites {
			for _, c := range s.TestCases {
				name, isTest := testName(c)
				if o, ok := outcome(name); isTest && ok && agrees(c, o) {
					best[name] = c
				}
			}
		}
	}
	suite := reporters.JUnitTestSuite{Name: "Kubernetes e2e suite"}
	if n := len(reports); n > 0 && len(reports[n-1].TestSuites) > 0 {
		suite = reports[n-1].TestSuites[0]
	}
	cases := suite.TestCases
	suite.TestCases = nil
	planned := map[string]bool{}
	for _, name := range names {
		planned[name] = true
	}
	for _, c := range cases {
		if name, isTest := testName(c); !isTest || !planned[name] {
			suite.TestCases = append(suite.TestCases, c)
		}
	}
	for _, name := range names {
		o, ok := outcome(name)
		if !ok {
			continue
		}
		c, ok := best[name]
		if !ok {
			c = fromJournal(o)
		}
		suite.TestCases = append(suite.TestCases, c)
	}
	count(&suite, reports)
	return JUnit{
		Tests: suite.Tests, Disabled: suite.Disabled + suite.Skipped, Errors: suite.Errors, Failures: suite.Failures,
		Time: suite.Time, TestSuites: []reporters.JUnitTestSuite{suite},
	}
}

func agrees(c reporters.JUnitTestCase, o Outcome) bool {
	found, _ := Outcomes(JUnit{TestSuites: []reporters.JUnitTestSuite{{TestCases: []reporters.JUnitTestCase{c}}}})
	return len(found) == 1 && found[0].State == o.State
}

func fromJournal(o Outcome) reporters.JUnitTestCase {
	c := reporters.JUnitTestCase{
		Name: testPrefix + o.Name, Classname: "Kubernetes e2e suite", Status: string(o.State), Time: o.Seconds,
	}
	switch o.State {
	case Failed:
		c.Failure = &reporters.JUnitFailure{Type: "failed", Description: o.Why}
	case Skipped:
		c.Skipped = &reporters.JUnitSkipped{Message: "skipped - " + o.Why}
	case Passed:
	}
	return c
}

// count sets the suite's totals.
func count(suite *reporters.JUnitTestSuite, reports []JUnit) {
	suite.Tests, suite.Errors, suite.Failures, suite.Skipped, suite.Disabled, suite.Time = len(suite.TestCases), 0, 0, 0, 0, 0
	for _, c := range suite.TestCases {
		switch c.Status {
		case "skipped":
			suite.Skipped++
		case "pending":
			suite.Disabled++
		case "failed":
			suite.Failures++
		case "panicked", "interrupted", "aborted", "timedout":
			suite.Errors++
		}
	}
	for _, r := range reports {
		suite.Time += r.Time
	}
}

// WriteJUnit writes a report.
func WriteJUnit(path string, report JUnit) error {
	data, err := xml.MarshalIndent(report, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append([]byte(xml.Header), append(data, '\n')...), 0o644)
}
