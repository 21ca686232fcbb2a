package plan

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/cluster/clustertest"
	"bonsai/bootstrap/fault"
)

func quietMachine() Environment {
	return Environment{
		PortFree: func(int) bool { return true }, FreePort: 40123, ID: "fresh", Kubernetes: "v1.37.2", MTU: 1400,
	}
}

func mustResolve(t *testing.T, w Wish, existing *cluster.Spec, env Environment) cluster.Spec {
	t.Helper()
	w.Name = "dev"
	spec, err := Resolve(w, existing, env)
	if err != nil {
		t.Fatalf("resolve: %v", err)
	}
	return spec
}

func TestANewClusterHasTheDefaults(t *testing.T) {
	spec := mustResolve(t, Wish{}, nil, quietMachine())
	if len(spec.Nodes) != cluster.DefaultNodes || spec.APIPort != 6443 || spec.KubernetesVersion != "1.37" || spec.MTU != 1400 || spec.ID != "fresh" {
		t.Errorf("resolved to %+v", spec)
	}
	want := cluster.Node{Name: "dev-2", Index: 2, IP: netip.MustParseAddr("10.201.0.11"), PodCIDR: netip.MustParsePrefix("10.244.2.0/24")}
	if !reflect.DeepEqual(spec.Nodes[1], want) {
		t.Errorf("second node = %+v, want %+v", spec.Nodes[1], want)
	}
}

func TestANewClusterAvoidsWhatIsTaken(t *testing.T) {
	env := quietMachine()
	env.Taken = []netip.Prefix{netip.MustParsePrefix("10.201.0.0/21"), netip.MustParsePrefix("192.168.1.0/24")}
	env.PortFree = func(port int) bool { return port != 6443 }
	spec := mustResolve(t, Wish{}, nil, env)
	if got := spec.Subnet.String(); got != "10.201.8.0/22" {
		t.Errorf("subnet = %s, want the first free one", got)
	}
	if spec.APIPort != 40123 {
		t.Errorf("API port = %d, want the free one", spec.APIPort)
	}
	if got := spec.Gateway.String(); got != "10.201.8.1" {
		t.Errorf("gateway = %s", got)
	}
}

// TestANewClusterKeepsAwayFromWhatTheMachineReaches: pods could not reach it at their own addresses.
func TestANewClusterKeepsAwayFromWhatTheMachineReaches(t *testing.T) {
	for name, tc := range map[string]struct {
		wish                   Wish
		routed                 []string
		subnet, pods, services string
	}{
		"nothing":           {Wish{}, nil, "10.201.0.0/22", "10.244.0.0/16", "10.96.0.0/16"},
		"parts of both":     {Wish{}, []string{"10.244.200.0/24", "10.96.77.10/32"}, "10.201.0.0/22", "10.245.0.0/16", "10.97.0.0/16"},
		"all of 10/8":       {Wish{}, []string{"10.0.0.0/8"}, "10.201.0.0/22", "100.64.0.0/16", "100.65.0.0/16"},
		"and another VPN":   {Wish{}, []string{"10.0.0.0/8", "100.64.0.0/10"}, "10.201.0.0/22", "172.24.0.0/16", "172.25.0.0/16"},
		"everything":        {Wish{}, []string{"10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16"}, "10.201.0.0/22", "10.244.0.0/16", "10.96.0.0/16"},
		"the user's pods":   {Wish{PodSubnet: netip.MustParsePrefix("10.96.0.0/12")}, nil, "10.201.0.0/22", "10.96.0.0/12", "10.112.0.0/16"},
		"the user's subnet": {Wish{Subnet: netip.MustParsePrefix("10.244.8.0/22")}, nil, "10.244.8.0/22", "10.245.0.0/16", "10.96.0.0/16"},
		"both are the user's": {Wish{PodSubnet: netip.MustParsePrefix("10.201.0.0/17"), ServiceSubnet: netip.MustParsePrefix("192.168.9.0/24")},
			[]string{"192.168.0.0/16"}, "10.201.128.0/22", "10.201.0.0/17", "192.168.9.0/24"},
	} {
		t.Run(name, func(t *testing.T) {
			env := quietMachine()
			for _, r := range tc.routed {
				env.Routed = append(env.Routed, netip.MustParsePrefix(r))
			}
			spec := mustResolve(t, tc.wish, nil, env)
			got := []string{spec.Subnet.String(), spec.PodSubnet.String(), spec.ServiceSubnet.String()}
			if want := []string{tc.subnet, tc.pods, tc.services}; !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
			if n := spec.Nodes[1].PodCIDR; !spec.PodSubnet.Contains(n.Addr()) || n.Bits() != 24 {
				t.Errorf("the second node's pods have %s", n)
			}
			// What was chosen stays, whatever the machine reaches later.
			env.Routed = []netip.Prefix{spec.PodSubnet, spec.ServiceSubnet}
			if again := mustResolve(t, Wish{}, &spec, env); !reflect.DeepEqual(again, spec) {
				t.Errorf("the next start makes it %+v", again)
			}
		})
	}
}

