// Package routes reads which address ranges this machine reaches: those of its own interfaces, of other bridges, and of
// companies' networks behind a VPN. What a cluster uses for its pods and Services is out of reach for pods.
package routes

import (
	"net/netip"
	"slices"
)

// Route is one entry of a routing table.
type Route struct {
	To netip.Prefix
	// Via is the next hop; not valid if there is none.
	Via netip.Addr
}

// widest is the shortest prefix that says something about where addresses are. A wider route is a default route, also in the
// form of two halves that VPNs like.
const widest = 8

// Beside are the ranges of the routes that meet one of the ranges, except through a next hop in nodes: a user who wants to
// reach pods from this machine has made such a route.
func Beside(all []Route, nodes netip.Prefix, ranges ...netip.Prefix) (met []netip.Prefix) {
	for _, r := range all {
		if nodes.IsValid() && nodes.Contains(r.Via) {
			continue
		}
		if slices.ContainsFunc(ranges, r.To.Overlaps) {
			met = append(met, r.To)
		}
	}
	return met
}

// Through reports whether a route leads to all of a range by way of a next hop in nodes.
func Through(all []Route, nodes, to netip.Prefix) bool {
	return slices.ContainsFunc(all, func(r Route) bool {
		return nodes.IsValid() && nodes.Contains(r.Via) && r.To.Bits() <= to.Bits() && r.To.Contains(to.Addr())
	})
}

// locates reports whether a route says where a range is.
func locates(r Route) bool {
	a := r.To.Addr()
	return a.Is4() && r.To.Bits() >= widest && !a.IsLoopback() && !a.IsLinkLocalUnicast() && !a.IsMulticast() && a != netip.IPv4Unspecified()
}
