package loadbalancer

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"bonsai/bootstrap/cluster"
)

func TestAMachineThatDoesNotReachTheNodesIsReported(t *testing.T) {
	spec := cluster.Spec{Subnet: netip.MustParsePrefix("10.201.0.0/22")}
	at := func(cidr string) net.Addr {
		own, network, err := net.ParseCIDR(cidr)
		if err != nil {
			t.Fatal(err)
		}
		network.IP = own
		return network
	}
	away := []net.Addr{at("127.0.0.1/8"), at("192.168.1.7/24"), at("fe80::1/64"), &net.TCPAddr{}}
	if got := apart(spec, away); !strings.Contains(got, "no interface in the nodes' network 10.201.0.0/22") {
		t.Errorf("a machine without the nodes' network: %q", got)
	}
	if got := apart(spec, append(away, at("10.201.0.1/22"))); got != "" {
		t.Errorf("a machine with the nodes' bridge: %q", got)
	}
}
