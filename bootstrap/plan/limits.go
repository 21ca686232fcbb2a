package plan

import (
	"strconv"

	"bonsai/bootstrap/fault"
)

// CheckProcessors refuses nodes that are to get more processors than the engine has. Docker refuses such a container, too,
// but only when other things have changed already; more memory than there is it accepts.
func CheckProcessors(current, wanted State, env Environment) error {
	if wanted.Spec == nil || env.CPUs == 0 {
		return nil
	}
	for _, n := range wanted.Spec.Nodes {
		if n.CPUs <= float64(env.CPUs) {
			continue
		}
		if current.Spec != nil {
			if old, ok := current.Spec.NodeByName(n.Name); ok && old.CPUs == n.CPUs {
				continue // the engine was larger; what it does with this node is not this command's doing
			}
		}
		return fault.Newf(fault.Usage, "node %s cannot have %s processors: the container engine has %d", n.Name, strconv.FormatFloat(n.CPUs, 'g', -1, 64), env.CPUs).
			Advise("name fewer, or omit --cpus")
	}
	return nil
}
