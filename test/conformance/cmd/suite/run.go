package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"bonsai/test/conformance/internal/plan"
	"bonsai/test/conformance/internal/results"
)

// runner runs the tests of a plan.
type runner struct {
	bin, report, kubeconfig string
	procs                   int
	extra                   []string // more flags for e2e.test
}

// grace is how long ginkgo has to stop after an interruption. Nobody waits for its clean-up: the cluster is deleted, and
// what has a result is in the journal.
const grace = 15 * time.Second

func runTests(ctx context.Context, out io.Writer, r runner) (code int, err error) {
	p, journal, err := open(r.report)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, journal.Close()) }()
	suite, err := plan.Named(p.Suite)
	if err != nil {
		return 0, err
	}
	var broken []string
	if left := p.Left(journal.Has); len(left) > 0 {
		if broken, err = r.pass(ctx, out, left, journal, len(p.Tests)); err != nil {
			return 0, err
		}
	}
	reports, err := r.junits()
	if err != nil {
		return 0, err
	}
	if err := results.WriteJUnit(r.file(junitFile), results.Merge(reports, names(p), journal.Outcome)); err != nil {
		return 0, err
	}
	sum := results.Summarize(names(p), journal.Outcome)
	line := sum.Line(suite.Title())
	if sum.Complete() {
		if err := os.WriteFile(r.file(resultFile), []byte(line+"\n"), 0o644); err != nil {
			return 0, err
		}
	}
	say := func(format string, args ...any) {
		if err == nil {
			_, err = fmt.Fprintf(out, format+"\n", args...)
		}
	}
	for _, f := range sum.Failures {
		say("failed: %s", f.Name)
		if f.Why != "" {
			say("        %s", f.Why)
		}
	}
	for _, step := range broken {
		say("broken: %s", step)
	}
	code = 0
	switch {
	case ctx.Err() != nil && !sum.Complete():
		say("interrupted; the same command continues")
		code = exitInterrupted
	case len(broken) > 0 || !sum.Complete():
		say("the run ended before its tests did: see the end of %s", r.file(logFile))
		code = exitBroken
	case sum.Failed > 0:
		code = exitFailed
	}
	say("%s", line)
	return code, err
}

func (r runner) file(name string) string { return filepath.Join(r.report, name) }

// pass runs these tests once, and records what comes of them. It returns the steps around the tests that failed.
func (r runner) pass(ctx context.Context, out io.Writer, left []string, journal *results.Journal, all int) ([]string, error) {
	folder, err := r.newPass()
	if err != nil {
		return nil, err
	}
	done := all - len(left)
	var recorded error
	watch := results.NewLog(left, func(o results.Outcome) {
		// A signal also ends programs that tests started, and so fails tests. What is in the journal already is the same.
		if ctx.Err() != nil || journal.Has(o.Name) {
			return
		}
		done++
		recorded = errors.Join(recorded, journal.Add(o))
		fmt.Fprintf(out, "%4d/%d %-7s %s\n", done, all, o.State, o.Name)
	})
	err = r.ginkgo(ctx, folder, left, watch)
	if recorded != nil {
		return nil, recorded
	}
	// Tests that failed are an exit status as well: what counts is in the report.
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) && ctx.Err() == nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, nil
	}
	report, err := results.ReadJUnit(filepath.Join(folder, junitFile))
	if errors.Is(err, fs.ErrNotExist) {
		return []string{"e2e.test wrote no report"}, nil
	}
	if err != nil {
		return nil, err
	}
	outcomes, broken := results.Outcomes(report)
	for _, o := range outcomes {
		if err := journal.Add(o); err != nil {
			return nil, err
		}
	}
	return broken, nil
}

// ginkgo runs e2e.test in parallel processes. Tests that upstream marks as serial run alone after the others. What it
// prints goes into the log file and to watch.
func (r runner) ginkgo(ctx context.Context, folder string, tests []string, watch io.Writer) (err error) {
	log, err := os.OpenFile(r.file(logFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	args := []string{"run", "-v", "--procs=" + strconv.Itoa(r.procs), "--no-color", "--silence-skips", "--timeout=24h"}
	args = append(args, plan.Focus(tests)...)
	args = append(args, filepath.Join(r.bin, "e2e.test"), "--",
		"--provider=skeleton", "--kubeconfig="+r.kubeconfig, "--kubectl-path="+filepath.Join(r.bin, "kubectl"),
		"--report-dir="+folder,
		// The cluster is deleted, and its logs with it; the dumps of whole namespaces hide the message.
		"--disable-log-dump", "--dump-logs-on-failure=false")
	args = append(args, r.extra...)
	cmd := exec.CommandContext(ctx, filepath.Join(r.bin, "ginkgo"), args...)
	cmd.Stdout = io.MultiWriter(log, watch)
	cmd.Stderr = cmd.Stdout
	// A group of its own: Ctrl-C comes to us, and we say when ginkgo stops.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = grace
	if err := cmd.Start(); err != nil {
		return err
	}
	err = cmd.Wait()
	// Processes of the group that outlive ginkgo, if any.
	if kill := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); kill != nil && !errors.Is(kill, syscall.ESRCH) {
		return errors.Join(err, kill)
	}
	return err
}

// newPass creates the folder of the next time that e2e.test runs: runs/1, runs/2 and so on.
func (r runner) newPass() (string, error) {
	for n := 1; ; n++ {
		folder := filepath.Join(r.report, passFolder, strconv.Itoa(n))
		if err := os.MkdirAll(filepath.Dir(folder), 0o755); err != nil {
			return "", err
		}
		if err := os.Mkdir(folder, 0o755); !errors.Is(err, fs.ErrExist) {
			return folder, err
		}
	}
}

// junits reads the reports of all times that e2e.test ran to its end, the oldest first.
func (r runner) junits() ([]results.JUnit, error) {
	var reports []results.JUnit
	for n := 1; ; n++ {
		folder := filepath.Join(r.report, passFolder, strconv.Itoa(n))
		if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
			return reports, nil
		}
		report, err := results.ReadJUnit(filepath.Join(folder, junitFile))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		reports = append(reports, report)
	}
}
