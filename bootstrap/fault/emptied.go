package fault

import (
	"strings"

	"bonsai/bootstrap/cluster"
)

// NotEmptied is the fault Blocked of nodes that should be deleted. err is why they are not; obstacles name what is on them
// that would be lost, or that does not leave.
func NotEmptied(nodes []string, err error, obstacles []string) *Fault {
	return New(Blocked, Emptying(nodes), err).WithEvidence(obstacles...).
		Advise("delete it with everything that is on it", cluster.Bonsai("node", "delete").On(nodes...).With("--force").Change())
}

// Emptying is what is tried on nodes that should be deleted.
func Emptying(nodes []string) string {
	if len(nodes) == 1 {
		return "empty node " + nodes[0]
	}
	return "empty nodes " + strings.Join(nodes, ", ")
}
