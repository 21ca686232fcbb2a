package problems

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/observe/problems/diagnose"
)

const (
	// Stored failed lookups are limited by pods, names of each, and time.
	maxPodsNamed = 200
	maxPerPod    = 20
	forget       = 6 * time.Minute
	// dnsAgain is the pause before DNS is tried again after it was disabled or disconnected.
	dnsAgain = 2 * time.Second
)

// lookups stores the names that pods asked for without success.
type lookups struct {
	// poke is called when something was stored.
	poke func()

	mu    sync.Mutex // guards byPod
	byPod map[string]map[string]*lookup
}

// lookup is a name that does not exist. Resolvers ask for both kinds of address at once; that is one lookup.
type lookup struct {
	diagnose.FailedLookup
	byType map[string]int
}

// follow follows cluster DNS until ctx ends.
func (l *lookups) follow(ctx context.Context, dns func() DNS) {
	for ctx.Err() == nil {
		if server := dns(); server != nil {
			_ = server.DNSLog(ctx, cluster.DNSLogQuery{Fold: true}, func() {}, func(q cluster.DNSQuery) error {
				l.take(q, time.Now())
				return nil
			})
		}
		select {
		case <-ctx.Done():
		case <-time.After(dnsAgain):
		}
	}
}

// take stores a question if it failed and a pod asked it.
func (l *lookups) take(q cluster.DNSQuery, now time.Time) {
	namespace, _, ok := strings.Cut(q.Pod, "/")
	if !ok || namespace == "node" || q.Type != "A" && q.Type != "AAAA" {
		return
	}
	// The search for a name of the cluster has failed even if no upstream answers the last try.
	if q.Rcode != "NXDOMAIN" && (q.Rcode == "NOERROR" || len(q.Tries) == 0) {
		l.found(q, namespace)
		return
	}
	name := wanted(q, namespace)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byPod == nil {
		l.byPod = map[string]map[string]*lookup{}
	}
	names := l.byPod[q.Pod]
	if names == nil {
		if len(l.byPod) >= maxPodsNamed {
			return
		}
		names = map[string]*lookup{}
		l.byPod[q.Pod] = names
	}
	one := names[name]
	if one == nil {
		if len(names) >= maxPerPod {
			oldest := slices.MinFunc(slices.Collect(maps.Values(names)), func(a, b *lookup) int { return a.Last.Compare(b.Last) })
			delete(names, oldest.Name)
		}
		one = &lookup{diagnose.FailedLookup{Pod: q.Pod, Name: name, First: now}, map[string]int{}}
		names[name] = one
	}
	one.byType[q.Type]++
	one.Count = max(one.Count, one.byType[q.Type])
	one.Last, one.Tries = now, append(slices.Clone(q.Tries), q.Name)
	l.poke()
}

// found drops a name that exists after all.
func (l *lookups) found(q cluster.DNSQuery, namespace string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if names := l.byPod[q.Pod]; names != nil && q.Rcode == "NOERROR" {
		delete(names, wanted(q, namespace))
	}
}

// wanted is the name that the program asked its resolver for.
func wanted(q cluster.DNSQuery, namespace string) string {
	first := q.Name
	if len(q.Tries) > 0 {
		first = q.Tries[0]
	}
	first = strings.ToLower(strings.TrimSuffix(first, "."))
	name, searched := strings.CutSuffix(first, "."+namespace+".svc."+cluster.ClusterDomain)
	// Without a search, or if only its first try was seen, it is the name itself.
	if !searched || len(q.Tries) == 0 && !strings.Contains(name, ".svc") {
		return first
	}
	return name
}

// failed returns what is stored, and drops what is old.
func (l *lookups) failed(now time.Time) (list []diagnose.FailedLookup) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for pod, names := range l.byPod {
		maps.DeleteFunc(names, func(_ string, one *lookup) bool { return now.Sub(one.Last) > forget })
		if len(names) == 0 {
			delete(l.byPod, pod)
		}
		for _, one := range names {
			list = append(list, one.FailedLookup)
		}
	}
	slices.SortFunc(list, func(a, b diagnose.FailedLookup) int {
		if c := a.Last.Compare(b.Last); c != 0 {
			return c
		}
		return strings.Compare(a.Pod+a.Name, b.Pod+b.Name)
	})
	return list
}
