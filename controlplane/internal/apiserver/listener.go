package apiserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
)

// Listener is one net.Listener over several addresses with one port. It is opened before the server is built, so
// that clients which come early wait in the kernel's queue and are not refused.
type Listener struct {
	first net.Listener
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
	wg    sync.WaitGroup

	mu    sync.Mutex // guards the fields below
	more  map[netip.Addr]net.Listener
	open  map[net.Conn]struct{}
	fault error
}

// Listen opens 127.0.0.1:port.
func Listen(port int) (*Listener, error) {
	first, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return nil, err
	}
	l := &Listener{
		first: first, conns: make(chan net.Conn), done: make(chan struct{}),
		more: map[netip.Addr]net.Listener{}, open: map[net.Conn]struct{}{},
	}
	l.wg.Go(func() { l.accept(first) })
	return l, nil
}

// Add opens the same port on another address of this host, which need not be configured yet: the bridge of the
// node network is made at the same time (IP_FREEBIND, ip(7)). Adding an address twice is nothing.
func (l *Listener) Add(ctx context.Context, addr netip.Addr) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.more[addr]; ok {
		return nil
	}
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		return errors.Join(c.Control(func(fd uintptr) { err = freebind(int(fd)) }), err)
	}}
	port := l.first.Addr().(*net.TCPAddr).Port
	next, err := config.Listen(ctx, "tcp4", netip.AddrPortFrom(addr, uint16(port)).String())
	if err != nil {
		return err
	}
	l.more[addr] = next
	l.wg.Go(func() { l.accept(next) })
	return nil
}

func (l *Listener) accept(from net.Listener) {
	for {
		c, err := from.Accept()
		if err != nil {
			select {
			case <-l.done:
			default:
				l.mu.Lock()
				l.fault = err
				l.mu.Unlock()
				_ = l.Close()
			}
			return
		}
		tracked := &conn{Conn: c, l: l}
		l.mu.Lock()
		l.open[tracked] = struct{}{}
		l.mu.Unlock()
		select {
		case l.conns <- tracked:
		case <-l.done:
			_ = tracked.Close()
			return
		}
	}
}

// Accept returns the next connection of any address.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.fault != nil {
			return nil, l.fault
		}
		return nil, net.ErrClosed
	}
}

// Close stops accepting on all addresses; a second call does nothing. Accepted connections live on.
func (l *Listener) Close() (err error) {
	l.once.Do(func() {
		close(l.done)
		l.mu.Lock()
		defer l.mu.Unlock()
		err = l.first.Close()
		for _, next := range l.more {
			err = errors.Join(err, next.Close())
		}
	})
	return err
}

// CloseConnections cuts every accepted connection, so that a stopping server need not wait for watches.
func (l *Listener) CloseConnections() {
	l.mu.Lock()
	open := make([]net.Conn, 0, len(l.open))
	for c := range l.open {
		open = append(open, c)
	}
	l.mu.Unlock()
	for _, c := range open {
		_ = c.Close()
	}
}

// Addr is the loopback address.
func (l *Listener) Addr() net.Addr { return l.first.Addr() }

type conn struct {
	net.Conn
	l *Listener
}

func (c *conn) Close() error {
	c.l.mu.Lock()
	delete(c.l.open, c)
	c.l.mu.Unlock()
	return c.Conn.Close()
}
