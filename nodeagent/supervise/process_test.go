package supervise

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"bonsai/bootstrap/cluster"
)

// childMode makes the test binary play the supervised child.
const childMode = "SUPERVISE_TEST_CHILD"

func TestMain(m *testing.M) {
	if mode := os.Getenv(childMode); mode != "" {
		child(mode)
	}
	goleak.VerifyTestMain(m)
}

func child(mode string) {
	fmt.Println("child says", mode)
	switch mode {
	case "fail":
		os.Exit(3)
	case "explain":
		fmt.Println("error: inotify_init: too many open files")
		os.Exit(3)
	case "hang": // as containerd does without its CRI plugin
		fmt.Println(`level=error msg="failed to load plugin" error="too many open files"`)
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
		announce(nil)
	case "parent": // leaves a process of its own behind, as containerd leaves its shims
		grandchild := exec.Command(os.Args[0])
		grandchild.Env = []string{childMode + "=run"}
		if err := grandchild.Start(); err != nil {
			os.Exit(4)
		}
		announce([]byte(strconv.Itoa(grandchild.Process.Pid)))
	}
	<-time.After(time.Hour) // until a signal; the runtime would end a program that waits for nothing at all
}

// announce writes the file that says that the child is set up, whole from the start.
func announce(data []byte) {
	path := os.Getenv("CHILD_READY")
	_ = os.WriteFile(path+".new", data, 0o600)
	_ = os.Rename(path+".new", path)
}

// harness runs one supervised child and hands out its changes of status.
type harness struct {
	*Process
	changes chan cluster.Component
	stop    func()
	dir     string
}

func run(t *testing.T, mode string, change func(*Spec)) *harness {
	t.Helper()
	h := &harness{changes: make(chan cluster.Component, 100), dir: t.TempDir()}
	spec := Spec{
		Name: "child", Path: os.Args[0], LogFile: filepath.Join(h.dir, "child.log"), Grace: 10 * time.Second,
		Env: func() []string {
			return []string{childMode + "=" + mode, "CHILD_READY=" + filepath.Join(h.dir, "ready")}
		},
		OnChange: func(c cluster.Component) { h.changes <- c },
		MinPause: time.Millisecond, MaxPause: 2 * time.Millisecond,
	}
	if change != nil {
		change(&spec)
	}
	h.Process = New(spec, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.Run(ctx)
	}()
	h.stop = func() { cancel(); <-done }
	t.Cleanup(h.stop)
	return h
}

// await returns the first change that fits.
func (h *harness) await(t *testing.T, what string, fits func(cluster.Component) bool) cluster.Component {
	t.Helper()
	timeout := time.After(20 * time.Second)
	for {
		select {
		case c := <-h.changes:
			if fits(c) {
				return c
			}
		case <-timeout:
			t.Fatalf("the child never came to %s; last status: %+v", what, h.Status())
		}
	}
}

func phase(p cluster.Phase) func(cluster.Component) bool {
	return func(c cluster.Component) bool { return c.Phase == p }
}

