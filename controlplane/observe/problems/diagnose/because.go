package diagnose

import (
	"slices"
	"strings"

	"bonsai/bootstrap/cluster"
)

// becauseOf are nodes that a problem follows from.
func becauseOf(how cluster.BecauseKind, nodes ...string) (list []cluster.Because) {
	for _, n := range nodes {
		list = append(list, cluster.Because{Object: "node/" + n, How: how})
	}
	return list
}

// needs are the components of the control plane that others need.
var needs = map[string][]string{
	"component/kube-apiserver":          {"component/etcd"},
	"component/kube-scheduler":          {"component/kube-apiserver"},
	"component/kube-controller-manager": {"component/kube-apiserver"},
}

// Relate says of the problems of all parts which follow from which: a node is not ready because a component of it does not run,
// and without etcd nothing else works. What the diagnosis of a part knows of others is there already. The list is changed.
func Relate(list []cluster.Problem) {
	has := func(object string) bool {
		return slices.ContainsFunc(list, func(p cluster.Problem) bool { return p.Object == object })
	}
	add := func(p *cluster.Problem, object string) {
		b := cluster.Because{Object: object, How: cluster.BecauseComponent}
		if !slices.Contains(p.Because, b) { // a list may be related again
			p.Because = append(p.Because, b)
		}
	}
	for i := range list {
		p := &list[i]
		for _, object := range needs[p.Object] {
			if has(object) {
				add(p, object)
			}
		}
		node, ok := strings.CutPrefix(p.Object, "node/")
		if !ok {
			continue
		}
		for _, other := range list {
			if strings.HasPrefix(other.Object, "component/"+node+"/") {
				add(p, other.Object)
			}
		}
	}
}
