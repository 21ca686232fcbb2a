package watch

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
)

func (f *fakeAPI) start() {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := &pipes{waiting: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: f}
	f.pipes, f.server = p, server
	f.served.Go(func() {
		if err := server.Serve(p); !errors.Is(err, http.ErrServerClosed) {
			f.t.Errorf("serve: %v", err)
		}
	})
}

// stop closes all connections, as a process that is killed does.
func (f *fakeAPI) stop() {
	f.mu.Lock()
	server := f.server
	f.pipes, f.server = nil, nil
	f.mu.Unlock()
	if server != nil {
		server.Close()
	}
	f.served.Wait()
}

func (f *fakeAPI) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	f.mu.Lock()
	p := f.pipes
	f.mu.Unlock()
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	if p == nil {
		return nil, refused
	}
	client, server := net.Pipe()
	select {
	case p.waiting <- server:
		return client, nil
	case <-p.closed:
		return nil, refused
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// pipes is a listener.
type pipes struct {
	waiting chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.waiting:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }
