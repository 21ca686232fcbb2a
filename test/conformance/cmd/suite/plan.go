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

	"bonsai/test/conformance/internal/plan"
)

// planner selects tests. Plan has everything but the tests.
type planner struct {
	plan.Plan
	bin, report, list, known, driver string
	fresh                            bool
}

func (p planner) run(ctx context.Context, out io.Writer) error {
	suite, err := plan.Named(p.Suite)
	if err != nil {
		return err
	}
	if p.Tests, err = p.selected(ctx, suite); err != nil {
		return err
	}
	if p.known != "" {
		if err := p.omitUnknown(out); err != nil {
			return err
		}
	}
	if len(p.Tests) == 0 {
		return errors.New("no test matches")
	}
	before, unfinished, err := p.unfinished()
	if err != nil {
		return err
	}
	if unfinished && !p.fresh && before.Same(p.Plan) {
		return p.describe(out)
	}
	if unfinished && !p.fresh && before.Of != p.Of {
		if _, err := fmt.Fprintln(out, "the unfinished run was of another build: starting from the beginning"); err != nil {
			return err
		}
	}
	if err := errors.Join(os.RemoveAll(p.report), os.MkdirAll(p.report, 0o755)); err != nil {
		return err
	}
	if err := p.Save(filepath.Join(p.report, planFile)); err != nil {
		return err
	}
	return p.describe(out)
}

// unfinished returns the plan of a run that has no result line.
func (p planner) unfinished() (plan.Plan, bool, error) {
	_, err := os.Stat(filepath.Join(p.report, resultFile))
	if err == nil {
		return plan.Plan{}, false, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return plan.Plan{}, false, err
	}
	return plan.Load(filepath.Join(p.report, planFile))
}

// selected asks e2e.test itself, with the same filters that it uses when it runs tests.
func (p planner) selected(ctx context.Context, suite plan.Suite) (_ []plan.Test, err error) {
	folder, err := os.MkdirTemp("", "suite-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	report := filepath.Join(folder, "dry-run.json")
	args := []string{"--ginkgo.dry-run", "--ginkgo.silence-skips", "--ginkgo.json-report=" + report, "--provider=skeleton"}
	args = append(args, p.storageFlags(suite)...)
	for _, filter := range []struct{ flag, value string }{
		{"label-filter", suite.Labels}, {"skip", suite.Skip}, {"focus", suite.Focus},
	} {
		if filter.value != "" {
			args = append(args, "--ginkgo."+filter.flag+"="+filter.value)
		}
	}
	dry := exec.CommandContext(ctx, filepath.Join(p.bin, "e2e.test"), args...)
	if text, err := dry.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("asking e2e.test for its tests: %w\n%s", err, tail(text))
	}
	f, err := os.Open(report)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	tests, err := plan.ReadTests(f)
	if err != nil {
		return nil, err
	}
	if suite.Listed {
		list, err := os.ReadFile(p.list)
		if err != nil {
			return nil, err
		}
		if tests, err = plan.Only(tests, plan.ReadList(string(list))); err != nil {
			return nil, fmt.Errorf("%s: %w", p.list, err)
		}
	}
	// Not by ginkgo: it runs what matches any of several expressions, and a list must be found complete first.
	return plan.Matching(tests, p.Focus, p.Skip)
}

// omitUnknown leaves only the tests that another version of Kubernetes has as well, and says which those are that go.
func (p *planner) omitUnknown(out io.Writer) error {
	data, err := os.ReadFile(p.known)
	if err != nil {
		return err
	}
	var unknown []string
	if p.Tests, unknown, err = plan.Known(p.Tests, data); err != nil {
		return fmt.Errorf("%s: %w", p.known, err)
	}
	for _, name := range unknown {
		if _, err := fmt.Fprintln(out, "not a conformance test of that version:", name); err != nil {
			return err
		}
	}
	return nil
}

func (p planner) storageFlags(suite plan.Suite) []string {
	if !suite.Storage {
		return nil
	}
	return []string{"--storage.testdriver=" + p.driver}
}

func (p planner) describe(out io.Writer) error {
	p2, journal, err := open(p.report)
	if err != nil {
		return err
	}
	left := len(p2.Left(journal.Has))
	if err := journal.Close(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%d tests, %d of them serial", len(p2.Tests), p2.Serial())
	if done := len(p2.Tests) - left; done > 0 && err == nil {
		_, err = fmt.Fprintf(out, "; %d have a result already, from the run that was interrupted (FRESH=1 begins again)", done)
	}
	if err == nil {
		_, err = fmt.Fprintln(out)
	}
	return err
}

// tail is the end of a program's output.
func tail(text []byte) []byte {
	const most = 4000
	return text[max(0, len(text)-most):]
}
