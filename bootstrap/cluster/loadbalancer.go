package cluster

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// LoadBalancerAddon gives Services of type LoadBalancer addresses of the cluster's subnet; LoadBalancerPool is its setting with
// the ranges of them.
const (
	LoadBalancerAddon = "loadbalancer"
	LoadBalancerPool  = "addresses"
)

// LoadBalancerClass is the class of Services that the addon serves besides those that name none.
const LoadBalancerClass = "bonsai.io/node"

// maxPool is how many addresses the pool has by default at most.
const maxPool = 256

// AddressRange is a range of IPv4 addresses, with its ends.
type AddressRange struct{ First, Last netip.Addr }

// ParseAddressRange reads "10.201.3.1-10.201.3.99", "10.201.3.0/26" or a single address.
func ParseAddressRange(text string) (AddressRange, error) {
	wrong := fmt.Errorf("%q is not a range of IPv4 addresses such as 10.201.3.1-10.201.3.99 or 10.201.3.0/26", text)
	from, to, isRange := strings.Cut(text, "-")
	first, err := netip.ParseAddr(strings.TrimSpace(from))
	last := first
	switch {
	case isRange && err == nil:
		last, err = netip.ParseAddr(strings.TrimSpace(to))
	case !isRange && err != nil:
		var p netip.Prefix
		if p, err = netip.ParsePrefix(strings.TrimSpace(text)); err == nil && p.Addr().Is4() {
			first, last = p.Masked().Addr(), lastOf(p)
		}
	}
	if err != nil || !first.Is4() || !last.Is4() || last.Less(first) {
		return AddressRange{}, wrong
	}
	return AddressRange{first, last}, nil
}

// String is the form that ParseAddressRange reads, the same for every way to write a range.
func (r AddressRange) String() string {
	if r.First == r.Last {
		return r.First.String()
	}
	return r.First.String() + "-" + r.Last.String()
}

// Contains reports whether an address is in the range.
func (r AddressRange) Contains(a netip.Addr) bool {
	return a.Is4() && r.First.Compare(a) <= 0 && a.Compare(r.Last) <= 0
}

// Size is the number of addresses.
func (r AddressRange) Size() int { return int(number(r.Last)-number(r.First)) + 1 }

func (r AddressRange) overlaps(o AddressRange) bool {
	return r.First.Compare(o.Last) <= 0 && o.First.Compare(r.Last) <= 0
}

func number(a netip.Addr) uint32 {
	b := a.As4()
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}

func lastOf(p netip.Prefix) netip.Addr {
	return addrAt(p, 1<<(32-p.Bits())-1)
}

// EngineRange is the part of the subnet from which the engine may give addresses to containers that name none: its third
// quarter. Nodes are before it, and the addresses of load balancers elsewhere.
func (s *Spec) EngineRange() netip.Prefix {
	size := 1 << (32 - s.Subnet.Bits())
	return netip.PrefixFrom(addrAt(s.Subnet, size/2), s.Subnet.Bits()+2)
}

// LoadBalancerRanges are the addresses that Services of type LoadBalancer get: those that the user has chosen, or the end of
// the subnet's last quarter. A cluster without a subnet has none.
func (s *Spec) LoadBalancerRanges() []AddressRange {
	if !s.Subnet.IsValid() {
		return nil
	}
	var list []AddressRange
	for _, text := range List(s.AddonValues[LoadBalancerAddon][LoadBalancerPool]) {
		if r, err := ParseAddressRange(text); err == nil { // Validate has refused others
			list = append(list, r)
		}
	}
	if len(list) > 0 {
		return list
	}
	size := 1 << (32 - s.Subnet.Bits())
	// Neither the broadcast address nor, if it begins another /24, the address in front, which some programs do not like.
	return []AddressRange{{addrAt(s.Subnet, size-min(size/4, maxPool)+1), addrAt(s.Subnet, size-2)}}
}

// ValidateLoadBalancerRanges returns why load balancers cannot have the addresses that the user has chosen for them.
func (s *Spec) ValidateLoadBalancerRanges() error {
	if !s.Subnet.IsValid() || s.AddonValues[LoadBalancerAddon][LoadBalancerPool] == "" {
		return nil
	}
	reserved := []struct {
		AddressRange
		use string
	}{
		{AddressRange{addrAt(s.Subnet, 0), addrAt(s.Subnet, 9+MaxNodes)}, "this machine and nodes"},
		{AddressRange{s.EngineRange().Addr(), lastOf(s.EngineRange())}, "other containers"},
		{AddressRange{lastOf(s.Subnet), lastOf(s.Subnet)}, "broadcasts"},
	}
	var errs []error
	var before []AddressRange
	for _, text := range List(s.AddonValues[LoadBalancerAddon][LoadBalancerPool]) {
		r, err := ParseAddressRange(text)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if !s.Subnet.Contains(r.First) || !s.Subnet.Contains(r.Last) {
			errs = append(errs, fmt.Errorf("addresses %s of load balancers are not all in the cluster's subnet %s", r, s.Subnet))
			continue
		}
		for _, not := range reserved {
			if r.overlaps(not.AddressRange) {
				errs = append(errs, fmt.Errorf("addresses %s of load balancers overlap %s, which are for %s", r, not.AddressRange, not.use))
			}
		}
		for _, o := range before {
			if r.overlaps(o) {
				errs = append(errs, fmt.Errorf("addresses %s of load balancers overlap %s", r, o))
			}
		}
		before = append(before, r)
	}
	return errors.Join(errs...)
}

// MoveLoadBalancerRanges gives the chosen addresses of load balancers in one subnet the same places in another. Those that it
// has no place for are not chosen any more.
func MoveLoadBalancerRanges(text string, from, to netip.Prefix) string {
	var moved []string
	for _, entry := range List(text) {
		r, err := ParseAddressRange(entry)
		if err != nil || !from.Contains(r.First) || !from.Contains(r.Last) {
			return ""
		}
		first, last := int(number(r.First)-number(from.Addr())), int(number(r.Last)-number(from.Addr()))
		if last >= 1<<(32-to.Bits()) {
			return ""
		}
		moved = append(moved, AddressRange{addrAt(to, first), addrAt(to, last)}.String())
	}
	return strings.Join(moved, ",")
}

// Announcement is what a node announces: the addresses of load balancers whose traffic comes to it.
type Announcement struct {
	// Sequence grows with each change; an agent takes no older one, which may have been on its way for long.
	Sequence int64 `json:"sequence"`
	// Addresses are all that there are, sorted by Address.
	Addresses []AnnouncedAddress `json:"addresses"`
}

// AnnouncedAddress is an address and the ports of the Services that have it, sorted.
type AnnouncedAddress struct {
	Address netip.Addr      `json:"address"`
	Ports   []AnnouncedPort `json:"ports"`
}

// AnnouncedPort is a port of a Service.
type AnnouncedPort struct {
	// Protocol is as in Services ("TCP").
	Protocol string `json:"protocol"`
	Port     int32  `json:"port"`
}

// Compare orders ports.
func (p AnnouncedPort) Compare(o AnnouncedPort) int {
	if p.Port != o.Port {
		return int(p.Port - o.Port)
	}
	return strings.Compare(p.Protocol, o.Protocol)
}

// Announced is what an agent reports: the sequence of the announcement that it took last, and the addresses for which its node
// answers. One is missing if another machine has announced it since.
type Announced struct {
	Sequence  int64        `json:"sequence"`
	Addresses []netip.Addr `json:"addresses"`
}
