package server

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/miekg/dns"

	"bonsai/bootstrap/accept"
	"bonsai/bootstrap/cluster"
)

// tcpLimits limit the resources of TCP clients.
type tcpLimits struct {
	// conns are the connections of one listener, clientConns those from one address.
	conns, clientConns int
	// inFlight are the questions of one connection on the slow path.
	inFlight int
	// idle is how long a connection may be silent between questions, message how long one question may take to arrive,
	// write how long the client may take to accept answers.
	idle, message, write time.Duration
}

func defaultTCPLimits() tcpLimits {
	return tcpLimits{
		conns: 1024, clientConns: 128, inFlight: 64,
		idle: 10 * time.Second, message: 3 * time.Second, write: 3 * time.Second,
	}
}

// tcpListener accepts the TCP connections of one listener.
type tcpListener struct {
	listener *listener
	ln       net.Listener
	limits   tcpLimits
	conns    sync.WaitGroup

	mu       sync.Mutex // guards what follows
	stopped  bool
	open     map[*tcpConn]struct{}
	byClient map[netip.Addr]int
}

func newTCPListener(l *listener, ln net.Listener) *tcpListener {
	return &tcpListener{
		listener: l, ln: accept.Patient(ln, l.server.opts.Log), limits: l.server.tcpLimits,
		open: map[*tcpConn]struct{}{}, byClient: map[netip.Addr]int{},
	}
}

// run accepts until stop, and returns when all connections have ended.
func (t *tcpListener) run(ctx context.Context) {
	defer t.conns.Wait()
	for {
		conn, err := t.ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			t.listener.server.opts.Log.Error("no more DNS connections are accepted", "address", t.listener.addr, "err", err)
			return
		}
		t.admit(ctx, conn)
	}
}

// admit serves a connection, or closes it if it is not allowed.
func (t *tcpListener) admit(ctx context.Context, conn net.Conn) {
	client := conn.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap().WithZone("")
	if !t.listener.server.allowed(client) {
		t.listener.drops.foreign.Add(1)
		_ = conn.Close()
		return
	}
	c := &tcpConn{
		tcp: t, conn: conn, client: client, quick: quick{listener: t.listener},
		slots: make(chan struct{}, t.limits.inFlight),
	}
	t.mu.Lock()
	full := len(t.open) >= t.limits.conns || t.byClient[client] >= t.limits.clientConns
	if full || t.stopped {
		t.mu.Unlock()
		t.listener.drops.add(dropClients, 1)
		_ = conn.Close()
		return
	}
	t.open[c] = struct{}{}
	t.byClient[client]++
	t.mu.Unlock()
	t.conns.Go(func() {
		c.serve(ctx)
		t.forget(c)
	})
}

func (t *tcpListener) forget(c *tcpConn) {
	_ = c.conn.Close()
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.open, c)
	if t.byClient[c.client]--; t.byClient[c.client] <= 0 {
		delete(t.byClient, c.client)
	}
}

// stop makes run return: no more connections, and no more questions on existing ones.
func (t *tcpListener) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopped = true
	_ = t.ln.Close()
	for c := range t.open {
		_ = c.conn.SetDeadline(time.Unix(1, 0))
	}
}

func (t *tcpListener) close() { _ = t.ln.Close() }

// tcpConn is one connection. Its questions may arrive at any rate and are answered as soon as the answers are there, in
// any order (RFC 7766).
type tcpConn struct {
	quick
	tcp    *tcpListener
	conn   net.Conn
	client netip.Addr
	// slots has an element for each question on the slow path.
	slots chan struct{}

	writing sync.Mutex // held while something is written to conn
}

// serve reads questions until the client or a limit ends it, and waits for the outstanding answers.
func (c *tcpConn) serve(ctx context.Context) {
	defer func() {
		for range cap(c.slots) {
			c.slots <- struct{}{}
		}
	}()
	in := bufio.NewReaderSize(c.conn, maxQuestion+2)
	var out []byte
	for {
		// A client that sends many questions at once gets the quick answers at once.
		if len(out) > 0 && (!complete(in) || len(out) > maxTCPSize) {
			if !c.write(ctx, out) {
				return
			}
			if out = out[:0]; cap(out) > maxTCPSize {
				out = nil
			}
		}
		msg, err := c.read(ctx, in)
		if err != nil || silent(msg) {
			if err == nil || errors.Is(err, errTooLong) {
				c.tcp.listener.drops.malformed.Add(1)
			}
			return
		}
		from := client{c.client, true, time.Now()}
		var done bool
		if out, done = c.fast(out, msg, from); done {
			continue
		}
		if len(c.slots) == cap(c.slots) && len(out) > 0 { // it may take a while to go on
			if !c.write(ctx, out) {
				return
			}
			out = out[:0]
		}
		if !c.later(ctx, bytes.Clone(msg), from) {
			return
		}
	}
}

