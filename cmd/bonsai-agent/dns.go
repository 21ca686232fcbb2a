package main

import (
	"log/slog"
	"net/netip"
	"os"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"bonsai/bootstrap/cluster"
	"bonsai/dnsaddon"
	"bonsai/nodeagent"
	"bonsai/nodeagent/hostprep"
)

// hostName is the machine that the nodes run on; the driver writes it into each node's hosts file, because only the
// engine knows the address if it is not the network's gateway.
const hostName = "host.bonsai.internal"

// clusterDNS returns the node's DNS server.
func clusterDNS(cfg cluster.NodeConfig, log *slog.Logger) *dnsaddon.DNS {
	own := hostprep.NewNodeResolvConf()
	return dnsaddon.New(dnsaddon.Config{
		Node: cfg.Node.Name, Zone: cfg.Node.Labels[corev1.LabelTopologyZone], NodeIP: cfg.Node.IP, Domain: cfg.ClusterDomain, API: nodeagent.APIClient(cfg),
		Listen:     []netip.AddrPort{netip.AddrPortFrom(cfg.Node.IP, cluster.DNSPort)},
		NodeListen: []netip.AddrPort{netip.AddrPortFrom(cluster.NodeResolver, 53)},
		Metrics:    netip.AddrPortFrom(cfg.Node.IP, cluster.DNSMetricsPort),
		Allow: []netip.Prefix{
			cfg.PodCIDR, // of all nodes: pods of another node ask here while their own server is down
			cfg.Subnet,  // nodes, and pods on their network
			netip.PrefixFrom(cluster.NodeResolver, cluster.NodeResolver.BitLen()), // the node itself
		},
		// The machine itself is not a part of the cluster: any of its users could ask.
		Except:     cfg.Gateway,
		Reverse:    []netip.Prefix{cfg.PodCIDR, cfg.ServiceCIDR},
		Host:       hostAddress(cfg.Gateway),
		ResolvConf: hostprep.EngineResolvConf,
		Lead: func(here bool, search []string) error {
			if here {
				return own.Follow(cluster.NodeResolver, search)
			}
			return own.Restore()
		},
		Search: cfg.DNSSearch,
		Give: func(domains []string) error {
			return hostprep.WriteResolvConf(cluster.NodeResolver, func([]string) []string { return domains })
		},
		Log: log,
	})
}

// hostAddress is the address in the node's hosts file, or the gateway.
func hostAddress(gateway netip.Addr) netip.Addr {
	hosts, err := os.ReadFile("/etc/hosts")
	if err != nil {
		return gateway
	}
	for line := range strings.Lines(string(hosts)) {
		f := strings.Fields(line)
		if len(f) < 2 || f[1] != hostName {
			continue
		}
		if addr, err := netip.ParseAddr(f[0]); err == nil {
			return addr
		}
	}
	return gateway
}
