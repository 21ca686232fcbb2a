package tui

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

func TestSplitArgs(t *testing.T) {
	for line, want := range map[string][]string{
		"":                   nil,
		"  ":                 nil,
		"get pods -A":        {"get", "pods", "-A"},
		`get "a b" 'c d'e`:   {"get", "a b", "c de"},
		`a\ b "" ''`:         {"a b", "", ""},
		`'a\b' "a\"b"`:       {`a\b`, `a"b`},
		"-o=jsonpath='{.a}'": {"-o=jsonpath={.a}"},
	} {
		got, err := splitArgs(line)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q, %v", line, got, err)
		}
		text := bonsaiCommand(append([]string{"kubectl"}, got...)...).String()
		if back, err := splitArgs(text); err != nil || !slices.Equal(back[2:], got) {
			t.Errorf("%q came back as %q from %s, %v", got, back, text, err)
		}
	}
	for _, line := range []string{`'a`, `"a`, `a\`} {
		if _, err := splitArgs(line); fault.KindOf(err) != fault.Usage {
			t.Errorf("%q: %v", line, err)
		}
	}
}

// TestPaletteHasTheCommandLine finds verbs by their words and runs them.
func TestPaletteHasTheCommandLine(t *testing.T) {
	for name, c := range map[string]struct {
		keys []string
		want string
	}{
		"stop":           {[]string{`"stop the"`, "enter", "right", "enter"}, "stop"},
		"delete":         {[]string{`"delete the cluster"`, "enter", `"dev"`, "enter"}, "delete"},
		"nodes":          {[]string{`"another number"`, "enter", `"5"`, "enter"}, "start --nodes 5"},
		"repair":         {[]string{`"repair"`, "enter"}, "start"},
		"image":          {[]string{`"load an image"`, "enter", `"my-app:dev"`, "enter"}, "image load my-app:dev"},
		"update-context": {[]string{`"update-context"`, "enter"}, "update-context"},
		"flush":          {[]string{`"flush"`, "enter"}, "dns flush"},
		"query":          {[]string{`"dns query"`, "enter", `"web.shop A"`, "enter"}, "dns query web.shop A"},
		"kubectl":        {[]string{`"run kubectl"`, "enter", `"get pods -l 'a in (b)'"`, "enter"}, "kubectl -- get pods -l a in (b)"},
		"status":         {[]string{`"status as text"`, "enter"}, "status"},
		"version":        {[]string{`"versions of"`, "enter"}, "version"},
		"logs":           {[]string{`"log of a component"`, "enter", `"kubelet dev-2"`, "enter"}, "logs kubelet --node dev-2"},
		"enable":         {[]string{`"enable an addon"`, "enter", "enter"}, "addons enable dashboard"},
		"list addons":    {[]string{`"every known addon"`, "enter"}, "addons list --all"},
	} {
		t.Run(name, func(t *testing.T) {
			s := withAddons()
			r := newRig(t, s, 100, 30)
			r.shows("shop")
			r.keys("ctrl+k")
			for _, k := range c.keys {
				r.keys(k)
				r.settle()
			}
			r.operated(c.want)
			if e := r.u.actions.entries; len(e) != 1 || !strings.HasPrefix(e[0].command, "bonsai "+strings.Fields(c.want)[0]) || !strings.Contains(e[0].command, " -p dev") {
				t.Errorf("log of actions: %+v", e)
			}
		})
	}
}

// TestStopIsAsked does nothing without an answer, and shows the stop with its end.
func TestStopIsAsked(t *testing.T) {
	s := shop()
	c := scripted(s)
	r := newRig(t, s, 100, 30)
	r.shows("shop")
	r.keys("Q")
	r.shows("stop dev?", "objects, volumes and images are")
	r.keys("enter")
	r.keys("Q", "left", "enter")
	r.operated("stop")
	c.tell(event(0, cluster.StepStarted, "node/dev-1", "Node dev-1", ""), event(9*milli, cluster.StepDone, "node/dev-1", "", ""))
	r.shows("stopping", "✓ Node dev-1")
	r.keys("Q")
	r.shows("abort it: stop dev?", "it stops where it is")
	r.keys("esc")
	s.update(func() { s.snapshot = halted().snapshot })
	c.end <- nil
	r.shows("dev is stopped, in")
	r.keys("enter")
	r.shows("start it as it was")
	if len(s.operated) != 1 {
		t.Errorf("it ran %q", s.operated)
	}
}

func TestDeleteWantsTheName(t *testing.T) {
	s := shop()
	r := newRig(t, s, 100, 30)
	r.shows("shop")
	r.keys("ctrl+k", `"delete the cluster"`, "enter")
	r.shows("delete cluster dev?", "it cannot be undone", "3 nodes, 8 pods", "type dev to continue")
	r.keys(`"de"`, "enter")
	if len(s.operated) > 0 {
		t.Fatal("it was deleted by half a name")
	}
	r.keys(`"v"`, "enter")
	r.operated("delete")
}

func TestReadOnlyRunsWhatChangesNothing(t *testing.T) {
	s := shop()
	r := newRig(t, s, 100, 30, func(o *Options) { o.ReadOnly = true })
	r.shows("shop")
	r.keys("Q")
	r.shows("--readonly")
	r.keys("ctrl+k", `"run kubectl"`)
	r.shows("--readonly")
	r.keys("esc", "ctrl+k", `"status as text"`, "enter")
	r.operated("status")
}

// TestOutput shows the answer of a verb as text, with a search.
func TestOutput(t *testing.T) {
	s := shop()
	c := scripted(s)
	r := newRig(t, s, 80, 24)
	r.shows("shop")
	r.u.runText([]string{"kubectl", "--", "get", "pods"})
	for range 50 {
		c.tell(cluster.Event{Kind: cluster.StepProgress, Step: "kubectl --", Detail: "a row\x1b[2J"})
	}
	c.tell(cluster.Event{Kind: cluster.StepProgress, Step: "kubectl --", Detail: "  the last row"})
	r.shows("kubectl -- get pods", "a row", "1-20/51")
	r.keys("G")
	r.shows("  the last row", "32-51/51")
	r.frame(80, 24)
	r.keys("g", "/", `"last"`, "enter")
	r.shows("  the last row")
	c.end <- fault.Newf(fault.Internal, "ended with exit code 1").WithEvidence("error: no such type")
	r.shows("✗ ended with exit code 1", "33-52/52")
	r.keys("esc", "esc")
	r.until("the overview", func(string) bool { _, ok := r.u.page().(*outputPage); return !ok })

	// Leaving it ends what still runs.
	r.u.runText([]string{"kubectl", "--", "get", "pods", "-w"})
	r.operated("kubectl -- get pods -w")
	r.keys("esc")
	if cause := <-c.cause; errors.Is(cause, cluster.ErrDetach) {
		t.Error("it was left running")
	}
}

func TestAnotherClusterByName(t *testing.T) {
	r := newRig(t, shop(), 100, 30)
	r.shows("shop")
	r.keys("ctrl+k", `"another cluster"`, "enter")
	r.shows("or the name of a new one", "ci")
	r.keys(`"No Name"`, "enter")
	r.shows("lower-case")
	r.keys("ctrl+k", `"another cluster"`, "enter")
	r.shows("or the name of a new one")
	r.keys(`"new"`, "enter")
	r.until("the end", func(string) bool { return r.ended })
	if r.u.outcome.Cluster != "new" {
		t.Errorf("it ended with %+v", r.u.outcome)
	}
}

// TestPause shows a paused cluster, and pauses and unpauses it with a key and from the palette.
func TestPause(t *testing.T) {
	s := shop()
	r := newRig(t, s, 100, 30)
	r.shows("shop")
	r.keys("Z")
	r.operated("pause")
	s.update(func() {
		s.snapshot.Phase, s.snapshot.APIServer, s.snapshot.Problems = cluster.PhasePaused, cluster.PhasePaused, nil
		s.snapshot.Paused = &cluster.Pause{Since: fakeNow}
		for i := range s.snapshot.Nodes {
			n := &s.snapshot.Nodes[i]
			n.Host, n.Kubelet, n.Ready = cluster.PhasePaused, cluster.PhasePaused, false
		}
	})
	r.shows("dev – paused", "container paused", "shop") // the objects are still there
	r.keys("Z")
	r.operated("unpause")
	r.keys("ctrl+k", `"run again"`, "enter")
	r.until("unpaused twice", func(string) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.operated) == 3
	})
	r.keys("ctrl+k", `"nobody uses"`, "enter", `"3s"`, "enter")
	r.shows(`"3s" is not a duration`)
	r.keys("ctrl+k", `"nobody uses"`, "enter", `"10m"`, "enter")
	r.operated("pause --auto 10m")
}