// fileFrom waits until the child has written a file that says it is set up.
func fileFrom(t *testing.T, path string) string {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		if b, err := os.ReadFile(path); err == nil {
			return string(b)
		}
		if time.Now().After(deadline) {
			t.Fatalf("the child never wrote %s", path)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func TestKilledChildIsStartedAgain(t *testing.T) {
	h := run(t, "run", nil)
	first := h.await(t, "running", phase(cluster.PhaseRunning))
	if err := syscall.Kill(first.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	failed := h.await(t, "failed", phase(cluster.PhaseFailed))
	if failed.Started != (time.Time{}) || !failed.Ended.After(first.Started) || first.Started.IsZero() || !first.Ended.IsZero() {
		t.Errorf("the first run was %+v, and its end is %+v", first, failed)
	}
	if want := "killed by signal killed"; failed.Reason != want {
		t.Errorf("reason is %q, want %q", failed.Reason, want)
	}
	second := h.await(t, "running again", phase(cluster.PhaseRunning))
	if second.PID == first.PID || second.Restarts != 1 || !second.Since.After(first.Since) ||
		!second.Started.After(first.Started) || !second.Ended.Equal(failed.Ended) {
		t.Errorf("after a restart the status is %+v, it was %+v", second, first)
	}
}

func TestWhatAChildSaysLastIsItsReason(t *testing.T) {
	const want = "inotify_init: too many open files (exit status 3)"
	h := run(t, "explain", func(s *Spec) {
		s.Ready = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		s.MinPause, s.MaxPause = time.Millisecond, time.Millisecond
	})
	first := h.await(t, "the first start", phase(cluster.PhaseStarting))
	if first.Reason != "" {
		t.Errorf("before anything failed the reason is %q", first.Reason)
	}
	if c := h.await(t, "the failure", phase(cluster.PhaseFailed)); c.Reason != want {
		t.Errorf("reason is %q, want %q", c.Reason, want)
	}
	if c := h.await(t, "the second start", phase(cluster.PhaseStarting)); c.Reason != want {
		t.Errorf("while it is started again the reason is %q, want %q", c.Reason, want)
	}
}

func TestAChildThatHangsHasSaidWhy(t *testing.T) {
	h := run(t, "hang", func(s *Spec) {
		s.Ready = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	})
	h.await(t, "the start", phase(cluster.PhaseStarting))
	deadline := time.Now().Add(20 * time.Second)
	for h.Status().Reason == "" && time.Now().Before(deadline) {
		<-time.After(5 * time.Millisecond)
	}
	if got, want := h.Status().Reason, "failed to load plugin: too many open files"; got != want {
		t.Errorf("reason is %q, want %q", got, want)
	}
}

func TestFailingChildIsRetriedWithItsReason(t *testing.T) {
	h := run(t, "fail", nil)
	c := h.await(t, "the third failure", func(c cluster.Component) bool { return c.Phase == cluster.PhaseFailed && c.Restarts == 2 })
	if want := "exit status 3"; c.Reason != want {
		t.Errorf("reason is %q, want %q", c.Reason, want)
	}
	h.stop()
	log, err := os.ReadFile(filepath.Join(h.dir, "child.log"))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(log), "child says fail\n"); n < 3 {
		t.Errorf("the log has the output of %d runs, want at least 3:\n%s", n, log)
	}
}

func TestMissingProgramIsAFailureNotAPanic(t *testing.T) {
	h := run(t, "run", func(s *Spec) { s.Path = "/does/not/exist" })
	if c := h.await(t, "failed", phase(cluster.PhaseFailed)); !strings.Contains(c.Reason, "no such file") {
		t.Errorf("reason is %q", c.Reason)
	}
}

func TestAChildStartsWhenItsCheckPasses(t *testing.T) {
	tries := 0
	h := run(t, "run", func(s *Spec) {
		s.Check = func(context.Context) error {
			if tries++; tries < 3 {
				return fmt.Errorf("try %d", tries)
			}
			return nil
		}
	})
	if c := h.await(t, "the second failure", func(c cluster.Component) bool { return c.Phase == cluster.PhaseFailed && c.Restarts == 1 }); c.Reason != "try 2" {
		t.Errorf("reason is %q", c.Reason)
	}
	if c := h.await(t, "running", phase(cluster.PhaseRunning)); c.Restarts != 2 || tries != 3 {
		t.Errorf("after %d tries it is %+v", tries, c)
	}
}

func TestStopEndsTheChild(t *testing.T) {
	h := run(t, "run", nil)
	c := h.await(t, "running", phase(cluster.PhaseRunning))
	h.stop()
	if err := syscall.Kill(c.PID, 0); err == nil {
		t.Error("the child still runs")
	}
	if got := h.Status(); got.Phase != cluster.PhaseStopped || got.PID != 0 {
		t.Errorf("status after stop is %+v", got)
	}
}

func TestStubbornChildIsKilled(t *testing.T) {
	h := run(t, "stubborn", func(s *Spec) { s.Grace = time.Millisecond })
	c := h.await(t, "running", phase(cluster.PhaseRunning))
	fileFrom(t, filepath.Join(h.dir, "ready"))
	h.stop() // returns only if SIGKILL was sent: the child ignores SIGTERM
	if err := syscall.Kill(c.PID, 0); err == nil {
		t.Error("the child still runs")
	}
}

func TestChildrenOfTheChildSurvive(t *testing.T) {
	h := run(t, "parent", nil)
	h.await(t, "running", phase(cluster.PhaseRunning))
	grandchild, err := strconv.Atoi(fileFrom(t, filepath.Join(h.dir, "ready")))
	if err != nil {
		t.Fatal(err)
	}
	h.stop()
	if err := syscall.Kill(grandchild, syscall.SIGKILL); err != nil {
		t.Errorf("what the child had started is gone with it: %v", err)
	}
}

func TestReadyTurnsStartingIntoRunning(t *testing.T) {
	serve := make(chan struct{})
	h := run(t, "run", func(s *Spec) {
		s.Ready = func(ctx context.Context) error {
			select {
			case <-serve:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
	if c := <-h.changes; c.Phase != cluster.PhaseStarting {
		t.Fatalf("first phase is %s, want Starting", c.Phase)
	}
	close(serve)
	if c := h.await(t, "running", phase(cluster.PhaseRunning)); c.Started.IsZero() || !c.Started.Before(c.Since) {
		t.Errorf("it was started at %s and runs since %s", c.Started, c.Since)
	}
}

func TestLogIsBounded(t *testing.T) {
	l, err := openLog(filepath.Join(t.TempDir(), "x.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	l.max = 10
	for _, s := range []string{"0123456789", "abc"} {
		if _, err := l.File().WriteString(s); err != nil {
			t.Fatal(err)
		}
		if err := l.bound(); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{l.file.Name(): "abc", l.file.Name() + ".1": "0123456789"} {
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("%s holds %q (%v), want %q", filepath.Base(path), got, err, want)
		}
	}
}
