package announce

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
)

// Packet is an ARP packet of IPv4 over Ethernet (RFC 826): a request unless it is a reply. To is the Ethernet address that it is
// sent to, which only matters for sending.
type Packet struct {
	Reply     bool
	To        net.HardwareAddr
	SenderMAC net.HardwareAddr
	SenderIP  netip.Addr
	TargetMAC net.HardwareAddr
	TargetIP  netip.Addr
}

const (
	etherTypeARP = 0x0806
	ethernet     = 14 // length of the header in front
	arpLength    = 28
)

var broadcast = net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// prefix is what all such packets begin with: Ethernet, IPv4, and the lengths of their addresses.
var prefix = []byte{0, 1, 8, 0, 6, 4}

// frame is the packet as it is on the wire.
func (p Packet) frame() []byte {
	f := make([]byte, 0, ethernet+arpLength)
	f = append(f, p.To...)
	f = append(f, p.SenderMAC...)
	f = binary.BigEndian.AppendUint16(f, etherTypeARP)
	f = append(f, prefix...)
	op := uint16(1)
	if p.Reply {
		op = 2
	}
	f = binary.BigEndian.AppendUint16(f, op)
	f = append(f, p.SenderMAC...)
	f = append(f, p.SenderIP.AsSlice()...)
	f = append(f, p.TargetMAC...)
	return append(f, p.TargetIP.AsSlice()...)
}

var errNoARP = errors.New("not an ARP packet of IPv4 over Ethernet")

// parse reads a frame; the result does not refer to it.
func parse(f []byte) (p Packet, err error) {
	if len(f) < ethernet+arpLength || binary.BigEndian.Uint16(f[12:]) != etherTypeARP || string(f[ethernet:ethernet+len(prefix)]) != string(prefix) {
		return p, errNoARP
	}
	a := f[ethernet:]
	op := binary.BigEndian.Uint16(a[6:])
	if op != 1 && op != 2 {
		return p, errNoARP
	}
	mac := func(b []byte) net.HardwareAddr { return append(net.HardwareAddr(nil), b[:6]...) }
	return Packet{
		Reply: op == 2, To: mac(f),
		SenderMAC: mac(a[8:]), SenderIP: netip.AddrFrom4([4]byte(a[14:18])),
		TargetMAC: mac(a[18:]), TargetIP: netip.AddrFrom4([4]byte(a[24:28])),
	}, nil
}
