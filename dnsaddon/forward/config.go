package forward

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"bonsai/dnsaddon/forward/cache"

	"github.com/miekg/dns"
)

// What zero values of [Zone] mean.
const (
	DefaultMaxConcurrent  = 1000
	DefaultMaxFails       = 2
	DefaultReadTimeout    = 2 * time.Second
	DefaultExpire         = 10 * time.Second
	DefaultHealthInterval = 500 * time.Millisecond

	// MaxUpstreams is how many upstreams a zone may have; more are left out.
	MaxUpstreams = 15
)

// Zone says where questions for the names at and below Name go. Zero values mean the documented defaults.
type Zone struct {
	// Name is a domain name; "." is everything that no longer Name covers.
	Name string
	// Upstreams are "address:port", or an address alone for port 53. A zone without any is answered with SERVFAIL.
	Upstreams []string
	// Except are names that this zone does not forward, with all below them. The next shorter zone may.
	Except []string
	Policy Policy
	// ForceTCP asks over TCP, PreferUDP over UDP, whatever the asker used. ForceTCP wins. Without them an upstream is
	// asked as we were asked.
	ForceTCP, PreferUDP bool
	// MaxConcurrent limits the questions that wait for upstreams (default 1000); what is above is REFUSED.
	MaxConcurrent int
	// MaxFails in a row make an upstream count as down (default 2). If it is negative, upstreams never do.
	MaxFails int
	// FailFast answers SERVFAIL at once while all upstreams are down. Otherwise one is tried, for a short time.
	FailFast bool
	// Failover are rcodes that are asked of the next upstream too; the last one's reply counts.
	Failover []int
	// ReadTimeout is how long one upstream has for one reply, Expire how long an idle TCP connection is kept.
	ReadTimeout, Expire time.Duration
	Health              HealthCheck
	Cache               CacheOptions
}

// HealthCheck is the question that an upstream is asked while it is down.
type HealthCheck struct {
	// Interval is the pause between two questions, Domain their name (default ".").
	Interval time.Duration
	Domain   string
	// NoRecursion asks without RD.
	NoRecursion bool
}

// CacheOptions says what is kept of a zone's answers.
type CacheOptions = cache.Options

// Policy chooses the order in which upstreams are asked.
type Policy string

// The policies; "" is Random.
const (
	Random     Policy = "random"
	RoundRobin Policy = "round_robin"
	Sequential Policy = "sequential"
)

// withDefaults returns a copy of its own, names in canonical form, with the defaults filled in.
func (z Zone) withDefaults() Zone {
	z.Name = dns.CanonicalName(z.Name)
	z.Except = slices.Clone(z.Except)
	for i, name := range z.Except {
		z.Except[i] = dns.CanonicalName(name)
	}
	z.Upstreams = slices.Clone(z.Upstreams)
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

// parseUpstream reads an address of a configuration.
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
