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
	nodes        map[string]podCount
}

// mostDots is how many pods of a namespace are ever drawn one by one; more are counted, and need no order.
const mostDots = 400

type podMark struct {
	namespace, name, node string
	state                 paint.State
}

// podCount counts pods that are not done, and those of them that do well.
type podCount struct{ ready, total int }

// spaceMarks is one namespace: its pods' states in the order of their names.
type spaceMarks struct {
	namespace string
	marks     []podMark
	counts    [paint.StateOff + 1]int // by state
}

// worst is the state of the namespace as a whole: that of the pod that does worst.
func (s *spaceMarks) worst() paint.State {
	for _, state := range []paint.State{paint.StateFail, paint.StateWarn, paint.StateBusy, paint.StateEnding, paint.StateOK} {
		if s.counts[state] > 0 {
			return state
		}
	}
	return paint.StateOff
}

func (p *podSummary) columnsChanged([]Column) {}
func (p *podSummary) storeState()             {}

func (p *podSummary) rowsReset() {
	p.all = map[string]podMark{}
	p.dirty = true
	p.u.touch()
}

func (p *podSummary) rowsChanged(set []Row, deleted []string) {
	columns := p.u.state.pods.columns
	node := slices.IndexFunc(columns, func(c Column) bool { return strings.EqualFold(c.Name, "node") })
	for i := range set {
		r := &set[i]
		m := podMark{namespace: r.Namespace, name: r.Name, state: rowState(columns, r)}
		if node >= 0 && node < len(r.Cells) {
			m.node = r.Cells[node]
		}
		p.all[r.UID] = m
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
	p.nodes = map[string]podCount{}
	by := map[string][]podMark{}
	for _, m := range p.all {
		by[m.namespace] = append(by[m.namespace], m)
		if m.state == paint.StateOff {
			continue // done
		}
		n := p.nodes[m.node]
		if m.state == paint.StateOK {
			p.ready++
			n.ready++
		}
		p.total++
		n.total++
		p.nodes[m.node] = n
	}
	p.spaces = p.spaces[:0]
	for ns, marks := range by {
		if len(marks) <= mostDots {
			slices.SortFunc(marks, func(a, b podMark) int { return strings.Compare(a.name, b.name) })
		}
		space := spaceMarks{namespace: ns, marks: marks}
		for _, m := range marks {
			space.counts[m.state]++
		}
		p.spaces = append(p.spaces, space)
	}
	slices.SortFunc(p.spaces, func(a, b spaceMarks) int { return strings.Compare(a.namespace, b.namespace) })
}
