package tui

import (
	"strings"
	"testing"
)

func TestClustersAreSwitched(t *testing.T) {
	s := shop()
	r := newRig(t, s, 100, 30)
	r.shows("shop")
	r.keys("P")
	r.shows("CLUSTERS", "ci", "stopped", "shown here", "v1.37.2")
	r.keys("j", "enter")
	r.shows("it is the one that is shown")
	r.keys("k", "enter")
	r.until("the end", func(string) bool { return r.ended })
	if r.u.outcome.Cluster != "ci" {
		t.Errorf("it ended with %+v", r.u.outcome)
	}
}

// TestOtherClustersAreOperated: a question names which cluster, and that it is another one; a deletion wants its name.
func TestOtherClustersAreOperated(t *testing.T) {
	s := shop()
	c := scripted(s)
	r := newRig(t, s, 100, 30)
	r.shows("shop")
	r.keys(":", `"clusters"`, "enter")
	r.shows("ci")
	r.keys("x")
	r.shows("the cluster is not running")
	r.keys("o")
	r.operated("start -p ci")
	r.shows("starting")
	r.keys("delete")
	r.shows("wait for it: start ci")
	c.end <- nil
	r.shows("✓ start ci")
	r.keys("L")
	r.shows("bonsai start -p ci")
	r.keys("esc", "delete")
	r.shows("delete cluster ci?", "1 node", "it cannot be undone", "another cluster than the one that is shown", "type ci")
	r.keys(`"dev"`, "enter", "esc")
	if n := len(s.operated); n != 1 {
		t.Fatalf("it ran %q", s.operated)
	}
	r.keys("delete", `"ci"`, "enter")
	r.operated("delete -p ci")
	c.end <- nil
	// That of this UI goes the way that it always goes.
	r.keys("j", "x")
	r.shows("stop dev?")
	r.keys("esc", "delete")
	r.shows("delete cluster dev?", "type dev")
	r.keys("esc", "+", `"No"`, "enter")
	r.shows("beginning with a letter")
	r.keys("ctrl+u", `"ci"`, "enter")
	r.shows("there is a cluster of this name")
	r.keys(`"-2"`, "enter")
	r.until("the end", func(string) bool { return r.ended })
	if r.u.outcome.Cluster != "ci-2" {
		t.Errorf("it ended with %+v", r.u.outcome)
	}
}

func TestClustersFrames(t *testing.T) {
	r := newRig(t, nasty(), 80, 24)
	r.keys("P")
	r.shows("CLUSTERS")
	frames(t, r, []string{"G"}, []string{"+"}, []string{"enter"})
	if strings.Contains(r.screen(), "panic") {
		t.Error(r.screen())
	}
}
