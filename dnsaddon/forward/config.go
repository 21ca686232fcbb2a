package forward

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"bonsai/dnsaddon/forward/cache"

	"github.com/miekg/dns"
)

// Defaults for zero values of [Zone].
const (
	DefaultMaxConcurrent  = 1000
	DefaultMaxFails       = 2
	DefaultReadTimeout    = 2 * time.Second
	DefaultExpire         = 10 * time.Second
	DefaultHealthInterval = 500 * time.Millisecond

	// MaxUpstreams is the maximum number of upstreams of a zone; further ones are ignored.
	MaxUpstreams = 15
)

// Zone defines where questions for the names at and below Name are sent. Zero values mean the documented defaults.
type Zone struct {
	// Name is a domain name; "." is everything that no longer Name covers.
	Name string
	// Upstreams are "address:port", or an address alone for port 53. A zone without any is answered with SERVFAIL.
	Upstreams []string
	// OneLabel are upstreams for names of a single label in place of Upstreams; none: such names are like all others.
	OneLabel []string
	// Except are names that this zone does not forward, including everything below them. The next shorter zone may.
	Except []string
	Policy Policy
	// ForceTCP asks over TCP, PreferUDP over UDP, whatever the client used. ForceTCP wins. Without them an upstream is
	// asked over the client's transport.
	ForceTCP, PreferUDP bool
	// MaxConcurrent limits the questions that wait for upstreams (default 1000); further ones are REFUSED.
	MaxConcurrent int
	// MaxFails consecutive failures mark an upstream as down (default 2). If negative, upstreams are never marked.
	MaxFails int
	// FailFast answers SERVFAIL at once while all upstreams are down. Otherwise one is tried, for a short time.
	FailFast bool
	// Failover are rcodes after which the next upstream is asked too; the last one's reply counts.
	Failover []int
	// ReadTimeout limits the wait for one reply of one upstream, Expire the time that an idle TCP connection is kept.
	ReadTimeout, Expire time.Duration
	Health              HealthCheck
	Cache               CacheOptions
}

// HealthCheck is the question that is sent to an upstream while it is down.
type HealthCheck struct {
	// Interval is the pause between two questions, Domain their name (default ".").
	Interval time.Duration
	Domain   string
	// NoRecursion asks without RD.
	NoRecursion bool
}

// CacheOptions determine which answers of a zone are cached.
type CacheOptions = cache.Options

// Policy chooses the order in which upstreams are asked.
type Policy string

// The policies; "" is Random.
const (
	Random     Policy = "random"
	RoundRobin Policy = "round_robin"
	Sequential Policy = "sequential"
)

// withDefaults returns an independent copy, names in canonical form, with the defaults filled in.
func (z Zone) withDefaults() Zone {
	z.Name = dns.CanonicalName(z.Name)
	z.Except = slices.Clone(z.Except)
	for i, name := range z.Except {
		z.Except[i] = dns.CanonicalName(name)
	}
	z.Upstreams = slices.Clone(z.Upstreams)
	z.OneLabel = slices.Clone(z.OneLabel)
	z.Failover = slices.Clone(z.Failover)
	if z.MaxConcurrent <= 0 {
		z.MaxConcurrent = DefaultMaxConcurrent
	}
	if z.MaxFails == 0 {
		z.MaxFails = DefaultMaxFails
	}
	if z.ReadTimeout <= 0 {
		z.ReadTimeout = DefaultReadTimeout
	}
	if z.Expire <= 0 {
		z.Expire = DefaultExpire
	}
	if z.Health.Interval <= 0 {
		z.Health.Interval = DefaultHealthInterval
	}
	z.Health.Domain = dns.CanonicalName(z.Health.Domain)
	z.Cache = z.Cache.WithDefaults()
	return z
}

// parseUpstream reads an address of the configuration.
func parseUpstream(s string) (netip.AddrPort, error) {
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap, nil
	}
	addr, err := netip.ParseAddr(strings.Trim(s, "[]"))
	if err != nil {
		return netip.AddrPort{}, err
	}
	return netip.AddrPortFrom(addr, 53), nil
}
