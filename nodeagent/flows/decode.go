package flows

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Numbers of ctnetlink (include/uapi/linux/netfilter/nfnetlink_conntrack.h). Numbers in attributes are in network byte order.
const (
	msgNew    = unix.NFNL_SUBSYS_CTNETLINK << 8     // IPCTNL_MSG_CT_NEW
	msgGet    = unix.NFNL_SUBSYS_CTNETLINK<<8 | 0x1 // IPCTNL_MSG_CT_GET
	msgDelete = unix.NFNL_SUBSYS_CTNETLINK<<8 | 0x2 // IPCTNL_MSG_CT_DELETE

	headerLength = 4 // of nfgenmsg, before the attributes

	ctaTupleOrig     = 1
	ctaTupleReply    = 2
	ctaStatus        = 3
	ctaProtoinfo     = 4
	ctaCountersOrig  = 9
	ctaCountersReply = 10
	ctaID            = 12

	ctaTupleIP    = 1
	ctaTupleProto = 2

	ctaIPv4Src = 1
	ctaIPv4Dst = 2
	ctaIPv6Src = 3
	ctaIPv6Dst = 4

	ctaProtoNum     = 1
	ctaProtoSrcPort = 2
	ctaProtoDstPort = 3

	ctaCountersPackets = 1
	ctaCountersBytes   = 2

	ctaProtoinfoTCP      = 1
	ctaProtoinfoTCPState = 1

	statusSeenReply = 1 << 1 // IPS_SEEN_REPLY
)

// States of TCP connections (include/uapi/linux/netfilter/nf_conntrack_tcp.h).
const (
	tcpSynSent  = 1
	tcpLastAck  = 6
	tcpTimeWait = 7
	tcpClose    = 8
)

// tuple is one direction of a connection.
type tuple struct {
	proto    uint8
	src, dst netip.AddrPort
}

// entry is a connection that the kernel tracks.
type entry struct {
	orig, reply tuple
	id          uint32 // tells it from an earlier one with the same addresses
	status      uint32
	state       uint8 // of TCP
	counted     bool  // the kernel counts packets and bytes
	// What was sent by the source, and to it.
	packets, bytes           uint64
	replyPackets, replyBytes uint64
}

// messages calls each with the messages in data, which the kernel has sent; done after the last of a dump. It returns what the
// kernel says is wrong.
func messages(data []byte, each func(kind uint16, data []byte)) (done bool, err error) {
	for len(data) >= unix.NLMSG_HDRLEN {
		length, kind := int(binary.NativeEndian.Uint32(data)), binary.NativeEndian.Uint16(data[4:])
		if length < unix.NLMSG_HDRLEN || length > len(data) {
			return false, errors.New("a message from the kernel is damaged")
		}
		body := data[unix.NLMSG_HDRLEN:length]
		switch kind {
		case unix.NLMSG_DONE, unix.NLMSG_ERROR: // both begin with an error number, which is negative
			if len(body) >= 4 {
				if n := int32(binary.NativeEndian.Uint32(body)); n < 0 {
					return true, unix.Errno(-n)
				}
			}
			if kind == unix.NLMSG_DONE {
				return true, nil
			}
		default:
			each(kind, body)
		}
		data = data[min((length+unix.NLMSG_ALIGNTO-1)&^(unix.NLMSG_ALIGNTO-1), len(data)):]
	}
	return false, nil
}

// decode reads a message of ctnetlink; false for one that is damaged or about a protocol without ports.
func decode(data []byte) (e entry, ok bool) {
	if len(data) < headerLength {
		return e, false
	}
	ok = attributes(data[headerLength:], func(kind uint16, value []byte) bool {
		switch kind {
		case ctaTupleOrig:
			return e.orig.decode(value)
		case ctaTupleReply:
			return e.reply.decode(value)
		case ctaStatus:
			e.status = number(value)
		case ctaID:
			e.id = number(value)
		case ctaCountersOrig:
			e.counted = true
			return counters(value, &e.packets, &e.bytes)
		case ctaCountersReply:
			e.counted = true
			return counters(value, &e.replyPackets, &e.replyBytes)
		case ctaProtoinfo:
			return attributes(value, func(kind uint16, value []byte) bool {
				if kind != ctaProtoinfoTCP {
					return true
				}
				return attributes(value, func(kind uint16, value []byte) bool {
					if kind == ctaProtoinfoTCPState && len(value) > 0 {
						e.state = value[0]
					}
					return true
				})
			})
		}
		return true
	})
	return e, ok && e.orig.dst.Port() != 0 && e.reply.src.IsValid() && protocol(e.orig.proto) != ""
}

func (t *tuple) decode(data []byte) bool {
	var src, dst netip.Addr
	var sport, dport uint16
	ok := attributes(data, func(kind uint16, value []byte) bool {
		switch kind {
		case ctaTupleIP:
			return attributes(value, func(kind uint16, value []byte) bool {
				switch kind {
				case ctaIPv4Src, ctaIPv6Src:
					src, _ = netip.AddrFromSlice(value)
				case ctaIPv4Dst, ctaIPv6Dst:
					dst, _ = netip.AddrFromSlice(value)
				}
				return true
			})
		case ctaTupleProto:
			return attributes(value, func(kind uint16, value []byte) bool {
				switch {
				case kind == ctaProtoNum && len(value) > 0:
					t.proto = value[0]
				case kind == ctaProtoSrcPort && len(value) >= 2:
					sport = binary.BigEndian.Uint16(value)
				case kind == ctaProtoDstPort && len(value) >= 2:
					dport = binary.BigEndian.Uint16(value)
				}
				return true
			})
		}
		return true
	})
	t.src, t.dst = netip.AddrPortFrom(src, sport), netip.AddrPortFrom(dst, dport)
	return ok && src.IsValid() && dst.IsValid()
}

func counters(data []byte, packets, bytes *uint64) bool {
	return attributes(data, func(kind uint16, value []byte) bool {
		switch {
		case len(value) < 8:
		case kind == ctaCountersPackets:
			*packets = binary.BigEndian.Uint64(value)
		case kind == ctaCountersBytes:
			*bytes = binary.BigEndian.Uint64(value)
		}
		return true
	})
}

func number(value []byte) uint32 {
	if len(value) < 4 {
		return 0
	}
	return binary.BigEndian.Uint32(value)
}

// attributes calls each with the attributes in data; false if it is damaged, or each returns false.
func attributes(data []byte, each func(kind uint16, value []byte) bool) bool {
	for len(data) >= unix.SizeofNlAttr {
		length := int(binary.NativeEndian.Uint16(data))
		kind := binary.NativeEndian.Uint16(data[2:]) &^ (unix.NLA_F_NESTED | unix.NLA_F_NET_BYTEORDER)
		if length < unix.SizeofNlAttr || length > len(data) {
			return false
		}
		if !each(kind, data[unix.SizeofNlAttr:length]) {
			return false
		}
		data = data[min((length+unix.NLA_ALIGNTO-1)&^(unix.NLA_ALIGNTO-1), len(data)):]
	}
	return true
}

// protocol is the name of one that has ports, "" for others.
func protocol(number uint8) string {
	switch number {
	case unix.IPPROTO_TCP:
		return "TCP"
	case unix.IPPROTO_UDP:
		return "UDP"
	case unix.IPPROTO_SCTP:
		return "SCTP"
	}
	return ""
}
