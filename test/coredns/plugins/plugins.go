// Package plugins links those plugins of CoreDNS that kubeadm's Corefile needs, and nothing else: CoreDNS's full list
// would bring in the client libraries of several clouds.
package plugins

import (
	"slices"

	"github.com/coredns/coredns/core/dnsserver"

	// Each registers its directive.
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/forward"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/loadbalance"
	_ "github.com/coredns/coredns/plugin/loop"
	_ "github.com/coredns/coredns/plugin/metrics"
	_ "github.com/coredns/coredns/plugin/multisocket"
	_ "github.com/coredns/coredns/plugin/ready"
	_ "github.com/coredns/coredns/plugin/reload"
)

// Select allows the directives of the linked plugins, in CoreDNS's own order, and further ones, which come first. It
// must be called once, before a server starts: the list belongs to the process.
func Select(first ...string) error {
	linked := []string{"reload", "multisocket", "bind", "ready", "health", "prometheus", "errors", "loadbalance", "cache", "kubernetes", "loop", "forward"}
	ordered := first
	for _, directive := range dnsserver.Directives {
		if slices.Contains(linked, directive) {
			ordered = append(ordered, directive)
		}
	}
	return dnsserver.SetDirectives(ordered)
}
