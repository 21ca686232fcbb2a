package forward

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"time"

	"bonsai/dnsaddon/wire"

	"github.com/miekg/dns"
)

const (
	headerSize = 12
	// readBuffer is larger than the size that we announce to upstreams: some ignore it.
	readBuffer = 4096
)

// errUnexpected is returned by parseReply for messages that do not end the wait.
var errUnexpected = errors.New("not the reply to the question")

// manner is how one question is sent to an upstream; force forbids UDP even if TCP fails.
type manner struct {
	tcp, force    bool
	edns          bool
	limit, expire time.Duration
}

// ask sends one question to u and waits for its reply. The error is a timeout (see isTimeout) if there was none.
func (f *Forwarder) ask(ctx context.Context, u *upstream, q *wire.Query, how manner) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, how.limit)
	defer cancel()
	if how.tcp {
		return f.askTCP(ctx, u, q, how)
	}
	c, err := f.dial(ctx, "udp", u.addr)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	done := limit(ctx, c)
	defer done()
	buf, put := f.buffer()
	defer put()
	id := newID()
	if _, err := c.Write(appendQuestion(buf[:0], id, q, how.edns)); err != nil {
		return nil, err
	}
	for {
		n, err := c.Read(buf)
		if err != nil {
			return nil, err
		}
		if m, err := parseReply(buf[:n], id, q); err == nil {
			return m, nil
		}
		u.stats.strays.Add(1)
	}
}

// askTCP uses an idle connection if there is one. The upstream may just have closed it, so its failure does not count:
// a new connection is tried.
func (f *Forwarder) askTCP(ctx context.Context, u *upstream, q *wire.Query, how manner) (*dns.Msg, error) {
	if c := u.takeIdle(time.Now()); c != nil {
		u.stats.reused.Add(1)
		m, err := f.askOver(ctx, c, u, q, how)
		if err == nil || isTimeout(err) {
			return m, err
		}
	}
	c, err := f.dial(ctx, "tcp", u.addr)
	if err != nil {
		return nil, err
	}
	u.stats.dialed.Add(1)
	return f.askOver(ctx, c, u, q, how)
}

// askOver takes ownership of c: afterwards it is closed, or idle.
func (f *Forwarder) askOver(ctx context.Context, c net.Conn, u *upstream, q *wire.Query, how manner) (_ *dns.Msg, err error) {
	done := limit(ctx, c)
	defer func() {
		if !done() || err != nil {
			_ = c.Close()
			return
		}
		if u.putIdle(c, time.Now().Add(how.expire)) {
			f.poke()
		}
	}()
	id := newID()
	msg := appendQuestion(make([]byte, 2, 512), id, q, how.edns)
	binary.BigEndian.PutUint16(msg, uint16(len(msg)-2))
	if _, err := c.Write(msg); err != nil {
		return nil, err
	}
	for {
		var length [2]byte
		if _, err := io.ReadFull(c, length[:]); err != nil {
			return nil, err
		}
		reply := make([]byte, binary.BigEndian.Uint16(length[:]))
		if _, err := io.ReadFull(c, reply); err != nil {
			return nil, err
		}
		if m, err := parseReply(reply, id, q); err == nil {
			return m, nil
		}
		u.stats.strays.Add(1)
	}
}

// limit ends reads and writes on c when ctx ends. The returned function releases c; false means that it is too late and
// c can no longer be used.
func limit(ctx context.Context, c net.Conn) (done func() bool) {
	return context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
}

// newID is unpredictable; half of the protection against forged replies depends on it, the other half on the port.
func newID() uint16 {
	var b [2]byte
	_, _ = rand.Read(b[:]) // cannot fail
	return binary.BigEndian.Uint16(b[:])
}

// appendQuestion composes the question. The AD bit requests AD in the reply (RFC 6840), for clients that want it.
func appendQuestion(dst []byte, id uint16, q *wire.Query, edns bool) []byte {
	var flags, flags2, additional byte
	if q.RD {
		flags |= 0x01
	}
	if q.CD {
		flags2 |= 0x10
	}
	if edns {
		flags2 |= 0x20
		additional = 1
	}
	dst = append(dst, byte(id>>8), byte(id), flags, flags2, 0, 1, 0, 0, 0, 0, 0, additional)
	dst = append(dst, q.Folded...)
	dst = append(dst, byte(q.Type>>8), byte(q.Type), 0, dns.ClassINET)
	if edns {
		dst = wire.AppendOPT(dst, q.DO)
	}
	return dst
}

// parseReply reads the reply to a question, to the end of its records. A truncated reply may end early.
func parseReply(msg []byte, id uint16, q *wire.Query) (*dns.Msg, error) {
	if len(msg) < headerSize || binary.BigEndian.Uint16(msg) != id || msg[2]&0xF8 != 0x80 {
		return nil, errUnexpected
	}
	truncated, rcode := msg[2]&0x02 != 0, int(msg[3]&0x0F)
	// Servers that do not understand a question may return its header without it (RFC 1035, 4.1.1). Such an error is
	// accepted, because it only leads to asking differently.
	if len(msg) == headerSize && binary.BigEndian.Uint64(msg[4:]) == 0 &&
		(rcode == dns.RcodeFormatError || rcode == dns.RcodeNotImplemented) {
		m := new(dns.Msg)
		return m, m.Unpack(msg)
	}
	end := headerSize + len(q.Folded)
	if binary.BigEndian.Uint16(msg[4:]) != 1 || len(msg) < end+4 ||
		binary.BigEndian.Uint16(msg[end:]) != q.Type || binary.BigEndian.Uint16(msg[end+2:]) != dns.ClassINET {
		return nil, errUnexpected
	}
	for i, c := range q.Folded {
		if lower(msg[headerSize+i]) != c {
			return nil, errUnexpected
		}
	}
	m := new(dns.Msg)
	err := m.Unpack(msg)
	if err == nil && !sound(m, msg) {
		err = errUnexpected
	}
	if err != nil && truncated {
		m.Answer, m.Ns, m.Extra = nil, nil, nil
		return m, nil
	}
	return m, err
}

// sound reports whether all records that the header counts are present, and what was read can be written. The library
// accepts fewer records, and some whose data ends early.
func sound(m *dns.Msg, msg []byte) bool {
	if len(m.Answer) != int(binary.BigEndian.Uint16(msg[6:])) ||
		len(m.Ns) != int(binary.BigEndian.Uint16(msg[8:])) ||
		len(m.Extra) != int(binary.BigEndian.Uint16(msg[10:])) {
		return false
	}
	m.Compress = true
	again, err := m.Pack()
	return err == nil && new(dns.Msg).Unpack(again) == nil
}

// dialDirect connects each UDP socket to one upstream: the system picks a random port and drops packets from others.
func dialDirect(ctx context.Context, network string, addr netip.AddrPort) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, network, addr.String())
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return c, nil
}

// buffer lends memory for one message.
func (f *Forwarder) buffer() (buf []byte, put func()) {
	b, ok := f.buffers.Get().(*[readBuffer]byte)
	if !ok {
		b = new([readBuffer]byte)
	}
	return b[:], func() { f.buffers.Put(b) }
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) ||
		errors.As(err, &ne) && ne.Timeout()
}
