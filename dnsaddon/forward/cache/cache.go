package cache

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"bonsai/dnsaddon/wire"
)

// shardCount is large enough that the few goroutines that read sockets seldom meet at a lock.
const shardCount = 16

// Cache holds answers of all zones. It is safe for concurrent use.
type Cache struct {
	seed    maphash.Seed
	ownerOf func(folded []byte) uint32
	shards  [shardCount]shard
	misses  atomic.Uint64
	stale   atomic.Uint64
}

type shard struct {
	// mu guards entries and rings; the answers themselves do not change.
	mu      sync.RWMutex
	entries map[uint64]*Answer
	rings   [kinds]ring
	hits    [kinds]atomic.Uint64
	evicted [kinds]atomic.Uint64
	// Keeps neighbours off each other's cache lines.
	_ [64]byte
}

// New returns an empty cache. ownerOf returns the zone to which a name, in lower-case wire form, currently belongs: the
// cache stores only answers of that zone, so that late answers of a changed zone are dropped. It is called with a lock
// held and must not use the cache.
func New(ownerOf func(folded []byte) uint32) *Cache {
	c := &Cache{seed: maphash.MakeSeed(), ownerOf: ownerOf}
	for i := range c.shards {
		c.shards[i].entries = map[uint64]*Answer{}
	}
	c.SetCapacity(DefaultCapacity, DefaultCapacity)
	return c
}

// SetCapacity bounds the entries of each kind, rounded up to a multiple of the number of shards.
func (c *Cache) SetCapacity(success, denial int) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		for kind, n := range [kinds]int{success, denial} {
			r := &s.rings[kind]
			r.limit = max((n+shardCount-1)/shardCount, 1)
			s.evict(Kind(kind), 0, 0)
		}
		s.mu.Unlock()
	}
}

// Append composes the answer to q if there is one that has not expired, in at most limit bytes. It does not allocate if
// dst has enough capacity. It counts only questions that it answers; the others are counted by [Cache.Get].
func (c *Cache) Append(dst []byte, q *wire.Query, limit int, now time.Time) ([]byte, bool) {
	h := c.hash(q)
	s := c.shard(h)
	s.mu.RLock()
	a := s.entries[h]
	s.mu.RUnlock()
	if a == nil || !a.answers(q) || !a.freshAt(now.UnixNano()) || a.length(q) > limit {
		return dst, false
	}
	s.hit(a)
	return a.Fresh(dst, q, now), true
}

// State says how an answer may be used.
type State uint8

// The states.
const (
	Miss  State = iota // there is none
	Fresh              // serve it
	Stale              // serve it if no upstream answers
	Held               // stale, and the upstreams have just failed to answer
)

// Get looks for an answer and counts a hit or a miss.
func (c *Cache) Get(q *wire.Query, now time.Time) (*Answer, State) {
	h := c.hash(q)
	s := c.shard(h)
	s.mu.RLock()
	a := s.entries[h]
	s.mu.RUnlock()
	t := now.UnixNano()
	switch {
	case a == nil || !a.answers(q) || !a.staleAt(t):
		c.misses.Add(1)
		return nil, Miss
	case a.freshAt(t):
		s.hit(a)
		return a, Fresh
	case t < a.held.Load():
		return a, Held
	default:
		c.misses.Add(1)
		return a, Stale
	}
}

// Hold allows a stale answer to be served until then without asking upstreams again.
func (c *Cache) Hold(a *Answer, until time.Time) { a.held.Store(until.UnixNano()) }

// ServedStale counts one stale answer.
func (c *Cache) ServedStale() { c.stale.Add(1) }

// Put stores an answer of the zone owner, replacing the previous one, if it may be cached. A SERVFAIL does not replace
// an answer that could still be served stale.
func (c *Cache) Put(a *Answer, owner uint32, now time.Time) {
	if !a.cacheable {
		return
	}
	q := wire.Query{Folded: a.folded(), Type: a.qtype, DO: a.do, CD: a.cd}
	a.hash, a.owner = c.hash(&q), owner
	s := c.shard(a.hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.ownerOf(a.folded()) != owner {
		return
	}
	if old := s.entries[a.hash]; old != nil {
		if a.failure() && !old.failure() && old.answers(&q) && old.staleAt(now.UnixNano()) {
			return
		}
		s.remove(old)
	}
	s.evict(a.kind, 1, a.bytes())
	s.add(a)
}

// Reassign drops the answers whose names have a different owner than when they were stored.
func (c *Cache) Reassign() {
	c.removeIf(func(a *Answer) bool { return c.ownerOf(a.folded()) != a.owner })
}

// Sweep drops everything that can no longer be served.
func (c *Cache) Sweep(now time.Time) {
	t := now.UnixNano()
	c.removeIf(func(a *Answer) bool { return !a.staleAt(t) })
}

// Flush drops everything and returns the number of answers.
func (c *Cache) Flush() int { return c.removeIf(func(*Answer) bool { return true }) }

func (c *Cache) removeIf(drop func(*Answer) bool) int {
	n := 0
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		for _, a := range s.entries {
			if drop(a) {
				s.remove(a)
				n++
			}
		}
		s.mu.Unlock()
	}
	return n
}

// Stats are counts since the start, by kind where applicable.
type Stats struct {
	Entries, Capacity, Hits, Evictions [kinds]uint64
	Bytes                              uint64
	Misses, Stale                      uint64
}

// Stats reads the counters.
func (c *Cache) Stats() Stats {
	st := Stats{Misses: c.misses.Load(), Stale: c.stale.Load()}
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.RLock()
		for kind := range s.rings {
			r := &s.rings[kind]
			st.Entries[kind] += uint64(len(r.answers))
			st.Capacity[kind] += uint64(r.limit)
			st.Bytes += uint64(r.bytes)
			st.Hits[kind] += s.hits[kind].Load()
			st.Evictions[kind] += s.evicted[kind].Load()
		}
		s.mu.RUnlock()
	}
	return st
}

// hash distinguishes questions. It is not an exact key, so questions are also compared: two questions with the same
// hash, if that ever happens, replace each other.
func (c *Cache) hash(q *wire.Query) uint64 {
	flags := uint64(q.Type) << 2
	if q.DO {
		flags |= 1
	}
	if q.CD {
		flags |= 2
	}
	return maphash.Bytes(c.seed, q.Folded) ^ flags*0x9E3779B97F4A7C15
}

func (c *Cache) shard(hash uint64) *shard { return &c.shards[hash%shardCount] }

func (s *shard) hit(a *Answer) {
	s.hits[a.kind].Add(1)
	// Loading first keeps the cache line of a frequently used answer shared between the readers.
	if !a.used.Load() {
		a.used.Store(true)
	}
}
