package tui

import (
	"maps"
	"slices"
	"strings"

	"bonsai/bootstrap/kube"
	"bonsai/tui/paint"
)

func lower(s string) string { return strings.ToLower(s) }

// podSummary counts the pods and keeps their states by namespace, for the overview and the status line. A change of a
// pod costs no look at the others: every picture asks for the counts.
type podSummary struct {
	u   *ui
	all map[string]*spaceMarks // by UID of the pod

	ready, total int
	by           map[string]*spaceMarks
	spaces       []*spaceMarks // in the order of their names; made anew by refresh when a namespace came or went
	stale        bool
	nodes        map[string]podCount
}

// mostDots is how many pods of a namespace are ever drawn one by one; more are counted, and need no order.
const mostDots = 150

type podMark struct {
	name, node string
	state      paint.State
}

// podCount counts pods that are not done, and those of them that do well.
type podCount struct{ ready, total int }

// spaceMarks is one namespace.
type spaceMarks struct {
	namespace string
	pods      map[string]podMark      // by UID
	counts    [paint.StateOff + 1]int // by state
	marks     []podMark               // in the order of their names, if they are few
	stale     bool                    // marks are those of before
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

func (p *podSummary) columnsChanged([]kube.Column) {}
func (p *podSummary) storeState()                  {}

func (p *podSummary) rowsReset() {
	p.all, p.by, p.nodes = map[string]*spaceMarks{}, map[string]*spaceMarks{}, map[string]podCount{}
	p.ready, p.total, p.stale = 0, 0, true
	p.u.touch()
}

func (p *podSummary) rowsChanged(set []kube.Row, deleted []string) {
	columns := p.u.state.pods.columns
	node := slices.IndexFunc(columns, func(c kube.Column) bool { return strings.EqualFold(c.Name, "node") })
	for i := range set {
		r := &set[i]
		m := podMark{name: r.Name, state: rowState(columns, r)}
		if node >= 0 && node < len(r.Cells) {
			m.node = r.Cells[node]
		}
		p.remove(r.UID)
		p.add(r.UID, r.Namespace, m)
	}
	for _, id := range deleted {
		p.remove(id)
	}
	p.u.touch()
}

func (p *podSummary) add(id, namespace string, m podMark) {
	s := p.by[namespace]
	if s == nil {
		s = &spaceMarks{namespace: namespace, pods: map[string]podMark{}}
		p.by[namespace] = s
		p.stale = true
	}
	s.pods[id] = m
	p.all[id] = s
	p.count(s, m, 1)
}

func (p *podSummary) remove(id string) {
	s := p.all[id]
	if s == nil {
		return
	}
	m := s.pods[id]
	delete(s.pods, id)
	delete(p.all, id)
	p.count(s, m, -1)
	p.stale = p.stale || len(s.pods) == 0
}

// count takes a pod in, or out.
func (p *podSummary) count(s *spaceMarks, m podMark, by int) {
	s.stale = true
	s.counts[m.state] += by
	if m.state == paint.StateOff {
		return // done
	}
	n := p.nodes[m.node]
	if m.state == paint.StateOK {
		p.ready += by
		n.ready += by
	}
	p.total += by
	n.total += by
	p.nodes[m.node] = n
}

// refresh orders anew what has changed; who reads spaces calls it before.
func (p *podSummary) refresh() {
	if p.stale {
		p.stale = false
		maps.DeleteFunc(p.by, func(_ string, s *spaceMarks) bool { return len(s.pods) == 0 })
		p.spaces = slices.SortedFunc(maps.Values(p.by), func(a, b *spaceMarks) int { return strings.Compare(a.namespace, b.namespace) })
	}
	for _, s := range p.spaces {
		if !s.stale {
			continue
		}
		s.stale = false
		s.marks = s.marks[:0]
		if len(s.pods) <= mostDots {
			s.marks = slices.SortedFunc(maps.Values(s.pods), func(a, b podMark) int { return strings.Compare(a.name, b.name) })
		}
	}
}
