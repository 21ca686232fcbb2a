package reference

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/coredns/coredns/plugin/kubernetes"
	"github.com/coredns/coredns/plugin/kubernetes/object"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"bonsai/test/coredns/internal/world"
)

// source is where the kubernetes plugin gets objects from. They are created by CoreDNS's own conversions and are found
// by indices like those of its informers.
type source struct {
	objects atomic.Pointer[objects]
	synced  atomic.Bool
	stopped chan struct{}
}

type objects struct {
	services, endpoints, pods cache.Indexer
	namespaces                map[string]*object.Namespace
}

const (
	byName    = "name"
	byAddress = "address"
)

func newSource() *source {
	s := &source{stopped: make(chan struct{})}
	s.objects.Store(newObjects())
	s.synced.Store(true)
	return s
}

func newObjects() *objects {
	return &objects{
		services: indexer(func(s *object.Service) string { return s.Index }, func(s *object.Service) []string { return s.ClusterIPs }),
		endpoints: indexer(func(e *object.Endpoints) string { return e.Index },
			func(e *object.Endpoints) []string { return e.IndexIP }),
		pods:       indexer(func(p *object.Pod) string { return p.Name + "." + p.Namespace }, func(p *object.Pod) []string { return p.PodIPs }),
		namespaces: map[string]*object.Namespace{},
	}
}

func indexer[T any](name func(T) string, addresses func(T) []string) cache.Indexer {
	return cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{
		byName:    func(o any) ([]string, error) { return []string{name(o.(T))}, nil },
		byAddress: func(o any) ([]string, error) { return addresses(o.(T)), nil },
	})
}

func (s *source) set(w *world.World) error {
	all := newObjects()
	for _, o := range w.Objects() {
		// The conversions empty the object that they are given.
		var err error
		switch o := o.(type) {
		case *corev1.Namespace:
			var n metav1.Object
			if n, err = object.ToNamespace(o.DeepCopy()); err == nil {
				all.namespaces[o.Name] = n.(*object.Namespace)
			}
		case *corev1.Service:
			err = add(all.services, object.ToService, o.DeepCopy())
		case *corev1.Pod:
			err = add(all.pods, object.ToPod, o.DeepCopy())
		case *discoveryv1.EndpointSlice:
			err = add(all.endpoints, object.EndpointSliceToEndpoints, o.DeepCopy())
		}
		if err != nil {
			return fmt.Errorf("converting %s/%s for CoreDNS: %w", o.GetNamespace(), o.GetName(), err)
		}
	}
	s.objects.Store(all)
	return nil
}

func add(to cache.Indexer, convert func(metav1.Object) (metav1.Object, error), o metav1.Object) error {
	converted, err := convert(o)
	if err != nil {
		return err
	}
	return to.Add(converted)
}

func find[T any](in cache.Indexer, index, value string) []T {
	found, err := in.ByIndex(index, value)
	if err != nil {
		return nil
	}
	var out []T
	for _, o := range found {
		out = append(out, o.(T))
	}
	return out
}

func list[T any](in cache.Indexer) []T {
	var out []T
	for _, o := range in.List() {
		out = append(out, o.(T))
	}
	return out
}

func (s *source) ServiceList() []*object.Service {
	return list[*object.Service](s.objects.Load().services)
}

func (s *source) EndpointsList() []*object.Endpoints {
	return list[*object.Endpoints](s.objects.Load().endpoints)
}

func (s *source) SvcIndex(name string) []*object.Service {
	return find[*object.Service](s.objects.Load().services, byName, name)
}

func (s *source) SvcIndexReverse(address string) []*object.Service {
	return find[*object.Service](s.objects.Load().services, byAddress, address)
}

func (s *source) EpIndex(name string) []*object.Endpoints {
	return find[*object.Endpoints](s.objects.Load().endpoints, byName, name)
}

func (s *source) EpIndexReverse(address string) []*object.Endpoints {
	return find[*object.Endpoints](s.objects.Load().endpoints, byAddress, address)
}

func (s *source) PodIndex(address string) []*object.Pod {
	return find[*object.Pod](s.objects.Load().pods, byAddress, address)
}

func (s *source) GetNamespaceByName(name string) (*object.Namespace, error) {
	if n, ok := s.objects.Load().namespaces[name]; ok {
		return n, nil
	}
	return nil, fmt.Errorf("there is no namespace %s", name)
}

// What other plugins and the options that kubeadm does not set would ask for.

func (s *source) ServiceImportList() []*object.ServiceImport                  { return nil }
func (s *source) SvcExtIndexReverse(string) []*object.Service                 { return nil }
func (s *source) SvcImportIndex(string) []*object.ServiceImport               { return nil }
func (s *source) McEpIndex(string) []*object.MultiClusterEndpoints            { return nil }
func (s *source) GetNodeByName(context.Context, string) (*corev1.Node, error) { return nil, nil }

func (s *source) Modified(kubernetes.ModifiedMode) int64 { return 1 }
func (s *source) HasSynced() bool                        { return s.synced.Load() }
func (s *source) Run()                                   { <-s.stopped }

func (s *source) Stop() error {
	close(s.stopped)
	return nil
}
