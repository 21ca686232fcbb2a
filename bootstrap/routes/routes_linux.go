package routes

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"syscall"
)

// Read returns the IPv4 routes of all tables: some VPNs have one of their own. It takes well below a millisecond and no rights.
func Read() ([]Route, error) {
	rib, err := syscall.NetlinkRIB(syscall.RTM_GETROUTE, syscall.AF_INET)
	if err != nil {
		return nil, fmt.Errorf("read this machine's routes: %w", err)
	}
	messages, err := syscall.ParseNetlinkMessage(rib)
	if err != nil {
		return nil, fmt.Errorf("read this machine's routes: %w", err)
	}
	var all []Route
	for _, m := range messages {
		if m.Header.Type != syscall.RTM_NEWROUTE || len(m.Data) < syscall.SizeofRtMsg {
			continue
		}
		if r, ok := parse(m); ok && locates(r) {
			all = append(all, r)
		}
	}
	return all, nil
}

// parse reads one route. Those to an interface's own addresses count as well: an address without a network is a range of one.
func parse(m syscall.NetlinkMessage) (r Route, ok bool) {
	// struct rtmsg: family, dst_len, src_len, tos, table, protocol, scope, type.
	bits, kind := int(m.Data[1]), m.Data[7]
	if kind != syscall.RTN_UNICAST && kind != syscall.RTN_LOCAL {
		return r, false
	}
	attributes, err := syscall.ParseNetlinkRouteAttr(&m)
	if err != nil {
		return r, false
	}
	to := netip.IPv4Unspecified() // the default route has no destination
	for _, a := range attributes {
		addr, ok := netip.AddrFromSlice(a.Value)
		switch a.Attr.Type {
		case syscall.RTA_DST:
			if !ok || !addr.Is4() {
				return r, false
			}
			to = addr
		case syscall.RTA_GATEWAY:
			r.Via = addr
		case syscall.RTA_MULTIPATH:
			// struct rtnexthop, then its attributes: the first next hop stands for all.
			if len(a.Value) > syscall.SizeofRtNexthop+8 && binary.NativeEndian.Uint16(a.Value[syscall.SizeofRtNexthop+2:]) == syscall.RTA_GATEWAY {
				r.Via, _ = netip.AddrFromSlice(a.Value[syscall.SizeofRtNexthop+4 : syscall.SizeofRtNexthop+8])
			}
		}
	}
	r.To = netip.PrefixFrom(to, bits).Masked()
	return r, true
}
