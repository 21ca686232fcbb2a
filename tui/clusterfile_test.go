package tui

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

// TestClusterFileIsPlannedAndApplied shows the plan first, and asks with it.
func TestClusterFileIsPlannedAndApplied(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "cluster.yaml")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := shop()
	var refused error
	s.operation = func(_ context.Context, args []string, f func(cluster.Event)) error {
		say := func(text string) { f(cluster.Event{Kind: cluster.StepProgress, Step: args[0], Detail: text}) }
		switch args[0] {
		case "config":
			say("kind: Cluster")
		case "plan":
			say("CHANGE            NEEDS")
			say("add node dev-4    nothing")
			return refused
		}
		return nil
	}
	r := newRig(t, s, 160, 30)
	r.shows("shop")
	r.keys("V")
	r.shows("bonsai config view", "kind: Cluster", "p plan a file")
	r.keys("a")
	r.shows("choose a file first: p")
	r.keys("p", `"`+dir+`/nothing"`, "enter")
	r.shows("is not a file that can be read")
	r.keys("p", `"`+dir+`/clu"`, "tab", "enter")
	r.shows("add node dev-4", "a apply it")
	r.keys("a")
	r.shows("apply cluster.yaml?", "cluster.yaml  ", "add node dev-4    nothing", "cluster: dev")
	r.keys("enter")
	if n := len(s.operated); n != 2 {
		t.Fatalf("it ran %q", s.operated)
	}
	r.keys("a", "left", "enter")
	r.operated("apply -f " + path)
	r.shows("✓ apply cluster.yaml")
	r.keys("v")
	r.shows("kind: Cluster")
	refused = fault.Newf(fault.Internal, "bonsai plan exited with code 2").WithEvidence("add node dev-4    nothing")
	r.keys("p", "up", "enter")
	r.shows("exited with code 2", "1-2/2")
	r.keys("a")
	r.shows("this file cannot be applied")
	// However often: one page back is where it was opened.
	r.keys("esc")
	r.shows("PROBLEMS")
}

// TestPlanIsAppliedBeforeItsCommandHasEnded: the lines of a plan are on the screen before the command that wrote them has ended. A
// key pressed then is for what is seen.
func TestPlanIsAppliedBeforeItsCommandHasEnded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cluster.yaml")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := shop()
	end := make(chan error)
	s.operation = func(ctx context.Context, args []string, f func(cluster.Event)) error {
		if args[0] != "plan" {
			return nil
		}
		f(cluster.Event{Kind: cluster.StepProgress, Step: "plan", Detail: "add node dev-4    nothing"})
		select {
		case err := <-end:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	r := newRig(t, s, 160, 30)
	r.shows("shop")
	r.keys("V", "p", `"`+path+`"`, "enter")
	r.shows("add node dev-4")
	r.keys("a")
	r.shows("you are asked once it is complete")
	end <- nil
	r.shows("apply cluster.yaml?", "add node dev-4    nothing")
	r.keys("left", "enter")
	r.operated("apply -f " + path)

	// Of a plan that cannot be carried out nothing is asked.
	r.keys("p", "up", "enter")
	r.shows("add node dev-4")
	r.keys("a")
	end <- fault.Newf(fault.Internal, "bonsai plan exited with code 2")
	r.shows("this file cannot be applied")

	// Nor of one that was left; and what is being typed is typed first.
	r.keys("p", "up", "enter")
	r.shows("add node dev-4")
	r.keys("a", "/", `"dev"`)
	end <- nil
	r.until("the end of the plan", func(string) bool { return len(r.u.tasks) == 0 })
	if len(r.u.dialogs) > 0 {
		t.Fatal("it asks while something is being typed")
	}
	r.keys("enter")
	r.shows("apply cluster.yaml?")
	r.keys("esc", "p", "up", "enter")
	r.shows("add node dev-4")
	r.keys("a", "1")
	r.until("the end of the plan", func(string) bool { return len(r.u.tasks) == 0 })
	if len(r.u.dialogs) > 0 {
		t.Fatal("it asks for a plan that is not on the screen")
	}
}

func TestPathsAreCompleted(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.yaml", "b.yaml", ".hidden", "ab/x.yaml"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	for text, want := range map[string]int{"a": 2, "": 3, "b": 1, "ab/": 1, ".h": 1, "zz": 0, "zz/": 0, dir + "/a": 2} {
		if got := completePath(text); len(got) != want {
			t.Errorf("%q: %q", text, got)
		}
	}
}
