// Package ports listens on this machine for a cluster, and forwards what comes to nodes or Services. It runs in the
// cluster's daemon, so that ports come and go without a change to any container.
//
// Begin reading at New and Forwarder.Apply; tcp.go and udp.go have the forwarding.
package ports

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/wait"
)

const (
	// dialLimit bounds the connection to one node: it is a bridge away, or does not run.
	dialLimit = 2 * time.Second
	// again is how often it is tried to listen where that was impossible.
	again = 2 * time.Second
)

// Options are what a Forwarder needs.
type Options struct {
	// Service connects to a port of a Service, NAMESPACE/NAME.
	Service func(ctx context.Context, service string, port int) (net.Conn, error)
	// Use is called before something is forwarded, and returns when the cluster is not paused; done is called when that has ended.
	// Nil: it never is.
	Use   func(ctx context.Context, what string) (done func(), err error)
	Log   *slog.Logger
	Scale wait.Scale
}

// Forwarder keeps the ports of a cluster open until Close. It is safe for concurrent use.
type Forwarder struct {
	o      Options
	ctx    context.Context //nolint:containedctx // the life of the forwarder, for goroutines that outlive the call that starts them
	cancel context.CancelFunc
	nodes  atomic.Pointer[[]cluster.Node]
	work   sync.WaitGroup

	mu   sync.Mutex // guards open and their errors
	open []*forward
}

// New returns a forwarder without ports.
func New(o Options) *Forwarder {
	if o.Use == nil {
		o.Use = func(context.Context, string) (func(), error) { return func() {}, nil }
	}
	f := &Forwarder{o: o}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	f.nodes.Store(&[]cluster.Node{})
	f.work.Go(f.retry)
	return f
}

// forward is one port.
type forward struct {
	f    *Forwarder
	port cluster.Port
	err  error // why it does not listen

	ctx    context.Context //nolint:containedctx // ends with the port
	cancel context.CancelFunc
	stop   func() // stops listening; nil if it does not
	// good is the name of the node that answered last.
	good atomic.Pointer[string]
	used atomic.Int64 // connections, or peers of UDP
	seen atomic.Int64 // connections since it listens
}

// Apply makes the ports those of spec. Connections through those that are gone are closed; others go on. The error names
// new ports on which it is impossible to listen; that is tried again until it succeeds or they are gone.
func (f *Forwarder) Apply(spec cluster.Spec) error {
	nodes := slices.Clone(spec.Nodes)
	f.nodes.Store(&nodes)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open = slices.DeleteFunc(f.open, func(w *forward) bool {
		if slices.Contains(spec.Ports, w.port) {
			return false
		}
		w.close()
		return true
	})
	var errs []error
	for _, p := range spec.Ports {
		if slices.ContainsFunc(f.open, func(w *forward) bool { return w.port == p }) {
			continue
		}
		w := &forward{f: f, port: p}
		w.ctx, w.cancel = context.WithCancel(f.ctx)
		f.open = append(f.open, w)
		if w.err = w.listen(); w.err != nil {
			errs = append(errs, w.err)
		}
	}
	return errors.Join(errs...)
}

// retry listens where that was impossible, when it is possible.
func (f *Forwarder) retry() {
	tick := time.NewTicker(again)
	defer tick.Stop()
	for {
		select {
		case <-f.ctx.Done():
			return
		case <-tick.C:
		}
		f.mu.Lock()
		for _, w := range f.open {
			if w.err == nil {
				continue
			}
			if w.err = w.listen(); w.err == nil {
				f.o.Log.Info("port is free again", "port", w.port.String())
			}
		}
		f.mu.Unlock()
	}
}

// Status returns the ports with what they do.
func (f *Forwarder) Status() []cluster.PortStatus {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := make([]cluster.PortStatus, 0, len(f.open))
	for _, w := range f.open {
		s := cluster.PortStatus{Port: w.port, Open: w.err == nil, Connections: int(w.used.Load()), Served: w.seen.Load()}
		if w.err != nil {
			s.Reason = w.err.Error()
			if cause := errors.Unwrap(w.err); cause != nil { // where it should listen is known
				s.Reason = cause.Error()
			}
		}
		list = append(list, s)
	}
	return list
}

// Close closes all ports and connections, and waits.
func (f *Forwarder) Close() {
	f.cancel()
	f.mu.Lock()
	for _, w := range f.open {
		w.close()
	}
	f.open = nil
	f.mu.Unlock()
	f.work.Wait()
}

func (w *forward) close() {
	w.cancel()
	if w.stop != nil {
		w.stop()
		w.stop = nil
	}
}

// listen opens the port and serves it.
func (w *forward) listen() error {
	var err error
	if w.port.Protocol == cluster.UDP {
		err = w.listenUDP()
	} else {
		err = w.listenTCP()
	}
	if err == nil {
		return nil
	}
	return Fault(w.port, err)
}

// Check returns why it is impossible to listen for a port now, nil if it is possible.
func Check(p cluster.Port) error {
	if p.Protocol == cluster.UDP {
		c, err := net.ListenUDP(network(p), udpAddr(p))
		if err != nil {
			return Fault(p, err)
		}
		return c.Close()
	}
	l, err := net.ListenTCP(network(p), tcpAddr(p))
	if err != nil {
		return Fault(p, err)
	}
	return l.Close()
}

// Fault explains why it is impossible to listen.
func Fault(p cluster.Port, err error) *fault.Fault {
	op := "listen on " + p.Listen()
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		flags := "-ltnp"
		if p.Protocol == cluster.UDP {
			flags = "-lunp"
		}
		return fault.New(fault.Conflict, op, errors.New("another program has the port")).
			Advise("see what has it", cluster.Program("ss", flags)).Advise("or choose another port")
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fault.New(fault.Conflict, op, errors.New("this machine does not have the address")).
			Advise("see its addresses", cluster.Program("ip", "address"))
	case errors.Is(err, fs.ErrPermission):
		return fault.New(fault.Conflict, op, errors.New("this user may not use the port")).Advise("choose one from 1024 on")
	}
	return fault.New(fault.Conflict, op, err)
}

// network is the network of a port's own address family: 0.0.0.0 must not include IPv6.
func network(p cluster.Port) string {
	if p.Address.Unmap().Is4() {
		return p.Protocol + "4"
	}
	return p.Protocol + "6"
}

// candidates are the nodes to try, that which answered last first.
func (w *forward) candidates() []cluster.Node {
	nodes := slices.Clone(*w.f.nodes.Load())
	if w.port.Node != "" {
		return slices.DeleteFunc(nodes, func(n cluster.Node) bool { return n.Name != w.port.Node })
	}
	if good := w.good.Load(); good != nil {
		if i := slices.IndexFunc(nodes, func(n cluster.Node) bool { return n.Name == *good }); i > 0 {
			n := nodes[i]
			nodes = slices.Insert(slices.Delete(nodes, i, i+1), 0, n)
		}
	}
	return nodes
}
