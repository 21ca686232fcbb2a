package results

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What ginkgo prints with -v, shortened: with several processes and with one.
const (
	parallelLog = `Running in parallel across 2 processes
------------------------------
[SynchronizedBeforeSuite] PASSED [0.017 seconds]
[SynchronizedBeforeSuite] 
e2e.go:69
------------------------------
• [0.082 seconds]
[sig-a] A  works [Conformance] [sig-a, Conformance]
a.go:41

  Timeline >>
  STEP: • [9.999 seconds]
  << Timeline
------------------------------
• [FAILED] [1.285 seconds]
[sig-a] A [It] is [special] [sig-a, Slow]
a.go:39

  [FAILED] expected 1, got 2
------------------------------
• [FAILED] [2.5 seconds]
[sig-b] B [BeforeEach] works [sig-b]
  [BeforeEach] b.go:1
------------------------------
S [SKIPPED] [0.006 seconds]
[sig-b] B [It] needs a cloud [sig-b]
------------------------------
• [INTERRUPTED] [3.1 seconds]
[sig-b] B [It] was interrupted [sig-b]
------------------------------
• [0.2 seconds]
[sig-c] C was not asked for [sig-c]
------------------------------
`
	serialLog = `------------------------------
[sig-a] A works [Conformance] [sig-a, Conformance]
a.go:41
  STEP: one @ now
• [0.082 seconds]
------------------------------
[sig-a] A is [special] [sig-a, Slow]
a.go:39
  STEP: one @ now
• [FAILED] [1.285 seconds]
[sig-a] A [It] is [special] [sig-a, Slow]
------------------------------
`
)

func TestLog(t *testing.T) {
	names := []string{
		"[sig-a] A works [Conformance]", "[sig-a] A works", "[sig-a] A is [special]", "[sig-b] B works",
		"[sig-b] B needs a cloud", "[sig-b] B was interrupted",
	}
	first := []Outcome{
		{Name: "[sig-a] A works [Conformance]", State: Passed, Seconds: 0.082},
		{Name: "[sig-a] A is [special]", State: Failed, Seconds: 1.285},
	}
	for text, want := range map[string][]Outcome{
		parallelLog: append(slices.Clone(first), Outcome{Name: "[sig-b] B works", State: Failed, Seconds: 2.5},
			Outcome{Name: "[sig-b] B needs a cloud", State: Skipped, Seconds: 0.006}),
		serialLog: first,
	} {
		for _, size := range []int{1, 7, len(text)} { // as it comes, in pieces
			var got []Outcome
			l := NewLog(names, func(o Outcome) { got = append(got, o) })
			for piece := range slices.Chunk([]byte(text), size) {
				if _, err := l.Write(piece); err != nil {
					t.Fatal(err)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("in pieces of %d: got %+v", size, got)
			}
		}
	}
}

func TestJournalSurvivesAnEndInTheMiddleOfALine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	add(t, path, Outcome{Name: "a", State: Passed}, Outcome{Name: "b", State: Failed})
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data[:len(data)-5], 0o600); err != nil {
		t.Fatal(err)
	}
	j := add(t, path, Outcome{Name: "c", State: Passed}, Outcome{Name: "a", State: Passed, Seconds: 2})
	if j.Has("b") {
		t.Error("half a line counts as a result")
	}
	j = add(t, path)
	if a, _ := j.Outcome("a"); a.Seconds != 2 || !j.Has("c") || j.Has("b") {
		t.Errorf("read back: a = %+v, c %v, b %v", a, j.Has("c"), j.Has("b"))
	}
}

