package diagnose

import (
	"fmt"
	"strings"

	"bonsai/bootstrap/cluster"
)

// storeProblem is that of an etcd without much room.
func storeProblem(s cluster.Store) cluster.Problem {
	p := cluster.Problem{
		Kind: cluster.ProblemStore, Severity: cluster.SeverityWarning, Object: "component/etcd",
		Summary: fmt.Sprintf("etcd is %d%% full: %s of %s", s.Size*100/max(s.Quota, 1), megabytes(s.Size), megabytes(s.Quota)),
	}
	if s.ReadOnly {
		p.Severity = cluster.SeverityError
		p.Summary = fmt.Sprintf("etcd is full (%s) and refuses all writes: nothing can be created or changed", megabytes(s.Quota))
	}
	var shares []string
	for _, share := range s.Shares {
		versions := fmt.Sprintf("%d versions", share.Versions)
		if share.Versions == 1 {
			versions = "1 version"
		}
		shares = append(shares, fmt.Sprintf("%s %s (%s)", share.Resource, megabytes(share.Bytes), versions))
	}
	if len(shares) > 0 {
		p.Cause = "it is taken by " + strings.Join(shares, ", ")
		if largest := s.Shares[0].Resource; !strings.HasPrefix(largest, "/") { // a resource
			p.Advice = advise("see what takes the room, and delete what is not needed", cluster.Kubectl("get").On(largest).With("--all-namespaces"))
		}
	}
	p.Advice = append(p.Advice, cluster.Advise("a start gives free room back and allows writes again",
		cluster.Bonsai("stop").Change(), cluster.Bonsai("start").Change()))
	return p
}

func megabytes(n int64) string { return fmt.Sprintf("%d MB", n>>20) }
