package cluster

import (
	"net/netip"
	"strings"
	"testing"
)

func poolSpec(subnet, pool string) *Spec {
	s := &Spec{Subnet: netip.MustParsePrefix(subnet)}
	if pool != "" {
		s.AddonValues = map[string]map[string]string{LoadBalancerAddon: {LoadBalancerPool: pool}}
	}
	return s
}

// TestDefaultPool: whatever the subnet is, no node, no other container and no broadcast has an address of the default pool.
func TestDefaultPool(t *testing.T) {
	for subnet, want := range map[string]string{
		"10.201.0.0/22":   "10.201.3.1-10.201.3.254",
		"192.168.7.0/24":  "192.168.7.193-192.168.7.254",
		"172.16.0.0/16":   "172.16.255.1-172.16.255.254",
		"10.0.0.0/8":      "10.255.255.1-10.255.255.254",
		"192.168.16.0/23": "192.168.17.129-192.168.17.254",
	} {
		s := poolSpec(subnet, "")
		got := s.LoadBalancerRanges()
		if len(got) != 1 || got[0].String() != want {
			t.Errorf("%s: the pool is %v, want %s", subnet, got, want)
			continue
		}
		s.AddonValues = map[string]map[string]string{LoadBalancerAddon: {LoadBalancerPool: want}}
		if err := s.ValidateLoadBalancerRanges(); err != nil {
			t.Errorf("%s: %v", subnet, err)
		}
		if engine := s.EngineRange(); engine.Contains(s.PlanNode(1).IP) || engine.Contains(s.PlanNode(MaxNodes).IP) || !s.Subnet.Overlaps(engine) {
			t.Errorf("%s: the engine has %s", subnet, engine)
		}
	}
	if got := (&Spec{}).LoadBalancerRanges(); got != nil {
		t.Errorf("without a subnet there are %v", got)
	}
}

func TestChosenPool(t *testing.T) {
	s := poolSpec("10.201.0.0/22", "10.201.1.0-10.201.1.9,10.201.3.7")
	got := s.LoadBalancerRanges()
	if len(got) != 2 || got[0].Size() != 10 || got[1].Size() != 1 || !got[0].Contains(netip.MustParseAddr("10.201.1.9")) || got[0].Contains(netip.MustParseAddr("10.201.1.10")) {
		t.Errorf("the pool is %v", got)
	}
	for pool, wrong := range map[string]string{
		"10.201.1.0-10.201.1.9":               "",
		"10.201.0.110-10.201.0.255":           "",
		"10.201.4.0-10.201.4.9":               "are not all in the cluster's subnet 10.201.0.0/22",
		"10.201.3.200-10.201.4.1":             "are not all in the cluster's subnet",
		"10.201.0.100-10.201.0.120":           "which are for this machine and nodes",
		"10.201.2.0-10.201.2.9":               "which are for other containers",
		"10.201.3.250-10.201.3.255":           "which are for broadcasts",
		"10.201.3.1-10.201.3.9,10.201.3.9":    "overlap 10.201.3.1-10.201.3.9",
		"10.201.3.1-10.201.3.9,10.201.3.9/31": "overlap",
	} {
		err := poolSpec("10.201.0.0/22", pool).ValidateLoadBalancerRanges()
		switch {
		case wrong == "" && err != nil:
			t.Errorf("%s: %v", pool, err)
		case wrong != "" && (err == nil || !strings.Contains(err.Error(), wrong)):
			t.Errorf("%s: %v does not say %q", pool, err, wrong)
		}
	}
}

func TestMovedPool(t *testing.T) {
	from, to := netip.MustParsePrefix("10.201.0.0/22"), netip.MustParsePrefix("10.201.8.0/22")
	if got := MoveLoadBalancerRanges("10.201.3.1-10.201.3.9,10.201.1.7", from, to); got != "10.201.11.1-10.201.11.9,10.201.9.7" {
		t.Errorf("moved to %q", got)
	}
	if got := MoveLoadBalancerRanges("10.201.3.1-10.201.3.9", from, netip.MustParsePrefix("10.201.8.0/24")); got != "" {
		t.Errorf("in a smaller subnet they are %q", got)
	}
}
