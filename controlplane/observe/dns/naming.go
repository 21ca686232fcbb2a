package dns

import (
	"net/netip"
	"slices"
	"time"

	"bonsai/bootstrap/cluster"
)

const (
	// nameLimit is how long a question waits for the name of its pod: a pod asks as soon as it runs, but its kubelet
	// reports the address a second or two later.
	nameLimit = 2500 * time.Millisecond
	// What waits is bounded; beyond it, questions go without a name.
	maxUnnamed   = 512
	maxQuestions = 256 // of each
)

// naming gives questions the names of their askers, and holds back those whose pod is not known yet. It is a pure
// value but for name. The questions of one asker stay in order.
type naming struct {
	limit time.Duration
	// name returns who asked; false if that may be known later.
	name func(q cluster.DNSQuery, now time.Time) (string, bool)
	// askers have no name yet. They stay here when their time is over, so that they do not get it again.
	askers []*unnamed
}

type unnamed struct {
	client    netip.Addr
	until     time.Time
	questions []cluster.DNSQuery
}

// add takes in a question and returns what can be told of its asker.
func (n *naming) add(now time.Time, q cluster.DNSQuery) []cluster.DNSQuery {
	i := slices.IndexFunc(n.askers, func(u *unnamed) bool { return u.client == q.Client })
	if i < 0 {
		name, final := n.name(q, now)
		if q.Pod = name; final || len(n.askers) == maxUnnamed {
			return []cluster.DNSQuery{q}
		}
		i = len(n.askers)
		n.askers = append(n.askers, &unnamed{client: q.Client, until: now.Add(n.limit)})
	}
	n.askers[i].questions = append(n.askers[i].questions, q)
	ready, named := n.release(n.askers[i], now)
	if named {
		n.askers = slices.Delete(n.askers, i, i+1)
	}
	return ready
}

// ready returns the questions that wait no longer.
func (n *naming) ready(now time.Time) (ready []cluster.DNSQuery) {
	n.askers = slices.DeleteFunc(n.askers, func(u *unnamed) bool {
		if len(u.questions) == 0 {
			return false
		}
		told, named := n.release(u, now)
		ready = append(ready, told...)
		return named
	})
	return ready
}

// release takes the questions out of u if it has a name or has waited for long enough.
func (n *naming) release(u *unnamed, now time.Time) (ready []cluster.DNSQuery, named bool) {
	name, named := n.name(u.questions[0], now)
	if !named && now.Before(u.until) && len(u.questions) < maxQuestions {
		return nil, false
	}
	ready, u.questions = u.questions, nil
	for i := range ready {
		ready[i].Pod = name
	}
	return ready, named
}

// next says when the first question will have waited long enough.
func (n *naming) next() (next time.Time, ok bool) {
	for _, u := range n.askers {
		if len(u.questions) > 0 && (!ok || u.until.Before(next)) {
			next, ok = u.until, true
		}
	}
	return next, ok
}
