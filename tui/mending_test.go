package tui

import (
	"slices"
	"strings"
	"testing"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/kube"
)

// stuckShop is the shop with a rollout that does not go on, which can be taken back.
func stuckShop() *fakeSession {
	s := shop()
	s.yaml["shop/cart"] = cartDeployment("cart:1.4.2")
	s.snapshot.Problems = []cluster.Problem{{
		Kind: cluster.ProblemRollout, Severity: cluster.SeverityWarning, Object: "deployment/shop/cart", Summary: "its rollout is stuck", Cause: "its new pods fail",
		Advice: []cluster.Advice{cluster.Advise("go back to the revision that runs", cluster.Kubectl("rollout", "undo").On("deployment/cart").In("shop").Change().With("--to-revision", "2"))},
	}}
	return s
}

// fixed carries out the fix of the first problem.
func (r *rig) fixed() {
	r.t.Helper()
	r.settled()
	r.keys("f")
	r.shows("take deployment shop/cart back to revision 2?", "+ - image: cart:1.4.1", "cluster: dev")
	r.keys("left", "enter")
	r.carriedOut(func(a kube.Action) bool { return a.Verb == kube.VerbRollback && a.Revision == 2 })
	r.until("the watching", func(string) bool { return len(r.u.mendings) == 1 })
}

func TestFixIsWatchedUntilItsProblemIsGone(t *testing.T) {
	s := stuckShop()
	now := fakeNow
	r := newRig(t, s, 120, 36, func(o *Options) { o.Now = func() time.Time { return now } })
	r.fixed()
	r.shows("watched until the problem is gone")
	r.keys("enter")
	r.shows("fix", "take deployment shop/cart back to revision 2, 0s ago; watched")
	r.keys("esc")
	m := r.u.mendings[0]

	// Away for a moment is not gone.
	problems := s.snapshot.Problems
	s.update(func() { s.snapshot.Problems = nil })
	r.until("its absence", func(string) bool { return !m.missed.IsZero() })
	s.update(func() { s.snapshot.Problems = problems })
	r.until("its return", func(string) bool { return m.missed.IsZero() })
	now = now.Add(12 * time.Second)
	s.update(func() { s.snapshot.Problems = nil })
	r.until("its absence", func(string) bool { return !m.missed.IsZero() })
	r.u.fixHelped(m)
	r.shows("gone, 12s after")
	if len(r.u.mendings) != 0 || len(r.u.dialogs) != 0 {
		t.Errorf("%d are watched, %d dialogs", len(r.u.mendings), len(r.u.dialogs))
	}
	r.u.judgeFix(m) // its time comes all the same
	if len(r.u.dialogs) != 0 {
		t.Error("it is reported twice")
	}
}

func TestFixThatDoesNotHelpIsUndone(t *testing.T) {
	s := stuckShop()
	r := newRig(t, s, 120, 36)
	r.fixed()
	r.u.judgeFix(r.u.mendings[0])
	r.shows("the fix has not helped", "deployment shop/cart: its rollout is stuck", "it is still there: its rollout is stuck: its new pods fail", "the fix can be undone")
	r.keys("enter")
	if len(s.replaced) != 0 {
		t.Fatal("it was undone although Cancel had the cursor")
	}

	r.fixed()
	s.update(func() {
		s.yaml["shop/cart"] = cartDeployment("cart:1.4.1")
		s.snapshot.Problems[0].Cause = "its new pods still fail"
		s.snapshot.Problems[0].Kind = cluster.ProblemCrash
	})
	m := r.u.mendings[0]
	r.until("its absence", func(string) bool { return !m.missed.IsZero() })
	r.u.fixHelped(m)
	r.shows("it is gone, but now there is this: its rollout is stuck: its new pods")
	r.keys("left", "enter")
	r.until("the undo", func(string) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.replaced) == 1 && strings.Contains(s.replaced[0], "cart:1.4.2")
	})
}

