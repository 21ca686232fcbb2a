package diagnose

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/limits"
)

// nodeGrace is how long a node may be unavailable: the kubelet restarts, or comes up with the cluster.
const nodeGrace = 15 * time.Second

// componentGrace is how long a component of a node may be down: it is started again at once.
const componentGrace = 3 * time.Second

// oftenEnough is how many restarts of a component are not a passing trouble.
const oftenEnough = 3

// Nodes looks for nodes that are not ready, or short of a resource. Only Now, Begun, Scale, Cluster and Nodes of a
// State are used; next is when the result may change because of time alone.
func Nodes(s State) (list []cluster.Problem, next time.Time) {
	d := newDiagnosis(State{Now: s.Now, Begun: s.Begun, Scale: s.Scale, Cluster: s.Cluster})
	for _, n := range s.Nodes {
		for _, c := range n.Status.Conditions {
			p := cluster.Problem{Kind: string(fault.Node), Severity: cluster.SeverityError, Object: "node/" + n.Name, Since: c.LastTransitionTime.Time}
			switch {
			case c.Type == corev1.NodeReady && c.Status == corev1.ConditionFalse:
				p.Summary, p.Cause = "node "+n.Name+" is not ready", plainNode(c.Message)
				p.Advice = advise("", cluster.Bonsai("logs").On("kubelet").With("--node", n.Name))
			case c.Type == corev1.NodeReady && c.Status == corev1.ConditionUnknown:
				p.Summary, p.Cause = "node "+n.Name+" is not ready", "its kubelet no longer reports"
				p.Advice = advise("if its container has stopped, start it", cluster.Bonsai("start").Cure())
			case c.Status == corev1.ConditionTrue && strings.HasSuffix(string(c.Type), "Pressure"):
				what := map[corev1.NodeConditionType]string{
					corev1.NodeMemoryPressure: "memory", corev1.NodeDiskPressure: "disk", corev1.NodePIDPressure: "process IDs",
				}[c.Type]
				if what == "" {
					continue
				}
				p.Severity = cluster.SeverityWarning
				p.Summary, p.Cause = "node "+n.Name+" is short of "+what, plainNode(c.Message)
				p.Advice = advise("", cluster.Kubectl("describe", "node").On(n.Name))
			default:
				continue
			}
			since := c.LastTransitionTime.Time
			if since.Before(s.Begun) {
				since = s.Begun
			}
			if d.over(since, nodeGrace) {
				list = append(list, p.For(s.Cluster))
			}
		}
	}
	return list, d.next
}

// plainNode keeps the useful part of a kubelet's message.
func plainNode(message string) string {
	text := strings.TrimPrefix(message, "[")
	if strings.Contains(text, "cni plugin not initialized") || strings.Contains(text, "NetworkPluginNotReady") {
		return "its pod network is not set up: " + oneLine(message)
	}
	return oneLine(message)
}

// Parts examines the components and addons of a snapshot.
func Parts(s cluster.Snapshot) (list []cluster.Problem) {
	component := func(where string, c cluster.Component) {
		again := c.Phase == cluster.PhaseStarting && c.Restarts >= oftenEnough && c.Reason != "" // after it has just exited
		switch c.Phase {
		case cluster.PhaseFailed, cluster.PhaseDegraded:
		default:
			if !again {
				return
			}
		}
		// Those of the control plane do not restart on their own.
		if where != "" && s.Time.Sub(c.Since) < componentGrace && c.Restarts < oftenEnough {
			return
		}
		p := cluster.Problem{
			Kind: string(fault.ControlPlane), Severity: cluster.SeverityError, Object: "component/" + c.Name, Since: c.Since,
			Summary: fmt.Sprintf("%s is %s", c.Name, strings.ToLower(string(c.Phase))), Cause: c.Reason,
		}
		logs := cluster.Bonsai("logs").On(c.Name)
		if where != "" {
			p.Kind, p.Object = string(fault.Node), "component/"+where+"/"+c.Name
			p.Summary = fmt.Sprintf("%s on node %s is %s", c.Name, where, strings.ToLower(string(c.Phase)))
			logs = logs.With("--node", where)
		}
		if c.Restarts > 0 && where != "" {
			p.Cause = strings.TrimPrefix(p.Cause+"; restarted "+times(c.Restarts), "; ")
		}
		if again {
			p.Summary = fmt.Sprintf("%s on node %s exits again and again", c.Name, where)
		}
		p.Advice = advise("", logs)
		if l, ok := limits.Recognize(c.Reason); ok {
			p.Advice = slices.Concat(l.Advice(), p.Advice)
		}
		list = append(list, p.For(s.Name))
	}
	for _, c := range s.Components {
		component("", c)
	}
	for _, n := range s.Nodes {
		for _, c := range n.Components {
			component(n.Name, c)
		}
	}
	if s.Store != nil && s.Store.NearlyFull() {
		list = append(list, storeProblem(*s.Store).For(s.Name))
	}
	for _, a := range s.Addons {
		switch a.State {
		case cluster.AddonDegraded, cluster.AddonFailed, cluster.AddonBlocked:
			list = append(list, cluster.Problem{
				Kind: string(fault.Addon), Severity: cluster.SeverityWarning, Object: "addon/" + a.Name,
				Summary: fmt.Sprintf("addon %s is %s", a.Name, a.State), Cause: a.Reason, Advice: a.Advice,
			})
		}
	}
	return list
}
