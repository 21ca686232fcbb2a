package bootstrap

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

func quietMachine() surroundings {
	return surroundings{
		portFree: func(int) bool { return true }, freePort: 40123, id: "fresh", embedded: "v1.37.2", mtu: 1400,
	}
}

func number(n int) *int { return &n }

func mustPlan(t *testing.T, o StartOptions, existing *cluster.Spec, running bool, s surroundings) cluster.Spec {
	t.Helper()
	spec, err := plan(o, existing, running, s)
	if err != nil {
		t.Fatalf("plan: %v", err)
	}
	return spec
}

func TestPlanOfANewCluster(t *testing.T) {
	spec := mustPlan(t, StartOptions{Name: "dev"}, nil, false, quietMachine())
	if len(spec.Nodes) != cluster.DefaultNodes || spec.APIPort != 6443 || spec.KubernetesVersion != "1.37" || spec.MTU != 1400 || spec.ID != "fresh" {
		t.Errorf("plan = %+v", spec)
	}
	want := cluster.Node{Name: "dev-2", Index: 2, IP: netip.MustParseAddr("10.201.0.11"), PodCIDR: netip.MustParsePrefix("10.244.2.0/24")}
	if spec.Nodes[1] != want {
		t.Errorf("second node = %+v, want %+v", spec.Nodes[1], want)
	}
}

func TestPlanAvoidsWhatIsTaken(t *testing.T) {
	s := quietMachine()
	s.taken = []netip.Prefix{netip.MustParsePrefix("10.201.0.0/21"), netip.MustParsePrefix("192.168.1.0/24")}
	s.portFree = func(port int) bool { return port != 6443 }
	spec := mustPlan(t, StartOptions{Name: "dev"}, nil, false, s)
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

func TestPlanRefuses(t *testing.T) {
	existing := mustPlan(t, StartOptions{Name: "dev"}, nil, false, quietMachine())
	busyPort := quietMachine()
	busyPort.portFree = func(int) bool { return false }
	busyNet := quietMachine()
	busyNet.taken = []netip.Prefix{netip.MustParsePrefix("172.29.0.0/16")}
	for _, tc := range []struct {
		name     string
		opts     StartOptions
		existing *cluster.Spec
		running  bool
		around   surroundings
		kind     fault.Kind
		says     string
	}{
		{"an unknown version", StartOptions{KubernetesVersion: "1.99"}, nil, false, quietMachine(), fault.Version, "1.34"},
		{"a version change", StartOptions{KubernetesVersion: "1.36"}, &existing, false, quietMachine(), fault.Usage, "cannot change"},
		{"fewer nodes", StartOptions{Nodes: number(1)}, &existing, false, quietMachine(), fault.Usage, "never removes"},
		{"another subnet", StartOptions{Subnet: netip.MustParsePrefix("172.29.0.0/22")}, &existing, false, quietMachine(), fault.Usage, "subnet"},
		{"a taken subnet", StartOptions{Subnet: netip.MustParsePrefix("172.29.4.0/22")}, nil, false, busyNet, fault.Conflict, "172.29.0.0/16"},
		{"a taken port", StartOptions{APIPort: 8443}, nil, false, busyPort, fault.Conflict, "8443"},
		{"a port that was taken since", StartOptions{}, &existing, false, busyPort, fault.Conflict, "6443"},
		{"another port while running", StartOptions{APIPort: 7443}, &existing, true, busyPort, fault.Usage, "7443"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.opts.Name = "dev"
			_, err := plan(tc.opts, tc.existing, tc.running, tc.around)
			if got := fault.KindOf(err); err == nil || got != tc.kind {
				t.Fatalf("plan = %v (%s), want %s", err, got, tc.kind)
			}
			f, _ := errors.AsType[*fault.Fault](err)
			if !strings.Contains(err.Error(), tc.says) {
				t.Errorf("error %q does not mention %q", err, tc.says)
			}
			if len(f.Advice) == 0 && tc.kind != fault.Version {
				t.Error("no hint says what to do")
			}
		})
	}
}

func TestPlanOfAnExistingClusterKeepsItAndAddsNodes(t *testing.T) {
	existing := mustPlan(t, StartOptions{Name: "dev", Nodes: number(1)}, nil, false, quietMachine())
	s := quietMachine()
	s.taken = []netip.Prefix{existing.Subnet} // its own network
	s.portFree = func(int) bool { return false }
	spec := mustPlan(t, StartOptions{Name: "dev", Nodes: number(3), CPUs: 2}, &existing, true, s)
	if spec.ID != existing.ID || spec.Subnet != existing.Subnet || spec.Nodes[0] != existing.Nodes[0] {
		t.Errorf("plan changed the cluster: %+v", spec)
	}
	if len(spec.Nodes) != 3 || spec.Nodes[2].Name != "dev-3" || spec.Nodes[2].CPUs != 2 {
		t.Errorf("nodes = %+v", spec.Nodes)
	}
	if len(existing.Nodes) != 1 {
		t.Error("plan changed the existing spec in place")
	}
}

func TestPlanOfAnAPIOnlyClusterReservesANetwork(t *testing.T) {
	spec := mustPlan(t, StartOptions{Name: "api", Nodes: number(0)}, nil, false, quietMachine())
	if len(spec.Nodes) != 0 || !spec.Gateway.IsValid() {
		t.Errorf("plan = %+v", spec)
	}
	later := mustPlan(t, StartOptions{Name: "api", Nodes: number(2)}, &spec, true, quietMachine())
	if len(later.Nodes) != 2 || later.Nodes[0].IP != netip.MustParseAddr("10.201.0.10") {
		t.Errorf("nodes = %+v", later.Nodes)
	}
}
