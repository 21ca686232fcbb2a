package names

import (
	"bufio"
	"context"
	"crypto/tls"
	"net"
	"sync"
	"time"
)

// The first byte of a connection says what is spoken. No request of HTTP begins with one of these.
const (
	socksVersion = 5  // of SOCKS5 (RFC 1928)
	tlsHandshake = 22 // the type of the first record of TLS (RFC 8446, section 5.1)
)

// opened is a connection of which the first byte was looked at.
type opened struct {
	net.Conn
	first *bufio.Reader
	// stranger is why whoever has it may not use the names, nil if they may.
	stranger error
}

func (c *opened) Read(p []byte) (int, error) { return c.first.Read(p) }

// openedOf is what a connection of an http.Server is, below TLS if it has that.
func openedOf(c net.Conn) *opened {
	if secure, ok := c.(*tls.Conn); ok {
		c = secure.NetConn()
	}
	o, _ := c.(*opened)
	return o
}

// CloseWrite passes half-closing on.
func (c *opened) CloseWrite() error { return c.Conn.(interface{ CloseWrite() error }).CloseWrite() }

// dispatch takes the connections of a listener apart: those of SOCKS5 go to socks, all others to Accept, those of TLS decrypted. It
// is the listener of an http.Server, which shakes hands.
type dispatch struct {
	net.Listener
	socks  func(ctx context.Context, c *opened)
	tls    *tls.Config
	mayUse func(net.Conn) error
	limit  time.Duration   // for the first byte
	ctx    context.Context //nolint:containedctx // the life of the connections that are not accepted yet
	cancel context.CancelFunc
	ready  chan net.Conn
	work   sync.WaitGroup
}

func newDispatch(l net.Listener, limit time.Duration, mayUse func(net.Conn) error, secure *tls.Config, socks func(context.Context, *opened)) *dispatch {
	d := &dispatch{Listener: l, socks: socks, tls: secure, mayUse: mayUse, limit: limit, ready: make(chan net.Conn)}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	d.work.Go(d.run)
	return d
}

// run accepts until the listener is closed.
func (d *dispatch) run() {
	defer d.cancel()
	for {
		c, err := d.Listener.Accept()
		if err != nil {
			return
		}
		d.work.Go(func() { d.open(c) })
	}
}

// open looks at the first byte of a connection, and passes it on.
func (d *dispatch) open(c net.Conn) {
	o := &opened{Conn: c, first: bufio.NewReader(c), stranger: d.mayUse(c)}
	stop := context.AfterFunc(d.ctx, func() { _ = c.Close() })
	defer stop()
	_ = c.SetReadDeadline(time.Now().Add(d.limit))
	first, err := o.first.Peek(1)
	if err != nil {
		_ = c.Close()
		return
	}
	_ = c.SetReadDeadline(time.Time{})
	var ready net.Conn = o
	switch first[0] {
	case socksVersion:
		d.socks(d.ctx, o)
		return
	case tlsHandshake:
		ready = tls.Server(o, d.tls)
	}
	select {
	case d.ready <- ready:
	case <-d.ctx.Done():
		_ = c.Close()
	}
}

// Accept implements net.Listener.
func (d *dispatch) Accept() (net.Conn, error) {
	select {
	case c := <-d.ready:
		return c, nil
	case <-d.ctx.Done():
		return nil, net.ErrClosed
	}
}

// Close closes the listener and the connections that were not accepted from it, those of SOCKS5 included, and waits.
func (d *dispatch) Close() error {
	err := d.Listener.Close()
	d.cancel()
	d.work.Wait()
	return err
}