func TestRangesThatOverlapAreRefused(t *testing.T) {
	p := netip.MustParsePrefix
	for _, tc := range []struct {
		wish Wish
		want string
		flag string
	}{
		{Wish{PodSubnet: p("10.96.0.0/16"), ServiceSubnet: p("10.96.0.0/20")}, "pod subnet 10.96.0.0/16 overlaps service subnet 10.96.0.0/20", "omit --pod-subnet"},
		{Wish{Subnet: p("10.30.0.0/22"), PodSubnet: p("10.0.0.0/11")}, "subnet 10.30.0.0/22 overlaps pod subnet 10.0.0.0/11", "omit --pod-subnet"},
		{Wish{Subnet: p("10.0.0.0/8")}, "", ""}, // the other ranges go elsewhere
	} {
		tc.wish.Name = "dev"
		_, err := Resolve(tc.wish, nil, quietMachine())
		if tc.want == "" {
			if err != nil {
				t.Errorf("%+v: %v", tc.wish, err)
			}
			continue
		}
		if err == nil || fault.KindOf(err) != fault.Usage || !strings.Contains(err.Error(), tc.want) || !strings.Contains(fault.Problem(err).HintText(), tc.flag) {
			t.Errorf("%+v: %v", tc.wish, err)
		}
	}
}

func TestWhatCannotBeIsRefused(t *testing.T) {
	existing := mustResolve(t, Wish{}, nil, quietMachine())
	noNodes := mustResolve(t, Wish{Nodes: new(0)}, nil, quietMachine())
	busyPort := quietMachine()
	busyPort.PortFree = func(int) bool { return false }
	busyNet := quietMachine()
	busyNet.Taken = []netip.Prefix{netip.MustParsePrefix("172.29.0.0/16")}
	for _, tc := range []struct {
		name    string
		wish    Wish
		current State
		env     Environment
		kind    fault.Kind
		says    string
		hint    string
	}{
		{"an unknown version", Wish{KubernetesVersion: "1.99"}, State{}, quietMachine(), fault.Version, "1.34", ""},
		{"a version change", Wish{KubernetesVersion: "1.36"}, State{Spec: &existing}, quietMachine(), fault.Usage,
			"cannot change the Kubernetes version from 1.37 to 1.36", "bonsai delete -p dev"},
		{"fewer nodes", Wish{Nodes: new(1)}, State{Spec: &existing}, quietMachine(), fault.Usage, "never removes", "bonsai node delete dev-3 -p dev"},
		{"another subnet", Wish{Subnet: netip.MustParsePrefix("172.29.0.0/22")}, State{Spec: &existing}, quietMachine(), fault.Usage,
			"cannot change the subnet from 10.201.0.0/22 to 172.29.0.0/22", "bonsai delete -p dev"},
		{"a taken subnet", Wish{Subnet: netip.MustParsePrefix("172.29.4.0/22")}, State{}, busyNet, fault.Conflict, "172.29.0.0/16", "--subnet 10.201.0.0/22"},
		{"a taken port", Wish{APIPort: 8443}, State{}, busyPort, fault.Conflict, "8443", "--api-port 40123"},
		{"a port that was taken since", Wish{}, State{Spec: &existing}, busyPort, fault.Conflict, "6443",
			"bonsai stop -p dev && bonsai start -p dev --api-port 40123"}, // nodes may run without the control plane
		{"another port while running", Wish{APIPort: 7443}, State{Spec: &existing, Running: true}, quietMachine(), fault.Usage,
			"cannot change the API port from 6443 to 7443 while it runs", "stop it first:  bonsai stop -p dev && bonsai start -p dev --api-port 7443"},
		{"another port while nodes run", Wish{APIPort: 7443}, State{Spec: &existing, Down: map[string]bool{"dev-1": true}}, quietMachine(), fault.Usage,
			"cannot change the API port from 6443 to 7443 while its nodes run", "stop it first:  bonsai stop -p dev && bonsai start -p dev --api-port 7443"},
		{"other pods", Wish{PodSubnet: netip.MustParsePrefix("10.5.0.0/16")}, State{Spec: &existing}, quietMachine(), fault.Usage,
			"cannot change the pod subnet from 10.244.0.0/16 to 10.5.0.0/16: nodes and running pods", "bonsai delete -p dev && bonsai start -p dev --pod-subnet 10.5.0.0/16"},
		{"other Services", Wish{ServiceSubnet: netip.MustParsePrefix("10.5.0.0/16")}, State{Spec: &existing}, quietMachine(), fault.Usage,
			"cannot change the service subnet from 10.96.0.0/16 to 10.5.0.0/16", "bonsai start -p dev --service-subnet 10.5.0.0/16"},
		{"search domains while running", Wish{DNSSearch: "none"}, State{Spec: &existing, Running: true}, quietMachine(), fault.Usage,
			"from auto to none while it runs", "bonsai stop -p dev && bonsai start -p dev --dns-search none"},
		{"upstream's hooks while running", Wish{UpstreamHooks: new(true)}, State{Spec: &existing, Running: true}, quietMachine(), fault.Usage,
			"cannot change the bootstrap hooks to upstream's while it runs", "stop it first:  bonsai stop -p dev && bonsai start -p dev --upstream-hooks=true"},
		{"limits of no nodes", Wish{CPUs: new(2.0)}, State{Spec: &noNodes}, quietMachine(), fault.Usage, "no nodes", "--nodes 1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.wish.Name = "dev"
			if tc.current.Running {
				tc.env.PortFree = nil
			}
			wanted, err := tc.wish.Started(tc.current, tc.env)
			if err == nil {
				_, err = New(tc.current, wanted)
			}
			if got := fault.KindOf(err); err == nil || got != tc.kind {
				t.Fatalf("got %v (%s), want %s", err, got, tc.kind)
			}
			p := fault.Problem(err)
			if hint := p.HintText(); !strings.Contains(err.Error(), tc.says) || !strings.Contains(hint, tc.hint) {
				t.Errorf("error %q with hint %q does not say %q and %q", err, hint, tc.says, tc.hint)
			}
		})
	}
}

