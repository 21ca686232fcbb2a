package tui

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/kube"
)

// settled waits until everything that a page follows has sent something.
func (r *rig) settled() {
	r.t.Helper()
	r.until("the state of the cluster", func(string) bool {
		s := r.u.state
		return s.Known && len(s.Load.Nodes) > 0 && s.Pods.Synced
	})
}

// terminalSizes are terminals from tiny to huge.
func terminalSizes() [][2]int {
	return [][2]int{{40, 8}, {41, 9}, {59, 20}, {60, 20}, {79, 23}, {80, 24}, {99, 30}, {100, 13}, {120, 40}, {131, 17}, {199, 41}, {200, 60}, {300, 100}, {20, 5}}
}

// crowded is a cluster with more of everything than there is room for, under names that no layout likes.
func crowded() *fakeSession {
	s := shop()
	long := strings.Repeat("购物车very-long-", 30)
	for i := range 40 {
		s.snapshot.Problems = append(s.snapshot.Problems, cluster.Problem{
			Kind: "K", Severity: cluster.SeverityWarning, Object: fmt.Sprintf("pod/shop/%s%d", long, i), Summary: "\x1b[31m" + long, Cause: long + "\n" + long,
			Advice: []cluster.Advice{cluster.Advise("first line"), cluster.Advise("", cluster.Bonsai("image", "load").On(long+"\x1b[2J").Cure())}, Evidence: []string{long, "\x1b]0;owned\x07"},
		})
		n := s.snapshot.Nodes[i%3]
		n.Name = fmt.Sprintf("%s-%d", long, i)
		n.Ready, n.Host = i%2 == 0, []cluster.Phase{cluster.PhaseRunning, cluster.PhaseFailed, cluster.PhaseStarting, cluster.PhaseUnknown}[i%4]
		n.Components = append(slices.Clone(n.Components), cluster.Component{Name: long, Phase: cluster.PhaseFailed, Restarts: 12345, Reason: long})
		s.snapshot.Nodes = append(s.snapshot.Nodes, n)
		s.load.Nodes = append(s.load.Nodes, cluster.NodeUsage{Node: n.Name, Time: fakeNow, CPU: 1e6, CPUs: 0, Memory: 1 << 60, MemoryLimit: 1})
		s.events = append(s.events, kube.EventLine{UID: fmt.Sprint("x", i), Time: fakeNow, Warning: true, Reason: long, Object: kube.Object{Kind: long, Name: long}, Message: long, Count: 99999})
		s.queries = append(s.queries, cluster.DNSQuery{Time: fakeNow, Name: long, Pod: long, Rcode: "SERVFAIL", Answers: []string{long}, Took: time.Hour})
		for j := range 50 {
			r := s.rows["pods"][j%7]
			r.UID, r.Namespace, r.Name = fmt.Sprint(i, "-", j), fmt.Sprintf("ns-%s%d", long, i), fmt.Sprint(long, j)
			s.rows["pods"] = append(s.rows["pods"], r)
		}
	}
	s.snapshot.Components = append(s.snapshot.Components, cluster.Component{Name: "etcd", Phase: cluster.PhaseFailed, Reason: long})
	s.load.ControlPlane.Queues[long] = 1 << 40
	return s
}

func TestOverviewFits(t *testing.T) {
	for name, session := range map[string]func() *fakeSession{"shop": shop, "healthy": healthy, "crowded": crowded, "empty": empty} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, session(), 120, 40)
			r.until("a snapshot", func(string) bool { return r.u.state.Known && r.u.state.Pods.Synced })
			for _, size := range terminalSizes() {
				r.resize(size[0], size[1])
				r.frame(size[0], size[1])
			}
			r.keys("j", "enter")
			for _, size := range terminalSizes() {
				r.resize(size[0], size[1])
				r.frame(size[0], size[1])
			}
		})
	}
}

// empty is a cluster without nodes, pods and load.
func empty() *fakeSession {
	s := shop()
	s.snapshot.Nodes, s.snapshot.Components, s.snapshot.Problems, s.load = nil, nil, nil, cluster.Load{}
	s.rows, s.events, s.queries = map[string][]kube.Row{}, nil, nil
	return s
}

func TestOverviewShowsProblemsFirst(t *testing.T) {
	r := newRig(t, shop(), 120, 40)
	r.settled()
	r.shows("PROBLEMS 2", "crash loop, 4 restarts", "meant redis.default.svc?", "→ bonsai kubectl -p dev -- edit deployment cart -n shop", "BackOff", "NXDOMAIN", "4 of 7 ready", "watches 212", "pending 1",
		"restart 4 · exit 1") // the log of the pod with the problem
	lines := strings.Split(r.screen(), "\n")
	if !strings.HasPrefix(lines[3], "▸✗ shop/cart-7d9f4-x2k") || !strings.HasPrefix(lines[4], " ⚠ shop/db-0") {
		t.Errorf("the problems are not where they belong:\n%s", r.screen())
	}
}

