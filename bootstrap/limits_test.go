package bootstrap_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bonsai/bootstrap"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/limits"
	"bonsai/bootstrap/node"
	"bonsai/bootstrap/plan"
)

// kernel is a machine with some inotify instances left.
type kernel struct {
	mu     sync.Mutex // guards the rest
	facts  limits.Facts
	fixed  bool // nothing can be raised
	raised []limits.Name
}

func (k *kernel) Facts(string) limits.Facts {
	k.mu.Lock()
	defer k.mu.Unlock()
	return maps.Clone(k.facts)
}

func (k *kernel) Raise(l limits.Limit) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fixed {
		return errors.New("permission denied")
	}
	k.raised = append(k.raised, l.Name)
	level := k.facts[l.Name]
	level.Limit = l.Value
	k.facts[l.Name] = level
	return nil
}

// with gives the machine other dependencies.
func (m *machine) with(change func(*bootstrap.Env)) {
	change(&m.env)
	m.Manager = bootstrap.New(m.env)
}

// quick waits a tenth as long as usual, and nodes reach the API server.
func (m *machine) quick() {
	m.with(func(e *bootstrap.Env) { e.Scale = 0.1 })
	m.engine.Commands = func(string, node.Exec) (int, error) { return 0, nil }
}

// startOn starts a cluster of n nodes on a machine and returns the warnings.
func startOn(t *testing.T, m *machine, k *kernel, n int) (warnings []string, err error) {
	t.Helper()
	m.engine.Info.HostReachesNodes = true
	m.with(func(e *bootstrap.Env) { e.Machine = k })
	w := plan.Wish{Name: "dev", Nodes: &n}
	if !m.dir.Cluster("dev").Exists() {
		w.APIPort = freePort(t)
	}
	_, err = m.Start(t.Context(), w, bootstrap.Run{Events: func(e cluster.Event) {
		if e.Kind == cluster.StepWarning && e.Step == "limits" {
			warnings = append(warnings, e.Detail)
		}
	}})
	return warnings, err
}

func inotify(limit, used int64) limits.Facts {
	return limits.Facts{limits.InotifyInstances: {Limit: limit, Used: used}}
}

func TestALimitIsRaisedWhereThatIsPossible(t *testing.T) {
	m, k := newMachine(t), &kernel{facts: inotify(128, 117)}
	warnings, err := startOn(t, m, k, 2)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(k.raised, []limits.Name{limits.InotifyInstances}) || len(warnings) != 1 ||
		!strings.Contains(warnings[0], "raised fs.inotify.max_user_instances from 128 to 8192 until this machine restarts") {
		t.Errorf("raised %v, warnings %q", k.raised, warnings)
	}
	if warnings, err := startOn(t, m, k, 3); err != nil || len(warnings) != 0 {
		t.Errorf("another start: %v, warnings %q", err, warnings)
	}
}

func TestWhatCannotFitIsRefusedBeforeAnythingIsMade(t *testing.T) {
	m, k := newMachine(t), &kernel{facts: inotify(128, 117), fixed: true}
	_, err := startOn(t, m, k, 2)
	if fault.KindOf(err) != fault.Limit || !strings.Contains(err.Error(), "11 of 128 inotify instances are left, and 2 nodes take 30") {
		t.Errorf("got %v", err)
	}
	if hint := fault.Problem(err).HintText(); !strings.Contains(hint, "sudo sysctl -w fs.inotify.max_user_instances=8192") {
		t.Errorf("the hint is %q", hint)
	}
	for _, call := range m.engine.Calls() {
		if strings.HasPrefix(call, "Ensure") {
			t.Errorf("%s was called", call)
		}
	}
	m.wantNothingLeft(t)
}

func TestLittleRoomIsAWarning(t *testing.T) {
	k := &kernel{facts: inotify(128, 97), fixed: true} // the engine has cgroup v2, where pods take some
	warnings, err := startOn(t, newMachine(t), k, 2)
	if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], "31 of 128 inotify instances are left, and 2 nodes take 30, without pods") {
		t.Errorf("%v, warnings %q", err, warnings)
	}
}

