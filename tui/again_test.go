package tui

import (
	"strings"
	"testing"

	tea "github.com/charmbracelet/bubbletea"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/kube"
)

// TestPagesSayWhatTheClusterIs: an error from before a start is not what a page says during and after it.
func TestPagesSayWhatTheClusterIs(t *testing.T) {
	s := shop()
	s.down = fault.Newf(fault.NotRunning, "cluster %q was never started", "dev")
	s.snapshot.Phase, s.snapshot.APIServer = cluster.PhaseStarting, cluster.PhaseStarting
	r := newRig(t, s, 100, 30)
	r.until("the snapshot", func(string) bool { return r.u.state.Known })
	for _, key := range []string{"3", "4", "5", "6", "9", "2"} {
		r.keys(key)
		r.settle()
		if screen := r.screen(); strings.Contains(screen, "never started") {
			t.Errorf("screen %s says:\n%s", key, screen)
		}
	}
	r.keys("3")
	r.shows("the cluster is starting")
	s.update(func() { s.down, s.snapshot = nil, shop().snapshot })
	r.shows("cart-7d9f4-x2k")
}

// TestAStartOfAClusterThatWasThere never offers to remove it, and a new one says what an end removes.
func TestAStartOfAClusterThatWasThere(t *testing.T) {
	s := shop()
	scripted(s)
	r := newRig(t, s, 100, 30)
	r.shows("shop")
	r.keys("ctrl+k", `"repair"`, "enter")
	r.operated("start")
	r.shows("Q abort it")
	if strings.Contains(r.screen(), "clean up") {
		t.Errorf("it offers to clean up a cluster that was there:\n%s", r.screen())
	}
	r.keys("Q")
	r.shows("what it has added is taken back; the cluster that was there before")

	s = nothing()
	s.snapshot = cluster.Snapshot{Name: "dev", Phase: cluster.PhaseAbsent}
	scripted(s)
	r = newRig(t, s, 100, 30)
	r.shows("does not exist yet")
	r.keys("enter")
	r.operated("start")
	r.shows("abort it and clean up")
	r.keys("Q")
	r.shows("cluster dev is new: what it has created so far, nodes")
}

// TestAFailedStartCanBeKept: what it made is there to be looked at after the next try; the log opens where it failed.
func TestAFailedStartCanBeKept(t *testing.T) {
	s := nothing()
	s.snapshot = cluster.Snapshot{Name: "dev", Phase: cluster.PhaseAbsent}
	c := scripted(s)
	r := newRig(t, s, 100, 30)
	r.shows("does not exist yet")
	r.keys("enter")
	r.operated("start")
	c.end <- fault.Newf(fault.ControlPlane, "kube-apiserver ended").WithEvidence("F1129 the last words")
	r.shows("kube-apiserver ended", "the last words", "K again and keep", "r again")
	r.keys("l")
	for i := range 60 {
		text := "a line"
		if i == 40 {
			text = "F1129 the last words"
		}
		c.tell(cluster.Event{Kind: cluster.StepProgress, Step: "logs", Detail: text})
	}
	c.end <- nil
	r.shows("F1129 the last words", "35-60/60")
	r.keys("esc", "K")
	r.operated("start --keep")
	c.end <- fault.Newf(fault.ControlPlane, "kube-apiserver ended")
	r.shows("r again")
	if strings.Contains(r.screen(), "again and keep") {
		t.Errorf("it is offered again:\n%s", r.screen())
	}
}

