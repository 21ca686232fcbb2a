package main

import (
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/routes"
	"bonsai/bootstrap/statedir"
	"bonsai/controlplane/addons/ingressdns"
	"bonsai/dnsaddon/host"
)

// othersFor is how long the list of the user's other clusters is used.
const othersFor = 2 * time.Second

// hostDNS is what the addon ingress-dns needs of this process: the resolver, this machine, and the cluster's folder.
type hostDNS struct {
	state    statedir.Cluster
	resolver *host.Resolver
	now      atomic.Pointer[cluster.HostDNS]

	mu            sync.Mutex // guards the rest
	looked        time.Time
	before, after []netip.AddrPort
}

func newHostDNS(state statedir.Cluster, log *slog.Logger) *hostDNS {
	h := &hostDNS{state: state}
	if port, open := state.HostDNSPort(); open { // a daemon that was killed has left it so, and another program may have the port now
		if err := state.KeepHostDNSPort(port, false); err != nil {
			log.Warn("the port of the resolver may be taken for open", "err", err)
		}
	}
	h.now.Store(&cluster.HostDNS{Reason: "the addon " + cluster.HostDNSAddon + " does not run"})
	h.resolver = host.New(host.Options{Own: cluster.HostDNSOwnDomain(state.Name), Others: h.others, Log: log})
	return h
}

func (h *hostDNS) options() ingressdns.Options {
	return ingressdns.Options{
		Resolver: h.resolver, Reach: reach, Keep: h.state.KeepHostDNSPort,
		Kept: func() int {
			port, _ := h.state.HostDNSPort()
			return port
		},
		Publish: func(now cluster.HostDNS) { h.now.Store(&now) },
	}
}

func (h *hostDNS) status() cluster.HostDNS { return *h.now.Load() }

// reach looks at this machine's interfaces and routes.
func reach(spec cluster.Spec) (r ingressdns.Reach) {
	local, err := net.InterfaceAddrs()
	if err != nil {
		return r
	}
	for _, a := range local {
		if n, ok := a.(*net.IPNet); ok {
			if own, ok := netip.AddrFromSlice(n.IP); ok && spec.Subnet.Contains(own.Unmap()) {
				r.Nodes = true
			}
		}
	}
	if all, err := routes.Read(); err == nil {
		r.Services, r.Pods = routes.Through(all, spec.Subnet, spec.ServiceRange()), routes.Through(all, spec.Subnet, spec.PodRange())
	}
	return r
}

// others are the resolvers of the user's other clusters: one named as a cluster is by default comes first, then all by name.
func (h *hostDNS) others() (before, after []netip.AddrPort) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if time.Since(h.looked) < othersFor {
		return h.before, h.after
	}
	h.before, h.after, h.looked = nil, nil, time.Now()
	names, err := h.state.Names()
	if err != nil {
		return nil, nil
	}
	for _, name := range names {
		other := h.state.Beside(name)
		port, open := other.HostDNSPort()
		if name == h.state.Name || !open || !other.DaemonAlive() {
			continue
		}
		at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(port))
		if name == cluster.DefaultName || h.state.Name != cluster.DefaultName && name < h.state.Name {
			h.before = append(h.before, at)
		} else {
			h.after = append(h.after, at)
		}
	}
	return h.before, h.after
}
