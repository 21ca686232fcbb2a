package plan

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

func kept(t *testing.T, w Wish, current State) Plan {
	t.Helper()
	w.Name = "dev"
	wanted, err := w.Kept(current, quietMachine())
	if err != nil {
		t.Fatal(err)
	}
	if err := wanted.Spec.Validate(); err != nil {
		t.Fatal(err)
	}
	p, err := New(current, wanted)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func changesOf(p Plan) (list []string) {
	for _, c := range p.Changes {
		list = append(list, c.String())
	}
	return list
}

func TestAListSaysEverythingOfEachNode(t *testing.T) {
	gpu := []cluster.Taint{{Key: "gpu", Effect: "NoSchedule"}}
	list := []NodeWish{{ControlPlane: true}, {CPUs: 2, Labels: map[string]string{"disk": "ssd"}}, {MemoryBytes: 1 << 30, Taints: gpu}}
	spec := mustResolve(t, Wish{NodeList: list}, nil, quietMachine())
	for i, n := range spec.Nodes {
		if !reflect.DeepEqual(n, list[i].of(n)) {
			t.Errorf("node %d is %+v", i, n)
		}
	}
	state := State{Spec: &spec, Running: true, Down: map[string]bool{}}
	if p := kept(t, Wish{NodeList: list, Exact: true}, state); len(p.Changes) != 0 {
		t.Errorf("the same list again changes %v", changesOf(p))
	}

	// The one in the middle goes: the last one is what it was.
	p := kept(t, Wish{NodeList: []NodeWish{list[0], list[2]}, Exact: true}, state)
	if got := changesOf(p); !slices.Equal(got, []string{"remove node dev-2 and its data"}) || p.Wanted.Spec.HighestNumber() != 3 {
		t.Errorf("changes %q", got)
	}
	// Its place is taken by a node with another name.
	p = kept(t, Wish{NodeList: list, Exact: true}, p.Wanted)
	if got := changesOf(p); !slices.Equal(got, []string{"add node dev-4 (10.201.0.13)"}) || p.Wanted.Spec.Nodes[2].CPUs != 2 {
		t.Errorf("changes %q to %+v", got, p.Wanted.Spec.Nodes)
	}
	// What differs changes, without a node that comes or goes.
	other := []NodeWish{{ControlPlane: true}, {CPUs: 1, Labels: map[string]string{"disk": "hdd", "zone": "a"}}, {ControlPlane: true}}
	p = kept(t, Wish{NodeList: other, Exact: true}, state)
	want := []string{
		"change the limits of node dev-2 from 2 CPUs to 1 CPU", "give node dev-2 the label disk=hdd, the label zone=a",
		"change the limits of node dev-3 from 1024 MB to none", "give node dev-3 the role control-plane", "remove the taints of node dev-3",
	}
	if got := changesOf(p); slices.Compare(got, want) != 0 {
		t.Errorf("changes %q, want %q", got, want)
	}
	p = kept(t, Wish{NodeList: []NodeWish{{ControlPlane: true}, {CPUs: 2}, {MemoryBytes: 1 << 30, Taints: gpu}}, Exact: true}, state)
	if got := changesOf(p); !slices.Equal(got, []string{"give node dev-2 no label disk"}) {
		t.Errorf("changes %q", got)
	}
}

func TestNodesOfANewClusterAreInTheOrderOfTheList(t *testing.T) {
	spec := mustResolve(t, Wish{NodeList: []NodeWish{{CPUs: 1}, {ControlPlane: true}, {CPUs: 2}}}, nil, quietMachine())
	if n := spec.Nodes; n[0].CPUs != 1 || n[0].ControlPlane || !n[1].ControlPlane || n[2].CPUs != 2 {
		t.Errorf("nodes %+v", n)
	}
}

func TestNodesOfAStoppedClusterComeWithIt(t *testing.T) {
	spec := mustResolve(t, Wish{Nodes: new(1)}, nil, quietMachine())
	p := kept(t, Wish{Nodes: new(3), Exact: true}, State{Spec: &spec})
	if n := p.Wanted.Spec.Nodes; len(n) != 3 || n[0].Pending || !n[1].Pending || !n[2].Pending {
		t.Errorf("nodes %+v", n)
	}
	p = kept(t, Wish{Nodes: new(1), Exact: true}, State{Spec: p.Wanted.Spec, Running: true, Down: map[string]bool{"dev-3": true}})
	if got := changesOf(p); len(got) != 2 || len(p.Wanted.Down) != 0 {
		t.Errorf("changes %q, down %v", got, p.Wanted.Down)
	}
}

func TestAStartRemovesNoNodes(t *testing.T) {
	spec := mustResolve(t, Wish{Nodes: new(3)}, nil, quietMachine())
	for _, w := range []Wish{{Nodes: new(2)}, {NodeList: []NodeWish{{ControlPlane: true}, {}}}} {
		w.Name, w.Exact, w.File = "dev", true, "c.yaml"
		_, err := w.Started(State{Spec: &spec}, quietMachine())
		if fault.KindOf(err) != fault.Usage || !strings.Contains(err.Error(), "dev-3") || !strings.Contains(fault.Problem(err).HintText(), "bonsai apply -f c.yaml") {
			t.Errorf("%+v: %v", w, err)
		}
	}
}

func TestPortsOfAnExactWishAreAll(t *testing.T) {
	spec := mustResolve(t, Wish{Nodes: new(2), Ports: ports(t, "8080:80@2", "9000:90")}, nil, quietMachine())
	state := State{Spec: &spec, Running: true}
	if got := changesOf(kept(t, Wish{Ports: ports(t, "9000:90"), Exact: true}, state)); !slices.Equal(got, []string{"stop forwarding 127.0.0.1:8080"}) {
		t.Errorf("changes %q", got)
	}
	if got := changesOf(kept(t, Wish{Ports: []cluster.Port{}, Exact: true}, state)); len(got) != 2 {
		t.Errorf("changes %q", got)
	}
	if got := changesOf(kept(t, Wish{Exact: true}, state)); len(got) != 0 {
		t.Errorf("without a word of ports: %q", got)
	}
	if got := changesOf(kept(t, Wish{Nodes: new(1), Exact: true}, state)); len(got) != 2 {
		t.Errorf("a port of a node that leaves: %q", got)
	}
}

func TestTheProxyOfAFileIsNotReplacedByTheEnvironment(t *testing.T) {
	file, env := cluster.Proxy{HTTPS: "http://file:1"}, cluster.Proxy{HTTPS: "http://env:1"}
	spec := mustResolve(t, Wish{Proxy: &file, ProxyFrom: ProxyOfFile}, nil, quietMachine())
	if spec = mustResolve(t, Wish{Proxy: &env}, &spec, quietMachine()); spec.Proxy != file {
		t.Errorf("proxy %v", spec.Proxy)
	}
	if spec = mustResolve(t, Wish{Proxy: &env, ProxyFrom: ProxyOfEnvironment}, &spec, quietMachine()); spec.Proxy != env || spec.ProxyChosen {
		t.Errorf("a file that wants the environment's: %v", spec.Proxy)
	}
}

func TestWhatTheUserChoseIsRemembered(t *testing.T) {
	spec := mustResolve(t, Wish{APIPort: 7443}, nil, quietMachine())
	again := mustResolve(t, Wish{APIPort: 7443, KubernetesVersion: "1.37"}, &spec, quietMachine())
	if !slices.Equal(spec.Chosen, []string{cluster.ChosenAPIPort}) || !slices.Equal(again.Chosen, []string{cluster.ChosenAPIPort, cluster.ChosenVersion}) {
		t.Errorf("chosen %v, then %v", spec.Chosen, again.Chosen)
	}
}

func TestAdviceNamesTheFile(t *testing.T) {
	spec := mustResolve(t, Wish{}, nil, quietMachine())
	w := Wish{Name: "dev", KubernetesVersion: "1.36", DNSSearch: "none", File: "my c.yaml"}
	current := State{Spec: &spec, Running: true}
	wanted, err := w.Kept(current, quietMachine())
	if err != nil {
		t.Fatal(err)
	}
	p, err := New(current, wanted)
	if err == nil || len(p.Changes) != 2 || !strings.Contains(fault.Problem(err).HintText(), "bonsai delete -p dev && bonsai start -p dev -f 'my c.yaml'") {
		t.Errorf("%v: %s", err, fault.Problem(err).HintText())
	}
}

func TestAdviceForAFileNamesNoFlags(t *testing.T) {
	busy := quietMachine()
	busy.PortFree = func(int) bool { return false }
	busy.Taken = []netip.Prefix{netip.MustParsePrefix("172.29.0.0/16")}
	for _, w := range []Wish{
		{Subnet: netip.MustParsePrefix("172.29.0.0/22")},
		{PodSubnet: netip.MustParsePrefix("10.96.0.0/16"), ServiceSubnet: netip.MustParsePrefix("10.96.0.0/20")},
		{APIPort: 7443},
	} {
		w.Name, w.File = "dev", "c.yaml"
		_, err := Resolve(w, nil, busy)
		if hint := fault.Problem(err).HintText(); err == nil || strings.Contains(hint, "--") || !strings.Contains(hint, "the file") {
			t.Errorf("%v: %s", err, hint)
		}
	}
}

func TestMountsOfNodes(t *testing.T) {
	src, data, other := cluster.Mount{Host: "/src", Path: "/src"}, cluster.Mount{Host: "/data", Path: "/data", ReadOnly: true}, cluster.Mount{Host: "/other", Path: "/src"}
	spec := mustResolve(t, Wish{Nodes: new(2), Mounts: []cluster.Mount{src}}, nil, quietMachine())
	state := State{Spec: &spec, Running: true, Down: map[string]bool{"dev-2": true}}

	// Flags add and replace, and what nothing is said of stays.
	w := Wish{Name: "dev", Mounts: []cluster.Mount{data, other}}
	wanted, err := w.Started(state, quietMachine())
	if err != nil {
		t.Fatal(err)
	}
	changes := Diff(state, wanted)
	want := "mount read-only /data at /data, and mount /other at /src of node dev-1"
	if len(changes) != 3 || changes[0].String() != want || changes[0].Needs().String() != "recreates node dev-1, with the data" || changes[1].Needs().Effect != Live {
		t.Errorf("changes %v, want %q first", changes, want)
	}
	if got := kept(t, Wish{Exact: true}, state); len(got.Changes) != 0 {
		t.Errorf("a file without mounts changes %v", got.Changes)
	}
	// Those of a file are all.
	got := changesOf(kept(t, Wish{Exact: true, Mounts: []cluster.Mount{data}}, state))
	if len(got) != 2 || got[0] != "mount read-only /data at /data, and remove the mount at /src of node dev-1" {
		t.Errorf("changes %q", got)
	}
	if got := changesOf(kept(t, Wish{Exact: true, Mounts: []cluster.Mount{}}, state)); len(got) != 2 || got[1] != "remove the mount at /src of node dev-2" {
		t.Errorf("changes %q", got)
	}
	got = changesOf(kept(t, Wish{Exact: true, NodeList: []NodeWish{{ControlPlane: true, Mounts: []cluster.Mount{src}}, {}}}, state))
	if !slices.Equal(got, []string{"remove the mount at /src of node dev-2"}) {
		t.Errorf("changes %q", got)
	}
	if _, err := Resolve(Wish{Name: "dev", Nodes: new(0), Mounts: []cluster.Mount{src}}, nil, quietMachine()); fault.KindOf(err) != fault.Usage {
		t.Errorf("mounts of no nodes: %v", err)
	}

	// One by one.
	one, err := RemountedNodes([]string{"1"}, []cluster.Mount{data}, []string{"/src"})(state, quietMachine())
	if err != nil || !slices.Equal(one.Spec.Nodes[0].Mounts, []cluster.Mount{data}) || !slices.Equal(spec.Nodes[0].Mounts, []cluster.Mount{src}) {
		t.Errorf("%v, %+v", err, one.Spec.Nodes)
	}
	if _, err := RemountedNodes([]string{"1"}, nil, []string{"/nowhere"})(state, quietMachine()); err == nil || !strings.Contains(fault.Problem(err).HintText(), "/src:/src") {
		t.Errorf("an unmount of nothing: %v", err)
	}
}
