package watch

import (
	"fmt"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"bonsai/dnsaddon/zone"
)

// sink is the target of a reflector for objects of one kind: it passes on what DNS needs of them, T, and keeps only
// their names, which it needs to find out what a new list no longer contains. Its methods are for the reflector's
// goroutine.
type sink[T any] struct {
	convert func(obj any) (T, bool)
	set     func(T)
	delete  func(namespace, name string)
	batch   func(func())
	// news is called with what changed while it was watched. It may be nil.
	news func(T)

	names map[name]struct{}
	// first is closed after the first list.
	first chan struct{}
	once  sync.Once
}

type name struct{ namespace, name string }

// item is an object between the API server and the store. The reflector collects these from a streamed list, which
// takes a tenth of the memory of a list of whole objects.
type item[T any] struct {
	name
	value T
}

// newSink returns a sink for objects of type O.
func newSink[O metav1.Object, T any](store *zone.Store, convert func(O) T, set func(T), remove func(namespace, name string)) *sink[T] {
	return &sink[T]{
		convert: func(obj any) (value T, ok bool) {
			if o, is := obj.(O); is {
				return convert(o), true
			}
			return value, false
		},
		set: set, delete: remove, batch: store.Batch, names: map[name]struct{}{}, first: make(chan struct{}),
	}
}

// Transformer makes the reflector collect items.
func (s *sink[T]) Transformer() cache.TransformFunc {
	return func(obj any) (any, error) { return s.item(obj) }
}

func (s *sink[T]) item(obj any) (*item[T], error) {
	if i, ok := obj.(*item[T]); ok {
		return i, nil
	}
	value, ok := s.convert(obj)
	if !ok {
		return nil, fmt.Errorf("the API server sent a %T", obj)
	}
	m := obj.(metav1.Object) // true for everything that can be converted
	return &item[T]{name{m.GetNamespace(), m.GetName()}, value}, nil
}

func (s *sink[T]) Add(obj any) error {
	i, err := s.item(obj)
	if err != nil {
		return err
	}
	s.set(i.value)
	s.names[i.name] = struct{}{}
	if s.news != nil {
		s.news(i.value)
	}
	return nil
}

func (s *sink[T]) Update(obj any) error { return s.Add(obj) }

func (s *sink[T]) Delete(obj any) error {
	m, ok := obj.(metav1.Object)
	if !ok {
		return fmt.Errorf("the API server sent a %T", obj)
	}
	s.remove(name{m.GetNamespace(), m.GetName()})
	return nil
}

func (s *sink[T]) remove(n name) {
	s.delete(n.namespace, n.name)
	delete(s.names, n)
}

// Replace stores a whole list at once: nobody sees the store with half of it. If an object cannot be converted,
// everything stays as it was.
func (s *sink[T]) Replace(list []any, _ string) error {
	items := make([]*item[T], 0, len(list))
	for _, obj := range list {
		i, err := s.item(obj)
		if err != nil {
			return err
		}
		items = append(items, i)
	}
	gone := s.names
	s.names = make(map[name]struct{}, len(items))
	s.batch(func() {
		for _, i := range items {
			s.set(i.value)
			s.names[i.name] = struct{}{}
			delete(gone, i.name)
		}
		for n := range gone {
			s.delete(n.namespace, n.name)
		}
	})
	s.once.Do(func() { close(s.first) })
	return nil
}

// clear removes everything that was stored.
func (s *sink[T]) clear() {
	s.batch(func() {
		for n := range s.names {
			s.remove(n)
		}
	})
}

// Resync is never called.
func (s *sink[T]) Resync() error { return nil }