// TestFixesOfASilentClusterAreNotJudged: that nothing is reported does not mean that nothing is wrong.
func TestFixesOfASilentClusterAreNotJudged(t *testing.T) {
	s := stuckShop()
	r := newRig(t, s, 120, 36)
	r.fixed()
	m := r.u.mendings[0]
	s.update(func() { s.down = fault.Newf(fault.ControlPlane, "no answer") })
	r.until("silence", func(string) bool { return !r.u.state.Stale().IsZero() })
	r.u.state.Snapshot.Problems = nil
	r.u.followFixes()
	r.u.judgeFix(m)
	if !m.missed.IsZero() || len(r.u.mendings) != 1 || len(r.u.dialogs) != 0 {
		t.Errorf("%+v, %d dialogs", m, len(r.u.dialogs))
	}
}

func TestFixesShowWhatTheyChange(t *testing.T) {
	r := newRig(t, shop(), 80, 24)
	r.settled()
	back := cluster.Kubectl("rollout", "undo")
	for _, test := range []struct {
		command cluster.Command
		title   string
		action  kube.Action
	}{
		{back.On("deployment/cart").In("shop").Change(), "take deployment shop/cart back to the revision before", kube.Action{Verb: kube.VerbRollback}},
		{back.On("deployment/cart").In("shop").Change().With("--to-revision", "4"), "take deployment shop/cart back to revision 4", kube.Action{Verb: kube.VerbRollback, Revision: 4}},
		{cluster.Kubectl("rollout", "restart", "deployment").On("web").In("shop").Change(), "restart deployment shop/web", kube.Action{Verb: kube.VerbRestart}},
		{cluster.Kubectl("uncordon").On("dev-2").Change(), "uncordon dev-2", kube.Action{Verb: kube.VerbUncordon}},
		{cluster.Kubectl("set", "selector", "service").On("web", "app=web,tier=front").In("shop").Change(), "set the selector of service shop/web", kube.Action{Verb: kube.VerbSetSelector, Selector: map[string]string{"app": "web", "tier": "front"}}},
		{cluster.Kubectl("set", "selector", "service").On("web", "app").In("shop").Change(), "", kube.Action{}},
	} {
		f, ok := r.u.fixOf(&cluster.Problem{Advice: []cluster.Advice{cluster.Advise("do this", test.command)}})
		if ok != (test.title != "") || f.title != test.title {
			t.Errorf("the fix of %v is %q, %v; want %q", test.command, f.title, ok, test.title)
			continue
		}
		if !ok {
			continue
		}
		asked := make(chan kube.Action, 1)
		r.session.update(func() {
			r.session.preview = func(a kube.Action) (kube.Difference, error) {
				asked <- a
				return kube.Difference{Before: "a: 1\n", After: "a: 2\n"}, nil
			}
		})
		f.run(func(*undo) {})
		r.shows(test.title + "?")
		a := <-asked
		if a.Verb != test.action.Verb || a.Revision != test.action.Revision || len(a.Selector) != len(test.action.Selector) {
			t.Errorf("%s asks for %+v", test.title, a)
		}
		r.keys("esc")
	}
	r.nothingDone()
}

// TestFixByTheEditorShowsWhatItChanges before it is made, and keeps the text if that is not wanted.
func TestFixByTheEditorShowsWhatItChanges(t *testing.T) {
	s := shop()
	s.yaml["shop/cart"] = cartDeployment("cart:1.4.2")
	r := newRig(t, s, 120, 36, func(o *Options) { o.Editor = "sed -i s/cart:1.4.2/cart:1.4.3/" })
	r.settled()
	r.keys("f")
	r.shows("change deployment shop/cart?", "spec.template.spec.containers[cart]", "+ - image: cart:1.4.3")
	r.keys("enter")
	r.nothingDone()
	r.keys("f")
	r.shows("+ - image: cart:1.4.3")
	r.keys("left", "enter")
	r.until("the change", func(string) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.replaced) == 1 && strings.Contains(s.replaced[0], "cart:1.4.3")
	})
	r.until("the watching", func(string) bool { return len(r.u.mendings) == 1 && r.u.mendings[0].back != nil })
}

