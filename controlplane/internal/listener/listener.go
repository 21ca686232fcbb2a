// Package listener is the API server's entrance: one port on several addresses of this host.
package listener

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"syscall"

	"bonsai/bootstrap/accept"
)

// Listener is one net.Listener over several addresses with one port. It is opened before the server is built, so
// that clients which come early wait in the kernel's queue and are not refused. It goes on after every error of Accept
// that passes.
type Listener struct {
	log    *slog.Logger
	first  *accept.Listener
	conns  chan net.Conn
	done   chan struct{}
	failed chan error
	// slots has an element for each open connection, and room for as many as may be.
	slots chan struct{}
	once  sync.Once
	wg    sync.WaitGroup

	mu   sync.Mutex // guards the fields below
	more map[netip.Addr]*accept.Listener
	open map[net.Conn]struct{}
}

// MostConnections is half of what this process may open: the other half is for etcd and its files, and for the connections
// to nodes and pods that requests lead to. Without such a limit, clients that only keep connections open take the
// descriptors that etcd needs for its files, and it ends the process.
func MostConnections() int {
	var limit syscall.Rlimit // the Go runtime has raised the soft one to the hard one
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return maxSlots
	}
	return int(min(limit.Cur/2, maxSlots))
}

// maxSlots is for machines without a limit. Each connection takes about 40 KB.
const maxSlots = 1 << 16

// Listen opens 127.0.0.1:port, for at most so many connections at a time on all addresses together. Others wait, most of
// them in the kernel's queue; upstream's server closes idle ones after 90 seconds, and those that never send a request after 32.
func Listen(ctx context.Context, port, most int, log *slog.Logger) (*Listener, error) {
	first, err := (&net.ListenConfig{}).Listen(ctx, "tcp4", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return nil, err
	}
	l := &Listener{
		log: log, first: accept.Patient(first, log), conns: make(chan net.Conn), done: make(chan struct{}), failed: make(chan error, 1),
		slots: make(chan struct{}, most),
		more:  map[netip.Addr]*accept.Listener{}, open: map[net.Conn]struct{}{},
	}
	l.wg.Go(func() { l.accept(l.first) })
	return l, nil
}

// At listens at an address of this host, which need not be configured yet: the bridge of the node network is created at
// the same time (IP_FREEBIND, ip(7)).
func At(ctx context.Context, address netip.AddrPort) (net.Listener, error) {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		return errors.Join(c.Control(func(fd uintptr) { err = freebind(int(fd)) }), err)
	}}
	return config.Listen(ctx, "tcp4", address.String())
}

// Add opens the same port on another address of this host, which need not be configured yet. Adding an address twice
// does nothing.
func (l *Listener) Add(ctx context.Context, addr netip.Addr) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.more[addr]; ok {
		return nil
	}
	port := l.first.Addr().(*net.TCPAddr).Port
	socket, err := At(ctx, netip.AddrPortFrom(addr, uint16(port)))
	if err != nil {
		return err
	}
	next := accept.Patient(socket, l.log)
	l.more[addr] = next
	l.wg.Go(func() { l.accept(next) })
	return nil
}

// Failed delivers why no connection will be accepted on one of the addresses any more, although nobody closed the
// Listener. Accept does not return it: upstream's server would panic.
func (l *Listener) Failed() <-chan error { return l.failed }

// Trouble is why connections are not accepted on the loopback address at the moment; nil if they are.
func (l *Listener) Trouble() error {
	if len(l.slots) == cap(l.slots) {
		return fmt.Errorf("clients keep %d connections open, as many as half of this process's limit of open files allows (ulimit -Hn); "+
			"idle ones are closed after 90 s", cap(l.slots))
	}
	return l.first.Trouble()
}

func (l *Listener) accept(from *accept.Listener) {
	for {
		c, err := from.Accept()
		if err != nil {
			select {
			case <-l.done:
			default:
				select {
				case l.failed <- fmt.Errorf("accept connections at %s: %w", from.Addr(), err):
				default: // the first is the cause
				}
			}
			return
		}
		select {
		case l.slots <- struct{}{}:
		case <-l.done:
			_ = c.Close()
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

// Accept returns the next connection of any address, and net.ErrClosed once the Listener is closed.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close stops accepting on all addresses; a second call does nothing. Accepted connections stay open.
func (l *Listener) Close() (err error) {
	l.once.Do(func() {
		close(l.done)
		l.mu.Lock()
		err = l.first.Close()
		for _, next := range l.more {
			err = errors.Join(err, next.Close())
		}
		l.mu.Unlock()
		l.wg.Wait()
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
	_, open := c.l.open[c]
	delete(c.l.open, c)
	c.l.mu.Unlock()
	err := c.Conn.Close()
	if open {
		<-c.l.slots
	}
	return err
}
