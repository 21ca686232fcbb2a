package model

import (
	"context"
	"slices"

	"bonsai/bootstrap/kube"
	"bonsai/tui/feed"
)

// EventTail is the newest Events that are wanted, each once, with its newest count. It is followed while somebody uses
// its Feed.
type EventTail struct {
	o    Options
	Feed *feed.Feed
	// Wants says which Events are kept.
	Wants func(*kube.EventLine) bool
	// Lines are in the order in which they came, the newest last.
	Lines []kube.EventLine
	// Read says that the first batch has come, with or without Events; Err is why nothing comes.
	Read bool
	Err  error

	most    int
	changed []func()
}

// NewEventTail makes a tail of at most so many Events, which wants all of them and follows nothing yet.
func (c *Cluster) NewEventTail(most int) *EventTail {
	t := &EventTail{o: c.o, most: most, Wants: func(*kube.EventLine) bool { return true }}
	news := feed.NewBox(c.o.Hub, func(old, new []kube.EventLine) []kube.EventLine { return append(old, new...) }, t.take)
	t.Feed = feed.New(c.o.Hub, func(ctx context.Context, healthy func()) error {
		return c.o.Source.Events(ctx, func(list []kube.EventLine) error {
			healthy()
			news.Put(slices.Clone(list))
			return nil
		})
	}, func(err error) {
		t.Err = err
		c.o.Changed()
	})
	return t
}

// Listen has f called after each change of Lines.
func (t *EventTail) Listen(f func()) { t.changed = append(t.changed, f) }

// Reset forgets what has come so far.
func (t *EventTail) Reset() { t.Lines = nil }

// take adds what is wanted; an event that came again is moved to the end with its new count.
func (t *EventTail) take(list []kube.EventLine) {
	t.Read, t.Err = true, nil
	clean := t.o.Clean
	for _, e := range list {
		if !t.Wants(&e) {
			continue
		}
		e.Reason, e.Namespace, e.Message = clean(e.Reason), clean(e.Namespace), clean(e.Message)
		e.Source, e.Node = clean(e.Source), clean(e.Node)
		e.Object = kube.Object{Kind: clean(e.Object.Kind), Name: clean(e.Object.Name)}
		t.Lines = slices.DeleteFunc(t.Lines, func(o kube.EventLine) bool { return o.UID == e.UID })
		t.Lines = append(t.Lines, e)
	}
	if n := len(t.Lines) - t.most; n > 0 {
		t.Lines = slices.Delete(t.Lines, 0, n)
	}
	for _, f := range t.changed {
		f()
	}
	t.o.Changed()
}
