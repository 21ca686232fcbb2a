// Package podnet is the pod network of one node: the CNI configuration that gives pods their addresses, a route to
// each other node's pods, and the masquerading of what leaves the cluster.
//
// All nodes share one bridge, so plain routes are enough; there is no overlay. The first state comes from the static
// plan, so a node is ready before the API server answers; later ones follow the Node objects. Everything that is
// flushed by others is restored. Begin reading at Network.
package podnet

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"bonsai/bootstrap/cluster"
)

// repairEvery is how often masquerading is compared with what it should be. Routes are watched, which costs nothing;
// they are compared as well, in case a notification gets lost.
const repairEvery = 3 * time.Second

// Config holds the settings of the network.
type Config struct {
	NodeName    string
	NodeIP      netip.Addr
	PodCIDR     netip.Prefix // this node's share
	ClusterCIDR netip.Prefix // all pods
	Peers       []cluster.Node
	// CNIConfig is the file that containerd waits for.
	CNIConfig string
}

// State is what the agent reports about the network.
type State struct {
	Interface string `json:"interface"`
	MTU       int    `json:"mtu"`
	// Peers are the nodes to which there are routes.
	Peers []Peer `json:"peers"`
	// Repairs counts how often routes or masquerading had to be restored.
	Repairs int    `json:"repairs"`
	Error   string `json:"error,omitempty"`
}

// Network maintains the pod network. Call Setup first, then Run.
type Network struct {
	cfg  Config
	log  *slog.Logger
	link netlink.Link
	masq masquerade

	peers peerSet
	kick  chan struct{} // capacity 1: something changed, compare again

	mu    sync.Mutex // guards state
	state State
}

// New only stores the plan; it changes nothing yet.
func New(cfg Config, log *slog.Logger) *Network {
	return &Network{cfg: cfg, log: log.With("component", "podnet"), peers: newPeerSet(cfg.Peers), kick: make(chan struct{}, 1)}
}

// Setup writes the CNI configuration and creates routes and masquerading of the static plan. It needs only the node's
// interface.
func (n *Network) Setup(ctx context.Context) error {
	if err := n.useInterface(); err != nil {
		return err
	}
	var err error
	if n.masq, err = newMasquerade(n.cfg.PodCIDR, n.cfg.ClusterCIDR); err != nil {
		return err
	}
	_, err = n.reconcile(ctx)
	return err
}

// useInterface finds the node's interface and makes the network one on it.
func (n *Network) useInterface() error {
	link, err := linkWithAddress(n.cfg.NodeIP)
	if err != nil {
		return err
	}
	attrs := link.Attrs()
	if err := writeCNIConfig(n.cfg.CNIConfig, n.cfg.PodCIDR, attrs.MTU); err != nil {
		return err
	}
	n.link = link
	n.update(func(s *State) { s.Interface, s.MTU = attrs.Name, attrs.MTU })
	return nil
}

// Run maintains routes and masquerading until ctx ends.
func (n *Network) Run(ctx context.Context) {
	done := make(chan struct{})
	defer close(done)
	updates := make(chan netlink.RouteUpdate, 64)
	if err := netlink.RouteSubscribe(updates, done); err != nil {
		n.log.Warn("routes cannot be watched; they are only compared periodically", "cause", err)
		updates = nil
	}
	ticker := time.NewTicker(repairEvery)
	defer ticker.Stop()
	for {
		repair := true
		select {
		case <-ctx.Done():
			go drain(updates) // until the subscription, which may be sending, sees that done is closed
			return
		case u, ok := <-updates:
			if !ok { // the socket was overrun or closed
				updates = nil
				continue
			}
			if u.Type != unix.RTM_DELROUTE || u.Protocol != routeProtocol {
				continue
			}
		case <-ticker.C:
			for _, name := range n.peers.expire(time.Now()) {
				n.log.Info("node left the cluster", "node", name)
				repair = false
			}
		case <-n.kick:
			repair = false
		}
		changed, err := n.reconcile(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			n.log.Warn("pod network could not be repaired", "cause", err)
			n.update(func(s *State) { s.Error = err.Error() })
		case err == nil:
			n.update(func(s *State) {
				s.Error = ""
				if changed && repair {
					s.Repairs++
				}
			})
			if changed && repair {
				n.log.Warn("pod network was changed from outside and has been repaired")
			}
		}
	}
}

func drain(updates <-chan netlink.RouteUpdate) {
	for range updates {
	}
}

// State returns the latest observation.
func (n *Network) State() State {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.state
}

func (n *Network) update(change func(*State)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change(&n.state)
}

// reconcile corrects routes and masquerading and reports whether something had to be changed.
func (n *Network) reconcile(ctx context.Context) (changed bool, err error) {
	peers := n.peers.list()
	routes, err := reconcileRoutes(n.link, peers, n.cfg.ClusterCIDR)
	if err != nil {
		// If the container was disconnected from its network and connected again, another interface has its address.
		before := n.link.Attrs().Index
		if err := n.useInterface(); err != nil {
			return false, err
		}
		if n.link.Attrs().Index == before {
			return routes, err
		}
		if routes, err = reconcileRoutes(n.link, peers, n.cfg.ClusterCIDR); err != nil {
			return routes, err
		}
	}
	nodes := []netip.Addr{n.cfg.NodeIP}
	for _, p := range peers {
		nodes = append(nodes, p.IP)
	}
	rules, err := n.masq.reconcile(ctx, nodes)
	n.update(func(s *State) { s.Peers = peers })
	return routes || rules, err
}

// linkWithAddress finds the interface of the cluster's network by its address: engines do not promise an order.
func linkWithAddress(ip netip.Addr) (netlink.Link, error) {
	addrs, err := netlink.AddrList(nil, netlink.FAMILY_V4)
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	for _, a := range addrs {
		if a.IP.Equal(net.IP(ip.AsSlice())) {
			return netlink.LinkByIndex(a.LinkIndex)
		}
	}
	return nil, fmt.Errorf("no interface has the node's planned address %s", ip)
}
