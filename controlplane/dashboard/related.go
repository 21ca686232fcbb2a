package dashboard

import (
	"context"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/bootstrap/kube"
)

// relatedGroup are objects that are related in one way. Title is English, for Words.
type relatedGroup struct {
	Title   string
	Objects []relatedObject
}

// relatedObject is one of them. Depth is how many objects are between it and the object of the page.
type relatedObject struct {
	Kind, Namespace, Name, Where string
	Depth                        int
	// How it is used, in the user's language; State is in the API's words, Tone says how that is.
	How, State, Tone string
	// Missing says that it does not exist, Optional that it need not.
	Missing, Optional bool
	// Count is how many there are, of a whole type; Name is empty then.
	Count int
}

const (
	// mostRelated bounds a group.
	mostRelated = 200
	// deepest bounds how far owners and what is used are followed.
	deepest = 6
)

// otherwise are the types that objects of types of users most often create: what they use and own is in nothing but references.
var otherwise = []string{"deployments.apps", "statefulsets.apps", "daemonsets.apps", "jobs.batch", "cronjobs.batch", "pods", "services", "configmaps", "secrets"}

// related returns what is related to an object: its owners, what it has created and uses, and what uses it.
func (s *Server) related(ctx context.Context, q *request, ref kube.Ref, o map[string]any) ([]relatedGroup, error) {
	types, err := s.allTypes(ctx, false)
	if err != nil {
		return nil, err
	}
	var groups []relatedGroup
	add := func(title string, objects []relatedObject) {
		if len(objects) > 0 {
			groups = append(groups, relatedGroup{title, objects[:min(len(objects), mostRelated)]})
		}
	}
	add("belongs to", s.owners(ctx, types, ref, o))
	if ref.Type.Kind == "Pod" {
		if spec, _ := o["spec"].(map[string]any); spec["nodeName"] != nil {
			name, _ := spec["nodeName"].(string)
			add("runs on", []relatedObject{{Kind: "Node", Name: name, Where: objectPath("nodes", "", name)}})
		}
	}
	if ref.Namespace == "" {
		return groups, nil
	}
	r, err := s.o.Objects.Relations(ctx, ref)
	if err != nil {
		return nil, err
	}
	var uses, usedBy []relatedObject
	for i := range r.Uses.Children {
		flatten(q.words, &r.Uses.Children[i], 0, &uses)
	}
	add("creates and uses", uses)
	for i := range r.UsedBy {
		flatten(q.words, &r.UsedBy[i], 0, &usedBy)
	}
	add("is used by", usedBy)
	if len(uses) == 0 {
		created, err := s.created(ctx, types, ref)
		if err != nil {
			return nil, err
		}
		add("creates and uses", created)
	}
	return groups, nil
}

// flatten appends an object and what it uses.
func flatten(w Words, n *kube.Relation, depth int, list *[]relatedObject) {
	if len(*list) >= mostRelated || depth >= deepest {
		return
	}
	o := relatedObject{
		Kind: n.Ref.Type.Kind, Namespace: n.Ref.Namespace, Name: n.Ref.Name, Depth: depth, State: n.State, Missing: n.Missing, Optional: n.Optional,
	}
	if n.Ref.Type.Resource != "" && !n.Missing {
		o.Where = objectPath(typeName(n.Ref.Type.Resource, n.Ref.Type.Group), n.Ref.Namespace, n.Ref.Name)
	}
	switch {
	case n.Missing && !n.Optional, n.Bad:
		o.Tone = "bad"
	case n.Missing:
		o.Tone = "off"
	case n.State != "":
		o.Tone = "ok"
	}
	var how []string
	for _, k := range n.Kinds {
		if word := relationWord(w, k); word != "" {
			how = append(how, word)
		}
	}
	o.How = strings.Join(how, ", ")
	*list = append(*list, o)
	for i := range n.Children {
		flatten(w, &n.Children[i], depth+1, list)
	}
}

// relationWord is how two objects are related, in words that are right in both directions; empty where a tree says it.
func relationWord(w Words, k kube.RelationKind) string {
	switch k {
	case kube.RelationSelects:
		return w.T("by labels")
	case kube.RelationEndpoints:
		return w.T("its endpoints")
	case kube.RelationEnv:
		return w.T("in variables")
	case kube.RelationVolume:
		return w.T("in volumes")
	case kube.RelationAccount:
		return w.T("as its account")
	case kube.RelationPull:
		return w.T("to pull images")
	case kube.RelationRoutes:
		return w.T("by its rules")
	case kube.RelationTLS:
		return w.T("for TLS")
	case kube.RelationBound:
		return w.T("bound")
	case kube.RelationScales:
		return w.T("its replicas")
	case kube.RelationProtects:
		return w.T("disruption budget")
	case kube.RelationMounts:
		return w.T("listed")
	}
	return ""
}

// owners are the owners of an object, the direct one first.
func (s *Server) owners(ctx context.Context, types []kube.ResourceType, of kube.Ref, o map[string]any) (above []relatedObject) {
	for depth := range deepest {
		var with struct {
			Metadata metav1.ObjectMeta `json:"metadata"`
		}
		if convert(o, &with) != nil || len(with.Metadata.OwnerReferences) == 0 {
			return above
		}
		owner := with.Metadata.OwnerReferences[0]
		t, ok := kindType(types, owner.Kind, groupOf(owner.APIVersion))
		if !ok {
			return append(above, relatedObject{Kind: owner.Kind, Name: owner.Name, Depth: depth})
		}
		ref := kube.Ref{Type: t, Name: owner.Name}
		if t.Namespaced {
			ref.Namespace = of.Namespace
		}
		above = append(above, relatedObject{
			Kind: owner.Kind, Namespace: ref.Namespace, Name: owner.Name, Depth: depth, Where: objectPath(typeName(t.Resource, t.Group), ref.Namespace, owner.Name),
		})
		next, err := s.o.Objects.Object(ctx, ref)
		if err != nil {
			return above // it is gone, or nobody may read it: the name is all there is
		}
		o = next
	}
	return above
}

// created are the objects that name one as the owner that controls them.
func (s *Server) created(ctx context.Context, types []kube.ResourceType, of kube.Ref) ([]relatedObject, error) {
	var all []relatedObject
	for _, id := range otherwise {
		t, ok := findType(types, id)
		if !ok {
			continue
		}
		rows, err := s.list(ctx, kube.RowQuery{Type: t, Namespace: of.Namespace})
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			if row.Owner == (kube.Object{Kind: of.Type.Kind, Name: of.Name}) && len(all) < mostRelated {
				all = append(all, relatedObject{Kind: t.Kind, Namespace: row.Namespace, Name: row.Name, Where: objectPath(id, row.Namespace, row.Name)})
			}
		}
	}
	return all, nil
}