func TestOverviewTourEndsWithTheFirstKey(t *testing.T) {
	r := newRig(t, shop(), 80, 24)
	r.settled()
	r.shows("screens; the first one shows what is wrong")
	r.keys("j")
	if strings.Contains(r.screen(), "screens; the first one") {
		t.Errorf("the tour is still there:\n%s", r.screen())
	}
}

func TestOverviewCursorStaysOnItsProblem(t *testing.T) {
	r := newRig(t, shop(), 100, 30)
	r.settled()
	r.keys("j")
	r.shows("▸⚠ shop/db-0")
	r.session.update(func() {
		list := slices.Clone(r.session.snapshot.Problems)
		r.session.snapshot.Problems = append([]cluster.Problem{{Kind: "A", Severity: cluster.SeverityError, Object: "node/dev-3", Summary: "is gone"}}, list...)
	})
	r.shows("node dev-3", "▸⚠ shop/db-0")
	// What was under the cursor goes; no verb may hit what has taken its place.
	r.session.update(func() { r.session.snapshot.Problems = r.session.snapshot.Problems[:2] })
	r.until("the end of a problem", func(s string) bool { return !strings.Contains(s, "shop/db-0   ") })
	r.keys("delete")
	r.shows("has just been removed")
}

func TestOverviewExplains(t *testing.T) {
	r := newRig(t, shop(), 100, 30)
	r.settled()
	r.keys("enter")
	r.shows("EVIDENCE", "ERROR lookup redis.defualt.svc: no such host", "to do    bonsai kubectl -p dev -- edit deployment cart -n shop", "go to pod shop/cart-7d9f4-x2k", "edit deployment shop/cart")
	r.session.update(func() { r.session.snapshot.Problems = r.session.snapshot.Problems[1:] })
	r.shows("this problem is gone")
	r.keys("esc")
	r.shows("PROBLEMS 1")
}

func TestOverviewWithoutProblems(t *testing.T) {
	r := newRig(t, healthy(), 80, 24)
	r.settled()
	r.keys("j")
	r.shows("✓ nothing is wrong", "watch the control plane at work", "no warnings in the last hour")
	r.keys("enter")
	r.shows("there is nothing to explain")
}

func TestNodesWithoutCluster(t *testing.T) {
	for phase, text := range map[cluster.Phase]string{cluster.PhaseAbsent: "does not exist yet", cluster.PhaseStopped: "the cluster is stopped"} {
		s := shop()
		s.snapshot = cluster.Snapshot{Name: "dev", Phase: phase}
		s.rows["nodes"] = nil
		r := newRig(t, s, 80, 24)
		r.keys("2")
		r.shows(text)
		r.frame(80, 24)
	}
}

func TestManyPodsAreCounted(t *testing.T) {
	s := healthy()
	for i := range 3000 {
		s.rows["pods"] = append(s.rows["pods"], kube.Row{UID: fmt.Sprint("m", i), Namespace: "many", Name: fmt.Sprint("p", i), Cells: []string{fmt.Sprint("p", i), "1/1", "Running", "0", "", "", "dev-1"}})
	}
	r := newRig(t, s, 80, 24)
	r.shows("✓ 3000")
}

func TestFixOfAProblem(t *testing.T) {
	r := newRig(t, shop(), 80, 24)
	r.settled()
	load := cluster.Bonsai("image", "load")
	for _, test := range []struct {
		commands []cluster.Command
		title    string
	}{
		{[]cluster.Command{cluster.Kubectl("edit", "deployment").On("cart").In("shop").Change()}, "edit deployment shop/cart"},
		{[]cluster.Command{cluster.Bonsai("start").Of("dev").Cure()}, "bonsai start"},
		{[]cluster.Command{cluster.Bonsai("start").With("--nodes", "1").Cure()}, "bonsai start --nodes 1"},
		{[]cluster.Command{load.On("web:1").Cure()}, "bonsai image load web:1"},
		{[]cluster.Command{load.On("$(reboot)").Cure()}, "bonsai image load '$(reboot)'"},
		{[]cluster.Command{cluster.Kubectl("uncordon").On("dev-2").Cure()}, "uncordon dev-2"},
		{[]cluster.Command{cluster.Kubectl("describe", "pod").On("x"), cluster.Kubectl("uncordon").On("dev-2").Change()}, "uncordon dev-2"},
		{[]cluster.Command{cluster.Kubectl("rollout", "restart", "deployment").On("web").In("shop").Change()}, "restart deployment shop/web"},
		{[]cluster.Command{cluster.Kubectl("delete", "pod").On("x").In("shop").Change()}, "delete pod shop/x"},
		// Only the user knows whether the machine has it. Looking is not a cure, and neither is what has a gap.
		{[]cluster.Command{load.On("web:1").Change()}, ""},
		{[]cluster.Command{cluster.Bonsai("logs").On("kubelet").With("--node", "dev-1")}, ""},
		{[]cluster.Command{cluster.Kubectl("describe", "pod").On("x").In("y")}, ""},
		{[]cluster.Command{cluster.Kubectl("edit", "deployment").On("NAME").Fill("NAME").Change()}, ""},
		{[]cluster.Command{cluster.Kubectl()}, ""},
		{[]cluster.Command{cluster.Program("rm", "-rf").On("/x").Change()}, ""},
		{nil, ""},
	} {
		f, ok := r.u.fixOf(&cluster.Problem{Advice: []cluster.Advice{cluster.Advise("do this", test.commands...)}})
		if ok != (test.title != "") || f.title != test.title {
			t.Errorf("the fix of %v is %q, %v; want %q", test.commands, f.title, ok, test.title)
		}
	}
}

