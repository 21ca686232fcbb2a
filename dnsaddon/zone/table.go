package zone

import "maps"

// tableShards is the number of shards of a table. A change copies one shard and the array of all shards: with ten
// thousand entries that is 20 entries and 4 KiB.
const tableShards = 512

// shards is a table as readers see it: it is immutable.
type shards[K comparable, V any] [tableShards]map[K]V

// table is the writer's side of a table. Between two calls of freeze it copies each shard at most once, so that loading
// ten thousand entries costs no more than filling maps.
type table[K comparable, V any] struct {
	hash  func(K) uint64 // readers have to use the same one
	all   *shards[K, V]
	owned *[tableShards]bool // shards copied since freeze; nil if not even the array was
	len   int
}

func newTable[K comparable, V any](hash func(K) uint64) table[K, V] {
	return table[K, V]{hash: hash, all: new(shards[K, V])}
}

func (t *table[K, V]) get(k K) (V, bool) {
	v, ok := t.all[t.hash(k)%tableShards][k]
	return v, ok
}

func (t *table[K, V]) set(k K, v V) {
	shard := t.own(k)
	if shard == nil {
		shard = map[K]V{}
		t.all[t.hash(k)%tableShards] = shard
	}
	if _, ok := shard[k]; !ok {
		t.len++
	}
	shard[k] = v
}

func (t *table[K, V]) delete(k K) {
	if _, ok := t.get(k); !ok {
		return
	}
	delete(t.own(k), k)
	t.len--
}

// freeze returns the table as it is. Later changes go to copies.
func (t *table[K, V]) freeze() *shards[K, V] {
	t.owned = nil
	return t.all
}

// own returns the shard of k after making sure that no reader has it.
func (t *table[K, V]) own(k K) map[K]V {
	if t.owned == nil {
		all := *t.all
		t.all, t.owned = &all, new([tableShards]bool)
	}
	i := t.hash(k) % tableShards
	if !t.owned[i] {
		// Not maps.Clone: it keeps the capacity of deleted entries.
		if old := t.all[i]; old != nil {
			fresh := make(map[K]V, len(old)+1)
			maps.Copy(fresh, old)
			t.all[i] = fresh
		}
		t.owned[i] = true
	}
	return t.all[i]
}

// each visits all entries of a frozen table until visit returns false.
func (s *shards[K, V]) each(visit func(K, V) bool) {
	for _, shard := range s {
		for k, v := range shard {
			if !visit(k, v) {
				return
			}
		}
	}
}
