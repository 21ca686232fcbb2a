package server

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"syscall"
	"time"
)

const (
	// maxSockets bounds the UDP sockets of one address: more than four readers outrun everything else in a node.
	maxSockets = 4
	// portTries is how often port 0 is tried, until a port is free for both UDP and TCP.
	portTries = 10
)

// front is one address that the server listens at, over UDP and TCP.
type front struct {
	server  *Server
	addr    netip.AddrPort // with the real port once it listens
	cluster bool           // the view: with the cluster's names, or without
	forward Forwarder

	udp []*net.UDPConn
	tcp *tcpFront
	// counts has one element for each UDP socket, and one for all else.
	counts []*counters
	drops  drops
}

func newFront(s *Server, addr netip.AddrPort, cluster bool) *front {
	f := &front{server: s, addr: addr, cluster: cluster, forward: s.opts.Forward}
	if !cluster {
		f.forward = s.opts.NodeForward
	}
	for range min(runtime.GOMAXPROCS(0), maxSockets) + 1 {
		f.counts = append(f.counts, new(counters))
	}
	return f
}

// slowCounts count what is not answered by a UDP reader itself.
func (f *front) slowCounts() *counters { return f.counts[len(f.counts)-1] }

// sum adds all counts of the front to c.
func (f *front) sum(c *counters) {
	for _, one := range f.counts {
		one.addTo(c)
	}
}

// listen opens all sockets.
func (f *front) listen(ctx context.Context) error {
	wanted := f.addr
	for try := 1; ; try++ {
		err := f.open(ctx)
		if err == nil {
			return nil
		}
		f.close()
		f.addr = wanted
		if wanted.Port() != 0 || try == portTries || !errors.Is(err, syscall.EADDRINUSE) {
			return err
		}
	}
}

func (f *front) open(ctx context.Context) error {
	// TCP comes first: its port is not shared, so that a second server on the same address is noticed.
	ln, err := (&net.ListenConfig{}).Listen(ctx, f.network("tcp"), f.addr.String())
	if err != nil {
		return err
	}
	f.tcp = newTCPFront(f, ln)
	f.addr = netip.AddrPortFrom(f.addr.Addr(), ln.Addr().(*net.TCPAddr).AddrPort().Port())
	sharing := net.ListenConfig{Control: reusePort}
	for range len(f.counts) - 1 {
		conn, err := sharing.ListenPacket(ctx, f.network("udp"), f.addr.String())
		if err != nil {
			return err
		}
		udp := conn.(*net.UDPConn)
		growBuffers(udp)
		f.udp = append(f.udp, udp)
	}
	return nil
}

func (f *front) network(proto string) string {
	if f.addr.Addr().Is4() {
		return proto + "4"
	}
	return proto + "6"
}

// serve answers on goroutines of their own until stop.
func (f *front) serve(ctx context.Context, serving *sync.WaitGroup) {
	for i, conn := range f.udp {
		r := newReader(f, conn, f.counts[i])
		serving.Go(func() { r.run(ctx) })
	}
	serving.Go(func() { f.tcp.run(ctx) })
}

// stop makes what serve began end; the sockets can still be written to.
func (f *front) stop() {
	for _, conn := range f.udp {
		_ = conn.SetReadDeadline(time.Unix(1, 0))
	}
	f.tcp.stop()
}

// close closes what is open.
func (f *front) close() {
	for _, conn := range f.udp {
		_ = conn.Close()
	}
	f.udp = nil
	if f.tcp != nil {
		f.tcp.close()
		f.tcp = nil
	}
}
