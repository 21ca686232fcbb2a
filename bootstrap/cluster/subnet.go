package cluster

import (
	"errors"
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

// The ranges in which the free ones of pods and Services are looked for, one /16 after the other, beginning with the default:
// the rest of 10/8 around it, without SubnetPool; then, where a company has all of 10/8, what others use least.
var (
	podPools     = pools{{DefaultPodSubnet, 11}, {carrierGrade, 64}, {netip.MustParsePrefix("172.24.0.0/13"), 8}}
	servicePools = pools{{DefaultServiceSubnet, 100}, {carrierGrade, 64}, {netip.MustParsePrefix("172.24.0.0/13"), 8}}
)

// pools are ranges of so many /16 each.
type pools []struct {
	from  netip.Prefix
	count int
}

func (p pools) choose(taken []netip.Prefix) (netip.Prefix, error) {
	for _, pool := range p {
		for i := range pool.count {
			candidate := netip.PrefixFrom(addrAt(pool.from, i<<16), 16)
			if !slices.ContainsFunc(taken, candidate.Overlaps) {
				return candidate, nil
			}
		}
	}
	return netip.Prefix{}, errors.New("no range of 65536 addresses is free")
}

// ChoosePodSubnet and ChooseServiceSubnet return the default range, or another if that overlaps any of taken: what this machine
// reaches there would be out of reach for pods.
func ChoosePodSubnet(taken []netip.Prefix) (netip.Prefix, error) { return podPools.choose(taken) }
func ChooseServiceSubnet(taken []netip.Prefix) (netip.Prefix, error) {
	return servicePools.choose(taken)
}

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
