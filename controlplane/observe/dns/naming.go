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
	// The number of waiting questions is limited; beyond it, they go without a name.
	maxUnnamed   = 512
	maxQuestions = 256 // of each
)

// naming adds the names of their clients to questions, and holds back those whose pod is not known yet. Apart from name
// it is a pure value. The questions of one client stay in order.
type naming struct {
	limit time.Duration
	// name returns the client; false if it may be known later.
	name func(q cluster.DNSQuery, now time.Time) (string, bool)
	// clients have no name yet. They stay here when their time is over, so that they do not get it again.
	clients []*unnamed
}

type unnamed struct {
	client    netip.Addr
	until     time.Time
	questions []cluster.DNSQuery
}

// add adds a question and returns what can be sent now of its client.
func (n *naming) add(now time.Time, q cluster.DNSQuery) []cluster.DNSQuery {
	i := slices.IndexFunc(n.clients, func(u *unnamed) bool { return u.client == q.Client })
	if i < 0 {
		name, final := n.name(q, now)
		if q.Pod = name; final || len(n.clients) == maxUnnamed {
			return []cluster.DNSQuery{q}
		}
		i = len(n.clients)
		n.clients = append(n.clients, &unnamed{client: q.Client, until: now.Add(n.limit)})
	}
	n.clients[i].questions = append(n.clients[i].questions, q)
	ready, named := n.release(n.clients[i], now)
	if named {
		n.clients = slices.Delete(n.clients, i, i+1)
	}
	return ready
}

// ready returns the questions that wait no longer.
func (n *naming) ready(now time.Time) (ready []cluster.DNSQuery) {
	n.clients = slices.DeleteFunc(n.clients, func(u *unnamed) bool {
		if len(u.questions) == 0 {
			return false
		}
		sent, named := n.release(u, now)
		ready = append(ready, sent...)
		return named
	})
	return ready
}

// release takes the questions out of u if it has a name or has waited long enough.
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

// next returns when the first question will have waited long enough.
func (n *naming) next() (next time.Time, ok bool) {
	for _, u := range n.clients {
		if len(u.questions) > 0 && (!ok || u.until.Before(next)) {
			next, ok = u.until, true
		}
	}
	return next, ok
}
