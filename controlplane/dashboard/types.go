package dashboard

import (
	"context"
	"strings"
	"sync"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/kube"
)

// typesLimit is how long the list of types counts as current. A type that is not in it is looked for at once.
const typesLimit = 10 * time.Second

// typeCache has the types of the API server.
type typeCache struct {
	mu   sync.Mutex // guards the rest
	all  []kube.ResourceType
	read time.Time
}

// allTypes are the types of the API server; fresh ones if the caller misses one.
func (s *Server) allTypes(ctx context.Context, fresh bool) ([]kube.ResourceType, error) {
	s.types.mu.Lock()
	all, read := s.types.all, s.types.read
	s.types.mu.Unlock()
	if !fresh && all != nil && time.Since(read) < typesLimit {
		return all, nil
	}
	all, err := s.o.Objects.Types(ctx)
	if err != nil {
		return nil, err
	}
	s.types.mu.Lock()
	defer s.types.mu.Unlock()
	s.types.all, s.types.read = all, time.Now()
	return all, nil
}

// typeOf is the type that an address names: "pods", "deployments.apps", or a kind in any case ("deployment").
func (s *Server) typeOf(ctx context.Context, name string) (kube.ResourceType, error) {
	for _, fresh := range []bool{false, true} {
		all, err := s.allTypes(ctx, fresh)
		if err != nil {
			return kube.ResourceType{}, err
		}
		if t, ok := findType(all, name); ok {
			return t, nil
		}
	}
	return kube.ResourceType{}, fault.Newf(fault.ObjectNotFound, "the API server has no type %q", name)
}

// findType looks for a type by its name in addresses, and then by its kind. Of several types of one kind, that of the core group
// or else the first is meant.
func findType(all []kube.ResourceType, name string) (t kube.ResourceType, ok bool) {
	for _, t := range all {
		if typeName(t.Resource, t.Group) == name {
			return t, true
		}
	}
	for _, one := range all {
		if strings.EqualFold(one.Kind, name) || one.Resource == name {
			if !ok || one.Group == "" {
				t, ok = one, true
			}
		}
	}
	return t, ok
}

// kindType is the type of a kind in a group.
func kindType(all []kube.ResourceType, kind, group string) (kube.ResourceType, bool) {
	for _, t := range all {
		if t.Kind == kind && t.Group == group {
			return t, true
		}
	}
	return kube.ResourceType{}, false
}

// workloadsData is what the page workloads shows around its table.
type workloadsData struct {
	Type      kube.ResourceType
	ID        string // of Type, as addresses have it
	Namespace string
	Filter    string
	// Common are types that most people look for, All are all of them.
	Common     []typeLink
	All        []typeLink
	Namespaces []string
	// Source is where the rows come from, Target how the page of an object begins.
	Source, Target string
}

// typeLink is a type that can be chosen. Key is the second key that leads there, after g.
type typeLink struct {
	ID, Kind, Key string
	Current       bool
}

// common are the types that most people look for, with their keys.
var common = []typeLink{
	{ID: "pods", Key: "p"}, {ID: "deployments.apps", Key: "y"}, {ID: "statefulsets.apps"}, {ID: "daemonsets.apps"}, {ID: "jobs.batch"}, {ID: "cronjobs.batch"},
	{ID: "services", Key: "s"}, {ID: "ingresses.networking.k8s.io"}, {ID: "configmaps"}, {ID: "secrets"}, {ID: "persistentvolumeclaims"}, {ID: "namespaces"},
}

func (s *Server) loadWorkloads(ctx context.Context, q *request) (any, error) {
	name := q.query.Get("type")
	if name == "" {
		name = "pods"
	}
	t, err := s.typeOf(ctx, name)
	if err != nil {
		return nil, err
	}
	all, err := s.allTypes(ctx, false)
	if err != nil {
		return nil, err
	}
	d := workloadsData{Type: t, ID: typeName(t.Resource, t.Group), Namespace: q.query.Get("ns"), Filter: q.query.Get("q")}
	if !t.Namespaced {
		d.Namespace = ""
	}
	for _, c := range common {
		if one, ok := findType(all, c.ID); ok {
			c.Kind, c.Current = one.Kind, c.ID == d.ID
			d.Common = append(d.Common, c)
		}
	}
	for _, one := range all {
		id := typeName(one.Resource, one.Group)
		d.All = append(d.All, typeLink{ID: id, Kind: one.Kind, Current: id == d.ID})
	}
	if t.Namespaced {
		if namespaces, ok := kindType(all, "Namespace", ""); ok {
			rows, err := s.list(ctx, kube.RowQuery{Type: namespaces})
			if err != nil {
				return nil, err
			}
			for _, r := range rows {
				d.Namespaces = append(d.Namespaces, r.Name)
			}
		}
	}
	source := q.query
	source.Set("type", d.ID)
	source.Del("q")
	d.Source = "/rows?" + source.Encode()
	d.Target = "/object?type=" + d.ID
	return d, nil
}

func lineOfWorkloads(q *request) cluster.Command {
	name := q.query.Get("type")
	if name == "" {
		name = "pods"
	}
	c := cluster.Kubectl("get").On(name)
	if ns := q.query.Get("ns"); ns != "" {
		return c.In(ns)
	}
	return c.With("--all-namespaces")
}
