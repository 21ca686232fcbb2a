// Package accept keeps listeners alive. Accepting a connection fails while the process or the machine has no file
// descriptor or memory left, and when a client leaves too early. All of that passes, but a server that takes such an
// error for the end of its listener never answers again, in a process that looks healthy. net/http goes on after some of
// these errors, other servers after none.
//
// Begin reading at Patient. Raising the process's limit of open files needs no code: the Go runtime raises the soft limit
// to the hard one when a program starts, and gives children the original.
package accept

import (
	"errors"
	"log/slog"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"
)

// The pause after a failed accept begins short, for a client that left, and grows while the failure lasts.
const (
	firstPause = 5 * time.Millisecond
	maxPause   = time.Second
)

// lasting are the errors of accept(2) that cannot pass: the socket is not a listening one, or not there. Every other one
// is of a connection that is gone, or of a resource that is short.
var lasting = []error{syscall.EBADF, syscall.EINVAL, syscall.ENOTSOCK, syscall.EFAULT}

// Listener is a net.Listener whose Accept fails only if no later one can succeed.
type Listener struct {
	net.Listener
	log    *slog.Logger
	closed chan struct{}
	close  func() error

	mu      sync.Mutex // guards trouble
	trouble error
}

// Patient wraps l, which belongs to the Listener from then on. log gets a line when accepting begins to fail, and one
// when it works again.
func Patient(l net.Listener, log *slog.Logger) *Listener {
	p := &Listener{Listener: l, log: log, closed: make(chan struct{})}
	p.close = sync.OnceValue(func() error {
		close(p.closed)
		return l.Close()
	})
	return p
}

// Accept returns the next connection. After an error that passes it tries again, in growing intervals, until it
// succeeds or the listener is closed.
func (l *Listener) Accept() (net.Conn, error) {
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		c, err := l.Listener.Accept()
		if err == nil || !passes(err) {
			l.note(nil)
			return c, err
		}
		l.note(err)
		timer := time.NewTimer(pause)
		select {
		case <-l.closed:
			timer.Stop()
			return nil, net.ErrClosed
		case <-timer.C:
		}
	}
}

// Close ends Accept, also one that is pausing. Closing again does nothing and returns the same.
func (l *Listener) Close() error { return l.close() }

// Trouble is why connections are not accepted at the moment; nil if they are.
func (l *Listener) Trouble() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.trouble
}

func (l *Listener) note(err error) {
	l.mu.Lock()
	before := l.trouble
	l.trouble = err
	l.mu.Unlock()
	switch {
	case err != nil && before == nil:
		l.log.Warn("connections cannot be accepted; trying again", "address", l.Addr().String(), "err", err)
	case err == nil && before != nil:
		l.log.Info("connections are accepted again", "address", l.Addr().String())
	}
}

// passes says whether an error of Accept is the kernel's and not a lasting one.
func passes(err error) bool {
	_, ofKernel := errors.AsType[syscall.Errno](err)
	return ofKernel && !slices.ContainsFunc(lasting, func(e error) bool { return errors.Is(err, e) })
}
