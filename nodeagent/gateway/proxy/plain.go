package proxy

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"bonsai/bootstrap/gatewaytable"
)

const (
	// maxResponseHeader bounds the header of an answer, as http.Transport does by default.
	maxResponseHeader = 10 << 20
	// mostInformational is how many answers may come before the final one.
	mostInformational = 5
)

// plain sends requests that have no body over HTTP/1.1, in the goroutine of whoever asks. It does for these what http.Transport
// does, which has two more goroutines for each connection: handing a request to one of them and its answer back takes as long as
// all the rest together.
type plain struct {
	mu sync.Mutex // guards the rest
	// idle are the connections to an endpoint that are not in use, the one that was used last at the end.
	idle map[string][]*plainConn
	reap *time.Timer // nil while there is nothing to close
}

func newPlain() *plain { return &plain{idle: map[string][]*plainConn{}} }

// takes reports whether it can send a request. A connection that was idle may end before its server reads from it, and the request
// has to be sent again: only those are taken that mean the same twice.
func (*plain) takes(req *http.Request, to gatewaytable.Protocol) bool {
	if to != gatewaytable.HTTP1 || req.Body != nil && req.Body != http.NoBody || req.ContentLength != 0 || len(req.TransferEncoding) > 0 || len(req.Trailer) > 0 {
		return false
	}
	if req.Method != http.MethodGet && req.Method != http.MethodHead && req.Method != http.MethodOptions {
		return false
	}
	return req.Header["Upgrade"] == nil && req.Header["Expect"] == nil
}

// RoundTrip implements http.RoundTripper.
func (p *plain) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	for {
		c, reused, err := p.connect(ctx, req.URL.Host)
		if err != nil {
			return nil, err
		}
		resp, began, err := c.exchange(req)
		if err == nil {
			return resp, nil
		}
		_ = c.Close()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if !reused || began {
			return nil, err
		}
		// It had been closed while it was idle.
	}
}

// connect returns a connection to an endpoint. One that was in use before may end before its server reads from it.
func (p *plain) connect(ctx context.Context, host string) (c *plainConn, reused bool, err error) {
	for c = p.get(host); c != nil; c = p.get(host) {
		if c.quiet() {
			return c, true, nil
		}
		_ = c.Close()
	}
	conn, err := dial(ctx, "tcp", host)
	if err != nil {
		return nil, false, err
	}
	return newPlainConn(p, host, conn), false, nil
}

// quiet says whether nothing has arrived on an idle connection: neither its end, nor an answer that nobody has asked for, such as
// the body of an answer to HEAD, which would be taken for the next request's.
func (c *plainConn) quiet() bool {
	conn, ok := c.Conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return false
	}
	var one [1]byte
	if failed := raw.Read(func(fd uintptr) bool {
		_, _, err = unix.Recvfrom(int(fd), one[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		return true
	}); failed != nil {
		return false
	}
	return errors.Is(err, unix.EAGAIN)
}

// get returns an idle connection, nil if there is none.
func (p *plain) get(host string) *plainConn {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.idle[host]
	if len(list) == 0 {
		return nil
	}
	c := list[len(list)-1]
	if time.Since(c.since) > keepIdle { // and so are those before it
		p.drop(host, len(list))
		return nil
	}
	list[len(list)-1] = nil
	p.idle[host] = list[:len(list)-1]
	return c
}

// drop closes the first n idle connections to an endpoint. p.mu is held.
func (p *plain) drop(host string, n int) {
	list := p.idle[host]
	for _, c := range list[:n] {
		_ = c.Close()
	}
	if n == len(list) {
		delete(p.idle, host)
		return
	}
	p.idle[host] = append([]*plainConn(nil), list[n:]...)
}

// put keeps a connection for the next request.
func (p *plain) put(c *plainConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.since = time.Now()
	if len(p.idle[c.host]) >= idlePerEndpoint {
		p.drop(c.host, 1)
	}
	p.idle[c.host] = append(p.idle[c.host], c)
	if p.reap == nil {
		p.reap = time.AfterFunc(keepIdle, p.closeOld)
	}
}

// closeOld closes what has been idle for too long.
func (p *plain) closeOld() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reap = nil
	for host, list := range p.idle {
		old := 0
		for old < len(list) && time.Since(list[old].since) >= keepIdle {
			old++
		}
		p.drop(host, old)
	}
	if len(p.idle) > 0 {
		p.reap = time.AfterFunc(keepIdle, p.closeOld)
	}
}

