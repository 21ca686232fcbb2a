package kubewatch

import (
	"fmt"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
)

// Sink is the target of a reflector for objects of one kind: it passes on what its user needs of them, T, and keeps only
// their names, which it needs to find out what a new list no longer contains. Its methods are for the reflector's
// goroutine.
type Sink[T any] struct {
	convert func(obj any) (T, bool)
	target  Target[T]

	names map[name]struct{}
	first chan struct{} // closed after the first list
	once  sync.Once
}

// Target is what a Sink calls. Delete may be called for objects that were never set.
type Target[T any] struct {
	Set    func(T)
	Delete func(namespace, name string)
	// Batch calls a function that makes all changes of one list, which nobody may see in part.
	Batch func(func())
	// News is called with what changed while it was watched. It may be nil.
	News func(T)
}

type name struct{ namespace, name string }

// item is an object between the API server and the store. The reflector collects these from a streamed list, which
// takes a tenth of the memory of a list of whole objects.
type item[T any] struct {
	name
	value T
}

// NewSink returns a sink for objects of type O.
func NewSink[O metav1.Object, T any](convert func(O) T, to Target[T]) *Sink[T] {
	return &Sink[T]{
		convert: func(obj any) (value T, ok bool) {
			if o, is := obj.(O); is {
				return convert(o), true
			}
			return value, false
		},
		target: to, names: map[name]struct{}{}, first: make(chan struct{}),
	}
}

// First is closed after the first list.
func (s *Sink[T]) First() <-chan struct{} { return s.first }

// Transformer makes the reflector collect items.
func (s *Sink[T]) Transformer() cache.TransformFunc {
	return func(obj any) (any, error) { return s.item(obj) }
}

func (s *Sink[T]) item(obj any) (*item[T], error) {
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

func (s *Sink[T]) Add(obj any) error {
	i, err := s.item(obj)
	if err != nil {
		return err
	}
	s.target.Set(i.value)
	s.names[i.name] = struct{}{}
	if s.target.News != nil {
		s.target.News(i.value)
	}
	return nil
}

func (s *Sink[T]) Update(obj any) error { return s.Add(obj) }

func (s *Sink[T]) Delete(obj any) error {
	m, ok := obj.(metav1.Object)
	if !ok {
		return fmt.Errorf("the API server sent a %T", obj)
	}
	s.remove(name{m.GetNamespace(), m.GetName()})
	return nil
}

func (s *Sink[T]) remove(n name) {
	s.target.Delete(n.namespace, n.name)
	delete(s.names, n)
}

// Replace stores a whole list at once: nobody sees the store with half of it. If an object cannot be converted,
// everything stays as it was.
func (s *Sink[T]) Replace(list []any, _ string) error {
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
	s.target.Batch(func() {
		for _, i := range items {
			s.target.Set(i.value)
			s.names[i.name] = struct{}{}
			delete(gone, i.name)
		}
		for n := range gone {
			s.target.Delete(n.namespace, n.name)
		}
	})
	s.once.Do(func() { close(s.first) })
	return nil
}

// Clear removes everything that was stored, when nothing follows any more.
func (s *Sink[T]) Clear() {
	s.target.Batch(func() {
		for n := range s.names {
			s.remove(n)
		}
	})
}

// Resync is never called.
func (s *Sink[T]) Resync() error { return nil }
