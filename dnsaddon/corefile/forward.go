package corefile

import (
	"path"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"bonsai/dnsaddon/forward"
)

// forwarding is one directive forward of a block.
type forwarding struct {
	from  []string
	where place
	zone  forward.Zone // without Name and Cache
}

// forwardDirective reads: forward FROM TO... { … }
func (b *builder) forwardDirective(s *block, n node) {
	if len(n.words) < 3 {
		b.problems.add(n.where, "write: forward . ADDRESS...", "%s: needs a zone and an upstream; the directive is ignored", n)
		return
	}
	f := &forwarding{from: b.zones(n, n.words[1:2], nil), where: n.where}
	for _, to := range n.words[2:] {
		f.zone.Upstreams = append(f.zone.Upstreams, b.upstreams(n, to)...)
		if isResolvConf(to) {
			b.asMachine(&f.zone)
		}
	}
	if len(f.zone.Upstreams) > forward.MaxUpstreams {
		b.problems.add(n.where, "", "%s: has %d upstreams; those after the first %d are ignored", n, len(f.zone.Upstreams), forward.MaxUpstreams)
		f.zone.Upstreams = f.zone.Upstreams[:forward.MaxUpstreams]
	}
	for _, o := range n.body {
		b.forwardOption(&f.zone, n, o)
	}
	if len(f.zone.Upstreams) == 0 && slices.Contains(f.from, ".") && slices.Contains(s.out.Zones, ".") && len(b.defaults.Upstreams) > 0 {
		b.problems.add(n.where, "name an upstream by its address", "%s: no usable upstream; the node's resolvers are used instead", n)
		f.zone.Upstreams = b.defaults.Upstreams
		b.asMachine(&f.zone)
	}
	s.forwards = append(s.forwards, f)
}

// asMachine sets how the machine's resolvers are asked; the options of the directive may change that.
func (b *builder) asMachine(z *forward.Zone) {
	if !b.defaults.Machine {
		return
	}
	z.Policy, z.OneLabel = forward.Sequential, b.defaults.OneLabel
	z.Failover = []int{dns.RcodeServerFailure, dns.RcodeNotImplemented, dns.RcodeRefused}
}

func isResolvConf(to string) bool { return path.Base(to) == "resolv.conf" }

// upstreams reads one TO. A resolver file means the node's: there is no other file.
func (b *builder) upstreams(n node, to string) []string {
	if isResolvConf(to) {
		return b.defaults.Upstreams
	}
	addr, err := parseUpstream(to)
	if err != nil {
		b.problems.add(n.where, "upstreams are addresses, with a port if it is not 53, or /etc/resolv.conf", "forward: %v; the upstream is ignored", err)
		return nil
	}
	return []string{addr}
}

func (b *builder) forwardOption(z *forward.Zone, n, o node) {
	switch o.name() {
	case "except":
		z.Except = append(z.Except, b.zones(o, o.args(), nil)...)
	case "force_tcp":
		z.ForceTCP = true
	case "prefer_udp":
		z.PreferUDP = true
	case "expire":
		z.Expire, _ = b.duration(n, o)
	case "read_timeout":
		z.ReadTimeout, _ = b.duration(n, o)
	case "max_fails":
		if fails, ok := b.number(n, o, 0, 1000); ok {
			z.MaxFails = fails
			if fails == 0 {
				z.MaxFails = -1 // never down
			}
		}
	case "max_concurrent":
		z.MaxConcurrent, _ = b.number(n, o, 0, 1_000_000)
	case "policy":
		policy := forward.Policy(strings.Join(o.args(), " "))
		if !slices.Contains([]forward.Policy{forward.Random, forward.RoundRobin, forward.Sequential}, policy) {
			b.problems.add(o.where, "policies are random, round_robin and sequential", "forward: %s: unknown policy; it is ignored", o)
			return
		}
		z.Policy = policy
	case "health_check":
		b.healthCheck(z, n, o)
	case "failover":
		for _, name := range o.args() {
			rcode, ok := dns.StringToRcode[strings.ToUpper(name)]
			if !ok || rcode == dns.RcodeSuccess {
				b.problems.add(o.where, "name rcodes like SERVFAIL", "forward: %s: %q is not an rcode to fail over on; it is ignored", o, shorten(name))
				continue
			}
			z.Failover = append(z.Failover, rcode)
		}
	case "failfast_all_unhealthy_upstreams":
		z.FailFast = true
	case "max_age", "max_idle_conns", "max_connect_attempts":
		// Connections and attempts have fixed, small bounds.
	case "tls", "tls_servername", "doh_method":
		b.problems.add(o.where, "", "forward: %s: upstreams are asked in plain DNS only; it is ignored", o)
	default:
		b.unknownOption(n, o)
	}
}

