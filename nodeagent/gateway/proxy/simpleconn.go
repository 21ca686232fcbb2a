package proxy

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/gatewaytable"
)

const (
	// headBuffer is for what comes from a client; a request whose head is longer is not simple.
	headBuffer = 4 << 10
	// spliceFrom is the rest of a body from which on the kernel passes it on without it being copied.
	spliceFrom = 256 << 10
)

// phase is what a connection is doing.
type phase int

const (
	idle phase = iota
	reading
	exchanging
	ended
)

// simpleConn is a connection of a client while it is simple.
type simpleConn struct {
	conn *net.TCPConn
	of   *simple
	from string // the client's address
	ip   string

	in    [headBuffer]byte
	r, w  int    // what is in it and not done with
	out   []byte // what is written, in one direction or the other
	head  simpleRequest
	req   http.Request // by which the rule is found
	url   url.URL
	agent string
	reply simpleAnswer
	gone  atomic.Bool // the client is

	mu    sync.Mutex // guards the rest
	phase phase
	since time.Time // when the phase began
	// leaving says that no other request may follow.
	leaving bool
	to      *plainConn    // what answers
	watch   chan struct{} // closed when nobody watches the client any more; nil if nobody has begun to
}

func newSimpleConn(s *simple, tcp *net.TCPConn) *simpleConn {
	c := &simpleConn{conn: tcp, of: s, from: tcp.RemoteAddr().String(), since: time.Now()}
	c.ip, _, _ = net.SplitHostPort(c.from)
	c.req = http.Request{ProtoMajor: 1, ProtoMinor: 1, Proto: "HTTP/1.1", URL: &c.url, Header: http.Header{}}
	return c
}

// serve serves requests until the connection ends or is handed over.
func (c *simpleConn) serve() {
	for {
		head, complete := c.next()
		if head == nil && !complete { // its end
			_ = c.conn.Close()
			return
		}
		var x exchange
		if !complete || !c.head.read(head) || !c.route(head, &x) {
			c.handOver()
			return
		}
		switch c.exchange(head, &x) {
		case notSimple:
			c.handOver()
			return
		case last:
			_ = c.conn.Close()
			return
		case again:
			c.r += len(head)
		}
	}
}

// next reads the head of a request. It returns false if there is none: without one if the connection ends, or what there is if it is
// not simple.
func (c *simpleConn) next() (head []byte, complete bool) {
	if c.r == c.w {
		c.r, c.w = 0, 0
	}
	for {
		if n := headLength(c.in[c.r:c.w]); n > 0 {
			return c.in[c.r : c.r+n], true
		}
		if c.r < c.w { // part of one
			if c.r > 0 {
				c.w = copy(c.in[:], c.in[c.r:c.w])
				c.r = 0
			}
			if c.w == len(c.in) || bareLine(c.in[:c.w]) {
				return c.in[:c.w], false
			}
			if !c.begin(reading, time.Now()) {
				return nil, false
			}
		}
		n, err := c.conn.Read(c.in[c.w:])
		if err != nil {
			return nil, false
		}
		c.w += n
	}
}

// route finds the rule and the endpoint of a request. It says false if the answer needs more than passing on what the backend says.
func (c *simpleConn) route(head []byte, x *exchange) bool {
	at := c.of.p.state.Load().ports[c.of.number]
	if at == nil {
		return false
	}
	text := string(head)
	part := func(s span) string { return text[s.from:s.to] }
	c.req.Method, c.req.Host, c.req.RequestURI = part(c.head.method), part(c.head.host), part(c.head.target)
	path, err := url.PathUnescape(part(c.head.path))
	if err != nil {
		return false
	}
	c.url.Path, c.url.RawQuery = path, ""
	if c.head.path.to < c.head.target.to {
		c.url.RawQuery = part(span{c.head.path.to + 1, c.head.target.to})
	}
	clear(c.req.Header)
	if at.byHeader {
		for _, f := range c.head.fields {
			c.req.Header.Add(part(f.name), part(f.value))
		}
	}
	x.port = at.public
	if x.rule, _ = at.find(&c.req, hostOf(&c.req), cleanPath(path)); x.rule == nil || !x.rule.simple {
		return false
	}
	if x.share = x.rule.pick(); x.share == nil || x.share.backend == nil || len(x.share.backend.hosts) == 0 {
		return false
	}
	x.backend = x.share.backend
	if x.backend.Protocol != gatewaytable.HTTP1 || x.backend.transport != nil {
		return false
	}
	x.to, c.agent = x.backend.choose(&c.of.p.down, "", 0), part(c.head.agent)
	return true
}

// outcome is what becomes of a connection after a request.
type outcome int

const (
	again     outcome = iota // another request may follow
	last                     // it ends
	notSimple                // it is handed over, with this request, of which nothing was answered
)

