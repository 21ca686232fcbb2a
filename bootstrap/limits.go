package bootstrap

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/componentlog"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/limits"
	"bonsai/bootstrap/node"
)

// Machine is this machine, as far as the limits are concerned that its engine's nodes share with everything else on it.
type Machine interface {
	// Facts are their levels; dataRoot is where the engine stores its data.
	Facts(dataRoot string) limits.Facts
	// Raise raises one until the machine restarts, which usually only root may do.
	Raise(l limits.Limit) error
}

// checkLimits refuses what certainly does not fit on this machine, before anything is made, raises the limit where this
// process may, and warns where it may not and little is left. Of engines elsewhere nothing is known, and nothing is said.
func (o *operation) checkLimits(ctx context.Context) error {
	if o.env.Machine == nil || o.driver == nil || !o.engine.HostReachesNodes {
		return nil
	}
	demand := limits.Demand{ControlPlane: o.Wanted.Running && !o.Current.Running, CgroupV2: o.engine.CgroupVersion == "2"}
	for _, n := range o.wantedNodes() {
		if !slices.ContainsFunc(o.containers, func(c node.Container) bool { return c.Node == n.Name && c.Running }) {
			demand.Nodes++
		}
	}
	if demand.Nodes == 0 {
		return nil
	}
	facts := o.env.Machine.Facts(o.engine.DataRoot)
	if facts[limits.InotifyInstances].AtLeast {
		demand.ControlPlane = false // it counts towards this user's, and nodes towards root's
		if err := countNodes(ctx, o.driver, facts); err != nil {
			return err
		}
	}
	for _, v := range limits.Judge(facts, demand) {
		inotify := v.Name == limits.InotifyInstances || v.Name == limits.InotifyWatches
		if v.Setting != "" && v.Value > v.Level.Limit && (v.Grade == limits.Short || inotify) {
			err := o.env.Machine.Raise(v.Limit)
			if err == nil {
				o.rec.warn("limits", fmt.Sprintf("raised %s from %d to %d until this machine restarts: %s", v.Setting, v.Level.Limit, v.Value, v))
				continue
			}
			o.env.Log.Debug("a limit cannot be raised", "setting", v.Setting, "cause", err)
		}
		if v.Grade == limits.Short {
			return v.Fault()
		}
		o.rec.warnOf("limits", v.Fault())
	}
	return nil
}

// countNodes adds what the running nodes of all clusters take at least, where their processes cannot be seen.
func countNodes(ctx context.Context, driver node.Driver, facts limits.Facts) error {
	all, err := driver.List(ctx, "")
	if err != nil {
		return err
	}
	running := int64(0)
	for _, c := range all {
		if c.Running {
			running++
		}
	}
	for name, level := range facts {
		if level.AtLeast {
			level.Used += running * limits.Of(name).Cost.Node
			facts[name] = level
		}
	}
	return nil
}

// adviseOnLimit puts first how to raise the limit that a failure names, in its cause or in the logs.
func adviseOnLimit(f *fault.Fault) {
	if f.Kind == fault.Limit {
		return
	}
	l, reached := limits.Recognize(f.Error())
	for _, line := range slices.Backward(f.Evidence) {
		if reached {
			break
		}
		l, reached = limits.Recognize(line)
	}
	if reached {
		f.Advice = slices.Concat(l.Advice(), f.Advice)
	}
}

// hopeless is how often a component of a node exits because a limit is reached until waiting for it makes no sense.
const hopeless = 3

// culprit returns what the components of nodes report about why these are not ready: of the first one that does not run. It
// is nil if nothing is known.
func culprit(s cluster.Snapshot, nodes []string) *cluster.Problem {
	for _, n := range s.Nodes {
		if !slices.Contains(nodes, n.Name) {
			continue
		}
		for _, c := range n.Components {
			if c.Phase != cluster.PhaseRunning && c.Reason != "" {
				return &cluster.Problem{Object: n.Name, Summary: c.Name, Cause: c.Reason, Count: c.Restarts}
			}
		}
	}
	return nil
}

// componentFault is the fault of a node with a component that says what is wrong with it.
func componentFault(op string, c *cluster.Problem) *fault.Fault {
	restarted := ""
	if c.Count > 0 {
		restarted = fmt.Sprintf(", restarted %d times", c.Count)
	}
	return fault.New(fault.Node, op, fmt.Errorf("%s on node %s does not run%s: %s", c.Summary, c.Object, restarted, c.Cause))
}

// componentWords are the last words of a node's components, by their logs; none if those cannot be read.
func (o *operation) componentWords(ctx context.Context, container string) (lines []string) {
	for _, component := range []string{"containerd", "kubelet"} {
		var out bytes.Buffer
		_, err := o.driver.Exec(ctx, container, node.Exec{
			Cmd: []string{"tail", "-n", "200", cluster.NodeLogDir + "/" + component + ".log"}, Stdout: &out,
		})
		if words := componentlog.LastWords(out.String()); err == nil && words != "" {
			lines = append(lines, component+": "+words)
		}
	}
	return lines
}
