package tui

import (
	"strings"
	"testing"

	"bonsai/bootstrap/kube"
)

func TestUndoOfScaling(t *testing.T) {
	s := shop()
	s.yaml["shop/cart"] = cartYAML // one replica
	r := newRig(t, s, 120, 40)
	r.keys(":", `"deploy shop"`, "enter")
	r.shows("UP-TO-DATE", "cart")
	r.keys("g", "+", `"3"`, "enter")
	r.shows("scale deployment shop/cart to 3", "can undo it")
	r.keys("ctrl+k", `"undo"`)
	r.shows("undo: scale deployment shop/cart to 1")
	r.keys("enter")
	r.shows("✓ scale deployment shop/cart to 1")
	if len(s.done) != 2 || s.done[0].Replicas != 3 || s.done[1].Verb != kube.VerbScale || s.done[1].Replicas != 1 {
		t.Errorf("done was %+v", s.done)
	}
}

func TestUndoOfCordoning(t *testing.T) {
	s := shop()
	r := newRig(t, s, 120, 40)
	r.keys("2")
	r.shows("dev-1")
	r.keys("g", "u", "left", "enter")
	r.shows("can undo it")
	first := s.done[0]
	r.keys("ctrl+k", `"undo"`, "enter")
	r.until("the second change", func(string) bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.done) == 2 })
	if second := s.done[1]; second.Ref.Name != first.Ref.Name || second.Verb == first.Verb || second.Verb != kube.VerbCordon && second.Verb != kube.VerbUncordon {
		t.Errorf("%+v was taken back by %+v", first, second)
	}
	// A change that cannot be taken back leaves the one before alone.
	r.until("the end of it", func(s string) bool { return strings.Contains(s, "can undo it") })
	if r.u.undo == nil {
		t.Error("what was taken back cannot be done again")
	}
}