// Whoever may not see root's processes counts the nodes that run, of all clusters.
func TestNodesOfAllClustersCount(t *testing.T) {
	m, k := newMachine(t), &kernel{facts: limits.Facts{limits.InotifyInstances: {Limit: 40, AtLeast: true}}, fixed: true}
	if _, err := startOn(t, m, k, 2); err != nil {
		t.Fatal(err)
	}
	other := newMachineOn(t, m.engine, "ddddeeeeffff")
	if _, err := startOn(t, other, k, 3); fault.KindOf(err) != fault.Limit || !strings.Contains(err.Error(), "at most 22 of 40 inotify instances are left, and 3 nodes take 27") {
		t.Errorf("got %v", err)
	}
	// Its own nodes run already.
	if _, err := startOn(t, m, k, 2); err != nil {
		t.Errorf("a start of what runs: %v", err)
	}
}

func TestNothingIsSaidOfAnotherMachine(t *testing.T) {
	m, k := newMachine(t), &kernel{facts: inotify(128, 128), fixed: true}
	m.with(func(e *bootstrap.Env) { e.Machine = k })
	if err := m.start(t, plan.Wish{Nodes: new(2)}); err != nil {
		t.Error(err)
	}
}

// A kubelet that exits again and again because of a limit will not become ready.
func TestAKubeletThatSaysWhyEndsTheWait(t *testing.T) {
	t.Setenv("TEST_NODES_HANG", "1")
	t.Setenv("TEST_KUBELET_SAYS", "run kubelet: inotify_init: too many open files (exit status 1)")
	m := newMachine(t)
	began := time.Now()
	err := m.start(t, plan.Wish{Nodes: new(2)})
	if fault.KindOf(err) != fault.Node || !strings.Contains(err.Error(), "kubelet on node dev-1 does not run, restarted 3 times: run kubelet: inotify_init: too many open files") {
		t.Errorf("got %v", err)
	}
	if hint := fault.Problem(err).HintText(); !strings.HasPrefix(hint, "raise this machine's limit:  sudo sysctl -w fs.inotify.max_user_instances=8192") {
		t.Errorf("the hint is %q", hint)
	}
	if took := time.Since(began); took > time.Minute {
		t.Errorf("it took %s, as long as if nothing were known", took)
	}
	m.wantNothingLeft(t)
}

// What is not a known limit may pass. When the wait is over it explains more than that it was waited for.
func TestWhatAComponentSaidLastIsTheCauseOfATimeout(t *testing.T) {
	t.Setenv("TEST_NODES_HANG", "1")
	t.Setenv("TEST_KUBELET_SAYS", "the moon is full (exit status 1)")
	m := newMachine(t)
	m.quick()
	err := m.start(t, plan.Wish{Nodes: new(1)})
	if fault.KindOf(err) != fault.Node || !strings.Contains(err.Error(), "the moon is full") || strings.Contains(err.Error(), "timed out") {
		t.Errorf("got %v", err)
	}
}

// The logs of a node name the cause, even if its agent reports nothing.
func TestTheLogsOfANodeNameTheCause(t *testing.T) {
	t.Setenv("TEST_NODES_HANG", "1")
	m := newMachine(t)
	m.quick()
	m.engine.Commands = func(_ string, e node.Exec) (int, error) {
		if slices.Contains(e.Cmd, cluster.NodeLogDir+"/kubelet.log") {
			_, err := e.Stdout.Write([]byte("E1129 07:12:01.000001 b.go:22] Failed to start cAdvisor err=\"inotify_init: too many open files\"\n"))
			return 0, err
		}
		return 0, nil
	}
	err := m.start(t, plan.Wish{Nodes: new(1)})
	p := fault.Problem(err)
	if !slices.Contains(p.Evidence, "dev-1: kubelet: Failed to start cAdvisor: inotify_init: too many open files") {
		t.Errorf("evidence: %q", p.Evidence)
	}
	if !strings.HasPrefix(p.HintText(), "raise this machine's limit") {
		t.Errorf("the hint is %q", p.HintText())
	}
}