// close closes all idle connections.
func (p *plain) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for host, list := range p.idle {
		p.drop(host, len(list))
	}
	if p.reap != nil {
		p.reap.Stop()
		p.reap = nil
	}
}

// plainConn is a connection to an endpoint, which one request has at a time.
type plainConn struct {
	net.Conn
	pool  *plain
	host  string
	in    *bufio.Reader
	out   *bufio.Writer
	left  int64 // how much may be read before the end of a header; negative: anything
	since time.Time
}

func newPlainConn(p *plain, host string, conn net.Conn) *plainConn {
	c := &plainConn{Conn: conn, pool: p, host: host, left: -1}
	c.in, c.out = bufio.NewReader(c), bufio.NewWriter(conn)
	return c
}

var errHeaderTooLarge = errors.New("the header of the answer is too large")

// Read implements io.Reader, for in.
func (c *plainConn) Read(b []byte) (int, error) {
	if c.left == 0 {
		return 0, errHeaderTooLarge
	}
	if c.left > 0 && int64(len(b)) > c.left {
		b = b[:c.left]
	}
	n, err := c.Conn.Read(b)
	if c.left > 0 {
		c.left -= int64(n)
	}
	return n, err
}

// exchange sends a request and reads the header of its answer. began says that some of an answer has come. If it fails, the caller
// closes the connection; otherwise the end of the body gives it back.
func (c *plainConn) exchange(req *http.Request) (resp *http.Response, began bool, err error) {
	stop := context.AfterFunc(req.Context(), func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer func() {
		if err != nil {
			stop()
		}
	}()
	if err := req.Write(c.out); err != nil {
		return nil, false, err
	}
	if err := c.out.Flush(); err != nil {
		return nil, false, err
	}
	c.left = maxResponseHeader
	if _, err := c.in.Peek(1); err != nil {
		return nil, false, err
	}
	for informational := 0; ; informational++ {
		if resp, err = http.ReadResponse(c.in, req); err != nil {
			return nil, true, err
		}
		if resp.StatusCode >= http.StatusOK || resp.StatusCode == http.StatusSwitchingProtocols {
			break
		}
		if informational == mostInformational {
			return nil, true, errors.New("too many informational answers")
		}
		if trace := httptrace.ContextClientTrace(req.Context()); trace != nil && trace.Got1xxResponse != nil {
			if err := trace.Got1xxResponse(resp.StatusCode, textproto.MIMEHeader(resp.Header)); err != nil {
				return nil, true, err
			}
		}
	}
	c.left = -1
	body := &plainBody{of: resp.Body, conn: c, stop: stop, keep: !resp.Close && resp.StatusCode != http.StatusSwitchingProtocols}
	if resp.Body == http.NoBody || resp.ContentLength == 0 {
		body.end(true)
		resp.Body = http.NoBody
		return resp, true, nil
	}
	resp.Body = body
	return resp, true, nil
}

// peekHead waits for the head of an answer and returns it, nil if it is longer than what is read at once, or not one that has to be
// waited for in this way. It stays unread.
func (c *plainConn) peekHead() ([]byte, error) {
	for have := 0; ; {
		if _, err := c.in.Peek(have + 1); err != nil {
			return nil, err
		}
		have = c.in.Buffered()
		read, err := c.in.Peek(have)
		if err != nil {
			return nil, err
		}
		if n := headLength(read); n > 0 {
			return read[:n], nil
		}
		if have == c.in.Size() || bareLine(read) || !bytes.HasPrefix(read, []byte("HTTP/")) {
			return nil, nil
		}
	}
}

// plainBody is the body of an answer. One goroutine reads it.
type plainBody struct {
	of   io.ReadCloser
	conn *plainConn
	stop func() bool
	keep bool // the connection may be used again after the end
	done bool
}

// Read implements io.Reader.
func (b *plainBody) Read(to []byte) (int, error) {
	if b.done {
		return 0, io.EOF
	}
	n, err := b.of.Read(to)
	if err != nil {
		b.end(err == io.EOF) // the end itself, as a body says it
	}
	return n, err
}

// Close implements io.Closer. What has not been read is not waited for.
func (b *plainBody) Close() error {
	b.end(false)
	return nil
}

// end gives the connection back if everything was read, and closes it otherwise.
func (b *plainBody) end(whole bool) {
	if b.done {
		return
	}
	b.done = true
	if undisturbed := b.stop(); undisturbed && whole && b.keep && b.conn.in.Buffered() == 0 {
		b.conn.pool.put(b.conn)
		return
	}
	_ = b.conn.Close()
}