// complete reports whether a whole question is in the buffer.
func complete(in *bufio.Reader) bool {
	if in.Buffered() < 2 {
		return false
	}
	head, _ := in.Peek(2) // is buffered
	return in.Buffered() >= 2+int(binary.BigEndian.Uint16(head))
}

var errTooLong = errors.New("question too long")

// read returns the next question; it is valid until the next call.
func (c *tcpConn) read(ctx context.Context, in *bufio.Reader) ([]byte, error) {
	if !complete(in) {
		if in.Buffered() == 0 {
			if err := c.readWithin(ctx, c.tcp.limits.idle); err != nil {
				return nil, err
			}
			if _, err := in.Peek(1); err != nil {
				return nil, err
			}
		}
		if err := c.readWithin(ctx, c.tcp.limits.message); err != nil {
			return nil, err
		}
	}
	head, err := in.Peek(2)
	if err != nil {
		return nil, err
	}
	size := 2 + int(binary.BigEndian.Uint16(head))
	if size > in.Size() {
		return nil, errTooLong
	}
	msg, err := in.Peek(size)
	if err != nil {
		return nil, err
	}
	_, err = in.Discard(size) // leaves msg alone until the next read
	return msg[2:], err
}

// readWithin sets the deadline of the next read, unless the server is stopping: then stop has set it for good, or will.
func (c *tcpConn) readWithin(ctx context.Context, limit time.Duration) error {
	if err := c.conn.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	return ctx.Err()
}

// fast appends the answer to out if it is in memory.
func (c *tcpConn) fast(out, msg []byte, from client) (sum []byte, done bool) {
	l := c.tcp.listener
	start := len(out)
	defer func() {
		if p := recover(); p != nil {
			l.server.panicked(p)
			sum, done = framed(out[:start], failure(nil, msg)), true
		}
	}()
	reply, source, ok := c.answer(append(out, 0, 0), msg, true, from.arrived)
	if !ok {
		return out, false
	}
	size := len(reply) - start - 2
	binary.BigEndian.PutUint16(reply[start:], uint16(size))
	l.slowCounts().add(time.Since(from.arrived), event{
		tcp: true, ipv6: from.addr.Is6(), do: c.q.DO, qtype: c.q.Type, rcode: int(reply[start+2+3] & 0xF),
		source: source, size: len(msg), reply: size,
	})
	if l.watched() {
		l.publish(from, reply[start+2:], source, "")
	}
	return reply, true
}

// later passes a question to the slow path. It waits while the connection has too many questions there, which makes the
// client wait, too. False means that the server is stopping.
func (c *tcpConn) later(ctx context.Context, msg []byte, from client) bool {
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	l := c.tcp.listener
	l.server.slow.submit(job{
		source: from.addr, arrived: from.arrived,
		run: func() {
			defer func() { <-c.slots }()
			if reply := l.handle(ctx, msg, from); reply != nil {
				c.write(ctx, framed(nil, reply))
			}
		},
		// A connection that stays silent would make the client wait for a timeout. Writing may block, which refuse must
		// not; there are never more of these goroutines than slots.
		refuse: func(why dropReason) {
			c.tcp.conns.Go(func() {
				defer func() { <-c.slots }()
				l.drops.add(why, 1)
				l.slowCounts().add(time.Since(from.arrived), event{
					tcp: true, ipv6: from.addr.Is6(), rcode: dns.RcodeRefused, source: cluster.DNSRefused,
					size: len(msg), reply: headerLen,
				})
				c.write(ctx, framed(nil, headerOnly(nil, msg, dns.RcodeRefused)))
			})
		},
	})
	return true
}

// framed appends a message with its length before it.
func framed(dst, msg []byte) []byte {
	return append(binary.BigEndian.AppendUint16(dst, uint16(len(msg))), msg...)
}

// write sends whole messages, but not once the server is stopping. After a failure the connection is unusable and ends.
func (c *tcpConn) write(ctx context.Context, out []byte) bool {
	c.writing.Lock()
	defer c.writing.Unlock()
	_ = c.conn.SetWriteDeadline(time.Now().Add(c.tcp.limits.write))
	if ctx.Err() != nil {
		return false
	}
	if _, err := c.conn.Write(out); err != nil {
		_ = c.conn.Close()
		return false
	}
	return true
}
