package forward

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"bonsai/dnsaddon/wire"

	"github.com/miekg/dns"
)

// dispatch starts the checks that are due and returns when the next one is, zero for never.
func (f *Forwarder) dispatch(ctx context.Context, now time.Time, checks *sync.WaitGroup) (next time.Time) {
	due := func(s *schedule) bool {
		if s.at.IsZero() || s.busy {
			return false
		}
		if now.Before(s.at) {
			next = earlier(next, s.at)
			return false
		}
		s.busy = true
		return true
	}
	for _, z := range f.table.Load().zones {
		for _, u := range z.upstreams {
			if u.invalid != nil {
				continue
			}
			u.mu.Lock()
			if z.MaxFails > 0 && u.fails.Load() > 0 && !u.cut.Load() && due(&u.health) {
				checks.Go(func() { f.checkHealth(ctx, z, u) })
			}
			if due(&u.loop) {
				checks.Go(func() { f.checkLoop(ctx, z, u) })
			}
			next = earlier(next, u.closeIdle(now))
			u.mu.Unlock()
		}
	}
	return next
}

// checkHealth asks an upstream that failed. Any reply means that it is alive.
func (f *Forwarder) checkHealth(ctx context.Context, z *zone, u *upstream) {
	name, err := wireName(z.Health.Domain)
	if err == nil {
		q := &wire.Query{RD: !z.Health.NoRecursion, Folded: name, Type: dns.TypeNS}
		_, err = f.ask(ctx, u, q, manner{tcp: z.ForceTCP, limit: f.limits.health, expire: z.Expire})
	}
	if ctx.Err() == nil {
		if err == nil {
			f.answered(z, u)
		} else {
			u.stats.healthFailures.Add(1)
			f.failed(z, u, err)
		}
	}
	u.mu.Lock()
	u.health = schedule{at: time.Now().Add(z.Health.Interval)}
	u.mu.Unlock()
	f.poke()
}

// loopProbe is a question that only a loop can bring back.
type loopProbe struct {
	zone     *zone
	upstream *upstream
	returned atomic.Bool
}

// IsProbe reports whether a question for name is one of this server's own probes that came back, and cuts off the
// upstream that returned it. It is cheap, and meant for every question that would be forwarded; Exchange calls it too.
func (f *Forwarder) IsProbe(name string) bool {
	probes := f.probes.Load()
	if probes == nil {
		return false
	}
	p := (*probes)[dns.CanonicalName(name)]
	if p == nil {
		return false
	}
	p.returned.Store(true)
	if !p.upstream.cut.Swap(true) {
		f.log.Warn("upstream sends questions back to this server and is cut off",
			"upstream", p.upstream.name, "zone", p.zone.Name, "try again in", f.limits.loopEvery)
	}
	return true
}

// checkLoop asks an upstream for a secret name and checks whether the question comes back. If an upstream does not
// reply, the result is unknown and it is asked again later.
func (f *Forwarder) checkLoop(ctx context.Context, z *zone, u *upstream) {
	name := secretName(z.Name)
	p := &loopProbe{zone: z, upstream: u}
	u.mu.Lock()
	wanted := u.loop.at
	u.mu.Unlock()
	f.setProbe(name, p)
	defer f.setProbe(name, nil)
	folded, err := wireName(name)
	if err == nil {
		q := &wire.Query{RD: true, Folded: folded, Type: dns.TypeHINFO}
		_, err = f.ask(ctx, u, q, manner{tcp: z.ForceTCP, limit: f.limits.loop, expire: z.Expire})
	}
	if err == nil && !p.returned.Load() {
		// A resolver that asks several others returns the first reply; the question may still arrive by another path.
		select {
		case <-ctx.Done():
		case <-time.After(f.limits.linger):
		}
	}
	next := time.Now().Add(f.limits.loopEvery)
	u.mu.Lock()
	if err == nil && !p.returned.Load() && ctx.Err() == nil {
		next = time.Time{}
		if u.cut.Swap(false) {
			u.fails.Store(0)
			f.log.Info("upstream no longer sends questions back", "upstream", u.name, "zone", z.Name)
		}
	}
	// A probe that was requested in the meantime may know something newer.
	if u.loop.at != wanted {
		next = u.loop.at
	}
	u.loop = schedule{at: next}
	u.mu.Unlock()
	f.poke()
}

// setProbe adds a probe, or removes it if p is nil.
func (f *Forwarder) setProbe(name string, p *loopProbe) {
	f.probing.Lock()
	defer f.probing.Unlock()
	probes := map[string]*loopProbe{}
	if old := f.probes.Load(); old != nil {
		maps.Copy(probes, *old)
	}
	if p != nil {
		probes[name] = p
	} else {
		delete(probes, name)
	}
	if len(probes) == 0 {
		f.probes.Store(nil)
		return
	}
	f.probes.Store(&probes)
}

// secretName is an unpredictable name in zone: an attacker who knew it could get an upstream cut off. It has at least
// two labels, because some resolvers do not forward single ones.
func secretName(zone string) string {
	var b [24]byte
	_, _ = rand.Read(b[:]) // cannot fail
	text := hex.EncodeToString(b[:])
	return text[:32] + "." + text[32:] + "." + strings.TrimPrefix(zone, ".")
}
