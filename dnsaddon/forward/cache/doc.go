// Package cache keeps the answers of upstream resolvers in wire form.
//
// An [Answer] is a whole reply with the offsets of its TTL fields. Serving it to a client means copying it and patching
// in the id, the spelling of the question, a few flags and the TTLs, which needs no allocation and well below a
// microsecond. Compressed names stay valid, because nothing before them changes its length.
//
// # What is cached
//
// Replies are cached by name, type, and the flags DO and CD: a resolver may answer each combination differently, and
// one must never be served for the other. A reply is cached only if it answers the question: records of the requested
// type at the end of the chain of CNAMEs, or their absence with the SOA record that says for how long (RFC 2308).
// SERVFAIL is cached for a few seconds (RFC 9520). Truncated replies, referrals, empty replies without SOA and other
// errors are not cached.
//
// Each of the two kinds, success and denial, has its own limit in entries and in bytes, so that a flood of names that
// do not exist cannot evict those that do. When the cache is full, an entry is evicted that was not used since the last
// round of the clock.
//
// # Time
//
// Ages are measured on the wall clock, because the monotonic clock stops while a laptop sleeps. If the clock is set
// back, entries expire; they never live longer.
//
// An expired answer is kept for a while and can be served if no upstream answers (RFC 8767); the caller decides.
package cache