func TestEveryRefusalIsReported(t *testing.T) {
	existing := mustResolve(t, Wish{}, nil, quietMachine())
	current := State{Spec: &existing, Running: true}
	wanted, err := Wish{Name: "dev", KubernetesVersion: "1.36", APIPort: 7443}.Started(current, Environment{Kubernetes: "v1.37.2"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(current, wanted); err == nil || !strings.Contains(err.Error(), "version") || !strings.Contains(err.Error(), "7443") {
		t.Errorf("got %v, want both", err)
	}
}

// TestAuthoritiesAreReplaced: all of them, and only by a wish that has some, or none.
func TestAuthoritiesAreReplaced(t *testing.T) {
	existing := mustResolve(t, Wish{Nodes: new(1), Authorities: new(clustertest.Authority)}, nil, quietMachine())
	if got := mustResolve(t, Wish{}, &existing, quietMachine()).Registries.Authorities; got != clustertest.Authority {
		t.Errorf("without a word of them: %q", got)
	}
	none := mustResolve(t, Wish{Authorities: new("")}, &existing, quietMachine())
	if got := none.Registries.Authorities; got != "" {
		t.Errorf("without any: %q", got)
	}
	changes := Diff(State{Spec: &existing}, State{Spec: &none})
	if len(changes) != 1 || changes[0].String() != "trust no certificate authorities but the usual ones" {
		t.Errorf("changes are %v", changes)
	}
}

func TestAnExistingClusterStaysAsItIs(t *testing.T) {
	existing := mustResolve(t, Wish{Nodes: new(2), CPUs: new(1.5), Addons: map[string]bool{"a": true}, UpstreamHooks: new(true),
		Registries: cluster.Registries{Mirrors: map[string][]cluster.Mirror{"docker.io": {{URL: "https://m"}}}}}, nil, quietMachine())
	env := quietMachine()
	env.Taken = []netip.Prefix{existing.Subnet} // its own network
	env.PortFree, env.MTU = nil, 0
	if got := mustResolve(t, Wish{}, &existing, env); !reflect.DeepEqual(got, existing) {
		t.Errorf("an empty wish makes\n%+v of\n%+v", got, existing)
	}
}

func TestAWishAddsToWhatIsThere(t *testing.T) {
	existing := mustResolve(t, Wish{Nodes: new(1), Addons: map[string]bool{"a": true}, Registries: cluster.Registries{Mirrors: map[string][]cluster.Mirror{
		"docker.io": {{URL: "https://old"}}, "ghcr.io": {{URL: "https://g"}}}}}, nil, quietMachine())
	before, err := json.Marshal(existing)
	if err != nil {
		t.Fatal(err)
	}
	got := mustResolve(t, Wish{Nodes: new(3), CPUs: new(2.0), Addons: map[string]bool{"b": false},
		Registries: cluster.Registries{Mirrors: map[string][]cluster.Mirror{"docker.io": {{URL: "https://new"}}}}}, &existing, quietMachine())
	if got.ID != existing.ID || got.Subnet != existing.Subnet || got.Nodes[0].IP != existing.Nodes[0].IP || len(got.Nodes) != 3 || got.Nodes[2].Name != "dev-3" {
		t.Errorf("nodes = %+v", got.Nodes)
	}
	for _, n := range got.Nodes {
		if n.CPUs != 2 {
			t.Errorf("node %s has %v CPUs, want the limit on old and new ones", n.Name, n.CPUs)
		}
	}
	if m := got.Registries.Mirrors; len(m) != 2 || m["docker.io"][0].URL != "https://new" || m["ghcr.io"][0].URL != "https://g" {
		t.Errorf("mirrors = %+v, want those of the named registry replaced and the others kept", m)
	}
	none := mustResolve(t, Wish{Registries: cluster.Registries{Mirrors: map[string][]cluster.Mirror{"docker.io": {}}}}, &existing, quietMachine())
	if m := none.Registries.Mirrors; len(m) != 1 || m["ghcr.io"] == nil {
		t.Errorf("mirrors = %+v, want those of one registry removed", m)
	}
	if a := got.Addons; len(a) != 2 || !a["a"] || a["b"] {
		t.Errorf("addons = %v", a)
	}
	if after, err := json.Marshal(existing); err != nil || string(after) != string(before) {
		t.Errorf("the existing spec was changed in place to %s, %v", after, err)
	}
}

func TestAnAPIOnlyClusterReservesANetwork(t *testing.T) {
	spec := mustResolve(t, Wish{Nodes: new(0)}, nil, quietMachine())
	if len(spec.Nodes) != 0 || !spec.Gateway.IsValid() {
		t.Errorf("resolved to %+v", spec)
	}
	later := mustResolve(t, Wish{Nodes: new(2)}, &spec, quietMachine())
	if len(later.Nodes) != 2 || later.Nodes[0].IP != netip.MustParseAddr("10.201.0.10") {
		t.Errorf("nodes = %+v", later.Nodes)
	}
}

// TestDiff changes one thing at a time and checks all that its change says.
func TestDiff(t *testing.T) {
	base := mustResolve(t, Wish{Nodes: new(2), Addons: map[string]bool{"a": true}, Registries: cluster.Registries{
		Mirrors: map[string][]cluster.Mirror{"docker.io": {{URL: "https://m", Username: "me", Password: "secret"}}}}}, nil, quietMachine())
	type alter func(current, wanted *State)
	spec := func(f func(*cluster.Spec)) alter { return func(_, w *State) { f(w.Spec) } }
	for _, tc := range []struct {
		name    string
		change  alter
		kind    Kind
		object  string
		effect  Effect
		summary string
		details string
	}{
		{"create", func(c, _ *State) { c.Spec = nil }, KindCreate, "cluster/dev", Live, "create cluster dev with 2 nodes", `{"name":"dev","nodes":2}`},
		{"start", func(c, _ *State) { c.Running = false }, KindStart, "cluster/dev", Live, "start the control plane", `{"name":"dev"}`},
		{"version", spec(func(s *cluster.Spec) { s.KubernetesVersion = "1.36" }), KindVersion, "cluster/dev", Impossible,
			"change the Kubernetes version from 1.37 to 1.36", `{"name":"dev","from":"1.37","to":"1.36"}`},
		{"subnet", spec(func(s *cluster.Spec) { s.Subnet = netip.MustParsePrefix("10.5.0.0/22") }), KindSubnet, "cluster/dev", Impossible,
			"change the subnet from 10.201.0.0/22 to 10.5.0.0/22", `{"name":"dev","from":"10.201.0.0/22","to":"10.5.0.0/22"}`},
		{"pod subnet", spec(func(s *cluster.Spec) { s.PodSubnet = netip.MustParsePrefix("10.5.0.0/16") }), KindPodSubnet, "cluster/dev", Impossible,
			"change the pod subnet from 10.244.0.0/16 to 10.5.0.0/16", `{"name":"dev","from":"10.244.0.0/16","to":"10.5.0.0/16"}`},
		{"service subnet", spec(func(s *cluster.Spec) { s.ServiceSubnet = netip.MustParsePrefix("10.5.0.0/16") }), KindServiceSubnet, "cluster/dev", Impossible,
			"change the service subnet from 10.96.0.0/16 to 10.5.0.0/16", `{"name":"dev","from":"10.96.0.0/16","to":"10.5.0.0/16"}`},
		{"the default said aloud", spec(func(s *cluster.Spec) {
			s.PodSubnet, s.ServiceSubnet, s.APIPort = cluster.DefaultPodSubnet, cluster.DefaultServiceSubnet, 7443
		}), KindAPIPort, "cluster/dev", Stopped, "change the API port from 6443 to 7443", `{"name":"dev","from":6443,"to":7443}`},
		{"MTU", spec(func(s *cluster.Spec) { s.MTU = 1500 }), KindMTU, "cluster/dev", Recreate,
			"change the MTU of the nodes' network from 1400 to 1500", `{"name":"dev","from":1400,"to":1500,"nodes":["dev-1","dev-2"]}`},
		{"MTU of a stopped network", func(c, w *State) {
			c.Down = map[string]bool{"dev-1": true, "dev-2": true}
			w.Down, w.Spec.MTU = c.Down, 1500
		}, KindMTU, "cluster/dev", Live, "change the MTU of the nodes' network from 1400 to 1500", `{"name":"dev","from":1400,"to":1500,"nodes":[]}`},
		{"API port", spec(func(s *cluster.Spec) { s.APIPort = 7443 }), KindAPIPort, "cluster/dev", Stopped,
			"change the API port from 6443 to 7443", `{"name":"dev","from":6443,"to":7443}`},
		{"search domains", spec(func(s *cluster.Spec) { s.DNSSearch = "none" }), KindDNSSearch, "cluster/dev", Stopped,
			"change the pods' search domains from auto to none", `{"name":"dev","from":"auto","to":"none"}`},
		{"taint", spec(func(s *cluster.Spec) { s.ControlPlaneTaint = true }), KindTaint, "cluster/dev", Live, "taint control-plane nodes", `{"name":"dev","on":true}`},
		{"stopped by the user", func(c, w *State) {
			c.Down = map[string]bool{"dev-2": true} // it has just crashed
			w.Down, w.Spec.Nodes[1].Stopped = c.Down, true
		}, KindStopNode, "node/dev-2", Live, "stop node dev-2", `{"node":"dev-2"}`},
		{"started with its cluster", func(c, w *State) {
			c.Running, w.Running = false, false
			c.Down = map[string]bool{"dev-1": true, "dev-2": true}
			w.Down, c.Spec.Nodes[1].Stopped = c.Down, true
		}, KindStartNode, "node/dev-2", Live, "start node dev-2", `{"node":"dev-2"}`},
		{"hooks", spec(func(s *cluster.Spec) { s.UpstreamHooks = true }), KindUpstreamHooks, "cluster/dev", Stopped,
			"change the bootstrap hooks to upstream's", `{"name":"dev","on":true}`},
		{"removed", spec(func(s *cluster.Spec) { s.Nodes = s.Nodes[1:] }), KindRemoveNode, "node/dev-1", Live, "remove node dev-1 and its data", `{"node":"dev-1"}`},
		{"added", spec(func(s *cluster.Spec) { s.Nodes = append(s.Nodes, s.PlanNode(3)) }), KindAddNode, "node/dev-3", Live, "add node dev-3 (10.201.0.12)",
			`{"node":{"name":"dev-3","index":3,"ip":"10.201.0.12","podCIDR":"10.244.3.0/24"}}`},
		{"resized", spec(func(s *cluster.Spec) { s.Nodes[1].CPUs, s.Nodes[1].MemoryBytes = 2, 1<<30 }), KindResizeNode, "node/dev-2", Live,
			"change the limits of node dev-2 from none to 2 CPUs and 1024 MB", `{"node":"dev-2","from":{"cpus":0,"memoryBytes":0},"to":{"cpus":2,"memoryBytes":1073741824},"running":true}`},
		{"stopped", func(_, w *State) { w.Down = map[string]bool{"dev-2": true} }, KindStopNode, "node/dev-2", Live, "stop node dev-2", `{"node":"dev-2"}`},
		{"started", func(c, _ *State) { c.Down = map[string]bool{"dev-2": true} }, KindStartNode, "node/dev-2", Live, "start node dev-2", `{"node":"dev-2"}`},
		{"password", spec(func(s *cluster.Spec) {
			s.Registries.Mirrors = map[string][]cluster.Mirror{"docker.io": {{URL: "https://m", Username: "me", Password: "other"}}}
		}), KindRegistry, "registry/docker.io", Live, "pull images of docker.io from https://m",
			`{"registry":"docker.io","from":[{"url":"https://m","username":"me","password":"***"}],"to":[{"url":"https://m","username":"me","password":"***"}]}`},
		{"no mirror", spec(func(s *cluster.Spec) { s.Registries.Mirrors = nil }), KindRegistry, "registry/docker.io", Live, "pull images of docker.io without a mirror",
			`{"registry":"docker.io","from":[{"url":"https://m","username":"me","password":"***"}]}`},
		{"authorities", spec(func(s *cluster.Spec) { s.Registries.Authorities = clustertest.Authority }), KindTrust, "cluster/dev", Live,
			"trust the certificate authorities Example Root CA", `{"name":"dev","to":["Example Root CA"]}`},
		{"addon", spec(func(s *cluster.Spec) { s.Addons = map[string]bool{"a": false} }), KindAddon, "addon/a", Live, "disable addon a", `{"addon":"a","enabled":false}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			have, want := base, base
			have.Nodes, want.Nodes = slices.Clone(base.Nodes), slices.Clone(base.Nodes)
			current, wanted := State{Spec: &have, Running: true}, State{Spec: &want, Running: true}
			if changes := Diff(current, wanted); len(changes) > 0 {
				t.Fatalf("changes without any: %v", changes)
			}
			tc.change(&current, &wanted)
			changes := Diff(current, wanted)
			if len(changes) != 1 {
				t.Fatalf("changes = %v, want one", changes)
			}
			d := Describe(changes[0])
			details, err := json.Marshal(d.Details)
			if err != nil {
				t.Fatal(err)
			}
			if d.Kind != tc.kind || d.Object != tc.object || d.Needs.Effect != tc.effect || d.Summary != tc.summary || string(details) != tc.details {
				t.Errorf("got  %s %s %s %q %s\nwant %s %s %s %q %s", d.Kind, d.Object, d.Needs.Effect, d.Summary, details,
					tc.kind, tc.object, tc.effect, tc.summary, tc.details)
			}
		})
	}
}

func TestAChangeInJSON(t *testing.T) {
	data, err := json.Marshal(Describe(ResizeNode{Node: "dev-1", From: Limits{CPUs: 2}, Running: true}))
	want := `{"kind":"node-resized","object":"node/dev-1","summary":"change the limits of node dev-1 from 2 CPUs to none",` +
		`"needs":{"effect":"recreate","nodes":["dev-1"]},` +
		`"details":{"node":"dev-1","from":{"cpus":2,"memoryBytes":0},"to":{"cpus":0,"memoryBytes":0},"running":true}}`
	if err != nil || string(data) != want {
		t.Errorf("got  %s, %v\nwant %s", data, err, want)
	}
}

func TestAWishIsStoredWhole(t *testing.T) {
	w := Wish{Name: "dev", Nodes: new(0), Subnet: netip.MustParsePrefix("10.5.0.0/22"), CPUs: new(0.0), UpstreamHooks: new(false)}
	data, err := json.Marshal(w)
	if want := `{"name":"dev","nodes":0,"subnet":"10.5.0.0/22","cpus":0,"upstreamHooks":false}`; err != nil || string(data) != want {
		t.Errorf("got  %s, %v\nwant %s", data, err, want)
	}
	var again Wish
	if err := json.Unmarshal(data, &again); err != nil || !reflect.DeepEqual(again, w) {
		t.Errorf("read back %+v, %v", again, err)
	}
}
