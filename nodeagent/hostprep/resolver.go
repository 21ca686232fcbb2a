package hostprep

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"

	"github.com/vishvananda/netlink"
)

// AddAddress adds an address to the node's loopback interface, where pods reach it through their default route and
// nothing outside the node does. It may exist already.
func AddAddress(addr netip.Addr) error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("add %s to the node: %w", addr, err)
	}
	a, err := netlink.ParseAddr(netip.PrefixFrom(addr, addr.BitLen()).String())
	if err != nil {
		return fmt.Errorf("add %s to the node: %w", addr, err)
	}
	// With a wider scope the kernel might choose it as the source of packets to other machines.
	a.Scope = int(netlink.SCOPE_LINK)
	if err := netlink.AddrAdd(lo, a); err != nil && !errors.Is(err, syscall.EEXIST) {
		return fmt.Errorf("add %s to the node: %w", addr, err)
	}
	return nil
}
