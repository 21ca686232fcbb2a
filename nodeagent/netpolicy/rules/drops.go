package rules

import (
	"net/netip"
	"time"
)

const (
	// DropMemory is how long the kernel remembers what it has dropped, after the last packet.
	DropMemory = 5 * time.Minute
	// maxDrops is how many it remembers in each direction: a pod that tries all ports of all others must not fill its memory.
	maxDrops = 2048

	dropType = "ipv4_addr . ipv4_addr . inet_proto . inet_service . ipv4_addr . inet_service"
	dropKey  = "ip saddr . ip daddr . meta l4proto . th dport . ct original ip daddr . ct original proto-dst"
)

// Drop is what the kernel remembers of packets that policies did not allow: those from one address to one port.
type Drop struct {
	// Egress says that the policies of the source have dropped them, otherwise those of the destination.
	Egress bool
	Packet
	// Asked is what the source has as the destination, as far as this node has translated its address.
	Asked netip.AddrPort
	// Packets counts them since the first, Ago is the time since the last.
	Packets uint64
	Ago     time.Duration
}

// DropSets are the sets in which the kernel remembers, and whether those are of egress.
func DropSets() map[string]bool { return map[string]bool{deniedEgress: true, deniedIngress: false} }
