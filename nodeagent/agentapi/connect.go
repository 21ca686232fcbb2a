package agentapi

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"syscall"
)

// copyBuffer is large enough that "kubectl cp" of hundreds of megabytes spends its time in TLS and not in system
// calls; a TLS record holds 16 KiB.
const copyBuffer = 64 << 10

// connect handles CONNECT itself and leaves everything else to next. Tunnels end with ctx and not with the context of
// their request, which net/http cancels as soon as the client has nothing more to send.
func (s *Server) connect(ctx context.Context, next http.Handler) http.Handler {
	buffers := &sync.Pool{New: func() any { return new([copyBuffer]byte) }}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			next.ServeHTTP(w, r)
			return
		}
		target, err := s.target(r.Host)
		if err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		dialer := net.Dialer{Timeout: s.cfg.DialTimeout}
		remote, err := dialer.DialContext(r.Context(), "tcp", target.String())
		if err != nil {
			// The status shows the caller that the target failed, and not the connection to this node.
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		// The server no longer tracks connections that are taken over, so serve has to wait for them itself.
		s.tunnels.Add(1)
		defer s.tunnels.Done()
		defer remote.Close()
		client, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		defer client.Close()
		if _, err := io.WriteString(client, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
			return
		}
		splice(ctx, client, buffered.Reader, remote, buffers)
	})
}

// target parses and checks the address of a CONNECT request.
func (s *Server) target(hostport string) (netip.AddrPort, error) {
	t, err := netip.ParseAddrPort(hostport)
	if err != nil {
		return t, fmt.Errorf("CONNECT takes ADDRESS:PORT: %w", err)
	}
	addr := t.Addr().Unmap()
	inside := slices.ContainsFunc(s.cfg.Allowed, func(p netip.Prefix) bool { return p.Contains(addr) })
	if !inside || slices.Contains(s.cfg.Denied, addr) {
		return t, fmt.Errorf("%s is not an address of a pod, Service or node", addr)
	}
	return t, nil
}

// splice copies both ways until both sides have ended, one has failed, or ctx ends. If one direction ends, only that
// end is passed on: the other may still have much to send.
func splice(ctx context.Context, client net.Conn, fromClient *bufio.Reader, remote net.Conn, buffers *sync.Pool) {
	stop := context.AfterFunc(ctx, func() {
		_ = client.Close()
		_ = remote.Close()
	})
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() { pipe(remote, fromClient, client, buffers) })
	wg.Go(func() { pipe(client, remote, remote, buffers) })
	wg.Wait()
}

// pipe copies r, which reads from src, to dst and passes its end on. If either fails, both are closed, so that the
// other direction ends as well.
func pipe(dst net.Conn, r io.Reader, src net.Conn, buffers *sync.Pool) {
	buf := buffers.Get().(*[copyBuffer]byte)
	defer buffers.Put(buf)
	// Hidden behind plain interfaces: the optimisations of net and bufio allocate buffers per copy.
	_, err := io.CopyBuffer(struct{ io.Writer }{dst}, struct{ io.Reader }{r}, buf[:])
	if err == nil {
		err = closeWrite(dst)
	}
	if err != nil {
		_ = dst.Close()
		_ = src.Close()
	}
}

func closeWrite(c net.Conn) error {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return fmt.Errorf("half-close: %w", syscall.ENOTSUP)
}
