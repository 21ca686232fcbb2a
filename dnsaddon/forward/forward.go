package forward

import (
	"cmp"
	"context"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/dnsaddon/forward/cache"
)

// Options are the dependencies of a Forwarder. The zero value works.
type Options struct {
	Log *slog.Logger
	// Now is the clock by which answers age.
	Now func() time.Time
	// Dial connects to an upstream; network is "udp" or "tcp". A UDP connection must receive only from there, and have
	// an unpredictable source port.
	Dial func(ctx context.Context, network string, addr netip.AddrPort) (net.Conn, error)
}

// Forwarder answers questions by asking upstreams. It is safe for concurrent use.
type Forwarder struct {
	log    *slog.Logger
	now    func() time.Time
	dial   func(ctx context.Context, network string, addr netip.AddrPort) (net.Conn, error)
	limits limits

	cache   *cache.Cache
	table   atomic.Pointer[table]
	buffers sync.Pool
	// wake makes Run check what is due.
	wake chan struct{}

	// base ends the flights when Run does.
	base context.Context //nolint:containedctx // flights are shared by questions and outlive the one that began them
	end  context.CancelFunc

	// mu guards the following, and ensures that no flight begins after stopped is set.
	mu      sync.Mutex
	flights map[flightKey]*flight
	stopped bool
	work    sync.WaitGroup

	// configuring serialises Configure; lastID is the newest zone's.
	configuring sync.Mutex
	lastID      uint32

	// probes are the loop probes under way by name, nil for none; probing guards changes.
	probes  atomic.Pointer[map[string]*loopProbe]
	probing sync.Mutex
}

// limits are times that cannot be configured; tests shorten them.
type limits struct {
	question  time.Duration // for one question with all attempts
	allDown   time.Duration // for the attempt at an upstream that is down
	patience  time.Duration // until an old answer is served while the upstreams are working (RFC 8767)
	hold      time.Duration // until upstreams that failed are asked again, while an old answer exists
	health    time.Duration // for the reply to a health check
	loop      time.Duration // for the reply to a loop probe
	linger    time.Duration // for a loop probe that arrives after its reply
	loopEvery time.Duration
	sweep     time.Duration
}

func usualLimits() limits {
	return limits{
		question: 4500 * time.Millisecond, allDown: 500 * time.Millisecond,
		patience: 1800 * time.Millisecond, hold: 5 * time.Second,
		health: time.Second, loop: 3 * time.Second, linger: 500 * time.Millisecond, loopEvery: 30 * time.Second,
		sweep: time.Minute,
	}
}

// New returns a forwarder without zones. It starts nothing.
func New(o Options) *Forwarder {
	f := &Forwarder{
		log: o.Log, now: o.Now, dial: o.Dial, limits: usualLimits(),
		wake: make(chan struct{}, 1), flights: map[flightKey]*flight{},
	}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	if f.now == nil {
		f.now = time.Now
	}
	if f.dial == nil {
		f.dial = dialDirect
	}
	f.base, f.end = context.WithCancel(context.Background())
	f.table.Store(&table{})
	f.cache = cache.New(func(folded []byte) uint32 {
		if z := f.table.Load().route(folded); z != nil {
			return z.id
		}
		return 0
	})
	return f
}

