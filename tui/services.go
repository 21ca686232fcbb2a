package tui

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"bonsai/bootstrap/kube"
	"bonsai/bootstrap/nearmiss"
	"bonsai/tui/feed"
	"bonsai/tui/paint"
)

// serviceStore follows the Services of all namespaces while some page looks at it. It belongs to the program's
// goroutine.
type serviceStore struct {
	feed *feed.Feed
	// lines are in order of namespace and name.
	lines []kube.ServiceLine
	// known are their names, for guesses; version counts changes of them.
	known   []nearmiss.Service
	version int
	synced  bool
	err     error
	// readers are told after each change.
	readers []func()
}

func newServiceStore(u *ui) *serviceStore {
	s := &serviceStore{}
	news := feed.NewBox(u.hub, nil, func(lines []kube.ServiceLine) {
		for i := range lines {
			cleanService(&lines[i])
		}
		slices.SortFunc(lines, func(a, b kube.ServiceLine) int {
			return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
		})
		known := make([]nearmiss.Service, len(lines))
		for i, l := range lines {
			known[i] = nearmiss.Service{Namespace: l.Namespace, Name: l.Name}
		}
		if !slices.Equal(known, s.known) {
			s.known = known
			s.version++
		}
		s.lines, s.synced = lines, true
		for _, f := range s.readers {
			f()
		}
		u.touch()
	})
	s.feed = feed.New(u.hub, func(ctx context.Context, healthy func()) error {
		return u.session.Services(ctx, func(lines []kube.ServiceLine) error {
			healthy()
			news.Put(slices.Clone(lines))
			return nil
		})
	}, func(err error) {
		s.err = err
		u.touch()
	})
	return s
}

// get returns a Service by its name, nil if it is not known.
func (s *serviceStore) get(namespace, name string) *kube.ServiceLine {
	i := slices.IndexFunc(s.lines, func(l kube.ServiceLine) bool { return l.Namespace == namespace && l.Name == name })
	if i < 0 {
		return nil
	}
	return &s.lines[i]
}

// fetchService asks once for a Service; nil is none of that name.
func fetchService(u *ui, namespace, name string, done func(*kube.ServiceLine, error)) {
	fetch(u, func(ctx context.Context) (*kube.ServiceLine, error) {
		var found *kube.ServiceLine
		err := u.session.Services(ctx, func(lines []kube.ServiceLine) error {
			if i := slices.IndexFunc(lines, func(l kube.ServiceLine) bool { return l.Namespace == namespace && l.Name == name }); i >= 0 {
				l := lines[i]
				found = &l
			}
			return errSynced
		})
		if errors.Is(err, errSynced) {
			err = nil
		}
		return found, err
	}, func(l *kube.ServiceLine, err error) {
		if l != nil {
			cleanService(l)
		}
		done(l, err)
	})
}

// cleanService makes the text of a Service harmless.
func cleanService(l *kube.ServiceLine) {
	l.Namespace, l.Name, l.Kind, l.ClusterIP = paint.Clean(l.Namespace), paint.Clean(l.Name), paint.Clean(l.Kind), paint.Clean(l.ClusterIP)
	l.Ports, l.Reachable = slices.Clone(l.Ports), slices.Clone(l.Reachable)
	for i := range l.Ports {
		p := &l.Ports[i]
		p.Target, p.Protocol = paint.Clean(p.Target), paint.Clean(p.Protocol)
	}
	for i := range l.Reachable {
		a := &l.Reachable[i]
		a.Address, a.Alias = paint.Clean(a.Address), paint.Clean(a.Alias)
	}
}
