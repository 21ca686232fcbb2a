package corefile

import (
	"strings"

	"bonsai/dnsaddon/zone"
)

// kubernetesDirective reads: kubernetes [ZONES...] { … }
func (b *builder) kubernetesDirective(s *block, n node) {
	if b.kubernetes != nil {
		if b.kubernetes.where != n.where {
			b.problems.add(n.where, "keep one of them", "kubernetes: %s has it already; this one is ignored", b.kubernetes.where)
		}
		return
	}
	b.kubernetes = &n
	k := b.defaults.Zone
	k.TTL, k.Pods, k.Fallthrough = defaultTTL, zone.Disabled, []string{}
	for _, name := range b.zones(n, n.args(), s.out.Zones) {
		switch {
		case isReverse(name) || name == k.Domain:
			// The cluster's own domain and its addresses are always included.
		case within(name, k.Domain) || within(k.Domain, name):
			b.problems.add(n.where, "name "+strings.TrimSuffix(k.Domain, "."),
				"kubernetes: %s overlaps with the cluster's domain; it is ignored", name)
		default:
			k.Aliases = append(k.Aliases, name)
		}
	}
	for _, o := range n.body {
		b.kubernetesOption(&k, n, o)
	}
	b.config.Zone = k
}

func (b *builder) kubernetesOption(k *zone.Options, n, o node) {
	switch o.name() {
	case "pods":
		modes := map[string]zone.PodMode{"disabled": zone.Disabled, "insecure": zone.Insecure, "verified": zone.Verified}
		mode, ok := modes[strings.Join(o.args(), " ")]
		if !ok {
			b.problems.add(o.where, "modes are disabled, insecure and verified", "kubernetes: %s: unknown mode; it is ignored", o)
			return
		}
		k.Pods = mode
	case "ttl":
		if ttl, ok := b.number(n, o, 0, maxTTL); ok {
			k.TTL = uint32(ttl)
		}
	case "endpoint_pod_names":
		k.EndpointPodNames = true
	case "fallthrough":
		k.Fallthrough = b.fallthroughZones(o)
	case "ignore":
		if strings.Join(o.args(), " ") != "empty_service" {
			b.unknownOption(n, o)
			return
		}
		k.IgnoreEmptyService = true
	case "startup_timeout", "resyncperiod", "upstream":
		// There is nothing to wait for at the start, and CoreDNS itself no longer knows the other two.
	case "endpoint", "tls", "kubeconfig", "apiserver_qps", "apiserver_burst", "apiserver_max_inflight":
		b.problems.add(o.where, "", "kubernetes: %s: records always come from this cluster's API server; it is ignored", o)
	default:
		b.unknownOption(n, o)
	}
}
