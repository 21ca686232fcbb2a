package hostprep

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
)

// sysctl is one setting of the node's network namespace; none of them affects the host.
type sysctl struct {
	path, value string
	// required: without it no pod has a network.
	required bool
}

var sysctls = []sysctl{
	// Pods' packets are routed through the node.
	{"net/ipv4/ip_forward", "1", true},
	// ptp gives each veth's host side the same gateway address; the node must answer ARP for it on every veth.
	{"net/ipv4/conf/all/arp_ignore", "0", false},
	{"net/ipv4/conf/default/arp_ignore", "0", false},
	// Strict: each pod address has exactly one route back, so a packet from elsewhere is forged.
	{"net/ipv4/conf/all/rp_filter", "1", false},
	{"net/ipv4/conf/default/rp_filter", "1", false},
	// A pod that queries a DNS server while it restarts should get an immediate error. By default the kernel sends each
	// pod only one such error per second; a resolver that hears nothing waits five.
	{"net/ipv4/icmp_ratelimit", "0", false},
	// Connections are counted from their beginning, for "bonsai flow": what was opened before the setting is never counted. It
	// costs two additions for each packet. Absent until connection tracking is loaded.
	{"net/netfilter/nf_conntrack_acct", "1", false},
	// Engines switch IPv6 off in networks that have none; pods still expect ::1. Absent on kernels without IPv6.
	{"net/ipv6/conf/all/disable_ipv6", "0", false},
	{"net/ipv6/conf/default/disable_ipv6", "0", false},
	{"net/ipv6/conf/all/forwarding", "1", false},
}

func setSysctls(root string, log *slog.Logger) error {
	for _, s := range sysctls {
		path := filepath.Join(root, s.path)
		if have, err := os.ReadFile(path); err == nil && strings.TrimSpace(string(have)) == s.value {
			continue // so a read-only /proc/sys with the right values is fine
		}
		err := os.WriteFile(path, []byte(s.value), 0o644)
		switch {
		case err == nil:
		case s.required:
			return fmt.Errorf("set sysctl %s (the container's /proc/sys must be writable): %w", s.path, err)
		case !errors.Is(err, fs.ErrNotExist):
			log.Warn("sysctl cannot be set", "sysctl", s.path, "cause", err)
		}
	}
	return nil
}