// nodeDown is a node that is down, pods that wait for it, and something else.
func nodeDown() *fakeSession {
	s := shop()
	s.snapshot.Problems = []cluster.Problem{
		{Kind: "CrashLoop", Severity: cluster.SeverityError, Object: "deployment/shop/cart", Summary: "crash loop"},
		{Kind: "Node", Severity: cluster.SeverityWarning, Object: "node/dev-2", Summary: "node dev-2 is not ready", Cause: "its kubelet no longer reports"},
		{Kind: "ControlPlane", Severity: cluster.SeverityError, Object: "component/dev-2/containerd", Summary: "containerd on node dev-2 is failed"},
	}
	s.snapshot.Problems[1].Because = []cluster.Because{{Object: "component/dev-2/containerd", How: cluster.BecauseComponent}}
	for i := range 40 {
		s.snapshot.Problems = append(s.snapshot.Problems, cluster.Problem{
			Kind: cluster.ProblemAway, Severity: cluster.SeverityWarning, Object: "pod/shop/db-" + itoa(i), Summary: "waits for node dev-2, which does not work",
			Because: []cluster.Because{{Object: "node/dev-2", How: cluster.BecauseRuns}},
		})
	}
	return s
}

func TestWhatFollowsIsFolded(t *testing.T) {
	for _, size := range [][2]int{{120, 36}, {80, 24}, {60, 20}} {
		r := newRig(t, nodeDown(), size[0], size[1])
		r.settled()
		r.shows("PROBLEMS 43", "deployment shop/cart", "component dev-2/contain", "+41")
		r.gone("shop/db-")
		r.keys("j", "z")
		r.shows("node dev-2 is not ready", "+40")
		r.gone("shop/db-")
		r.keys("j", "z")
		r.shows("shop/db-0")
		r.keys("j", "j")
		r.keys("enter")
		r.shows("shop/db-1", "because", "node dev-2: its pods are on that node")
		r.keys("esc", "z") // on a consequence it folds the cause
		r.until("the fold", func(screen string) bool { return !strings.Contains(screen, "shop/db-") })
		r.keys("enter")
		r.shows("node dev-2", "FOLLOWS FROM IT 40", "shop/db-0")
		r.frame(size[0], size[1])
		r.keys("esc", "g", "z")
		r.shows("nothing is known to follow from it")
		r.frame(size[0], size[1])
	}
}

func TestProblemTree(t *testing.T) {
	of := func(object string, severity cluster.Severity, causes ...string) cluster.Problem {
		p := cluster.Problem{Object: object, Severity: severity}
		for _, c := range causes {
			p.Because = append(p.Because, cluster.Because{Object: c})
		}
		return p
	}
	for name, c := range map[string]struct {
		list []cluster.Problem
		want []string
	}{
		"none":                      {nil, nil},
		"unrelated":                 {[]cluster.Problem{of("a", "error"), of("b", "warning")}, []string{"a0+0", "b0+0"}},
		"a cause that is not there": {[]cluster.Problem{of("a", "error", "z")}, []string{"a0+0"}},
		"a chain":                   {[]cluster.Problem{of("a", "error", "b"), of("b", "error", "c"), of("c", "warning")}, []string{"c0+2", "b1+1", "a2+0"}},
		"a circle":                  {[]cluster.Problem{of("a", "error", "b"), of("b", "error", "a")}, []string{"b0+1", "a1+0"}},
		"of itself":                 {[]cluster.Problem{of("a", "error", "a")}, []string{"a0+0"}},
		"two causes":                {[]cluster.Problem{of("a", "warning", "z", "b", "c"), of("b", "warning"), of("c", "warning")}, []string{"b0+1", "a1+0", "c0+0"}},
		"as severe as the worst":    {[]cluster.Problem{of("x", "error"), of("a", "error", "b"), of("y", "warning"), of("b", "warning")}, []string{"x0+0", "b0+1", "a1+0", "y0+0"}},
	} {
		var got []string
		for _, r := range problemTree(c.list) {
			got = append(got, r.Object+itoa(r.depth)+"+"+itoa(r.below))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
