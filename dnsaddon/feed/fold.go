package feed

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"bonsai/bootstrap/cluster"
)

// Hold is how long a name that does not exist is held back: the next name of a search path follows within a round trip,
// or an upstream's time to answer.
const Hold = 150 * time.Millisecond

const (
	// maxSearches limits what is held back; beyond it, failed lookups are passed on as they come.
	maxSearches = 1024
	// maxTries is how many search domains a pod can have.
	maxTries = 32

	domain   = cluster.ClusterDomain
	services = "svc." + domain
)

// Folder recognises searches: a resolver that is asked for "web" tries web.NAMESPACE.svc.cluster.local,
// web.svc.cluster.local, web.cluster.local, then the node's own search domains and finally "web" itself, until one
// exists. Only the cluster's part of the path is known here. The rest is recognised because it begins with the same
// name after all of that has failed.
//
// It is a pure value: the caller passes the time, which must not go back. The zero value is ready to use.
type Folder struct {
	// searches are those that have not ended, in the order of their deadlines.
	searches []*search
}

// search is one name of one type that one client looks for.
type search struct {
	client netip.Addr
	qtype  string
	// name is what the program asked its resolver for; namespace is that of the path's first domain, if it was tried.
	name, namespace string
	// suffixes are the search domains that were tried. The same one again belongs to another search for the same name.
	suffixes []string
	// tries are the names that were tried before last.
	tries    []string
	last     cluster.DNSQuery
	deadline time.Time
}

// Add processes a question and returns what can be published now: nothing while it may be one try of a search,
// otherwise q, with the tries that led to it.
func (f *Folder) Add(now time.Time, q cluster.DNSQuery) []cluster.DNSQuery {
	name := strings.ToLower(strings.TrimSuffix(q.Name, "."))
	missed := q.Rcode == "NXDOMAIN"
	for i, s := range f.searches {
		if s.client != q.Client || s.qtype != q.Type {
			continue
		}
		suffix, ok := s.next(name)
		if !ok {
			continue
		}
		f.searches = slices.Delete(f.searches, i, i+1)
		s.tries = append(s.tries, s.last.Name)
		// The name as given comes last in every resolver.
		if !missed || suffix == "" || len(s.tries) >= maxTries {
			q.Tries = s.tries
			return []cluster.DNSQuery{q}
		}
		s.suffixes = append(s.suffixes, suffix)
		s.hold(now, q)
		f.searches = append(f.searches, s)
		return nil
	}
	if s := begin(name); missed && s != nil && len(f.searches) < maxSearches {
		s.client, s.qtype = q.Client, q.Type
		s.hold(now, q)
		f.searches = append(f.searches, s)
		return nil
	}
	return []cluster.DNSQuery{q}
}

// Next returns when Due has something to return, if nothing is added until then.
func (f *Folder) Next() (time.Time, bool) {
	if len(f.searches) == 0 {
		return time.Time{}, false
	}
	return f.searches[0].deadline, true
}

// Due returns the searches that ended without success, each as its last try.
func (f *Folder) Due(now time.Time) (due []cluster.DNSQuery) {
	for len(f.searches) > 0 && !f.searches[0].deadline.After(now) {
		s := f.searches[0]
		f.searches = slices.Delete(f.searches, 0, 1)
		s.last.Tries = s.tries
		due = append(due, s.last)
	}
	return due
}

func (s *search) hold(now time.Time, q cluster.DNSQuery) { s.last, s.deadline = q, now.Add(Hold) }

// begin reads a name as the first try of a search; nil if it cannot be one.
func begin(name string) *search {
	if rest, ok := strings.CutSuffix(name, "."+services); ok && rest != "" {
		if i := strings.LastIndexByte(rest, '.'); i > 0 {
			namespace := rest[i+1:]
			return &search{name: rest[:i], namespace: namespace, suffixes: []string{namespace + "." + services}}
		}
		return &search{name: rest, suffixes: []string{services}}
	}
	if rest, ok := strings.CutSuffix(name, "."+domain); ok && rest != "" {
		return &search{name: rest, suffixes: []string{domain}}
	}
	return nil
}

// next reports whether name can be the next try, and with which search domain; "" is the name as given.
func (s *search) next(name string) (suffix string, ok bool) {
	suffix, ok = strings.CutPrefix(name, s.name)
	if !ok || suffix == "" {
		return "", ok
	}
	if suffix, ok = strings.CutPrefix(suffix, "."); !ok || slices.Contains(s.suffixes, suffix) {
		return "", false
	}
	// What comes after the cluster's own domains is up to the node or the pod.
	clusterDone := slices.Contains(s.suffixes, domain)
	switch namespace, inServices := strings.CutSuffix(suffix, "."+services); {
	case suffix == services, suffix == domain:
		return suffix, true
	case inServices:
		// More labels would be the first try of a longer name.
		return suffix, !strings.Contains(namespace, ".") && (clusterDone || s.namespace == "" || s.namespace == namespace)
	case strings.HasSuffix(suffix, "."+domain):
		return "", false
	}
	return suffix, clusterDone
}
