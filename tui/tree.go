package tui

import (
	"slices"

	"bonsai/bootstrap/kube"
	"bonsai/tui/grid"
	"bonsai/tui/paint"
)

// podTree puts the pods of a list under what controls them. The lines of the owners are made here: they come with their
// first pod and go with their last.
type podTree struct {
	on     bool
	owner  map[string]string // of a pod by UID, as the ID of its line
	states map[string]map[string]paint.State
}

func (t *podTree) reset() {
	t.owner, t.states = map[string]string{}, map[string]map[string]paint.State{}
}

// place moves the item of a pod under its owner, and returns that owner's line.
func (t *podTree) place(columns []grid.Column, it *grid.Item, r *kube.Row, look *paint.Theme) grid.Item {
	owner := r.Owner.String()
	if owner == "" {
		owner = look.Glyphs.Off
	}
	key := r.Namespace + "/" + owner
	id := "owner/" + key
	if old, ok := t.owner[r.UID]; ok && old != id {
		delete(t.states[old], r.UID)
	}
	if t.states[id] == nil {
		t.states[id] = map[string]paint.State{}
	}
	t.owner[r.UID], t.states[id][r.UID] = id, it.State
	name := slices.IndexFunc(columns, func(c grid.Column) bool { return c.Title == "Name" })
	it.Key = key + "\x00" + r.Name // behind the line of the owner
	it.Cells = slices.Clone(it.Cells)
	line := grid.Item{ID: id, Key: key, Cells: make([]string, len(it.Cells)), Labels: r.Labels}
	for i := range it.Cells {
		switch {
		case i == name:
			it.Cells[i] = "  " + it.Cells[i]
			line.Cells[i] = owner
		case columns[i].Title == "Namespace":
			line.Cells[i] = r.Namespace
		}
	}
	for range line.Cells {
		line.Roles = append(line.Roles, paint.Strong)
	}
	for _, s := range t.states[id] {
		line.State = max(line.State, s)
	}
	if line.State > paint.StateFail { // ending and done are no worse than anything
		line.State = paint.StateNone
	}
	return line
}

// remove forgets pods and returns the lines of owners that have none left.
func (t *podTree) remove(pods []string) (empty []string) {
	for _, uid := range pods {
		id, ok := t.owner[uid]
		if !ok {
			continue
		}
		delete(t.owner, uid)
		delete(t.states[id], uid)
		if len(t.states[id]) == 0 {
			delete(t.states, id)
			empty = append(empty, id)
		}
	}
	return empty
}

// toggleTree puts pods under their owners, or beside each other.
func (p *listPage) toggleTree() {
	p.tree.on = !p.tree.on
	p.grid.Sort(grid.ByKey, false)
	p.namespaceChanged() // which reads everything again
}
