package flows

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// attribute makes one attribute of a message, padded.
func attribute(kind uint16, value ...byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(unix.SizeofNlAttr+len(value)))
	b = append(binary.NativeEndian.AppendUint16(b, kind), value...)
	return append(b, make([]byte, -len(b)&(unix.NLA_ALIGNTO-1))...)
}

// nested makes an attribute of others.
func nested(kind uint16, inner ...[]byte) []byte {
	return attribute(kind|unix.NLA_F_NESTED, slices.Concat(inner...)...)
}

// encode makes the body of the message that the kernel makes of a connection.
func encode(e entry) []byte {
	tuple := func(kind uint16, x tuple) []byte {
		return nested(kind,
			nested(ctaTupleIP, attribute(ctaIPv4Src, x.src.Addr().AsSlice()...), attribute(ctaIPv4Dst, x.dst.Addr().AsSlice()...)),
			nested(ctaTupleProto, attribute(ctaProtoNum, x.proto), attribute(ctaProtoSrcPort, big(uint64(x.src.Port()), 2)...),
				attribute(ctaProtoDstPort, big(uint64(x.dst.Port()), 2)...)))
	}
	counters := func(kind uint16, packets, bytes uint64) []byte {
		return nested(kind, attribute(ctaCountersPackets, big(packets, 8)...), attribute(ctaCountersBytes, big(bytes, 8)...))
	}
	body := slices.Concat([]byte{unix.AF_INET, unix.NFNETLINK_V0, 0, 0}, tuple(ctaTupleOrig, e.orig), tuple(ctaTupleReply, e.reply),
		attribute(ctaStatus, big(uint64(e.status), 4)...), attribute(ctaID, big(uint64(e.id), 4)...))
	if e.counted {
		body = slices.Concat(body, counters(ctaCountersOrig, e.packets, e.bytes), counters(ctaCountersReply, e.replyPackets, e.replyBytes))
	}
	return append(body, nested(ctaProtoinfo, nested(ctaProtoinfoTCP, attribute(ctaProtoinfoTCPState, e.state)))...)
}

// message makes one of netlink.
func message(kind uint16, body []byte) []byte {
	b := binary.NativeEndian.AppendUint32(nil, uint32(unix.NLMSG_HDRLEN+len(body)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(append(b, make([]byte, 10)...), body...)
	return append(b, make([]byte, -len(b)&(unix.NLMSG_ALIGNTO-1))...)
}

func TestMessages(t *testing.T) {
	kinds := []uint16{}
	read := func(data ...[]byte) (bool, error) {
		kinds = kinds[:0]
		return messages(slices.Concat(data...), func(kind uint16, _ []byte) { kinds = append(kinds, kind) })
	}
	one := message(msgNew, encode(conn(40000, established, 1, 2)))
	if done, err := read(one, one); done || err != nil || len(kinds) != 2 {
		t.Errorf("%t, %v, %v", done, err, kinds)
	}
	if done, err := read(one, message(unix.NLMSG_DONE, make([]byte, 4))); !done || err != nil || len(kinds) != 1 {
		t.Errorf("the last of a dump: %t, %v, %v", done, err, kinds)
	}
	refused := binary.NativeEndian.AppendUint32(nil, uint32(1<<32-int64(unix.EPERM)))
	for _, kind := range []uint16{unix.NLMSG_ERROR, unix.NLMSG_DONE} {
		if done, err := read(message(kind, refused)); !done || !errors.Is(err, unix.EPERM) {
			t.Errorf("an error by %d: %t, %v", kind, done, err)
		}
	}
	if _, err := read(one[:len(one)-8]); err == nil {
		t.Error("a message that is cut off is taken")
	}
}

func big(n uint64, size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(n >> (8 * (size - 1 - i)))
	}
	return b
}

func TestDecode(t *testing.T) {
	want := conn(40000, established, 1<<40, 77)
	want.replyPackets, want.status = 3, 0x18e
	if got, ok := decode(encode(want)); !ok || got != want {
		t.Errorf("got  %+v, %t\nwant %+v", got, ok, want)
	}
	icmp := want
	icmp.orig.proto = unix.IPPROTO_ICMP
	if _, ok := decode(encode(icmp)); ok {
		t.Error("a protocol without ports is taken")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(encode(conn(1, established, 10, 20)))
	f.Add([]byte{2, 0, 0, 0, 3, 0, 1, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _ = messages(data, func(uint16, []byte) {})
		if e, ok := decode(data); ok && (!e.orig.src.Addr().IsValid() || e.orig.dst.Port() == 0) {
			t.Errorf("%+v", e)
		}
	})
}

// BenchmarkSample is what a sample of 5,000 connections costs, each of which has had traffic, without the kernel's part.
func BenchmarkSample(b *testing.B) {
	var bodies [][]byte
	for i := range 5000 {
		e := conn(uint16(1000+i), established, 100, 100)
		e.orig.src = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 244, 1, byte(i % 100)}), uint16(i))
		bodies = append(bodies, encode(e))
	}
	t := newTable(places)
	b.ReportAllocs()
	for n := range uint64(b.N) {
		for _, m := range bodies {
			e, _ := decode(m)
			e.bytes += n
			t.update(e)
		}
		t.end(time.Time{}, tick)
	}
}
