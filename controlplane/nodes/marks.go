package nodes

import (
	"encoding/json"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"bonsai/bootstrap/cluster"
)

// marksAnnotation records what the plan has said of a node. Labels and taints on the object that are not in it are those of
// users.
const marksAnnotation = "bonsai.io/planned"

// marks are what the plan says of a node, apart from what every node has.
type marks struct {
	Role   string            `json:"role"`
	Labels map[string]string `json:"labels,omitempty"`
	Taints []cluster.Taint   `json:"taints,omitempty"`
}

func marksOf(n cluster.Node) marks { return marks{n.Role(), n.Labels, n.Taints} }

func (m marks) String() string {
	data, err := json.Marshal(m)
	if err != nil {
		panic(err) // strings only
	}
	return string(data)
}

// readMarks reads those of an object. One that an older bonsai made has none; they are those of other, with that role.
func readMarks(n *corev1.Node, other marks) marks {
	m := marks{Role: other.Role}
	if err := json.Unmarshal([]byte(n.Annotations[marksAnnotation]), &m); err != nil {
		return marks{Role: other.Role} // somebody else has written it
	}
	return m
}

// remark is the merge patch that gives a Node object what the plan says since, and takes away what it no longer says; nil if
// it has not changed. What users have changed since stays as they have it.
func remark(have, want *corev1.Node) map[string]any {
	is := readMarks(want, marks{})
	was := readMarks(have, is)
	if was.Role == is.Role && maps.Equal(was.Labels, is.Labels) && slices.Equal(was.Taints, is.Taints) {
		return nil
	}
	labels := map[string]any{}
	for key, value := range was.Labels {
		if _, stays := is.Labels[key]; !stays && have.Labels[key] == value {
			labels[key] = nil
		}
	}
	for key, value := range is.Labels {
		if before, had := was.Labels[key]; !had || before != value {
			labels[key] = value
		}
	}
	if was.Role != is.Role {
		for _, key := range []string{cluster.LabelControlPlane, cluster.LabelWorker} {
			if _, wanted := want.Labels[key]; !wanted {
				labels[key] = nil
			}
		}
	}
	taints := slices.DeleteFunc(slices.Clone(have.Spec.Taints), func(t corev1.Taint) bool {
		return slices.ContainsFunc(was.Taints, func(w cluster.Taint) bool { return taintOf(w).MatchTaint(&t) }) && !slices.Contains(is.Taints, planTaint(t))
	})
	for _, t := range is.Taints {
		if slices.Contains(was.Taints, t) {
			continue
		}
		taints = slices.DeleteFunc(taints, func(old corev1.Taint) bool { return taintOf(t).MatchTaint(&old) })
		taints = append(taints, *taintOf(t))
	}
	// A list of taints is replaced, and only if nobody has changed the object meanwhile.
	patch := map[string]any{"metadata": map[string]any{
		"resourceVersion": have.ResourceVersion, "labels": labels, "annotations": map[string]any{marksAnnotation: is.String()},
	}}
	if !slices.Equal(taints, have.Spec.Taints) {
		patch["spec"] = map[string]any{"taints": taints}
	}
	return patch
}

func taintOf(t cluster.Taint) *corev1.Taint {
	return &corev1.Taint{Key: t.Key, Value: t.Value, Effect: corev1.TaintEffect(t.Effect)}
}

func planTaint(t corev1.Taint) cluster.Taint {
	return cluster.Taint{Key: t.Key, Value: t.Value, Effect: string(t.Effect)}
}
