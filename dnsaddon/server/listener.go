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
	// maxSockets limits the UDP sockets of one address: four readers are faster than everything else in a node.
	maxSockets = 4
	// portTries is how often port 0 is tried, until a port is free for both UDP and TCP.
	portTries = 10
)

// listener is one address that the server listens on, over UDP and TCP.
type listener struct {
	server  *Server
	addr    netip.AddrPort // with the real port once it listens
	cluster bool           // the view: with the cluster's names, or without
	forward Forwarder

	udp []*net.UDPConn
	tcp *tcpListener
	// counts has one element for each UDP socket, and one for everything else.
	counts []*counters
	drops  drops
}

func newListener(s *Server, addr netip.AddrPort, cluster bool) *listener {
	l := &listener{server: s, addr: addr, cluster: cluster, forward: s.opts.Forward}
	if !cluster {
		l.forward = s.opts.NodeForward
	}
	for range min(runtime.GOMAXPROCS(0), maxSockets) + 1 {
		l.counts = append(l.counts, new(counters))
	}
	return l
}

// slowCounts counts what is not answered by a UDP reader itself.
func (l *listener) slowCounts() *counters { return l.counts[len(l.counts)-1] }

// sum adds all counts of the listener to c.
func (l *listener) sum(c *counters) {
	for _, one := range l.counts {
		one.addTo(c)
	}
}

// listen opens all sockets.
func (l *listener) listen(ctx context.Context) error {
	wanted := l.addr
	for try := 1; ; try++ {
		err := l.open(ctx)
		if err == nil {
			return nil
		}
		l.close()
		l.addr = wanted
		if wanted.Port() != 0 || try == portTries || !errors.Is(err, syscall.EADDRINUSE) {
			return err
		}
	}
}

func (l *listener) open(ctx context.Context) error {
	// TCP comes first: its port is not shared, so that a second server on the same address is noticed.
	ln, err := (&net.ListenConfig{}).Listen(ctx, l.network("tcp"), l.addr.String())
	if err != nil {
		return err
	}
	l.tcp = newTCPListener(l, ln)
	l.addr = netip.AddrPortFrom(l.addr.Addr(), ln.Addr().(*net.TCPAddr).AddrPort().Port())
	sharing := net.ListenConfig{Control: reusePort}
	for range len(l.counts) - 1 {
		conn, err := sharing.ListenPacket(ctx, l.network("udp"), l.addr.String())
		if err != nil {
			return err
		}
		udp := conn.(*net.UDPConn)
		growBuffers(udp)
		l.udp = append(l.udp, udp)
	}
	return nil
}

func (l *listener) network(proto string) string {
	if l.addr.Addr().Is4() {
		return proto + "4"
	}
	return proto + "6"
}

// serve answers on its own goroutines until stop.
func (l *listener) serve(ctx context.Context, serving *sync.WaitGroup) {
	for i, conn := range l.udp {
		r := newReader(l, conn, l.counts[i])
		serving.Go(func() { r.run(ctx) })
	}
	serving.Go(func() { l.tcp.run(ctx) })
}

// stop ends what serve started; the sockets can still be written to.
func (l *listener) stop() {
	for _, conn := range l.udp {
		_ = conn.SetReadDeadline(time.Unix(1, 0))
	}
	l.tcp.stop()
}

// close closes everything that is open.
func (l *listener) close() {
	for _, conn := range l.udp {
		_ = conn.Close()
	}
	l.udp = nil
	if l.tcp != nil {
		l.tcp.close()
		l.tcp = nil
	}
}
