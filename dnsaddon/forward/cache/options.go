package cache

import "time"

// What zero values of [Options] mean.
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
	// maxBytes bounds each kind. Usual answers take 0.3 kB with all that belongs to them, so that the bound in entries
	// comes first; with large ones this one does.
	maxBytes = 3 << 20
	// maxAnswer keeps one answer from driving out half a shard.
	maxAnswer = 16 << 10
)

// Options says what is kept of one zone's answers, and how long. The zero value means the defaults above; a negative
// duration switches off what it limits.
type Options struct {
	Success, Denial Limits
	// ServFail is how long a SERVFAIL of an upstream is kept.
	ServFail time.Duration
	// Stale is how long after its end an answer may still be served for want of a better one, StaleTTL the TTL that its
	// records are given then.
	Stale, StaleTTL time.Duration
}

// Limits are those of one kind of answers.
type Limits struct {
	// Disabled keeps none of this kind.
	Disabled bool
	// Capacity is in entries. All zones share one cache, so the largest capacity that any zone asks for is in force;
	// DefaultCapacity if none does.
	Capacity int
	// Max cuts TTLs, Min lifts them: an answer is kept as long as the shortest TTL in it, within these.
	Max, Min time.Duration
}

// WithDefaults replaces what is zero, and makes zero of what is negative. What it returns is ready for [NewAnswer] and
// must not go through it again.
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
