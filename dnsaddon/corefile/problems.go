package corefile

import (
	"fmt"
	"slices"

	"bonsai/bootstrap/cluster"
)

// ProblemKind is the Kind of every problem with the configuration.
const ProblemKind = "DNSConfig"

// maxProblems bounds the problems of one configuration; nobody reads more, and each becomes an Event.
const maxProblems = 30

// Where users put their configuration, as problems name it.
const (
	sourceCoreDNS = "configmap/kube-system/coredns"
	sourceValues  = "configmap/kube-system/" + cluster.DNSValuesMap
	sourceCustom  = "configmap/kube-system/coredns-custom"
	sourceKubeDNS = "configmap/kube-system/kube-dns"
	// sourceBuiltin is the Corefile that takes the place of one that is not there.
	sourceBuiltin = "bonsai"
)

// problems collects what is wrong, without duplicates.
type problems struct {
	list    []cluster.Problem
	dropped int
}

// add reports that something is ignored or understood differently; hint is what to do about it.
func (p *problems) add(at place, hint, format string, args ...any) {
	problem := cluster.Problem{
		Kind: ProblemKind, Severity: cluster.SeverityWarning, Object: at.source,
		Summary: at.String() + ": " + fmt.Sprintf(format, args...),
	}
	if hint != "" {
		problem.Advice = []cluster.Advice{cluster.Advise(hint)}
	}
	p.put(problem)
}

// addNote is add for problems that do not affect answers.
func (p *problems) addNote(at place, format string, args ...any) {
	p.put(cluster.Problem{
		Kind: ProblemKind, Severity: cluster.SeverityInfo, Object: at.source,
		Summary: at.String() + ": " + fmt.Sprintf(format, args...),
	})
}

func (p *problems) put(problem cluster.Problem) {
	same := func(q cluster.Problem) bool { return q.Object == problem.Object && q.Summary == problem.Summary }
	if slices.ContainsFunc(p.list, same) {
		return
	}
	if len(p.list) >= maxProblems {
		p.dropped++
		return
	}
	p.list = append(p.list, problem)
}

// all returns the problems; the last one is the number of those that were dropped.
func (p *problems) all() []cluster.Problem {
	if p.dropped == 0 {
		return p.list
	}
	return append(slices.Clip(p.list), cluster.Problem{
		Kind: ProblemKind, Severity: cluster.SeverityWarning, Object: sourceCoreDNS,
		Summary: fmt.Sprintf("%d more problems with the configuration", p.dropped),
	})
}