// exchange passes on a request and its answer.
func (c *simpleConn) exchange(head []byte, x *exchange) outcome {
	began := time.Now()
	if !c.begin(exchanging, began) {
		return last
	}
	defer c.unwatch()
	c.out = c.request(c.out[:0], head, x.port)
	for {
		to, reused, err := c.of.p.plain.connect(context.Background(), x.to)
		if err != nil {
			c.of.p.down.note(x.to)
			return notSimple // others may accept it
		}
		rec := answered{}
		if c.use(to) {
			err = c.answer(to, &rec)
		} else {
			err = net.ErrClosed
		}
		if err == nil && rec.keep {
			c.use(nil)
			c.of.p.plain.put(to)
		} else {
			_ = to.Close()
		}
		if err != nil && reused && !rec.began && c.waits() {
			continue // it had been closed while it was idle
		}
		if err != nil && rec.status == 0 {
			rec.status = statusGone
			if c.waits() {
				rec.status = http.StatusBadGateway
				c.of.p.cfg.Log.Debug("a request could not be forwarded", "backend", x.backend.Name, "endpoint", x.to, "err", err)
				c.refuse(&rec, "endpoint "+x.to+" of Service "+x.backend.Name+" does not answer")
			}
		}
		if cap(c.out) > 2*headBuffer {
			c.out = nil // idle connections need little memory
		}
		now := time.Now()
		c.record(x, &rec, began, now)
		if err != nil || !c.begin(idle, now) {
			return last
		}
		return again
	}
}

func (c *simpleConn) record(x *exchange, a *answered, began, now time.Time) {
	if c.of.p.cfg.Access == nil {
		return
	}
	c.of.p.cfg.Access(cluster.GatewayRequest{
		Began: began, Took: now.Sub(began), Client: c.from, Method: c.req.Method, Host: c.req.Host, Path: c.req.RequestURI, Proto: c.req.Proto,
		Status: a.status, Bytes: a.bytes, Endpoint: x.to, Service: x.backend.Name, From: x.rule.From, Agent: c.agent,
	})
}

// request appends what is sent to the backend.
func (c *simpleConn) request(out, head []byte, port uint16) []byte {
	out = append(append(out, c.head.method.of(head)...), ' ')
	out = append(append(out, c.head.target.of(head)...), " HTTP/1.1\r\nHost: "...)
	out = append(append(out, c.head.host.of(head)...), "\r\n"...)
	for _, f := range c.head.fields {
		out = append(out, f.line.of(head)...)
	}
	out = append(append(out, "X-Forwarded-For: "...), c.ip...)
	out = append(append(out, "\r\nX-Real-Ip: "...), c.ip...)
	out = append(append(out, "\r\nX-Forwarded-Host: "...), c.head.host.of(head)...)
	out = append(out, "\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Port: "...)
	out = strconv.AppendUint(out, uint64(port), 10)
	return append(out, "\r\n\r\n"...)
}

// handOver gives the connection to net/http, with what was read of it and is not done with.
func (c *simpleConn) handOver() {
	if !c.begin(ended, time.Time{}) {
		_ = c.conn.Close()
		return
	}
	c.of.forget(c)
	c.of.rest.give(&begun{Conn: c.conn, read: append([]byte(nil), c.in[c.r:c.w]...)})
}

// begin says what the connection does from now on. It is false if the connection was ended.
func (c *simpleConn) begin(what phase, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase == ended || what == idle && c.leaving {
		return false
	}
	if c.phase != what {
		c.phase, c.since = what, now
	}
	return true
}

// use says what answers, nil if nothing does any more. It is false if nobody waits for an answer: the connection was ended, or the
// client has left, before there was something for end and waitForEnd to close.
func (c *simpleConn) use(to *plainConn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.to = to
	return c.waiting()
}

// waits says whether somebody waits for an answer.
func (c *simpleConn) waits() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.waiting()
}

// waiting is waits with c.mu held.
func (c *simpleConn) waiting() bool { return c.phase != ended && !c.gone.Load() }

// end ends the connection, after the request that is being served unless that must not go on either.
func (c *simpleConn) end(always bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leaving = true
	if c.phase == ended || c.phase != idle && !always {
		return
	}
	c.phase = ended
	_ = c.conn.Close()
	if c.to != nil {
		_ = c.to.Close()
	}
}

// look ends the connection if it has done nothing for too long, and watches the client if its answer takes long.
func (c *simpleConn) look(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	took := now.Sub(c.since)
	switch {
	case c.phase == idle && took > idleLimit, c.phase == reading && took > headerLimit:
		c.phase = ended
		_ = c.conn.Close()
	case c.phase == exchanging && took > watchAfter && c.watch == nil:
		c.watch = make(chan struct{})
		go c.waitForEnd(c.watch)
	}
}

// waitForEnd ends the exchange if the client ends the connection. unwatch stops it.
func (c *simpleConn) waitForEnd(done chan<- struct{}) {
	defer close(done)
	raw, err := c.conn.SyscallConn()
	if err != nil {
		return
	}
	var one [1]byte
	var n int
	if raw.Read(func(fd uintptr) bool {
		n, _, err = unix.Recvfrom(int(fd), one[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		return !errors.Is(err, unix.EAGAIN)
	}) != nil || n > 0 { // the next request already
		return
	}
	c.gone.Store(true)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.to != nil {
		_ = c.to.Close()
	}
}

// unwatch is the end of an exchange: nobody but serve reads from the client any more.
func (c *simpleConn) unwatch() {
	c.mu.Lock()
	watch := c.watch
	c.watch, c.to = nil, nil
	c.mu.Unlock()
	if watch != nil {
		_ = c.conn.SetReadDeadline(time.Unix(1, 0))
		<-watch
		_ = c.conn.SetReadDeadline(time.Time{})
	}
}
