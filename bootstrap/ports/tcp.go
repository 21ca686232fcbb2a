package ports

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"bonsai/bootstrap/accept"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/splice"
)

func tcpAddr(p cluster.Port) *net.TCPAddr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(p.Address, uint16(p.Port)))
}

func (w *forward) listenTCP() error {
	raw, err := net.ListenTCP(network(w.port), tcpAddr(w.port))
	if err != nil {
		return err
	}
	l := accept.Patient(raw, w.f.o.Log)
	w.stop = func() { _ = l.Close() }
	w.f.work.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // closed
			}
			w.f.work.Go(func() { w.serve(c) })
		}
	})
	return nil
}

// serve forwards one connection until both directions have ended, or the port is closed.
func (w *forward) serve(client net.Conn) {
	defer func() { _ = client.Close() }()
	w.used.Add(1)
	w.seen.Add(1)
	defer w.used.Add(-1)
	done, err := w.f.o.Use(w.ctx, "a connection to "+w.port.Listen())
	var target net.Conn
	if err == nil {
		defer done()
		target, err = w.dial(w.ctx)
	}
	if err != nil {
		// A reset, so that the client does not take it for an answer.
		if c, ok := client.(*net.TCPConn); ok {
			_ = c.SetLinger(0)
		}
		w.f.o.Log.Debug("nothing answers", "port", w.port.String(), "err", err)
		return
	}
	defer func() { _ = target.Close() }()
	splice.Both(w.ctx, client, target)
}

// dial connects to the first node that answers, or to the Service.
func (w *forward) dial(ctx context.Context) (net.Conn, error) {
	if w.port.Service != "" {
		return w.f.o.Service(ctx, w.port.Service, w.port.Target)
	}
	var errs []error
	for _, n := range w.candidates() {
		c, err := w.dialNode(ctx, n)
		if err == nil {
			w.good.Store(&n.Name)
			return c, nil
		}
		errs = append(errs, fmt.Errorf("node %s: %w", n.Name, err))
		if ctx.Err() != nil {
			break
		}
	}
	if len(errs) == 0 {
		return nil, errors.New("the node does not exist")
	}
	return nil, errors.Join(errs...)
}

func (w *forward) dialNode(ctx context.Context, n cluster.Node) (net.Conn, error) {
	ctx, cancel := w.f.o.Scale.Limit(ctx, dialLimit, "node "+n.Name)
	defer cancel()
	return new(net.Dialer).DialContext(ctx, "tcp", netip.AddrPortFrom(n.IP, uint16(w.port.Target)).String())
}
