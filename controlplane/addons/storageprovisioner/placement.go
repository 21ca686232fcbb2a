package storageprovisioner

import (
	"cmp"
	"fmt"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	corelisters "k8s.io/client-go/listers/core/v1"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/config"
)

// annProvisionedBy is upstream's; the controller sets it on every volume that it creates.
const annProvisionedBy = "pv.kubernetes.io/provisioned-by"

// suitableNodes are the names of the nodes to which pods can be scheduled, in the order of the plan, and why the others
// are not suitable.
func suitableNodes(nodes []corev1.Node, spec cluster.Spec, topologies []corev1.TopologySelectorTerm) (suitable, unfit []string) {
	for _, planned := range spec.Nodes {
		i := slices.IndexFunc(nodes, func(n corev1.Node) bool { return n.Name == planned.Name })
		if i < 0 {
			unfit = append(unfit, "node "+planned.Name+" is not known to Kubernetes")
			continue
		}
		if reason := unfitness(&nodes[i], topologies); reason != "" {
			unfit = append(unfit, "node "+planned.Name+" "+reason)
			continue
		}
		suitable = append(suitable, planned.Name)
	}
	if len(spec.Nodes) == 0 {
		unfit = []string{"the cluster has none"}
	}
	return suitable, unfit
}

func unfitness(n *corev1.Node, topologies []corev1.TopologySelectorTerm) string {
	ready := slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
	switch {
	case !ready:
		return "is not Ready"
	case n.Spec.Unschedulable:
		return "is cordoned"
	case !allowed(n.Labels, topologies):
		return "is not one of the StorageClass's allowedTopologies"
	}
	for _, t := range n.Spec.Taints {
		if t.Effect != corev1.TaintEffectPreferNoSchedule {
			return "has the taint " + t.Key
		}
	}
	return ""
}

// allowed reports whether a node's labels match any of the terms; no terms allow every node.
func allowed(have map[string]string, terms []corev1.TopologySelectorTerm) bool {
	return len(terms) == 0 || slices.ContainsFunc(terms, func(term corev1.TopologySelectorTerm) bool {
		for _, e := range term.MatchLabelExpressions {
			if value, ok := have[e.Key]; !ok || !slices.Contains(e.Values, value) {
				return false
			}
		}
		return len(term.MatchLabelExpressions) > 0
	})
}

// placements remembers which nodes were chosen for volumes that have no object yet, so that claims that arrive together
// are spread, and an attempt whose outcome is unknown is repeated on the same node. The zero value is empty.
type placements struct {
	mu     sync.Mutex
	chosen map[string]string // node by name of the volume
}

// choose returns the node with the fewest volumes; of several, the first.
func (p *placements) choose(volume string, nodes []string, existing corelisters.PersistentVolumeLister) (string, error) {
	all, err := existing.List(labels.Everything())
	if err != nil {
		return "", fmt.Errorf("count volumes: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	count := map[string]int{}
	for _, pv := range all {
		if pv.Annotations[annProvisionedBy] == config.VolumeProvisioner {
			count[nodeOf(pv)]++
			delete(p.chosen, pv.Name) // counted from now on
		}
	}
	for _, node := range p.chosen {
		count[node]++
	}
	best := slices.MinFunc(nodes, func(a, b string) int { return cmp.Compare(count[a], count[b]) })
	if p.chosen == nil {
		p.chosen = map[string]string{}
	}
	p.chosen[volume] = best
	return best, nil
}

// unfinished returns the node of a volume that was chosen before and not forgotten.
func (p *placements) unfinished(volume string) (string, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	node, ok := p.chosen[volume]
	return node, ok
}

func (p *placements) forget(volume string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.chosen, volume)
}
