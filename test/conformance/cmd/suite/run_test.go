package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"bonsai/test/conformance/internal/plan"
)

// The tests run this executable under the name "ginkgo": it does what ginkgo and e2e.test do, of which each run takes
// minutes and a cluster. Its tests are those that are named on the command line; their names say what comes of them.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "ginkgo" {
		os.Exit(standIn(os.Args[1:]))
	}
	os.Exit(m.Run())
}

func standIn(args []string) int {
	var names []string
	var report string
	for _, arg := range args {
		name, value, _ := strings.Cut(arg, "=")
		switch name {
		case "--focus":
			quoted := strings.TrimSuffix(strings.TrimPrefix(value, "^"+plan.Description+" "), "$")
			names = append(names, regexp.MustCompile(`\\(.)`).ReplaceAllString(quoted, "$1"))
		case "--report-dir":
			report = value
		}
	}
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt)
	say := func(result, name string) {
		fmt.Printf("------------------------------\n• %s[0.1 seconds]\n%s [labels]\n", result, name)
	}
	var cases strings.Builder
	code := 0
	for _, name := range names {
		status := "passed"
		switch {
		case strings.Contains(name, "waits"):
			<-interrupted
			say("[FAILED] ", name) // as a test whose kubectl the signal ended
			return 1
		case strings.Contains(name, "fails"):
			status, code = "failed", 1
			say("[FAILED] ", name)
		case strings.Contains(name, "dies"):
			return 1
		default:
			say("", name)
		}
		fmt.Fprintf(&cases, "<testcase name=\"[It] %s\" status=%q></testcase>\n", name, status)
	}
	xml := "<testsuites><testsuite name=\"Kubernetes e2e suite\">" + cases.String() + "</testsuite></testsuites>"
	if err := os.WriteFile(filepath.Join(report, junitFile), []byte(xml), 0o600); err != nil {
		panic(err)
	}
	return code
}

// rig is a report folder with a plan, and a folder of programs.
func rig(t *testing.T, tests ...string) runner {
	t.Helper()
	r := runner{bin: t.TempDir(), report: t.TempDir(), kubeconfig: "none", procs: 1}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(exe, filepath.Join(r.bin, "ginkgo")); err != nil {
		t.Fatal(err)
	}
	p := plan.Plan{Suite: "quick", Of: "this"}
	for _, name := range tests {
		p.Tests = append(p.Tests, plan.Test{Name: name})
	}
	if err := p.Save(r.file(planFile)); err != nil {
		t.Fatal(err)
	}
	return r
}

// execute runs the tests. Other writers get the output too.
func execute(ctx context.Context, t *testing.T, r runner, writers ...io.Writer) (code int, out string) {
	t.Helper()
	var b strings.Builder
	code, err := runTests(ctx, io.MultiWriter(append(writers, &b)...), r)
	if err != nil {
		t.Fatal(err)
	}
	return code, b.String()
}

// when is a writer that calls then as soon as the text is written to it.
type when struct {
	text string
	then func()
}

func (w when) Write(p []byte) (int, error) {
	if strings.Contains(string(p), w.text) {
		w.then()
	}
	return len(p), nil
}

func TestTheExitStatusAndTheLastLineSayWhatCameOfTheTests(t *testing.T) {
	for _, tt := range []struct {
		tests []string
		code  int
		line  string
	}{
		{[]string{"a", "b"}, 0, "conformance-quick: 2 passed, 0 failed, 0 skipped of 2"},
		{[]string{"a", "fails (really)"}, exitFailed, "conformance-quick: 1 passed, 1 failed, 0 skipped of 2"},
		{[]string{"a", "dies", "c"}, exitBroken, "conformance-quick: 1 passed, 0 failed, 0 skipped, 2 not run of 3"},
	} {
		r := rig(t, tt.tests...)
		code, out := execute(t.Context(), t, r)
		if lines := strings.Split(strings.TrimSpace(out), "\n"); code != tt.code || lines[len(lines)-1] != tt.line {
			t.Errorf("%q: exit status %d, output:\n%s", tt.tests, code, out)
		}
		_, err := os.Stat(r.file(resultFile))
		if complete := tt.code != exitBroken; complete != (err == nil) {
			t.Errorf("%q: %s is there: %v", tt.tests, resultFile, err == nil)
		}
		if _, err := os.Stat(r.file(junitFile)); err != nil {
			t.Error(err)
		}
	}
}

func TestAnInterruptedRunIsContinued(t *testing.T) {
	r := rig(t, "a", "fails", "waits", "z")
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	code, out := execute(ctx, t, r, when{"failed  fails", interrupt})
	if want := "1 passed, 1 failed, 0 skipped, 2 not run of 4"; code != exitInterrupted || !strings.Contains(out, want) {
		t.Fatalf("exit status %d, output:\n%s", code, out)
	}
	// In the second run the test that waited passes.
	data, err := os.ReadFile(r.file(planFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.file(planFile), []byte(strings.Replace(string(data), "waits", "b", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out = execute(t.Context(), t, r)
	if want := "3 passed, 1 failed, 0 skipped of 4"; code != exitFailed || !strings.Contains(out, want) {
		t.Errorf("exit status %d, output:\n%s", code, out)
	}
	if strings.Contains(out, "passed  a\n") {
		t.Errorf("a test that has a result was run again:\n%s", out)
	}
	if err := syscall.Access(filepath.Join(r.report, passFolder, "2"), 0); err != nil {
		t.Errorf("the second run has no folder of its own: %v", err)
	}
}
