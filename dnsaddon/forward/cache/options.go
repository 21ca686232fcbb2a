package cache

import "time"

// Defaults for zero values of [Options].
const (
	DefaultCapacity   = 9984
	DefaultSuccessMax = time.Hour
	DefaultDenialMax  = 30 * time.Minute
	DefaultMin        = 5 * time.Second
	DefaultServFail   = 5 * time.Second
	DefaultStale      = time.Hour
	DefaultStaleTTL   = 30 * time.Second
)

const (
	// maxBytes bounds each kind. Typical answers take 0.3 kB in total, so that the limit in entries is reached first;
	// with large ones this limit is.
	maxBytes = 3 << 20
	// maxAnswer keeps one answer from evicting half a shard.
	maxAnswer = 16 << 10
)

// Options determine which answers of one zone are cached, and for how long. The zero value means the defaults above; a
// negative duration disables what it limits.
type Options struct {
	Success, Denial Limits
	// ServFail is how long a SERVFAIL of an upstream is kept.
	ServFail time.Duration
	// Stale is how long after its expiry an answer may still be served if there is no better one, StaleTTL the TTL of
	// its records in that case.
	Stale, StaleTTL time.Duration
}

// Limits are those of one kind of answers.
type Limits struct {
	// Disabled caches none of this kind.
	Disabled bool
	// Capacity is in entries. All zones share one cache, so the largest capacity that any zone requests is used;
	// DefaultCapacity if none does.
	Capacity int
	// Max caps TTLs, Min raises them: an answer is cached for the shortest TTL in it, within these limits.
	Max, Min time.Duration
}

// WithDefaults replaces zero values by the defaults, and negative values by zero. Its result is ready for [NewAnswer]
// and must not be passed to it again.
func (o Options) WithDefaults() Options {
	o.Success = o.Success.withDefaults(DefaultSuccessMax)
	o.Denial = o.Denial.withDefaults(DefaultDenialMax)
	o.ServFail = orDefault(o.ServFail, DefaultServFail)
	o.Stale = orDefault(o.Stale, DefaultStale)
	o.StaleTTL = orDefault(o.StaleTTL, DefaultStaleTTL)
	return o
}

func (l Limits) withDefaults(most time.Duration) Limits {
	l.Max = orDefault(l.Max, most)
	l.Min = min(orDefault(l.Min, DefaultMin), l.Max)
	if l.Max == 0 {
		l.Disabled = true
	}
	return l
}

func orDefault(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return max(d, 0)
}
