package bootstrap_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"bonsai/bootstrap"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/node"
	"bonsai/bootstrap/plan"
)

func TestAClusterBecomesWhatAFileSays(t *testing.T) {
	m := newMachine(t)
	limit := bootstrap.DeleteOptions{Limit: time.Minute}
	apply := func(w plan.Wish, d bootstrap.DeleteOptions) ([]string, error) {
		t.Helper()
		w.Name, w.Exact, w.File = "dev", true, "c.yaml"
		planned, err := m.PlanWish(t.Context(), w)
		if err != nil {
			return nil, err
		}
		p, err := m.ApplyWish(t.Context(), w, d, bootstrap.Run{})
		var done, promised []string
		text := func(c plan.Change) string { // without addresses, which depend on the machine
			text, _, _ := strings.Cut(c.String(), " (")
			return text
		}
		for _, c := range p.Changes {
			done = append(done, text(c))
		}
		for _, c := range planned.Changes {
			promised = append(promised, text(c))
		}
		if !slices.Equal(done, promised) {
			t.Errorf("planned %q, done %q", promised, done)
		}
		return done, err
	}
	must := func(w plan.Wish, want ...string) {
		t.Helper()
		if got, err := apply(w, limit); err != nil || !slices.Equal(got, want) {
			t.Errorf("changes %q, %v; want %q", got, err, want)
		}
	}
	if _, err := m.ApplyWish(t.Context(), plan.Wish{Name: "dev"}, limit, bootstrap.Run{}); fault.KindOf(err) != fault.NotFound {
		t.Errorf("without a cluster: %v", err)
	}
	if p, err := m.PlanWish(t.Context(), plan.Wish{Name: "dev", Nodes: new(2)}); err != nil || !p.Has(plan.KindCreate) || m.dir.Cluster("dev").Exists() {
		t.Errorf("the plan of a new cluster: %v, %v", p.Changes, err)
	}
	if err := m.start(t, plan.Wish{Nodes: new(1)}); err != nil {
		t.Fatal(err)
	}
	worker := plan.NodeWish{Labels: map[string]string{"disk": "ssd"}}
	list := []plan.NodeWish{{ControlPlane: true}, worker, {}}
	must(plan.Wish{NodeList: list}, "add node dev-2", "add node dev-3")
	m.wantNodes(t, "dev-1", "dev-2", "dev-3")
	must(plan.Wish{NodeList: list})

	// Labels do not touch containers.
	before := len(m.engine.Calls())
	worker.Labels = map[string]string{"disk": "hdd"}
	list[1] = worker
	must(plan.Wish{NodeList: list}, "give node dev-2 the label disk=hdd")
	for _, call := range m.engine.Calls()[before:] {
		if strings.HasPrefix(call, "EnsureNode") {
			t.Errorf("the engine received %s", call)
		}
	}
	must(plan.Wish{NodeList: []plan.NodeWish{list[0], list[2]}}, "remove node dev-2 and its data")
	m.wantNodes(t, "dev-1", "dev-3")

	// What cannot be changes nothing, and the plan shows it nevertheless.
	p, err := m.PlanWish(t.Context(), plan.Wish{Name: "dev", KubernetesVersion: "1.36", Nodes: new(4)})
	if fault.KindOf(err) != fault.Usage || len(p.Changes) != 3 {
		t.Errorf("the plan of something impossible: %v, %v", p.Changes, err)
	}

	// Of a stopped cluster everything stays stopped.
	if err := m.Stop(t.Context(), "dev", nil); err != nil {
		t.Fatal(err)
	}
	must(plan.Wish{Nodes: new(3), DNSSearch: "none"}, "change the pods' search domains from auto to none", "add node dev-4")
	if got := m.containers(t); !slices.Equal(got, []string{"dev-1 stands", "dev-3 stands"}) {
		t.Errorf("containers = %v", got)
	}
	if err := m.start(t, plan.Wish{}); err != nil {
		t.Fatal(err)
	}
	m.wantNodes(t, "dev-1", "dev-3", "dev-4")
}

func TestWhatIsOnANodeKeepsAFileFromRemovingIt(t *testing.T) {
	t.Setenv("TEST_DAEMON_BLOCKS", "1")
	m := newMachine(t)
	if err := m.start(t, plan.Wish{Nodes: new(2)}); err != nil {
		t.Fatal(err)
	}
	w, d := plan.Wish{Name: "dev", Nodes: new(1), Exact: true, File: "c.yaml"}, bootstrap.DeleteOptions{Limit: time.Minute}
	if _, err := m.Start(t.Context(), w, bootstrap.Run{}); fault.KindOf(err) != fault.Usage {
		t.Errorf("start = %v", err)
	}
	if _, err := m.ApplyWish(t.Context(), w, d, bootstrap.Run{}); fault.KindOf(err) != fault.Blocked {
		t.Errorf("apply = %v", err)
	}
	m.wantNodes(t, "dev-1", "dev-2")
	d.Force = true
	if _, err := m.ApplyWish(t.Context(), w, d, bootstrap.Run{}); err != nil {
		t.Error(err)
	}
	m.wantNodes(t, "dev-1")
}

// TestAFileNeedsNoEngineForAnAPIServerAlone as start does not.
func TestAFileNeedsNoEngineForAnAPIServerAlone(t *testing.T) {
	m := newMachine(t)
	if err := m.start(t, plan.Wish{Nodes: new(0)}); err != nil {
		t.Fatal(err)
	}
	before := len(m.engine.Calls())
	w := plan.Wish{Name: "dev", Nodes: new(0), Exact: true, Addons: map[string]bool{"lamp": true}}
	if _, err := m.ApplyWish(t.Context(), w, bootstrap.DeleteOptions{}, bootstrap.Run{}); err != nil {
		t.Error(err)
	}
	if calls := m.engine.Calls()[before:]; len(calls) > 0 {
		t.Errorf("the engine received %v", calls)
	}
	if spec, err := m.dir.Cluster("dev").LoadSpec(); err != nil || !spec.Addons["lamp"] {
		t.Errorf("the spec is %+v, %v", spec, err)
	}
}

// TestAProxyOfAFileReachesRunningNodes like one of the environment at a start.
func TestAProxyOfAFileReachesRunningNodes(t *testing.T) {
	m := newMachine(t)
	if err := m.start(t, plan.Wish{Nodes: new(1)}); err != nil {
		t.Fatal(err)
	}
	ran := 0
	m.engine.Commands = func(string, node.Exec) (int, error) { ran++; return 0, nil }
	w := plan.Wish{Name: "dev", Exact: true, Proxy: &cluster.Proxy{HTTPS: "http://proxy.example:3128"}, ProxyFrom: plan.ProxyOfFile}
	if _, err := m.ApplyWish(t.Context(), w, bootstrap.DeleteOptions{}, bootstrap.Run{}); err != nil {
		t.Fatal(err)
	}
	if got := m.nodeConfig(t, "dev-1").Proxy.HTTPS; got != "http://proxy.example:3128" || ran != 1 {
		t.Errorf("the node has the proxy %q, after %d commands", got, ran)
	}
}