// TestPlaces: a command or a key of a screen leads to the same place, however often, and the way back does not grow.
func TestPlaces(t *testing.T) {
	s := shop()
	s.types = append(s.types, kube.ResourceType{Group: "apps", Version: "v1", Resource: "deployments", Kind: "Deployment", Namespaced: true, Short: []string{"deploy"}})
	r := newRig(t, s, 120, 30)
	r.shows("shop")
	for range 3 {
		for _, what := range []string{"deploy", "carts", "dp", "ns"} {
			r.keys(":", `"`+what+`"`, "enter")
			r.settle()
		}
	}
	r.keys(":", `"dp shop"`, "enter")
	r.shows("DEPLOYMENTS in namespace shop", "[3 Pods]", "cart")
	if n := len(r.u.screens[r.u.current].pages); n != 2 {
		t.Errorf("%d pages are open", n)
	}
	r.keys(":", `"pods default"`, "enter")
	r.shows("购物车", "ns:default")
	if strings.Contains(r.screen(), "cart-7d9f4-x2k") {
		t.Errorf("the namespace does not count:\n%s", r.screen())
	}
	// A log that was opened from a pod is not what the key of the screen is for; "last" leads back to it.
	r.keys("A", "3", "j", "l")
	r.settle()
	r.keys("5", "-")
	if n := len(r.u.screens[r.u.current].pages); n != 2 {
		t.Errorf("%d pages are open after going back", n)
	}
	r.keys("5", "3")
	r.shows("RESTARTS")
	for range 3 {
		r.keys("I")
	}
	if n := len(r.u.screens[r.u.current].pages); n != 2 {
		t.Errorf("%d pages are open", n)
	}
}

// TestEscapeAndAKeyTypedFast arrive as one key with Alt. Both count, and nobody ends the program like that.
func TestEscapeAndAKeyTypedFast(t *testing.T) {
	r := newRig(t, shop(), 100, 30)
	r.keys("3", "/", `"web"`, "enter")
	r.shows("/web")
	r.send(tea.KeyMsg{Type: tea.KeyCtrlK, Alt: true})
	r.shows("╭─ find")
	if f := r.u.frame().(*panes).list.filterText(); f != "" {
		t.Errorf("the filter is still %q", f)
	}
	r.send(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("q"), Alt: true})
	if r.ended || len(r.u.dialogs) != 0 {
		t.Errorf("ended %v, %d dialogs", r.ended, len(r.u.dialogs))
	}
	// In a line that is typed, Alt has its meaning.
	r.keys("/", `"one two"`)
	r.send(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("b"), Alt: true})
	r.keys(`"x"`)
	if got := r.u.prompt.input.text(); got != "one xtwo" {
		t.Errorf("the prompt has %q", got)
	}
}

func TestNumbersTakeNoLetters(t *testing.T) {
	r := newRig(t, shop(), 100, 30)
	r.shows("shop")
	r.keys("ctrl+k", `"another number"`, "enter", `"a5b"`)
	if got := r.u.prompt.input.text(); got != "5" {
		t.Errorf("the prompt has %q", got)
	}
}

// TestPaletteFindsWorkloads: a Deployment and a Service as well as its pods.
func TestPaletteFindsWorkloads(t *testing.T) {
	s := shop()
	s.columns["services"] = []kube.Column{{Name: "Name"}}
	s.rows["services"] = []kube.Row{{UID: "s2", Namespace: "shop", Name: "web", Cells: []string{"web"}}}
	r := newRig(t, s, 100, 30)
	r.shows("shop")
	r.keys("ctrl+k", `"shop/web"`)
	r.shows("Deployment", "Service", "web-9cc6f-lm2")
	r.keys("down", "enter")
	r.until("an object", func(string) bool { _, ok := r.u.page().(*subjectPage); return ok })
}

// TestProblemsAreInChinese: what, why and what to do; names and figures stay.
func TestProblemsAreInChinese(t *testing.T) {
	s := shop()
	s.snapshot.Problems[0].Summary, s.snapshot.Problems[0].Cause = "container cart exits with 1, 4 times so far", "it was killed (SIGKILL)"
	s.snapshot.Problems[1].Summary, s.snapshot.Problems[1].Cause = "no node has enough memory left", "the cluster has no nodes"
	r := newRig(t, s, 120, 36, func(o *Options) { o.Lang = "zh" })
	r.shows("容器 cart 以 1 退出，至今 4 次", "它被杀死（SIGKILL）", "没有节点剩余足够的", "集群没有节点")
	r.keys("enter")
	r.shows("容器 cart 以 1 退出，至今 4 次")
}