func TestFixIsAskedForAndCarriedOut(t *testing.T) {
	s := shop()
	s.snapshot.Problems = []cluster.Problem{{Kind: "N", Severity: cluster.SeverityError, Object: "node/dev-3", Summary: "its container is gone", Advice: []cluster.Advice{cluster.Advise("recreate it", cluster.Bonsai("start").Cure().Of("dev"))}}}
	r := newRig(t, s, 100, 30)
	r.settled()
	r.shows("its container is gone")
	r.keys("f")
	r.shows("run this?", "bonsai start -p dev")
	r.keys("enter")
	if len(r.session.operated) != 0 {
		t.Fatal("it was done although Cancel had the cursor")
	}
	r.keys("f", "left", "enter")
	r.until("the operation", func(string) bool {
		r.session.mu.Lock()
		defer r.session.mu.Unlock()
		return len(r.session.operated) == 1 && slices.Equal(r.session.operated[0], []string{"start"})
	})
}

func TestNodesScreen(t *testing.T) {
	s := shop()
	s.rows["nodes"][1].Cells[1], s.rows["nodes"][1].Cordoned = "Ready,SchedulingDisabled", true
	s.snapshot.Nodes[2].Ready, s.snapshot.Nodes[2].Host = false, cluster.PhaseStopped
	r := newRig(t, s, 120, 30)
	r.keys("2")
	r.settled()
	r.shows("⚠ dev-2        cordoned", "of 8", "stopped", "4 components run")
	r.keys("j")
	if list := r.u.page().(chooser).subjects(); len(list) != 1 || list[0].ref.Name != "dev-2" || !list[0].cordoned {
		t.Errorf("the subject is %+v", list)
	}
	r.keys("u")
	r.until("an uncordoned node", func(string) bool {
		r.session.mu.Lock()
		defer r.session.mu.Unlock()
		return len(r.session.done) == 1 && r.session.done[0].Verb == kube.VerbUncordon
	})
	r.keys("enter")
	r.shows("10.201.0.11", "kube-proxy", "cart-7d9f4-x2k")
	if strings.Contains(r.screen(), "web-9cc6f-lm2") {
		t.Errorf("a pod of another node is shown:\n%s", r.screen())
	}
	r.keys("esc")
	r.shows("CORES")
}

func TestNodesFit(t *testing.T) {
	for name, session := range map[string]func() *fakeSession{"shop": shop, "crowded": crowded, "empty": empty} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, session(), 120, 40)
			r.keys("2")
			r.until("a snapshot", func(string) bool { return r.u.state.Known && r.u.state.Pods.Synced })
			for range 2 {
				for _, size := range terminalSizes() {
					r.resize(size[0], size[1])
					r.frame(size[0], size[1])
				}
				r.keys("enter") // once more with one node
			}
		})
	}
}

// resize makes the terminal another size.
func (r *rig) resize(w, h int) { r.send(tea.WindowSizeMsg{Width: w, Height: h}) }

func TestProblemOfAWorkload(t *testing.T) {
	s := shop()
	s.snapshot.Problems = []cluster.Problem{{
		Kind: cluster.ProblemCrash, Severity: cluster.SeverityError, Object: "deployment/shop/cart", Summary: "crash loop", Cause: "exit 1",
		Count: 12, Pods: []string{"shop/cart-7d9f4-x2k", "shop/cart-\x1b[31mb"}, Container: "cart", Since: fakeNow.Add(-6 * time.Minute), Retry: fakeNow.Add(38 * time.Second),
	}}
	r := newRig(t, s, 200, 50)
	r.settled()
	r.shows("deployment shop/cart", "6m", "LOG shop/cart-7d9f4-x2k", "starting cart 1.4.2")
	r.keys("enter")
	r.shows("since    6m ago", "pods     12: shop/cart-7d9f4-x2k, shop/cart-\\x1b[31mb and 10 more", "in container cart", "again    in 38s", "go to deployment shop/cart")
}

// TestAProblemIsReadable: two wrong ports of one Service are two problems, and the page of one shows all that is wrong.
func TestAProblemIsReadable(t *testing.T) {
	s := shop()
	long := "port 8080 leads to a port with a long name, which no pod of the Service has; meant another one?"
	s.snapshot.Problems = nil
	for _, summary := range []string{"port 80 leads to 80, where nothing listens", long} {
		s.snapshot.Problems = append(s.snapshot.Problems, cluster.Problem{Kind: cluster.ProblemTarget, Severity: cluster.SeverityWarning, Object: "service/shop/web", Summary: summary})
	}
	r := newRig(t, s, 80, 24)
	r.settled()
	r.keys("j", "enter")
	r.shows("service shop/web", "port 8080 leads to a port", "meant another one?")
}