// Configure replaces the zones, at any time. Unchanged ones keep their health, their counters and their cached answers;
// questions under way are not affected. Zones that cannot be used are logged and ignored, and so is the second of two
// zones of the same name.
func (f *Forwarder) Configure(zones []Zone) {
	f.configuring.Lock()
	defer f.configuring.Unlock()
	old := f.table.Load()
	next := &table{byName: map[string]*zone{}, oneLabel: map[string]*zone{}}
	kept := map[*upstream]bool{}
	var success, denial int
	for _, cfg := range zones {
		cfg = cfg.withDefaults()
		name, err := wireName(cfg.Name)
		if err != nil || next.byName[string(name)] != nil {
			f.log.Warn("zone is ignored", "zone", cfg.Name, "err", err, "twice", err == nil)
			continue
		}
		z := f.newZone(cfg, old.byName[string(name)])
		next.byName[string(name)] = z
		next.zones = append(next.zones, z)
		if len(cfg.OneLabel) > 0 {
			cfg.Name, cfg.Upstreams = cluster.DNSOneLabel, cfg.OneLabel // the name is for people
			one := f.newZone(cfg, old.oneLabel[string(name)])
			next.oneLabel[string(name)] = one
			next.zones = append(next.zones, one)
		}
		success, denial = max(success, cfg.Cache.Success.Capacity), max(denial, cfg.Cache.Denial.Capacity)
	}
	for _, z := range next.zones {
		for _, u := range z.upstreams {
			kept[u] = true
		}
	}
	slices.SortStableFunc(next.zones, func(a, b *zone) int { return cmp.Compare(a.Name, b.Name) })
	f.table.Store(next)
	f.cache.SetCapacity(cmp.Or(success, cache.DefaultCapacity), cmp.Or(denial, cache.DefaultCapacity))
	f.cache.Reassign()
	for _, z := range old.zones {
		for _, u := range z.upstreams {
			if !kept[u] {
				u.close()
			}
		}
	}
	f.poke()
}

// newZone creates an active zone from its configuration and its predecessor, which may be nil.
func (f *Forwarder) newZone(cfg Zone, old *zone) *zone {
	z := &zone{Zone: cfg, except: map[string]bool{}, zoneState: &zoneState{}}
	for _, name := range cfg.Except {
		if w, err := wireName(name); err == nil {
			z.except[string(w)] = true
		} else {
			f.log.Warn("exception is ignored", "zone", cfg.Name, "name", name, "err", err)
		}
	}
	if len(z.Upstreams) > MaxUpstreams {
		f.log.Warn("upstreams are ignored", "zone", cfg.Name, "upstreams", z.Upstreams[MaxUpstreams:], "limit", MaxUpstreams)
		z.Upstreams = z.Upstreams[:MaxUpstreams]
	}
	before := map[string]*upstream{}
	if old != nil {
		z.zoneState = old.zoneState
		for _, u := range old.upstreams {
			before[u.name] = u
		}
	}
	for _, address := range z.Upstreams {
		u := newUpstream(address)
		if slices.ContainsFunc(z.upstreams, func(o *upstream) bool { return o.name == u.name }) {
			continue
		}
		if b := before[u.name]; b != nil {
			u = b
		}
		if u.invalid != nil {
			f.log.Warn("upstream is ignored", "zone", cfg.Name, "upstream", address, "err", u.invalid)
		}
		// The path to an upstream may lead back here because of the change: each is probed.
		u.mu.Lock()
		u.loop.at = time.Now()
		u.mu.Unlock()
		z.upstreams = append(z.upstreams, u)
	}
	if old != nil && old.sameAnswers(z.Zone) {
		z.id = old.id
	} else {
		f.lastID++
		z.id = f.lastID
	}
	return z
}

// Run checks upstreams that failed, looks for loops, and cleans up, until ctx ends. It returns when everything that the
// forwarder started has ended; questions are then answered from the cache or with SERVFAIL. Call it once.
func (f *Forwarder) Run(ctx context.Context) {
	var checks sync.WaitGroup
	defer func() {
		f.mu.Lock()
		f.stopped = true
		f.mu.Unlock()
		f.end()
		checks.Wait()
		f.work.Wait()
		f.configuring.Lock()
		defer f.configuring.Unlock()
		for _, z := range f.table.Load().zones {
			for _, u := range z.upstreams {
				u.close()
			}
		}
	}()
	sweep := time.Now().Add(f.limits.sweep)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.wake:
		case <-timer.C:
		}
		now := time.Now()
		if !now.Before(sweep) {
			f.cache.Sweep(f.now())
			sweep = now.Add(f.limits.sweep)
		}
		next := f.dispatch(ctx, now, &checks)
		timer.Reset(time.Until(earlier(next, sweep)))
	}
}

// poke wakes Run.
func (f *Forwarder) poke() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// earlier returns the earlier of two times; a zero time means never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
