package history

import (
	"context"
	"errors"
	"fmt"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/controlplane/observe/history/journal"
)

// Changes returns what has happened, the newest first. An object of which nothing is recorded is the fault ObjectNotFound
// only if it does not exist.
func (h *History) Changes(ctx context.Context, q cluster.HistoryQuery) (cluster.History, error) {
	s, err := h.question(ctx, q.ObjectQuery)
	if err != nil {
		return cluster.History{}, err
	}
	all := cluster.History{Changes: []cluster.Change{}}
	err = h.journal.Read(func(v *journal.View) error {
		all.Begun, all.Gaps = v.Whole(), v.Gaps()
		var failed error
		err := v.Backward(q.Since, s.wanted(), func(e journal.Entry) bool {
			id, ok := identify(e.Key)
			if !ok || !s.matches(id) {
				return true
			}
			if q.Limit > 0 && len(all.Changes) == q.Limit {
				all.More = true
				return false
			}
			if e.Writer.Subresource == "status" && !q.Status {
				all.Hidden++
				return true
			}
			var c cluster.Change
			if c, failed = h.change(v, id, e); failed != nil {
				return false
			}
			if !q.Status && c.Change == cluster.ChangeUpdated && len(c.Fields) == 0 || !q.Status && len(c.Fields) > 0 && onlyStatus(c.Fields) {
				all.Hidden++
				return true
			}
			all.Changes = append(all.Changes, c)
			return ctx.Err() == nil
		})
		return errors.Join(err, failed, ctx.Err())
	})
	if errors.Is(err, journal.ErrDamaged) { // the newer ones are there
		h.Log.Warn("the older part of the history cannot be read", "err", err)
		all.More, err = true, nil
	}
	if err != nil {
		return all, fmt.Errorf("read the history: %w", err)
	}
	if len(all.Changes) == 0 && all.Hidden == 0 && s.Name != "" {
		if _, err := h.live(ctx, s); err != nil {
			return all, err
		}
	}
	return all, nil
}

// change reads a recorded change.
func (h *History) change(v *journal.View, id identity, e journal.Entry) (cluster.Change, error) {
	before, err1 := v.Before(e)
	after, err2 := v.Value(e)
	if err := errors.Join(err1, err2); err != nil {
		return cluster.Change{}, err
	}
	c := cluster.Change{
		Revision: e.Revision, Time: e.Time, Change: nameOf(e.Op), Subresource: e.Writer.Subresource,
		Who: e.Writer.Who, User: e.Writer.User, UserAgent: e.Writer.Agent,
	}
	if e.Op == journal.Deleted {
		c.ObjectName = id.object(before)
		return c, nil
	}
	c.ObjectName = id.object(after)
	now, err := h.decoder.decode(after)
	if err != nil {
		return c, nil // who and when are known nevertheless
	}
	c.Manager, _ = manager(now)
	if e.Op == journal.Updated {
		if was, err := h.decoder.decode(before); err == nil && was != nil {
			c.Fields = differences(was, now)
		}
	}
	return c, nil
}

func nameOf(op journal.Op) string {
	switch op {
	case journal.Created:
		return cluster.ChangeCreated
	case journal.Deleted:
		return cluster.ChangeDeleted
	}
	return cluster.ChangeUpdated
}

// span is what has happened to one object since a time: its values then and now, as they are stored.
type span struct {
	identity
	before, after []byte
	// oldest and newest are the changes after which it was so.
	oldest, newest journal.Entry
}

// since returns the objects that have changed after a time, the one that has changed last first.
func (h *History) since(v *journal.View, s selector, at time.Time) (_ []*span, err error) {
	if whole := v.Whole(); whole.IsZero() || at.Before(whole) {
		return nil, h.tooEarly(v, at)
	}
	var list []*span
	by := map[string]*span{}
	if err := v.Backward(at, s.wanted(), func(e journal.Entry) bool {
		id, ok := identify(e.Key)
		if !ok || !s.matches(id) || !e.Time.After(at) {
			return true
		}
		o := by[e.Key]
		if o == nil {
			o = &span{identity: id, newest: e}
			by[e.Key], list = o, append(list, o)
		}
		o.oldest = e
		return true
	}); err != nil {
		return nil, err
	}
	for _, o := range list {
		var err1, err2 error
		o.before, err1 = v.Before(o.oldest)
		o.after, err2 = v.Value(o.newest)
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// tooEarly is the fault for a time of which it is not known how everything was.
func (h *History) tooEarly(v *journal.View, at time.Time) error {
	whole := v.Whole()
	if whole.IsZero() {
		return fault.Newf(fault.ObjectNotFound, "nothing is recorded yet")
	}
	f := fault.Newf(fault.ObjectNotFound, "it is not known how things were at %s: the history begins at %s", when(at), when(whole))
	if len(v.Gaps()) > 0 {
		f = fault.Newf(fault.ObjectNotFound, "it is not known how things were at %s: the history has a gap before %s", when(at), when(whole))
	}
	return f.Advise("go back to a checkpoint", cluster.Bonsai("checkpoint", "list").Of(h.Cluster))
}

func when(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }
