package model

import (
	"cmp"
	"context"
	"slices"

	"bonsai/bootstrap/kube"
	"bonsai/bootstrap/nearmiss"
	"bonsai/tui/feed"
)

// Services follows the Services of all namespaces while somebody uses its Feed.
type Services struct {
	Feed *feed.Feed
	// List is in the order of namespace and name; nobody else changes it.
	List []kube.ServiceLine
	// Known are their names, for guesses; Version counts changes of them.
	Known   []nearmiss.Service
	Version int
	// Synced says that there has been a list; Err is why nothing comes at the moment.
	Synced  bool
	Err     error
	readers []func()
}

func newServices(o Options) *Services {
	s := &Services{}
	news := feed.NewBox(o.Hub, nil, func(lines []kube.ServiceLine) {
		for i := range lines {
			CleanService(&lines[i], o.Clean)
		}
		slices.SortFunc(lines, func(a, b kube.ServiceLine) int {
			return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
		})
		known := make([]nearmiss.Service, len(lines))
		for i, l := range lines {
			known[i] = nearmiss.Service{Namespace: l.Namespace, Name: l.Name}
		}
		if !slices.Equal(known, s.Known) {
			s.Known = known
			s.Version++
		}
		s.List, s.Synced = lines, true
		for _, f := range s.readers {
			f()
		}
		o.Changed()
	})
	s.Feed = feed.New(o.Hub, func(ctx context.Context, healthy func()) error {
		return o.Source.Services(ctx, func(lines []kube.ServiceLine) error {
			healthy()
			news.Put(slices.Clone(lines))
			return nil
		})
	}, func(err error) {
		s.Err = err
		o.Changed()
	})
	return s
}

// Listen has f called after each change of List.
func (s *Services) Listen(f func()) { s.readers = append(s.readers, f) }

// Get returns a Service by its name, nil if it is not known.
func (s *Services) Get(namespace, name string) *kube.ServiceLine {
	i := slices.IndexFunc(s.List, func(l kube.ServiceLine) bool { return l.Namespace == namespace && l.Name == name })
	if i < 0 {
		return nil
	}
	return &s.List[i]
}

// CleanService passes the texts of a Service through clean.
func CleanService(l *kube.ServiceLine, clean func(string) string) {
	l.Namespace, l.Name, l.Kind, l.ClusterIP = clean(l.Namespace), clean(l.Name), clean(l.Kind), clean(l.ClusterIP)
	l.Ports, l.Reachable = slices.Clone(l.Ports), slices.Clone(l.Reachable)
	for i := range l.Ports {
		p := &l.Ports[i]
		p.Name, p.AppProtocol, p.Target, p.Protocol = clean(p.Name), clean(p.AppProtocol), clean(p.Target), clean(p.Protocol)
	}
	for i := range l.Reachable {
		a := &l.Reachable[i]
		a.Address, a.Alias = clean(a.Address), clean(a.Alias)
	}
}
