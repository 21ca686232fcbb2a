package bootstrap_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"bonsai/bootstrap"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/plan"
	"bonsai/bootstrap/spawn"
	"bonsai/bootstrap/statedir"
)

// daemonProblems are those that status reports about the daemon of dev.
func (m *machine) daemonProblems(t *testing.T) (list []cluster.Problem) {
	t.Helper()
	s, err := m.Status(t.Context(), "dev")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range s.Problems {
		if p.Object == "daemon" {
			list = append(list, p)
		}
	}
	return list
}

func TestStatusSaysHowTheControlPlaneEnded(t *testing.T) {
	m := newMachine(t)
	if err := m.start(t, plan.Wish{Nodes: new(1)}); err != nil {
		t.Fatal(err)
	}
	if got := m.daemonProblems(t); len(got) != 0 {
		t.Errorf("while it runs: %+v", got)
	}
	d, _ := m.dir.Cluster("dev").Daemon()
	if err := syscall.Kill(d.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := m.dir.Cluster("dev").WaitDaemonGone(t.Context()); err != nil {
		t.Fatal(err)
	}
	crash, record := filepath.Join(m.dir.Cluster("dev").Dir(), spawn.CrashFile), filepath.Join(m.dir.Cluster("dev").Dir(), "daemon.json")
	was := func(change func(*statedir.Daemon)) {
		t.Helper()
		other := d
		change(&other)
		data, err := json.Marshal(other)
		if err == nil {
			err = os.WriteFile(record, data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, tc := range map[string]struct {
		words  string
		daemon func(*statedir.Daemon)
		want   []string // in summary, cause and hint
	}{
		"killed":                           {"", func(*statedir.Daemon) {}, []string{"was killed; the nodes keep running", "sudo dmesg"}},
		"its number is this process's now": {"", func(d *statedir.Daemon) { d.PID = os.Getpid() }, []string{"was killed"}},
		"with its pid namespace": {"", func(d *statedir.Daemon) { d.Namespace = "pid:[1]" },
			[]string{"killed together with what started it", "pid namespace", "--foreground"}},
		"with the machine": {"", func(d *statedir.Daemon) { d.Boot = "other" }, []string{"when this machine was restarted", "bonsai start"}},
		"no room": {"etcd: failed to save Raft hard state and entries: write /x: no space left on device\n\n", func(*statedir.Daemon) {},
			[]string{"exited unexpectedly", "no space left on device", "df -h " + m.dir.Cluster("dev").Dir()}},
		"no descriptors": {"etcd: x: too many open files\n\n", func(*statedir.Daemon) {}, []string{"too many open files", "ulimit -Hn"}},
		"etcd's log, as bonsai finds it": {"etcd's data in /x/etcd is damaged: its log ends before entry 24, which is in the data file\n\n", func(*statedir.Daemon) {},
			[]string{"entry 24", "bonsai delete"}},
		"etcd's log, as etcd says it": {"etcd: failed to read WAL, cannot be repaired: unexpected EOF: [wal] max entry size limit exceeded\n\n", func(*statedir.Daemon) {},
			[]string{"unexpected EOF", "etcd's data is damaged", "bonsai delete"}},
		"a panic": {"panic: boom\n\ngoroutine 1 [running]:\n", func(*statedir.Daemon) {}, []string{"panic: boom", "bonsai start"}},
	} {
		was(tc.daemon)
		if err := os.WriteFile(crash, []byte(tc.words), 0o600); err != nil {
			t.Fatal(err)
		}
		got := m.daemonProblems(t)
		if len(got) != 1 {
			t.Errorf("%s: got %d problems, want 1: %+v", name, len(got), got)
			continue
		}
		text := got[0].Summary + "\n" + got[0].Cause + "\n" + got[0].HintText()
		for _, want := range tc.want {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %q in:\n%s", name, want, text)
			}
		}
	}
	was(func(*statedir.Daemon) {})
	if err := m.start(t, plan.Wish{}); err != nil {
		t.Fatal(err)
	}
	if err := m.Stop(t.Context(), "dev", nil); err != nil {
		t.Fatal(err)
	}
	if got := m.daemonProblems(t); len(got) != 0 {
		t.Errorf("after an orderly stop: %+v", got)
	}
}

// TestADaemonOfAnotherNamespaceIsNotKilledByItsNumber: here, the number is that of this test.
func TestADaemonOfAnotherNamespaceIsNotKilledByItsNumber(t *testing.T) {
	m := newMachine(t)
	if err := m.start(t, plan.Wish{Nodes: new(0)}); err != nil {
		t.Fatal(err)
	}
	d, _ := m.dir.Cluster("dev").Daemon()
	d.PID, d.Namespace, d.Started = os.Getpid(), "pid:[1]", time.Now()
	data, err := json.Marshal(d)
	if err == nil {
		err = os.WriteFile(filepath.Join(m.dir.Cluster("dev").Dir(), "daemon.json"), data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Delete(t.Context(), "dev", nil); err != nil {
		t.Fatal(err)
	}
	m.wantNothingLeft(t)
}

func TestStatusSaysWhatTheGuardianDoes(t *testing.T) {
	m := newMachine(t)
	if err := m.start(t, plan.Wish{Nodes: new(1)}); err != nil {
		t.Fatal(err)
	}
	state := m.dir.Cluster("dev")
	record := cluster.Restarts{}
	record.Add(cluster.Restart{Last: time.Now(), Reason: "etcd: write /x: no space left on device", Log: []string{"error: no space"}})
	record.List[0].Error, record.Next = "no space left on device, still", time.Now().Add(time.Minute)
	lock, err := state.LockGuardian()
	if err == nil && lock != nil {
		err = state.SaveIntent("/bonsai")
	}
	if err == nil {
		err = state.SaveRestarts(record)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Release() }()
	d, _ := state.Daemon()
	if err := syscall.Kill(d.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := state.WaitDaemonGone(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := m.daemonProblems(t)
	if len(got) != 1 || !got[0].Retry.Equal(record.Next) || got[0].Cause != record.List[0].Error ||
		!strings.Contains(got[0].Summary, "is being restarted at ") || !strings.Contains(got[0].HintText(), "bonsai start") {
		t.Errorf("between two tries: %+v", got)
	}
	// Once it runs again, that it was restarted is a warning for an hour.
	now := record.List[0].Last
	p := bootstrap.RestartProblem(state, &record, now.Add(time.Minute))
	if p == nil || p.Kind != cluster.ProblemRestarted || p.Severity != cluster.SeverityWarning || !strings.Contains(p.HintText(), "df -h") || len(p.Evidence) != 1 {
		t.Errorf("after the restart: %+v", p)
	}
	if p := bootstrap.RestartProblem(state, &record, now.Add(2*time.Hour)); p != nil {
		t.Errorf("two hours later: %+v", p)
	}
	// A stop ends the guardian's work, also between two tries.
	if err := m.Stop(t.Context(), "dev", nil); err != nil {
		t.Fatal(err)
	}
	if _, wanted := state.Intent(); wanted {
		t.Error("a stopped cluster is still meant to run")
	}
}
