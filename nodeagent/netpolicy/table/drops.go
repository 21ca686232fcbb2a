package table

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"bonsai/nodeagent/netpolicy/rules"
)

// Drops reads what the kernel remembers of packets that it has dropped, by a connection of its own, so that it may be called from any
// goroutine. Without a table in the kernel there is nothing, which is fine.
func (*Table) Drops() (list []rules.Drop, err error) {
	c, err := nftables.New(nftables.AsLasting())
	if err != nil {
		return nil, fmt.Errorf("connect to nftables: %w", err)
	}
	defer func() { err = errors.Join(err, c.CloseLasting()) }()
	of, err := c.ListTableOfFamily(rules.TableName, nftables.TableFamilyIPv4)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read which packets NetworkPolicies have dropped: %w", err)
	}
	for name, egress := range rules.DropSets() {
		elements, err := c.GetSetElements(&nftables.Set{Table: of, Name: name})
		if err != nil {
			return nil, fmt.Errorf("read which packets NetworkPolicies have dropped: %w", err)
		}
		for _, e := range elements {
			if d, ok := dropOf(e); ok {
				d.Egress = egress
				list = append(list, d)
			}
		}
	}
	return list, nil
}

// dropOf decodes an element. Each part of its key begins at a multiple of four bytes.
func dropOf(e nftables.SetElement) (d rules.Drop, ok bool) {
	const length = 24
	if len(e.Key) != length {
		return d, false
	}
	address := func(at int) netip.Addr { return netip.AddrFrom4([4]byte(e.Key[at : at+4])) }
	port := func(at int) uint16 { return binary.BigEndian.Uint16(e.Key[at:]) }
	d.Source, d.Dest, d.Port = address(0), address(4), port(12)
	d.Asked = netip.AddrPortFrom(address(16), port(20))
	switch e.Key[8] {
	case unix.IPPROTO_TCP:
		d.Protocol = "tcp"
	case unix.IPPROTO_UDP:
		d.Protocol = "udp"
	case unix.IPPROTO_SCTP:
		d.Protocol = "sctp"
	default:
		return d, false
	}
	if e.Counter != nil {
		d.Packets = e.Counter.Packets
	}
	// Each packet makes the element live for the whole time again.
	timeout := e.Timeout
	if timeout == 0 { // that of the set is not repeated
		timeout = rules.DropMemory
	}
	d.Ago = max(timeout-e.Expires, 0)
	return d, true
}
