package cache

// ring holds the answers of one kind in one shard, for the clock algorithm that evicts: the hand goes round, spares
// once every answer that was used since its last visit, and evicts the others.
type ring struct {
	answers      []*Answer
	hand         int
	bytes, limit int
}

// shardBytes is the limit of one kind in one shard.
const shardBytes = maxBytes / shardCount

// evict makes room for more answers with the given total size. The caller holds the lock.
func (s *shard) evict(kind Kind, more, bytes int) {
	r := &s.rings[kind]
	for len(r.answers) > 0 && (len(r.answers)+more > r.limit || r.bytes+bytes > shardBytes) {
		if r.hand >= len(r.answers) {
			r.hand = 0
		}
		a := r.answers[r.hand]
		// Readers may set it again at once; the hand still stops, at the latest when they are slower than it.
		if a.used.Swap(false) {
			r.hand++
			continue
		}
		s.remove(a)
		s.evicted[kind].Add(1)
	}
}

func (s *shard) add(a *Answer) {
	r := &s.rings[a.kind]
	a.pos = len(r.answers)
	r.answers = append(r.answers, a)
	r.bytes += a.bytes()
	s.entries[a.hash] = a
}

func (s *shard) remove(a *Answer) {
	r := &s.rings[a.kind]
	last := len(r.answers) - 1
	r.answers[a.pos] = r.answers[last]
	r.answers[a.pos].pos = a.pos
	r.answers[last] = nil
	r.answers = r.answers[:last]
	r.bytes -= a.bytes()
	delete(s.entries, a.hash)
}
