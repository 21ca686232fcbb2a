package live

import (
	"context"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"

	"bonsai/cmd/bonsai/internal/learn/condition"
)

func unstructuredSerializer() runtime.NegotiatedSerializer {
	return serializer.NewCodecFactory(runtime.NewScheme()).WithoutConversion()
}

// view is what is known of a cluster.
type view struct {
	now     time.Time
	objects map[condition.Need]func() []condition.Object
	ask     func(ctx context.Context, q condition.Question) condition.Answer
}

func (v view) Objects(k condition.Kind, namespace string) []condition.Object {
	if list := v.objects[condition.Need{Kind: k, Namespace: namespace}]; list != nil {
		return list()
	}
	return nil
}

func (v view) Ask(ctx context.Context, q condition.Question) condition.Answer { return v.ask(ctx, q) }
func (v view) Now() time.Time                                                 { return v.now }

// Read implements learn.World. Questions are asked when the view is asked.
func (w *World) Read(ctx context.Context, needs []condition.Need) (condition.View, error) {
	ctx, cancel := w.limit(ctx, callLimit, "an answer from the API server")
	defer cancel()
	v := view{time.Now(), map[condition.Need]func() []condition.Object{}, w.answer}
	for _, n := range needs {
		list, err := w.at(n.Kind, n.Namespace).List(ctx, metav1.ListOptions{})
		if apierrors.IsNotFound(err) { // a type that this cluster does not have
			continue
		}
		if err != nil {
			return nil, explain(ctx, "read "+n.Kind.Resource, err)
		}
		objects := make([]condition.Object, len(list.Items))
		for i := range list.Items {
			objects[i] = list.Items[i].Object
		}
		v.objects[n] = func() []condition.Object { return objects }
	}
	return v, nil
}

// Follow implements learn.World.
func (w *World) Follow(ctx context.Context, needs []condition.Need, asks bool, f func(condition.View) error) error {
	first, err := w.Read(ctx, needs)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	changed := make(chan struct{}, 1)
	notify := func() {
		select {
		case changed <- struct{}{}:
		default: // one is waiting already
		}
	}
	v := view{time.Now(), map[condition.Need]func() []condition.Object{}, nil}
	for n := range first.(view).objects {
		s := &store{Store: cache.NewStore(cache.MetaNamespaceKeyFunc), changed: notify, first: first.(view).objects[n]}
		v.objects[n] = s.objects
		running.Go(func() { follow(ctx, w.at(n.Kind, n.Namespace), s) })
	}
	a := poller{ask: w.answer, changed: notify, ctx: ctx, running: &running, known: map[condition.Question]condition.Answer{}}
	v.ask = a.answer
	if asks {
		running.Go(func() { a.keepAsking() })
	}
	for {
		v.now = time.Now()
		if err := f(v); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// store has the objects of one need. Until the first list of its reflector it has those that were read before.
type store struct {
	cache.Store
	changed func()

	mu    sync.Mutex // guards first
	first func() []condition.Object
}

func (s *store) objects() []condition.Object {
	s.mu.Lock()
	first := s.first
	s.mu.Unlock()
	if first != nil {
		return first()
	}
	var list []condition.Object
	for _, o := range s.List() {
		if u, ok := o.(*unstructured.Unstructured); ok {
			list = append(list, u.Object)
		}
	}
	return list
}

func (s *store) Add(o any) error    { defer s.changed(); return s.Store.Add(o) }
func (s *store) Update(o any) error { defer s.changed(); return s.Store.Update(o) }
func (s *store) Delete(o any) error { defer s.changed(); return s.Store.Delete(o) }
func (s *store) Replace(list []any, version string) error {
	err := s.Store.Replace(list, version)
	s.mu.Lock()
	s.first = nil
	s.mu.Unlock()
	s.changed()
	return err
}

// retry is the pause after a watch that failed.
const retry = 250 * time.Millisecond

// follow lists and watches until ctx ends; what is known stays while the API server is away.
func follow(ctx context.Context, c dynamic.ResourceInterface, s *store) {
	lw := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return c.List(ctx, o) },
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			return c.Watch(ctx, o)
		},
	}
	r := cache.NewReflectorWithOptions(lw, &unstructured.Unstructured{}, s, cache.ReflectorOptions{Name: "learn"})
	for ctx.Err() == nil {
		_ = r.ListAndWatchWithContext(ctx) // an error is the next try's matter
		select {
		case <-ctx.Done():
		case <-time.After(retry):
		}
	}
}
