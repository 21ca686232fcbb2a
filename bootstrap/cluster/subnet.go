package cluster

import (
	"fmt"
	"net/netip"
	"slices"
)

// SubnetPool is where ChooseSubnet looks: a range of 10/8 that the defaults of Docker, kind, minikube, VPNs and home
// routers do not use.
var SubnetPool = netip.MustParsePrefix("10.201.0.0/16")

// SubnetBits is the size of a chosen subnet.
const SubnetBits = 22

// carrierGrade is shared address space (RFC 6598); some sites use it internally.
var carrierGrade = netip.MustParsePrefix("100.64.0.0/10")

// ChooseSubnet returns the first /22 of SubnetPool that overlaps none of taken: the networks of the engine, the
// routes of the host and the subnets of other clusters, running or not.
func ChooseSubnet(taken []netip.Prefix) (netip.Prefix, error) {
	first := SubnetPool.Addr()
	for i := range 1 << (SubnetBits - SubnetPool.Bits()) {
		candidate := netip.PrefixFrom(addrAt(SubnetPool, i<<(32-SubnetBits)), SubnetBits)
		if !slices.ContainsFunc(taken, candidate.Overlaps) {
			return candidate, nil
		}
	}
	return netip.Prefix{}, fmt.Errorf("no free /%d is left in %s/%d", SubnetBits, first, SubnetPool.Bits())
}
