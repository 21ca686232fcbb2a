// Package tunnel connects the API server with addresses inside the cluster without any route on the host: kubelets are
// dialled at their node's address, pods and Services through HTTP CONNECT on a node's agent.
//
// A Service address works only inside a node, where kube-proxy translates it; a pod address is best reached through the
// node that holds its CIDR, but any other node has a route too.
package tunnel

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/wait"
)

// perNode bounds one attempt through one node, so that a dead one does not use up the caller's whole time.
const perNode = 5 * time.Second

// Dialer dials into the cluster. It is safe for concurrent use.
type Dialer struct {
	tls   *tls.Config
	scale wait.Scale
	// pods and services are the ranges that exist only inside nodes.
	pods, services netip.Prefix
	nodes          atomic.Pointer[[]cluster.Node]
	next           atomic.Uint32
}

// New returns a dialer that presents cfg's certificate to the agents. scale multiplies its time limits.
func New(cfg *tls.Config, spec cluster.Spec, scale wait.Scale) *Dialer {
	d := &Dialer{tls: cfg, scale: scale, pods: spec.PodRange(), services: spec.ServiceRange()}
	d.SetNodes(spec.Nodes)
	return d
}

// SetNodes replaces the nodes that can be dialled through.
func (d *Dialer) SetNodes(nodes []cluster.Node) {
	nodes = slices.Clone(nodes)
	d.nodes.Store(&nodes)
}

// DialInside is DialContext for addresses of the cluster only: of pods, Services and nodes.
func (d *Dialer) DialInside(ctx context.Context, network, address string) (net.Conn, error) {
	target, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", address, err)
	}
	if !d.inside(target.Addr().Unmap()) {
		return nil, fmt.Errorf("dial %s: it is not an address of a pod, Service or node", address)
	}
	return d.DialContext(ctx, network, netip.AddrPortFrom(target.Addr().Unmap(), target.Port()).String())
}

func (d *Dialer) inside(addr netip.Addr) bool {
	return d.pods.Contains(addr) || d.services.Contains(addr) ||
		slices.ContainsFunc(*d.nodes.Load(), func(n cluster.Node) bool { return n.IP == addr })
}

// DialContext connects to a node, pod or Service address. Anything else is dialled directly.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	var direct net.Dialer
	target, err := netip.ParseAddrPort(address)
	if err != nil {
		return direct.DialContext(ctx, network, address)
	}
	if !d.pods.Contains(target.Addr()) && !d.services.Contains(target.Addr()) {
		return direct.DialContext(ctx, network, address)
	}
	nodes := d.order(target.Addr())
	if len(nodes) == 0 {
		return nil, fmt.Errorf("dial %s: the cluster has no nodes to reach it through", address)
	}
	var errs []error
	for _, n := range nodes {
		c, err := d.through(ctx, n, address)
		if err == nil {
			return c, nil
		}
		errs = append(errs, fmt.Errorf("dial %s through node %s: %w", address, n.Name, err))
		// The node was reached and reports that the address refuses: other nodes would report the same.
		if _, refused := errors.AsType[*targetError](err); refused || ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(errs...)
}

// order puts the node that owns the address first and spreads Service connections over the others.
func (d *Dialer) order(addr netip.Addr) []cluster.Node {
	nodes := slices.Clone(*d.nodes.Load())
	if len(nodes) == 0 {
		return nil
	}
	first := slices.IndexFunc(nodes, func(n cluster.Node) bool { return n.PodCIDR.Contains(addr) })
	if first < 0 {
		first = int(d.next.Add(1)) % len(nodes)
	}
	return append(nodes[first:], nodes[:first]...)
}

// targetError is what the agent reports about the address behind it.
type targetError struct{ answer string }

func (e *targetError) Error() string { return "agent answers " + e.answer }

// Refused says that the node was reached, and that what is behind it does not answer.
func (e *targetError) Refused() bool { return true }

func (d *Dialer) through(ctx context.Context, n cluster.Node, address string) (_ net.Conn, err error) {
	ctx, cancel := d.scale.Limit(ctx, perNode, "the agent of node "+n.Name)
	defer cancel()
	cfg := d.tls.Clone()
	cfg.ServerName = n.Name
	dialer := tls.Dialer{Config: cfg}
	c, err := dialer.DialContext(ctx, "tcp", netip.AddrPortFrom(n.IP, cluster.AgentPort).String())
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = c.Close()
		}
	}()
	// Ends a blocked read or write below when ctx does.
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	if _, err := fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", address, address); err != nil {
		return nil, err
	}
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, &http.Request{Method: http.MethodConnect}) //nolint:bodyclose // of a CONNECT it is the connection itself
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		reason, _ := io.ReadAll(io.LimitReader(resp.Body, 512))
		return nil, &targetError{strings.TrimSpace(resp.Status + " " + string(reason))}
	}
	if !stop() {
		return nil, context.Cause(ctx)
	}
	if r.Buffered() > 0 {
		return &buffered{Conn: c, r: r}, nil
	}
	return c, nil
}

// aliveness detects within seconds that a node has disappeared, for clients that listen to its agent and send nothing;
// by default it takes minutes.
var aliveness = net.KeepAliveConfig{Enable: true, Idle: 3 * time.Second, Interval: time.Second, Count: 3}

// idleLimit is how long a connection to an agent is kept for the next request; whoever watches asks every two seconds.
const idleLimit = 10 * time.Second

// AgentTransport is for HTTP requests to the agent of one node.
func (d *Dialer) AgentTransport(n cluster.Node) *http.Transport {
	cfg := d.tls.Clone()
	cfg.ServerName = n.Name
	return &http.Transport{
		TLSClientConfig: cfg, DialContext: (&net.Dialer{KeepAliveConfig: aliveness}).DialContext, IdleConnTimeout: idleLimit,
	}
}

// buffered returns first what the target sent together with the agent's answer.
type buffered struct {
	net.Conn
	r *bufio.Reader
}

func (b *buffered) Read(p []byte) (int, error) { return b.r.Read(p) }

// CloseWrite passes half-closing on: port-forward and exec streams end with it.
func (b *buffered) CloseWrite() error { return b.Conn.(*tls.Conn).CloseWrite() }
