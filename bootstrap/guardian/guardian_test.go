package guardian

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/spawn"
	"bonsai/bootstrap/spawn/spawntest"
	"bonsai/bootstrap/statedir"
)

// TestMain lets the test binary be a daemon and a guardian, as processes of their own.
func TestMain(m *testing.M) {
	var err error
	switch {
	case len(os.Args) > 4 && os.Args[1] == "role" && os.Args[2] == "daemon":
		err = runDaemon(os.Args[4])
	case len(os.Args) > 2 && os.Args[1] == "--cluster":
		_ = os.WriteFile(pidFile, []byte(strconv.Itoa(os.Getpid())), 0o600)
		err = Main(context.Background(), os.Args[1:])
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// saysFile makes a daemon exit with an error, once it listens or, with the prefix "early: ", before.
const saysFile = "says"

// pidFile has the number of a guardian that is a process of its own.
const pidFile = "guardian.pid"

// runDaemon is a daemon that does nothing but live.
func runDaemon(name string) error {
	says := func(d spawntest.Daemon) string {
		text, _ := os.ReadFile(filepath.Join(d.State.Dir(), saysFile))
		return string(text)
	}
	early := func(d spawntest.Daemon) {
		if reason, ok := strings.CutPrefix(says(d), "early: "); ok {
			fmt.Fprintln(os.Stderr, "panic: "+reason)
			os.Exit(2)
		}
	}
	return spawntest.Run(name, early, func(ctx context.Context, d spawntest.Daemon) error {
		if err := d.Ready(); err != nil {
			return err
		}
		if text := says(d); text != "" {
			_ = os.Remove(filepath.Join(d.State.Dir(), saysFile)) // the next one lives
			return errors.New(text)
		}
		<-ctx.Done()
		return nil
	})
}

// fixture is a cluster's folder with a daemon that is meant to run.
type fixture struct {
	*testing.T
	state statedir.Cluster
}

func newFixture(t *testing.T) *fixture {
	home := t.TempDir()
	t.Setenv(statedir.EnvHome, home)
	f := &fixture{t, statedir.Dir{Root: home}.Cluster("dev")}
	if err := f.state.Create(); err != nil {
		t.Fatal(err)
	}
	spec := &cluster.Spec{Version: cluster.SpecVersion, Name: "dev", ID: "x", KubernetesVersion: "1.37", APIPort: 6443}
	if err := f.state.SaveSpec(spec); err != nil {
		t.Fatal(err)
	}
	if err := f.state.SaveIntent(os.Args[0]); err != nil {
		t.Fatal(err)
	}
	f.spawn()
	t.Cleanup(func() { // whatever the test did, nothing is left running
		_ = f.state.DropIntent()
		f.kill()
		f.until("the end of daemon and guardian", func() bool { return !f.state.DaemonAlive() && !f.state.GuardianAlive() })
	})
	return f
}

// spawn starts the daemon as a start does.
func (f *fixture) spawn() int {
	f.Helper()
	p, err := spawn.Start(spawn.Daemon{Executable: os.Args[0], State: f.state})
	if err == nil {
		err = p.Listening(f.Context())
	}
	if err != nil {
		f.Fatal(err)
	}
	return p.PID()
}

func (f *fixture) pid() int {
	d, _ := f.state.Daemon()
	return d.PID
}

func (f *fixture) signal(s syscall.Signal) {
	f.Helper()
	pid := f.pid()
	if pid == 0 {
		return // the folder was deleted; 0 would be the group of this test
	}
	if err := syscall.Kill(pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
		f.Fatal(err)
	}
}

func (f *fixture) kill() { f.Helper(); f.signal(syscall.SIGKILL) }

func (f *fixture) until(what string, check func() bool) {
	f.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(30 * time.Second)
	for !check() {
		select {
		case <-tick.C:
		case <-limit:
			f.Fatal("timed out after 30s waiting for " + what)
		}
	}
}

// another waits for a daemon that is not the one with the number pid.
func (f *fixture) another(pid int) {
	f.Helper()
	f.until("another daemon", func() bool { return f.state.DaemonAlive() && f.pid() != pid && f.state.Restarts().Next.IsZero() })
}

// guard runs a guardian in this process; the channel receives its end.
func (f *fixture) guard() <-chan error {
	f.Helper()
	done := make(chan error, 1)
	go func() {
		done <- Run(f.Context(), Options{State: f.state, Scale: 1, Log: slog.New(slog.DiscardHandler)})
	}()
	f.until("a guardian", f.state.GuardianAlive)
	return done
}

func (f *fixture) wantEnd(done <-chan error) {
	f.Helper()
	select {
	case err := <-done:
		if err != nil {
			f.Error(err)
		}
	case <-time.After(30 * time.Second):
		f.Fatal("the guardian does not end")
	}
	if r := f.state.Restarts(); r != nil && !r.Next.IsZero() {
		f.Errorf("it has ended, and still announces a restart: %+v", r)
	}
}

func TestAKilledDaemonIsRestarted(t *testing.T) {
	f := newFixture(t)
	done := f.guard()
	begin := time.Now()
	for i := 1; i <= 2; i++ {
		pid := f.pid()
		f.kill()
		f.another(pid)
		r := f.state.Restarts()
		if r.Count != i || len(r.List) != 1 || r.List[0].Times != i || r.List[0].Reason != "" {
			t.Errorf("after %d kills the record is %+v", i, r)
		}
	}
	if exit := f.state.Restarts().List[0].Exit; exit != "signal: killed" {
		t.Errorf("the guardian's own daemon ended with %q", exit)
	}
	if took := time.Since(begin); took < firstPause {
		t.Errorf("the second restart in a row did not wait: both took %s", took)
	}
	if err := f.state.DropIntent(); err != nil {
		t.Fatal(err)
	}
	f.kill()
	f.wantEnd(done)
	if f.state.DaemonAlive() {
		t.Error("a daemon that was to be stopped runs again")
	}
}

func TestAnOrderlyEndIsNotARestart(t *testing.T) {
	f := newFixture(t)
	done := f.guard()
	f.signal(syscall.SIGTERM)
	f.wantEnd(done)
	if f.state.DaemonAlive() || f.state.Restarts() != nil {
		t.Errorf("alive %v, record %+v", f.state.DaemonAlive(), f.state.Restarts())
	}
}

func TestTheReasonAndItsLogAreKept(t *testing.T) {
	f := newFixture(t)
	done := f.guard()
	defer func() { f.signal(syscall.SIGTERM); f.wantEnd(done) }()
	for file, text := range map[string]string{
		f.state.LogFile("etcd"):                "fine\nerror: wal: crc mismatch\n",
		filepath.Join(f.state.Dir(), saysFile): "etcd: wal: crc mismatch",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pid := f.pid()
	f.kill() // the next one says something, and the one after it lives
	f.until("two restarts", func() bool { r := f.state.Restarts(); return r != nil && r.Count == 2 && r.Next.IsZero() })
	f.another(pid)
	r := f.state.Restarts()
	if len(r.List) != 2 || r.List[0].Reason != "etcd: wal: crc mismatch" || len(r.List[0].Log) != 1 || r.List[0].Log[0] != "error: wal: crc mismatch" {
		t.Errorf("the record is %+v", r)
	}
	if r.List[0].Exit != "exit status 1" {
		t.Errorf("exit %q", r.List[0].Exit)
	}
}

// A command that works on the cluster decides alone; the guardian goes on with what that leaves.
func TestACommandIsNotDisturbed(t *testing.T) {
	f := newFixture(t)
	done := f.guard()
	lock, err := f.state.Lock(t.Context(), "start")
	if err != nil {
		t.Fatal(err)
	}
	f.kill()
	f.until("the guardian to notice", func() bool { return f.state.Restarts() != nil })
	ours := f.spawn()
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	f.until("the guardian to be content", func() bool { return f.state.Restarts().Next.IsZero() })
	if f.pid() != ours {
		t.Errorf("the daemon is process %d, started was %d", f.pid(), ours)
	}
	f.kill()
	f.another(ours)
	f.signal(syscall.SIGTERM)
	f.wantEnd(done)
}

func TestADaemonThatCannotStartIsTriedAgainAndExplained(t *testing.T) {
	f := newFixture(t)
	done := f.guard()
	if err := os.WriteFile(filepath.Join(f.state.Dir(), saysFile), []byte("early: no such flag"), 0o600); err != nil {
		t.Fatal(err)
	}
	f.kill()
	f.until("two tries", func() bool {
		r := f.state.Restarts()
		return r != nil && r.List[0].Error != "" && time.Until(r.Next) > firstPause
	})
	if r := f.state.Restarts(); !strings.Contains(r.List[0].Error, "panic: no such flag") {
		t.Errorf("the record is %+v", r)
	}
	if err := f.state.DropIntent(); err != nil { // as a stop, which finds no daemon
		t.Fatal(err)
	}
	f.wantEnd(done)
}

func TestTheGuardianOfADeletedClusterEnds(t *testing.T) {
	f := newFixture(t)
	done, pid := f.guard(), f.pid()
	if err := os.RemoveAll(f.state.Dir()); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	f.wantEnd(done)
	if _, err := os.Stat(f.state.Dir()); err == nil {
		t.Error("the guardian created the folder again")
	}
}

func TestOneGuardianForACluster(t *testing.T) {
	f := newFixture(t)
	done := f.guard()
	if err := Run(t.Context(), Options{State: f.state, Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Error(err)
	}
	f.signal(syscall.SIGTERM)
	f.wantEnd(done)
}

func TestAKilledGuardianIsReplaced(t *testing.T) {
	f := newFixture(t)
	ctx, cancel := context.WithCancel(t.Context())
	kept := make(chan struct{})
	go func() {
		defer close(kept)
		Keep(ctx, f.state, os.Args[0], func() []*exec.Cmd {
			guardian := exec.Command(os.Args[0], "--cluster", "dev")
			guardian.Dir = f.state.Dir()
			return []*exec.Cmd{exec.Command("/nonexistent"), guardian}
		}, slog.New(slog.DiscardHandler))
	}()
	defer func() { cancel(); <-kept }()
	guardianPID := func() int {
		text, _ := os.ReadFile(filepath.Join(f.state.Dir(), pidFile))
		pid, _ := strconv.Atoi(string(text))
		return pid
	}
	f.until("a guardian", func() bool { return f.state.GuardianAlive() && guardianPID() != 0 })
	first, daemon := guardianPID(), f.pid()
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	f.until("another guardian", func() bool { return f.state.GuardianAlive() && guardianPID() != first })
	if f.pid() != daemon || !f.state.DaemonAlive() {
		t.Error("the daemon ended with its guardian")
	}
	f.kill()
	f.another(daemon)
}

func TestPausesGrow(t *testing.T) {
	for quick, want := range map[int]time.Duration{
		0: 0, 1: time.Second, 2: 2 * time.Second, 3: 4 * time.Second, 9: 256 * time.Second, 10: lastPause, 1000: lastPause,
	} {
		if got := PauseAfter(quick); got != want {
			t.Errorf("PauseAfter(%d) = %s, want %s", quick, got, want)
		}
	}
}
