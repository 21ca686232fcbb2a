package ports

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"bonsai/bootstrap/cluster"
)

const (
	// peerIdle is how long a peer may be silent before it is forgotten; the kernel's own tables are as patient.
	peerIdle = 2 * time.Minute
	// maxPeers bounds the sockets of one port: any machine of the network may send, if the address lets it.
	maxPeers = 1024
	// maxDatagram is the largest one that UDP has.
	maxDatagram = 64 << 10
)

func udpAddr(p cluster.Port) *net.UDPAddr {
	return net.UDPAddrFromAddrPort(netip.AddrPortFrom(p.Address, uint16(p.Port)))
}

// relay is an open UDP port with its peers, each of which has a socket of its own towards the cluster.
type relay struct {
	w    *forward
	here *net.UDPConn

	mu    sync.Mutex // guards peers
	peers map[netip.AddrPort]*net.UDPConn
	// next is the node that new peers get, of the candidates.
	next int
}

func (w *forward) listenUDP() error {
	c, err := net.ListenUDP(network(w.port), udpAddr(w.port))
	if err != nil {
		return err
	}
	r := &relay{w: w, here: c, peers: map[netip.AddrPort]*net.UDPConn{}}
	w.stop = func() { _ = c.Close() }
	w.f.work.Go(r.read)
	return nil
}

// read forwards what peers send until the port is closed.
func (r *relay) read() {
	defer r.closeAll()
	buf := make([]byte, maxDatagram)
	for {
		n, peer, err := r.here.ReadFromUDPAddrPort(buf)
		switch {
		case errors.Is(err, net.ErrClosed) || r.w.ctx.Err() != nil:
			return
		case err != nil: // of a single datagram
			continue
		}
		r.forward(peer, buf[:n])
	}
}

// forward sends one datagram of a peer.
func (r *relay) forward(peer netip.AddrPort, datagram []byte) {
	done, err := r.w.f.o.Use(r.w.ctx, "a datagram to "+r.w.port.Listen())
	if err != nil {
		return
	}
	defer done()
	to := r.socketOf(peer)
	if to == nil {
		return
	}
	_ = to.SetReadDeadline(time.Now().Add(peerIdle))
	if _, err := to.Write(datagram); err != nil {
		r.forget(peer, to, true)
	}
}

// socketOf is the socket of a peer towards the cluster; nil if there is none, and the datagram is lost as UDP's may be.
func (r *relay) socketOf(peer netip.AddrPort) *net.UDPConn {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c, ok := r.peers[peer]; ok {
		return c
	}
	nodes := r.w.candidates()
	if len(nodes) == 0 || len(r.peers) >= maxPeers {
		return nil
	}
	n := nodes[r.next%len(nodes)]
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(n.IP, uint16(r.w.port.Target))))
	if err != nil {
		r.next++
		return nil
	}
	r.peers[peer] = c
	r.w.used.Add(1)
	r.w.seen.Add(1)
	r.w.f.work.Go(func() { r.answer(peer, c) })
	return c
}

// answer forwards what the cluster sends to a peer, until the peer has been silent for long.
func (r *relay) answer(peer netip.AddrPort, from *net.UDPConn) {
	stop := context.AfterFunc(r.w.ctx, func() { _ = from.Close() })
	defer stop()
	buf := make([]byte, maxDatagram)
	for {
		n, err := from.Read(buf)
		if err != nil { // silence, the end, or a node at which nobody listens
			timeout, ok := errors.AsType[net.Error](err)
			r.forget(peer, from, !ok || !timeout.Timeout())
			return
		}
		_ = from.SetReadDeadline(time.Now().Add(peerIdle))
		if _, err := r.here.WriteToUDPAddrPort(buf[:n], peer); errors.Is(err, net.ErrClosed) {
			r.forget(peer, from, false)
			return
		}
	}
}

// forget drops a peer's socket. After a failure new sockets are of the next node.
func (r *relay) forget(peer netip.AddrPort, c *net.UDPConn, failed bool) {
	_ = c.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.peers[peer] != c {
		return
	}
	delete(r.peers, peer)
	r.w.used.Add(-1)
	if failed {
		r.next++
	}
}

func (r *relay) closeAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for peer, c := range r.peers {
		_ = c.Close()
		delete(r.peers, peer)
		r.w.used.Add(-1)
	}
}
