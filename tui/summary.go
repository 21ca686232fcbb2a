package tui

import (
	"slices"
	"strings"

	"bonsai/tui/paint"
)

func lower(s string) string { return strings.ToLower(s) }

// podSummary counts the pods and keeps their states by namespace, for the overview.
type podSummary struct {
	u     *ui
	all   map[string]podMark
	dirty bool

	ready, total int
	spaces       []spaceMarks
}

type podMark struct {
	namespace, name string
	state           paint.State
}

// spaceMarks is one namespace: its pods' states in the order of their names.
type spaceMarks struct {
	namespace string
	marks     []podMark
}

func (p *podSummary) columnsChanged([]Column) {}
func (p *podSummary) storeState()             {}

func (p *podSummary) rowsReset() {
	p.all = map[string]podMark{}
	p.dirty = true
	p.u.touch()
}

func (p *podSummary) rowsChanged(set []Row, deleted []string) {
	for i := range set {
		r := &set[i]
		p.all[r.UID] = podMark{r.Namespace, r.Name, rowState(p.u.state.pods.columns, r)}
	}
	for _, id := range deleted {
		delete(p.all, id)
	}
	p.dirty = true
	p.u.touch()
}

// refresh counts anew if anything has changed; drawing calls it.
func (p *podSummary) refresh() {
	if !p.dirty {
		return
	}
	p.dirty = false
	p.ready, p.total = 0, 0
	by := map[string][]podMark{}
	for _, m := range p.all {
		by[m.namespace] = append(by[m.namespace], m)
		switch m.state {
		case paint.StateOff: // done
			continue
		case paint.StateOK:
			p.ready++
		}
		p.total++
	}
	p.spaces = p.spaces[:0]
	for ns, marks := range by {
		slices.SortFunc(marks, func(a, b podMark) int { return strings.Compare(a.name, b.name) })
		p.spaces = append(p.spaces, spaceMarks{ns, marks})
	}
	slices.SortFunc(p.spaces, func(a, b spaceMarks) int { return strings.Compare(a.namespace, b.namespace) })
}