// healthCheck reads: health_check DURATION [no_rec] [domain FQDN]
func (b *builder) healthCheck(z *forward.Zone, n, o node) {
	args := o.args()
	if len(args) == 0 {
		b.problems.add(o.where, "", "forward: health_check needs a duration like 5s; it is ignored")
		return
	}
	interval, ok := b.duration(n, node{words: o.words[:2], where: o.where})
	if !ok {
		return
	}
	z.Health.Interval = interval
	for args = args[1:]; len(args) > 0; args = args[1:] {
		switch {
		case args[0] == "no_rec":
			z.Health.NoRecursion = true
		case args[0] == "domain" && len(args) > 1:
			name, err := parseName(args[1])
			if err != nil {
				b.problems.add(o.where, "", "forward: %s: %v; it is ignored", o, err)
			}
			z.Health.Domain, args = name, args[1:]
		default:
			b.problems.add(o.where, "", "forward: %s: %q is not known; it is ignored", o, shorten(args[0]))
		}
	}
}

// forwardsFrom are the forwards for exactly this zone. There may be no block.
func (s *block) forwardsFrom(zone string) []*forwarding {
	if s == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(s.forwards), func(f *forwarding) bool { return !slices.Contains(f.from, zone) })
}

// forwards turns the blocks' directives into zones. In a block the first directive that matches a name wins; between
// blocks the longest zone.
func (b *builder) forwards() {
	for _, s := range b.blocks {
		own := func(name string) bool { return b.ownerOf(name) == s }
		taken := map[string]bool{}
		for _, f := range s.forwards {
			used := false
			for _, from := range f.from {
				for _, at := range s.out.Zones {
					zone, ok := narrower(from, at)
					if !ok || !own(zone) || taken[zone] || shadowed(zone, s.forwards, f) {
						continue
					}
					taken[zone], used = true, true
					z := f.zone
					z.Name = zone
					b.config.Forward = append(b.config.Forward, s.cache.apply(z, own)...)
				}
			}
			if !used {
				b.problems.add(f.where, "", "forward %s is never used: another forward or server block has these names already", strings.Join(f.from, " "))
			}
		}
		// What a block does not forward must not be sent to the upstreams of a shorter zone.
		for _, zone := range s.out.Zones {
			if !taken[zone] {
				b.config.Forward = append(b.config.Forward, forward.Zone{Name: zone, Cache: noCache()})
			}
		}
	}
	b.config.Forward = unique(b.config.Forward)
}

// narrower is the zone that lies within both a forward and its block.
func narrower(from, own string) (string, bool) {
	switch {
	case within(own, from):
		return own, true
	case within(from, own):
		return from, true
	}
	return "", false
}

// shadowed reports whether an earlier forward of the block covers all of zone.
func shadowed(zone string, all []*forwarding, f *forwarding) bool {
	for _, earlier := range all {
		if earlier == f {
			return false
		}
		excepted := func(name string) bool { return within(zone, name) }
		if slices.ContainsFunc(earlier.from, excepted) && !slices.ContainsFunc(earlier.zone.Except, excepted) {
			return true
		}
	}
	return false
}

// ownerOf is the block that answers for a name.
func (b *builder) ownerOf(name string) *block {
	for off, end := 0, false; !end; off, end = dns.NextLabel(name, off) {
		if s := b.owners[name[off:]]; s != nil {
			return s
		}
	}
	return b.owners["."]
}

// unique keeps the first of several zones with the same name, which caching for parts of a zone can create.
func unique(zones []forward.Zone) []forward.Zone {
	seen := map[string]bool{}
	return slices.DeleteFunc(zones, func(z forward.Zone) bool {
		if seen[z.Name] {
			return true
		}
		seen[z.Name] = true
		return false
	})
}
