package corefile

import (
	"slices"
	"strconv"
	"time"

	"bonsai/dnsaddon/forward"
	"bonsai/dnsaddon/forward/cache"
)

// noCache are the options of a block without the directive cache.
func noCache() forward.CacheOptions {
	return forward.CacheOptions{
		Success: cache.Limits{Disabled: true}, Denial: cache.Limits{Disabled: true}, ServFail: -1, Stale: -1,
	}
}

// caching is the directive cache of a block.
type caching struct {
	zones   []string // empty for all
	options forward.CacheOptions
	// Kinds of answers that are not cached in single zones.
	noSuccess, noDenial []string
}

// cacheDirective reads: cache [TTL] [ZONES...] { … }
func (b *builder) cacheDirective(s *block, n node) {
	if s.cache != nil {
		b.problems.add(n.where, "keep one of them", "cache: the server block has it already; this one is ignored")
		return
	}
	c := &caching{}
	args := n.args()
	if len(args) > 0 {
		if _, err := strconv.Atoi(args[0]); err == nil {
			if ttl, ok := b.seconds(n, n, args[0], 1); ok {
				c.options.Success.Max, c.options.Denial.Max = ttl, ttl
			}
			args = args[1:]
		}
	}
	c.zones = b.zones(n, args, nil)
	for _, o := range n.body {
		b.cacheOption(c, n, o)
	}
	s.cache = c
}

func (b *builder) cacheOption(c *caching, n, o node) {
	switch o.name() {
	case "success":
		b.limits(&c.options.Success, n, o)
	case "denial":
		b.limits(&c.options.Denial, n, o)
	case "servfail":
		if d, ok := b.duration(n, o); ok {
			c.options.ServFail = orOff(min(d, 5*time.Minute))
		}
	case "serve_stale":
		b.serveStale(c, o)
	case "disable":
		b.disable(c, o)
	case "prefetch":
		// It would only save a client an occasional wait for an upstream.
	default:
		b.unknownOption(n, o)
	}
}

// limits reads: success|denial CAPACITY [TTL] [MINTTL]
func (b *builder) limits(l *cache.Limits, n, o node) {
	args := o.args()
	if len(args) == 0 || len(args) > 3 {
		b.problems.add(o.where, "", "cache: %s: needs a capacity and up to two TTLs; it is ignored", o)
		return
	}
	capacity, err := strconv.ParseUint(args[0], 10, 31)
	if err != nil {
		b.problems.add(o.where, "", "cache: %s: the capacity is not a number; it is ignored", o)
		return
	}
	l.Capacity = int(capacity)
	if len(args) > 1 {
		if ttl, ok := b.seconds(n, o, args[1], 1); ok {
			l.Max = ttl
		}
	}
	if len(args) > 2 {
		if ttl, ok := b.seconds(n, o, args[2], 0); ok {
			l.Min = orOff(ttl)
		}
	}
}

// serveStale reads: serve_stale [DURATION] [immediate [TTL [RECHECK]] | verify [TIMEOUT [TTL [RECHECK]]]]
//
// Stale answers are served only while no upstream answers, whatever the mode.
func (b *builder) serveStale(c *caching, o node) {
	args := o.args()
	if len(args) == 0 {
		return
	}
	age, ok := duration(args[0])
	if !ok {
		b.problems.add(o.where, "", "cache: %s: needs a duration like 1h; it is ignored", o)
		return
	}
	c.options.Stale = orOff(age)
	at := 2 // of the TTL
	if len(args) > 1 && args[1] == "verify" {
		at = 3
	}
	if len(args) > at {
		ttl, ok := duration(args[at])
		if !ok {
			b.problems.add(o.where, "", "cache: %s: the TTL is not a duration; it is ignored", o)
			return
		}
		c.options.StaleTTL = orOff(ttl)
	}
}

// disable reads: disable success|denial [ZONES...]
func (b *builder) disable(c *caching, o node) {
	args := o.args()
	if len(args) == 0 || args[0] != "success" && args[0] != "denial" {
		b.problems.add(o.where, "", "cache: %s: needs success or denial; it is ignored", o)
		return
	}
	limits, zones := &c.options.Success, &c.noSuccess
	if args[0] == "denial" {
		limits, zones = &c.options.Denial, &c.noDenial
	}
	if len(args) == 1 {
		limits.Disabled = true
		return
	}
	for _, zone := range b.zones(o, args[1:], nil) {
		// The cluster's names are not cached at all: they are in memory.
		if zone != b.defaults.Zone.Domain {
			*zones = append(*zones, zone)
		}
	}
}

// seconds reads a TTL.
func (b *builder) seconds(n, o node, s string, low uint64) (time.Duration, bool) {
	v, err := strconv.ParseUint(s, 10, 31)
	if err != nil || v < low {
		b.problems.add(o.where, "", "%s: %s: %q is not a number of seconds from %d; it is ignored", n.name(), o, shorten(s), low)
		return 0, false
	}
	return min(time.Duration(v)*time.Second, maxDuration), true
}

// orOff distinguishes a zero that was written from one that was not.
func orOff(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}

// apply adds the cache options to a forwarded zone. Parts of it with other options become zones of their own, if their
// names belong to the block.
func (c *caching) apply(z forward.Zone, own func(name string) bool) []forward.Zone {
	if c == nil {
		z.Cache = noCache()
		return []forward.Zone{z}
	}
	names := []string{z.Name}
	for _, list := range [][]string{c.zones, c.noSuccess, c.noDenial} {
		for _, name := range list {
			if name != z.Name && within(name, z.Name) && own(name) && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	var all []forward.Zone
	for _, name := range names {
		part := z
		part.Name, part.Cache = name, c.optionsFor(name)
		all = append(all, part)
	}
	return all
}

func (c *caching) optionsFor(name string) forward.CacheOptions {
	in := func(zones []string) bool {
		return slices.ContainsFunc(zones, func(zone string) bool { return within(name, zone) })
	}
	if len(c.zones) > 0 && !in(c.zones) {
		return noCache()
	}
	options := c.options
	options.Success.Disabled = options.Success.Disabled || in(c.noSuccess)
	options.Denial.Disabled = options.Denial.Disabled || in(c.noDenial)
	return options
}
