package forward

import (
	"math/rand/v2"
	"slices"
	"sync/atomic"

	"github.com/miekg/dns"
)

// table is the configuration in effect. It is immutable.
type table struct {
	// byName has the zones by their names in lower-case wire form.
	byName map[string]*zone
	// oneLabel are, for some of these, the zones of names with a single label.
	oneLabel map[string]*zone
	zones    []*zone // all of them, sorted by name
}

// zone is one active Zone. A new configuration creates new zones, which take over what the pointers refer to.
type zone struct {
	Zone
	// id marks the zone's answers in the cache. It is kept as long as the zone would give the same answers.
	id        uint32
	except    map[string]bool // by wire form
	upstreams []*upstream
	*zoneState
}

// zoneState is the state of a zone of one name.
type zoneState struct {
	next    atomic.Uint32 // of RoundRobin
	waiting atomic.Int64  // questions for an upstream
	refused atomic.Uint64 // questions beyond MaxConcurrent
	broken  atomic.Uint64 // questions while every upstream was down
}

// route finds the zone of a name in lower-case wire form, nil if there is none.
func (t *table) route(folded []byte) *zone {
	for off := 0; ; off += 1 + int(folded[off]) {
		if z := t.byName[string(folded[off:])]; z != nil && !z.excepts(folded) {
			if one := t.oneLabel[string(folded[off:])]; one != nil && hasOneLabel(folded) {
				return one
			}
			return z
		}
		if folded[off] == 0 {
			return nil
		}
	}
}

func hasOneLabel(folded []byte) bool { return folded[0] != 0 && folded[1+int(folded[0])] == 0 }

func (z *zone) excepts(folded []byte) bool {
	if len(z.except) == 0 {
		return false
	}
	for off := 0; ; off += 1 + int(folded[off]) {
		if z.except[string(folded[off:])] {
			return true
		}
		if folded[off] == 0 {
			return false
		}
	}
}

// sameAnswers reports whether answers of the zone may be kept for another configuration of it. Exceptions do not
// matter: the cache asks to which zone each name belongs.
func (z *zone) sameAnswers(o Zone) bool {
	return slices.Equal(z.Upstreams, o.Upstreams) && z.Cache == o.Cache
}

// order puts the upstreams to ask into buf, in the order of the policy: those that are up, or all if none is. Those
// that are cut off are omitted.
func (z *zone) order(buf []*upstream) (list []*upstream, allDown bool) {
	list = buf[:0]
	for _, u := range z.upstreams {
		if u.usable() && !u.down(z.MaxFails) {
			list = append(list, u)
		}
	}
	if len(list) == 0 {
		allDown = true
		for _, u := range z.upstreams {
			if u.usable() {
				list = append(list, u)
			}
		}
	}
	switch {
	case len(list) < 2 || z.Policy == Sequential:
	case z.Policy == RoundRobin:
		rotate(list, int(z.next.Add(1)-1)%len(list))
	default:
		rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	}
	return list, allDown
}

// allDown reports whether no upstream is likely to answer.
func (z *zone) allDown() bool {
	return !slices.ContainsFunc(z.upstreams, func(u *upstream) bool { return u.usable() && !u.down(z.MaxFails) })
}

// admit takes a slot for a waiting question; done releases it.
func (z *zone) admit() bool {
	if z.waiting.Add(1) <= int64(z.MaxConcurrent) {
		return true
	}
	z.done()
	z.refused.Add(1)
	return false
}

func (z *zone) done() { z.waiting.Add(-1) }

// overTCP reports whether to ask an upstream over TCP for a client that asked over TCP or not.
func (z *zone) overTCP(asked bool) bool { return z.ForceTCP || asked && !z.PreferUDP }

func rotate[T any](s []T, by int) {
	slices.Reverse(s[:by])
	slices.Reverse(s[by:])
	slices.Reverse(s)
}

// wireName packs a name into lower-case wire form.
func wireName(name string) ([]byte, error) {
	buf := make([]byte, 256)
	n, err := dns.PackDomainName(dns.Fqdn(name), buf, 0, nil, false)
	if err != nil {
		return nil, err
	}
	fold(buf[:n], buf[:n])
	return buf[:n], nil
}

// fold lowers the letters of a name in wire form. Label lengths are below 'A' and do not change.
func fold(dst, src []byte) {
	for i, c := range src {
		dst[i] = lower(c)
	}
}

func lower(c byte) byte {
	if c-'A' < 26 {
		c |= 0x20
	}
	return c
}
