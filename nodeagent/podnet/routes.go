package podnet

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// routeProtocol marks routes as ours ("proto 98" in ip route), so that those of removed nodes can be found, and others
// are left alone.
const routeProtocol = 98

// reconcileRoutes creates the routes to the peers' pods and removes our routes to anything else.
func reconcileRoutes(link netlink.Link, peers []Peer, clusterCIDR netip.Prefix) (changed bool, err error) {
	have, err := netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{
		LinkIndex: link.Attrs().Index, Protocol: routeProtocol, Table: unix.RT_TABLE_MAIN,
	}, netlink.RT_FILTER_OIF|netlink.RT_FILTER_PROTOCOL|netlink.RT_FILTER_TABLE)
	if err != nil {
		return false, fmt.Errorf("list routes: %w", err)
	}
	missing := map[netip.Prefix]netip.Addr{}
	for _, p := range peers {
		missing[p.PodCIDR] = p.IP
	}
	var errs []error
	for _, r := range have {
		dst, gw, ok := destination(r)
		if ok && missing[dst] == gw {
			delete(missing, dst)
			continue
		}
		if _, replaced := missing[dst]; replaced || !ok || !clusterCIDR.Contains(dst.Addr()) {
			continue // RouteReplace below does it without a gap
		}
		if err := netlink.RouteDel(&r); err != nil && !errors.Is(err, unix.ESRCH) {
			errs = append(errs, fmt.Errorf("remove route to %s: %w", dst, err))
			continue
		}
		changed = true
	}
	for dst, gw := range missing {
		err := netlink.RouteReplace(&netlink.Route{
			LinkIndex: link.Attrs().Index, Protocol: routeProtocol,
			Dst: &net.IPNet{IP: dst.Addr().AsSlice(), Mask: net.CIDRMask(dst.Bits(), dst.Addr().BitLen())},
			Gw:  gw.AsSlice(),
		})
		if err != nil {
			errs = append(errs, fmt.Errorf("route to %s via %s: %w", dst, gw, err))
			continue
		}
		changed = true
	}
	return changed, errors.Join(errs...)
}

func destination(r netlink.Route) (dst netip.Prefix, gw netip.Addr, ok bool) {
	if r.Dst == nil {
		return dst, gw, false
	}
	addr, ok1 := netip.AddrFromSlice(r.Dst.IP)
	gw, ok2 := netip.AddrFromSlice(r.Gw)
	ones, _ := r.Dst.Mask.Size()
	return netip.PrefixFrom(addr.Unmap(), ones), gw.Unmap(), ok1 && ok2
}
