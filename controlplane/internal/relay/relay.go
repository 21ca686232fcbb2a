// Package relay makes a proxy that listens on this machine's loopback interface only available to the nodes of a cluster,
// at the gateway of their network. Nobody else gets through: other containers can reach that address too.
//
// It copies bytes and does not read them. Begin reading at Relay.
package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"syscall"
	"time"

	"bonsai/bootstrap/accept"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/splice"
	"bonsai/bootstrap/wait"
	"bonsai/controlplane/internal/listener"
)

// dialLimit bounds a connection to the loopback interface.
const dialLimit = 5 * time.Second

// Relay has a listener for each proxy. It is safe for concurrent use.
type Relay struct {
	log   *slog.Logger
	scale wait.Scale

	mu   sync.Mutex // guards open
	open map[string]*line
}

// New returns a Relay without listeners.
func New(log *slog.Logger, scale wait.Scale) *Relay {
	return &Relay{log: log, scale: scale, open: map[string]*line{}}
}

// Serve makes the loopback proxies of spec available to its nodes, and no others. A proxy whose port is taken at the
// gateway listens there itself, as one that listens on all addresses does.
func (r *Relay) Serve(ctx context.Context, spec cluster.Spec) error {
	wanted := map[string]bool{}
	if spec.Gateway.IsValid() {
		for _, address := range spec.Proxy.OnLoopback() {
			wanted[address] = true
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for address, l := range r.open {
		if !wanted[address] {
			l.close()
			delete(r.open, address)
		}
	}
	var errs []error
	for address := range wanted {
		if r.open[address] != nil {
			continue
		}
		l, err := r.listen(ctx, address, spec)
		if errors.Is(err, syscall.EADDRINUSE) {
			r.log.Info("the proxy's port is taken at the gateway, so it is not forwarded there", "port", address, "gateway", spec.Gateway)
			continue
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("forward the proxy at %s to the nodes: %w", address, err))
			continue
		}
		r.open[address] = l
	}
	return errors.Join(errs...)
}

// Close ends all listeners and connections, and waits for that.
func (r *Relay) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for address, l := range r.open {
		l.close()
		delete(r.open, address)
	}
}

func (r *Relay) listen(ctx context.Context, target string, spec cluster.Spec) (*line, error) {
	_, text, err := net.SplitHostPort(target)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return nil, err
	}
	socket, err := listener.At(ctx, netip.AddrPortFrom(spec.Gateway, uint16(port)))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	l := &line{target: target, from: spec.Subnet, scale: r.scale, cancel: cancel, socket: accept.Patient(socket, r.log)}
	l.running.Go(func() { l.serve(ctx) })
	return l, nil
}

// line is one listener and its connections.
type line struct {
	target  string
	from    netip.Prefix
	scale   wait.Scale
	socket  *accept.Listener
	cancel  context.CancelFunc
	running sync.WaitGroup
}

func (l *line) close() {
	l.cancel()
	_ = l.socket.Close()
	l.running.Wait()
}

func (l *line) serve(ctx context.Context) {
	for {
		c, err := l.socket.Accept()
		if err != nil {
			return
		}
		peer, ok := c.RemoteAddr().(*net.TCPAddr)
		if !ok || !l.from.Contains(peer.AddrPort().Addr().Unmap()) {
			_ = c.Close()
			continue
		}
		l.running.Go(func() { l.forward(ctx, c) })
	}
}

// forward copies in both directions until both have ended, or ctx has.
func (l *line) forward(ctx context.Context, client net.Conn) {
	defer func() { _ = client.Close() }()
	limited, cancel := l.scale.Limit(ctx, dialLimit, "the proxy at "+l.target)
	var dialer net.Dialer
	proxy, err := dialer.DialContext(limited, "tcp", l.target)
	cancel()
	if err != nil {
		return // the client's pull says that the connection was closed
	}
	defer func() { _ = proxy.Close() }()
	splice.Both(ctx, client, proxy)
}
