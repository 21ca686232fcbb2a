// Package nearmiss guesses the name that was meant by one that does not exist: which one of a list (Nearest), or which
// Service (Find).
//
// It knows typical mistakes: typing errors, and in names of Services the wrong namespace and a domain that is not quite
// "svc.cluster.local". It is pure.
package nearmiss

import (
	"slices"
	"strings"

	"bonsai/bootstrap/cluster"
)

// Service is one that exists.
type Service struct{ Namespace, Name string }

// Reason is what was wrong with a name.
type Reason uint8

// The reasons.
const (
	// Elsewhere: a Service of that name is in another namespace.
	Elsewhere Reason = iota + 1
	// Namespace is misspelt.
	Namespace
	// Name of the Service is misspelt.
	Name
	// Both are misspelt.
	Both
	// Domain after the namespace is not one of the cluster.
	Domain
	// Unsearched: the name is right for a resolver that uses the search path, but was asked for as given.
	Unsearched
)

// Meant is a name that may have been meant.
type Meant struct {
	// Right is the correct name, in the form that was used: redis.default.svc for redis.defualt.svc, redis.default for
	// redis.
	Right   string
	Service Service
	Reason  Reason
}

// most is how many equally good guesses are still useful.
const most = 3

// unrelated is the score of the right Service in a namespace that does not resemble the requested one.
const unrelated = 10

// Find returns what a pod of the namespace own may have meant by asked, which does not exist: the best guesses, best
// first, at most three and all equally good. It returns none for a name of an existing Service, or if no name is
// similar.
func Find(asked, own string, services []Service) []Meant {
	labels := strings.Split(strings.TrimSuffix(strings.ToLower(asked), "."), ".")
	if len(labels) > 12 || slices.Contains(labels, "") {
		return nil
	}
	var best []Meant
	least := -1
	for _, r := range readings(labels, own) {
		for _, s := range services {
			score, reason := r.score(s)
			switch {
			case score == 0:
				return nil // it exists: what is missing is something else, an endpoint or a record type
			case score < 0 || least >= 0 && score > least:
				continue
			case score != least:
				best, least = best[:0], score
			}
			if m := (Meant{r.with(s, own), s, reason}); !slices.Contains(best, m) {
				best = append(best, m)
			}
		}
	}
	if len(best) > most {
		return nil
	}
	slices.SortFunc(best, func(a, b Meant) int {
		if (a.Service.Namespace == own) != (b.Service.Namespace == own) {
			if a.Service.Namespace == own {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Right, b.Right)
	})
	return best
}

// Full returns the full name of the Service that a pod of the namespace own means by asked, if there is one: the name
// that a resolver with a search path finds.
func Full(asked, own string, services []Service) (Meant, bool) {
	asked = strings.TrimSuffix(strings.ToLower(asked), ".")
	for _, s := range services {
		name := s.Name + "." + s.Namespace + ".svc." + cluster.ClusterDomain
		for _, form := range []string{s.Name + "." + s.Namespace, s.Name + "." + s.Namespace + ".svc", name} {
			if asked == form || asked == s.Name && s.Namespace == own {
				return Meant{name, s, Unsearched}, true
			}
		}
	}
	return Meant{}, false
}

// reading is one way to read the labels of a name.
type reading struct {
	host            string // of a pod or a port of the Service, with its dot
	service         string
	namespace       string
	explicit        bool   // the namespace was named
	domain          string // behind the namespace, as it should be, with its dot
	domainSlips     int
	ownNamespace    string
	insideOfCluster bool // what follows the namespace says that it is one
}

func readings(labels []string, own string) []reading {
	if len(labels) == 1 {
		return []reading{{service: labels[0], namespace: own, ownNamespace: own}}
	}
	var list []reading
	for hosts := 0; hosts <= 2 && hosts+2 <= len(labels); hosts++ {
		r := reading{service: labels[hosts], namespace: labels[hosts+1], explicit: true, ownNamespace: own}
		if hosts > 0 {
			r.host = strings.Join(labels[:hosts], ".") + "."
		}
		rest := strings.Join(labels[hosts+2:], ".")
		var ok bool
		if r.domain, r.domainSlips, ok = domainOf(rest); !ok {
			continue
		}
		r.insideOfCluster = rest != ""
		list = append(list, r)
	}
	return list
}

// domainOf returns the correct domain after a namespace, and how far the given one is from it.
func domainOf(rest string) (domain string, slips int, ok bool) {
	switch rest {
	case "":
		return "", 0, true
	case "svc":
		return ".svc", 0, true
	case "svc." + cluster.ClusterDomain:
		return "." + rest, 0, true
	case cluster.ClusterDomain:
		return ".svc." + cluster.ClusterDomain, 1, true
	case "svc.cluster", "svc.local":
		return ".svc." + cluster.ClusterDomain, 1, true
	}
	if strings.Contains(rest, ".") {
		n := distance(rest, "svc."+cluster.ClusterDomain, 4)
		return ".svc." + cluster.ClusterDomain, n, n <= 4
	}
	n := distance(rest, "svc", 1)
	return ".svc", n, n <= 1
}

// score is how far a Service is from the requested name: 0 is the same, negative is too far.
func (r *reading) score(s Service) (int, Reason) {
	name := distance(r.service, s.Name, slips(r.service))
	if name > slips(r.service) {
		return -1, 0
	}
	if !r.explicit {
		// A single label is similar to many others: if misspelt, only the pod's own namespace counts.
		switch {
		case s.Namespace == r.namespace && name > 0:
			return 2*name - 1, Name
		case s.Namespace == r.namespace:
			return 0, 0
		case name == 0:
			return 2, Elsewhere
		}
		return -1, 0
	}
	space := distance(r.namespace, s.Namespace, slips(r.namespace))
	near := space <= slips(r.namespace)
	score, reason := 0, Reason(0)
	switch {
	case name == 0 && space == 0:
		score, reason = 0, Domain
	case name == 0 && near:
		score, reason = space, Namespace
	case space == 0:
		score, reason = name, Name
	case name == 0 && r.insideOfCluster:
		score, reason = unrelated, Elsewhere
	case near && r.insideOfCluster:
		score, reason = name+space+3, Both
	default:
		return -1, 0
	}
	return score + 2*r.domainSlips, reason
}

// with returns the name with another Service in it, in the same form.
func (r *reading) with(s Service, own string) string {
	if !r.explicit && s.Namespace == own {
		return s.Name
	}
	return r.host + s.Name + "." + s.Namespace + r.domain
}
