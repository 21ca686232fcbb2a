// Package cache keeps the answers of upstream resolvers in wire form.
//
// An [Answer] is a whole reply with the places of its TTL fields. Handing it to an asker is a copy with the id, the
// spelling of the question, a few flags and the TTLs patched in, which needs no allocation and well below a
// microsecond. Compressed names stay right, since nothing in front of them changes its length.
//
// # What is kept
//
// Replies are kept by name, type, and the flags DO and CD: a resolver may give each combination another answer, and
// one must never be shown for the other. A reply is kept only if it says something about the question: records of the
// asked type at the end of the chain of CNAMEs, or their absence with the SOA record that says for how long (RFC
// 2308). SERVFAIL is kept for a few seconds (RFC 9520). Truncated replies, referrals, empty replies without SOA and
// other errors are not kept.
//
// Each of the two kinds, success and denial, has its own bound in entries and in bytes, so that a flood of names that
// do not exist cannot drive out what does. When full, the entry goes that was not asked for since the last round of
// the clock.
//
// # Time
//
// Ages are measured on the wall clock, because the monotonic clock stands still while a laptop sleeps. A clock that is
// set back makes entries expire, never live longer.
//
// An expired answer remains for a while and can be served if no upstream answers (RFC 8767); the caller decides.
package cache
