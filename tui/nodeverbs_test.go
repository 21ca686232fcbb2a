package tui

import (
	"strings"
	"testing"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

// TestNodesAreAdded: bad values are explained at their fields, and nothing runs before all are right.
func TestNodesAreAdded(t *testing.T) {
	s := shop()
	c := scripted(s)
	r := newRig(t, s, 100, 30)
	r.keys("2")
	r.shows("dev-2")
	r.keys("+")
	r.shows("add nodes to dev", "how many", "worker", "empty: no limit")
	r.keys("backspace", `"x0a"`, "enter")
	r.shows("not a number from 1 to 97")
	if strings.Contains(r.screen(), "x0a") {
		t.Errorf("letters are taken for a number:\n%s", r.screen())
	}
	r.keys("backspace", `"2"`, "tab", "right", "tab", `"many"`, "tab", `"64m"`, "enter")
	r.shows("not a number from 0.1 to 1024", "from 256 MB on, such as 2g")
	if len(s.operated) > 0 {
		t.Fatalf("it ran %q", s.operated)
	}
	r.keys("ctrl+u", `"2"`)
	r.until("the first error to go", func(s string) bool { return !strings.Contains(s, "0.1 to 1024") })
	r.keys("tab", "ctrl+u", `"4g"`, "enter")
	r.operated("node add --count 2 --role control-plane --cpus 2 --memory 4g")
	c.tell(event(0, cluster.StepStarted, "node/dev-4", "Node dev-4", "kubelet"))
	r.shows("add 2 nodes: Node dev-4: kubelet")
	// Meanwhile nothing else can change the cluster.
	r.keys("+")
	r.shows("wait for it: add 2 nodes")
	c.end <- nil
	r.shows("✓ add 2 nodes")
	r.keys("L")
	r.shows("bonsai node add -p dev --count 2 --role control-plane --cpus 2 --memory 4g")
}

// TestNodesAreStoppedAndStarted asks before a stop, shows it on the row, and offers the start of a stopped one.
func TestNodesAreStoppedAndStarted(t *testing.T) {
	s := shop()
	c := scripted(s)
	r := newRig(t, s, 140, 30)
	r.keys("2")
	r.shows("dev-2", "x stop")
	r.keys("j", "x")
	r.shows("stop dev-2?", "after five minutes its pods are created", "pods on it: 2")
	r.keys("enter")
	r.keys("o")
	r.shows("start the node: it is running")
	r.keys("x", "left", "enter")
	r.operated("node stop dev-2")
	r.shows("stopping")
	s.update(func() {
		n := &s.snapshot.Nodes[1]
		n.Stopped, n.Host, n.Ready = true, cluster.PhaseStopped, false
	})
	c.end <- nil
	r.shows("✓ stop dev-2", "– dev-2")
	r.keys("k", "j")
	r.shows("o start")
	if strings.Contains(r.screen(), "node not ready") {
		t.Errorf("a node that was stopped is a problem:\n%s", r.screen())
	}
	r.keys("x")
	r.shows("it is stopped already")
	r.keys("o")
	r.operated("node start dev-2")
	c.end <- nil
	r.shows("✓ start dev-2")
	r.keys("r", "left", "enter")
	r.operated("node restart dev-2")
	c.end <- fault.Newf(fault.Node, "dev-2 did not become ready").WithEvidence("kubelet: no space left").Advise("see its log", cluster.Bonsai("logs", "kubelet").With("--node", "dev-2"))
	r.shows("failed: restart dev-2", "dev-2 did not become ready", "no space left", "bonsai logs kubelet -p dev --node dev-2")
	r.keys("esc", "m")
	r.shows("limits of dev-2")
	r.keys("enter")
	r.shows("nothing was changed")
	r.keys("m", "tab", `"no-limit"`, "enter")
	r.operated("node update dev-2 --memory no-limit")
	c.end <- nil
}

// TestNodesAreDeleted asks twice where something would be lost, and the second question wants the name.
func TestNodesAreDeleted(t *testing.T) {
	s := shop()
	c := scripted(s)
	r := newRig(t, s, 100, 30)
	r.keys("2")
	r.shows("dev-2")
	r.keys("j", " ", "j", " ", "delete")
	r.shows("delete dev-2, dev-3?", "its pods move to other nodes first", "its volume and everything in them")
	r.keys("left", "enter")
	r.operated("node delete dev-2 dev-3")
	r.shows("emptying")
	r.keys(":", `"carts`) // what arrives now waits until this is typed
	c.end <- fault.Newf(fault.Blocked, "empty dev-2, dev-3: 2 things on it").
		WithEvidence("pod default/lonely has no controller", "claim shop/data has its data on node dev-2").Advise("", cluster.Bonsai("node", "delete").On("dev-2").With("--force"))
	r.until("the end", func(string) bool { return len(r.u.tasks) == 0 })
	if strings.Contains(r.screen(), "with all of it") {
		t.Errorf("a question opens while something is typed:\n%s", r.screen())
	}
	r.keys("esc")
	r.shows("delete dev-2, dev-3 with all of it?", "pod default/lonely has no controller", "claim shop/data has its data on node dev-2", "type dev-2")
	r.keys("enter")
	if n := len(s.operated); n != 1 {
		t.Fatalf("it ran %q", s.operated)
	}
	r.keys("delete", "left", "enter")
	c.end <- fault.Newf(fault.Blocked, "no").WithEvidence("pod default/lonely has no controller")
	r.shows("with all of it?")
	r.keys(`"dev-2"`, "enter")
	r.operated("node delete dev-2 dev-3 --force")
	c.end <- nil
	r.shows("✓ delete dev-2, dev-3")
}

// TestCordonAsks: a key beside others does not take a node out of the cluster.
func TestCordonAsks(t *testing.T) {
	s := shop()
	r := newRig(t, s, 100, 30)
	r.keys("2")
	r.shows("dev-2")
	r.keys("u")
	r.shows("cordon dev-1?", "gets no new pods")
	r.keys("enter")
	if len(s.done) > 0 {
		t.Fatalf("it did %v", s.done)
	}
	r.keys("u", "left", "enter")
	r.until("the cordon", func(string) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.done) == 1
	})
}

// TestNodesOfASilentCluster can be changed: that needs no API server.
func TestNodesOfASilentCluster(t *testing.T) {
	s := shop()
	r := newRig(t, s, 100, 30)
	r.keys("2")
	r.shows("dev-2")
	s.update(func() { s.down = fault.Newf(fault.ControlPlane, "it is silent") })
	r.shows("silent")
	r.keys("D")
	r.shows("the cluster does not answer")
	r.keys("x")
	r.shows("stop dev-1?")
}

func TestNodesReadOnly(t *testing.T) {
	s := shop()
	r := newRig(t, s, 100, 30, func(o *Options) { o.ReadOnly = true })
	r.keys("2")
	r.shows("dev-2")
	for _, key := range []string{"+", "x", "r", "m", "delete", "u", "D"} {
		r.keys(key)
		if !strings.Contains(r.screen(), "--readonly") || len(r.u.dialogs) > 0 {
			t.Errorf("%s:\n%s", key, r.screen())
		}
	}
	if len(s.operated) > 0 {
		t.Errorf("it ran %q", s.operated)
	}
}
