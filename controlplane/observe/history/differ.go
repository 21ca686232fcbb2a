package history

import (
	"bytes"
	"context"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/observe/history/journal"
)

// Differences returns how objects differ now from what they were at a time, the one that has changed last first. One that
// was created and deleted since then, or changed and changed back, does not differ. A time that is not recorded is the
// fault ObjectNotFound.
func (h *History) Differences(ctx context.Context, q cluster.DifferenceQuery) ([]cluster.Difference, error) {
	s, err := h.question(ctx, q.ObjectQuery)
	if err != nil {
		return nil, err
	}
	list := []cluster.Difference{}
	err = h.journal.Read(func(v *journal.View) error {
		objects, err := h.since(v, s, q.At)
		for _, o := range objects {
			if d := h.difference(o, q.Status); d != nil {
				list = append(list, *d)
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(list) == 0 && s.Name != "" { // unchanged, or mistyped?
		if _, err := h.live(ctx, s); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// difference is how one object differs; nil if it does not.
func (h *History) difference(o *span, status bool) *cluster.Difference {
	switch {
	case bytes.Equal(o.before, o.after):
		return nil
	case o.before == nil:
		return &cluster.Difference{ObjectName: o.object(o.after), Change: cluster.ChangeCreated}
	case o.after == nil:
		return &cluster.Difference{ObjectName: o.object(o.before), Change: cluster.ChangeDeleted}
	}
	d := &cluster.Difference{ObjectName: o.object(o.after), Change: cluster.ChangeUpdated}
	was, err1 := h.decoder.decode(o.before)
	now, err2 := h.decoder.decode(o.after)
	if err1 != nil || err2 != nil {
		return d // it does differ; how cannot be read
	}
	for _, f := range differences(was, now) {
		if status || !isStatus(f) {
			d.Fields = append(d.Fields, f)
		}
	}
	if len(d.Fields) == 0 {
		return nil
	}
	return d
}