// add opens a journal, adds outcomes, closes it and returns it.
func add(t *testing.T, path string, outcomes ...Outcome) *Journal {
	t.Helper()
	j, err := OpenJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range outcomes {
		if err := j.Add(o); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	return j
}

// What e2e.test writes, shortened.
const junit = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites tests="10" disabled="1" errors="2" failures="1" time="60">
<testsuite name="Kubernetes e2e suite" package="/" tests="10" disabled="0" skipped="2" errors="2" failures="1" time="60" timestamp="2026-01-01T00:00:00">
<properties><property name="SuiteSucceeded" value="false"></property></properties>
<testcase name="[SynchronizedBeforeSuite]" classname="Kubernetes e2e suite" status="passed" time="1"></testcase>
<testcase name="[It] [sig-a] A passes &amp; is &lt;quoted&gt;" classname="Kubernetes e2e suite" status="passed" time="2.5"></testcase>
<testcase name="[It] [sig-a] A fails" classname="Kubernetes e2e suite" status="failed" time="3"><failure message="" type="failed">
  expected 1, got 2
In [It] at: a.go:1</failure></testcase>
<testcase name="[It] [sig-a] A panics" classname="Kubernetes e2e suite" status="panicked" time="3"><error message="nil map" type="panicked">x</error></testcase>
<testcase name="[It] [sig-a] A takes too long" classname="Kubernetes e2e suite" status="timedout" time="3"><failure message="" type="timedout">too long</failure></testcase>
<testcase name="[It] [sig-a] A was interrupted" classname="Kubernetes e2e suite" status="interrupted" time="3"><error message="interrupted" type="interrupted"></error></testcase>
<testcase name="[It] [sig-a] A skips itself" classname="Kubernetes e2e suite" status="skipped" time="0.1"><skipped message="skipped - needs a cloud"></skipped></testcase>
<testcase name="[It] [sig-a] A was not selected" classname="Kubernetes e2e suite" status="skipped" time="0"><skipped message="skipped"></skipped></testcase>
<testcase name="[It] [sig-a] A is not written" classname="Kubernetes e2e suite" status="pending" time="0"><skipped message="pending"></skipped></testcase>
<testcase name="[SynchronizedAfterSuite]" classname="Kubernetes e2e suite" status="failed" time="1"><failure message="" type="failed">x</failure></testcase>
</testsuite>
</testsuites>
`

func read(t *testing.T, text string) JUnit {
	t.Helper()
	path := filepath.Join(t.TempDir(), "junit_01.xml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	report, err := ReadJUnit(path)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func TestOutcomes(t *testing.T) {
	got, broken := Outcomes(read(t, junit))
	want := []Outcome{
		{Name: "[sig-a] A passes & is <quoted>", State: Passed, Seconds: 2.5},
		{Name: "[sig-a] A fails", State: Failed, Seconds: 3, Why: "expected 1, got 2"},
		{Name: "[sig-a] A panics", State: Failed, Seconds: 3, Why: "nil map"},
		{Name: "[sig-a] A takes too long", State: Failed, Seconds: 3, Why: "too long"},
		{Name: "[sig-a] A skips itself", State: Skipped, Seconds: 0.1, Why: "needs a cloud"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %+v", got)
	}
	if !slices.Equal(broken, []string{"[SynchronizedAfterSuite]"}) {
		t.Errorf("broken: %q", broken)
	}
}

// A run was killed after "fails" and "early"; the next one ran the rest to its end.
func TestMergeHasEachTestOnceWithTheResultThatCounts(t *testing.T) {
	last := read(t, strings.Replace(junit, `A fails" classname="Kubernetes e2e suite" status="failed"`,
		`A fails" classname="Kubernetes e2e suite" status="skipped"`, 1))
	outcomes := map[string]Outcome{
		"[sig-a] A passes & is <quoted>": {Name: "[sig-a] A passes & is <quoted>", State: Passed},
		"[sig-a] A fails":                {Name: "[sig-a] A fails", State: Failed, Why: "from the journal"},
		"[sig-a] early":                  {Name: "[sig-a] early", State: Passed},
	}
	names := []string{"[sig-a] A passes & is <quoted>", "[sig-a] A fails", "[sig-a] early", "[sig-a] not run"}
	path := filepath.Join(t.TempDir(), "merged.xml")
	merged := Merge([]JUnit{last}, names, func(name string) (Outcome, bool) {
		o, ok := outcomes[name]
		return o, ok
	})
	if err := WriteJUnit(path, merged); err != nil {
		t.Fatal(err)
	}
	back, err := ReadJUnit(path)
	if err != nil {
		t.Fatal(err)
	}
	suite := back.TestSuites[0]
	count := map[string]int{}
	for _, c := range suite.TestCases {
		count[c.Name+" "+c.Status]++
	}
	for _, want := range []string{
		"[It] [sig-a] A passes & is <quoted> passed", "[It] [sig-a] A fails failed", "[It] [sig-a] early passed",
		"[It] [sig-a] A was not selected skipped", "[SynchronizedBeforeSuite] passed",
	} {
		if count[want] != 1 {
			t.Errorf("%q is there %d times", want, count[want])
		}
	}
	if count["[It] [sig-a] A fails skipped"] != 0 {
		t.Error("a test has two results")
	}
	if suite.Tests != len(suite.TestCases) || suite.Failures != 2 || suite.Timestamp == "" {
		t.Errorf("the totals do not fit: %d tests, %d failures, %q", suite.Tests, suite.Failures, suite.Timestamp)
	}
}

func TestSummary(t *testing.T) {
	outcomes := map[string]Outcome{"p": {State: Passed}, "q": {State: Passed}, "f": {Name: "f", State: Failed}, "s": {State: Skipped}}
	find := func(name string) (Outcome, bool) { o, ok := outcomes[name]; return o, ok }
	for _, tt := range []struct {
		names    []string
		line     string
		complete bool
	}{
		{[]string{"p", "q"}, "x: 2 passed, 0 failed, 0 skipped of 2", true},
		{[]string{"p", "f", "s"}, "x: 1 passed, 1 failed, 1 skipped of 3", true},
		{[]string{"p", "n"}, "x: 1 passed, 0 failed, 0 skipped, 1 not run of 2", false},
	} {
		s := Summarize(tt.names, find)
		if got := s.Line("x"); got != tt.line || s.Complete() != tt.complete {
			t.Errorf("%q: %q, complete %v", tt.names, got, s.Complete())
		}
	}
	if s := Summarize([]string{"f"}, find); len(s.Failures) != 1 || s.Failures[0].Name != "f" {
		t.Errorf("failures: %+v", s.Failures)
	}
}
