package server

import (
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/dnsaddon/wire"
)

// maxTCPSize is the largest message over TCP.
const maxTCPSize = 1<<16 - 1

// quick answers plain questions from memory. Every goroutine that reads questions has its own.
type quick struct {
	listener *listener
	fold     [wire.MaxName]byte
	q        wire.Query
	// turn rotates the addresses in answers.
	turn int
}

// answer appends the reply to msg if the question is plain and the answer in memory; q is the question then. If ok is
// false, the slow path has to answer. It neither blocks nor allocates.
func (a *quick) answer(dst, msg []byte, tcp bool, now time.Time) (out []byte, source cluster.DNSSource, ok bool) {
	if !wire.Parse(msg, a.fold[:], &a.q) {
		return dst, "", false
	}
	limit := maxTCPSize
	if !tcp {
		limit = a.q.MaxUDP()
	}
	l, s := a.listener, a.listener.server
	if l.cluster {
		if rules := s.rules.Load(); rules != nil && !(*rules).Plain(a.q.Folded, a.q.Type) {
			return dst, "", false
		}
	}
	if s.locals.maybe(a.q.Folded) {
		return dst, "", false
	}
	if l.cluster {
		view := s.opts.Zone.View()
		if packed, ok := view.Packed(a.q.Folded, a.q.Type); ok {
			a.turn++
			out, ok = wire.Append(dst, &a.q, packed, a.turn, true, limit)
			return out, cluster.DNSFromCluster, ok
		}
		// The reverse name of an address that now belongs to the cluster may have been asked elsewhere before.
		if view.Concerns(a.q.Folded) {
			return dst, "", false
		}
	}
	out, ok = l.forward.AppendCached(dst, &a.q, limit, now)
	return out, cluster.DNSFromCache, ok
}
