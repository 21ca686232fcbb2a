package model

import (
	"maps"
	"slices"
	"strings"

	"bonsai/bootstrap/kube"
)

// PodSummary counts the pods and keeps their health by namespace. A change of a pod costs no look at the others. It is
// a reader of Cluster.Pods.
type PodSummary struct {
	store   *Rows
	changed func()
	all     map[string]*Namespace // by UID of the pod

	// Ready and Total count pods that are not done, and those of them that do well; Nodes does by node.
	Ready, Total int
	Nodes        map[string]PodCount
	// Spaces are in the order of their names, as of the last Refresh.
	Spaces []*Namespace
	by     map[string]*Namespace
	stale  bool // a namespace came or went since
}

// MostMarks is up to how many pods of a namespace are in Namespace.Marks. More are only counted, and need no order.
const MostMarks = 150

// PodMark is one pod in a summary.
type PodMark struct {
	Name, Node string
	Health     Health
}

// PodCount counts pods that are not done, and those of them that do well.
type PodCount struct{ Ready, Total int }

// Namespace is the pods of one namespace.
type Namespace struct {
	Name   string
	Pods   map[string]PodMark // by UID
	Counts [HealthCount]int
	// Marks are the pods in the order of their names, if there are at most MostMarks, as of the last Refresh.
	Marks []PodMark
	stale bool
}

// Worst is the health of the namespace as a whole: that of the pod that does worst.
func (s *Namespace) Worst() Health {
	for _, h := range []Health{Fail, Warn, Busy, Ending, OK} {
		if s.Counts[h] > 0 {
			return h
		}
	}
	return Off
}

// ColumnsChanged implements RowReader.
func (p *PodSummary) ColumnsChanged([]kube.Column) {}

// ErrChanged implements RowReader.
func (p *PodSummary) ErrChanged() {}

// RowsReset implements RowReader.
func (p *PodSummary) RowsReset() {
	p.all, p.by, p.Nodes = map[string]*Namespace{}, map[string]*Namespace{}, map[string]PodCount{}
	p.Ready, p.Total, p.stale = 0, 0, true
	p.changed()
}

// RowsChanged implements RowReader.
func (p *PodSummary) RowsChanged(set []kube.Row, deleted []string) {
	columns := p.store.Columns
	node := slices.IndexFunc(columns, func(c kube.Column) bool { return strings.EqualFold(c.Name, "node") })
	for i := range set {
		r := &set[i]
		m := PodMark{Name: r.Name, Health: HealthOf(columns, r)}
		if node >= 0 && node < len(r.Cells) {
			m.Node = r.Cells[node]
		}
		p.remove(r.UID)
		p.add(r.UID, r.Namespace, m)
	}
	for _, id := range deleted {
		p.remove(id)
	}
	p.changed()
}

// Len is how many pods there are, done or not.
func (p *PodSummary) Len() int { return len(p.all) }

func (p *PodSummary) add(id, namespace string, m PodMark) {
	s := p.by[namespace]
	if s == nil {
		s = &Namespace{Name: namespace, Pods: map[string]PodMark{}}
		p.by[namespace] = s
		p.stale = true
	}
	s.Pods[id] = m
	p.all[id] = s
	p.count(s, m, 1)
}

func (p *PodSummary) remove(id string) {
	s := p.all[id]
	if s == nil {
		return
	}
	m := s.Pods[id]
	delete(s.Pods, id)
	delete(p.all, id)
	p.count(s, m, -1)
	p.stale = p.stale || len(s.Pods) == 0
}

// count takes a pod in, or out.
func (p *PodSummary) count(s *Namespace, m PodMark, by int) {
	s.stale = true
	s.Counts[m.Health] += by
	if m.Health == Off {
		return // done
	}
	n := p.Nodes[m.Node]
	if m.Health == OK {
		p.Ready += by
		n.Ready += by
	}
	p.Total += by
	n.Total += by
	p.Nodes[m.Node] = n
}

// Refresh brings Spaces and their Marks up to date; who reads these calls it before.
func (p *PodSummary) Refresh() {
	if p.stale {
		p.stale = false
		maps.DeleteFunc(p.by, func(_ string, s *Namespace) bool { return len(s.Pods) == 0 })
		p.Spaces = slices.SortedFunc(maps.Values(p.by), func(a, b *Namespace) int { return strings.Compare(a.Name, b.Name) })
	}
	for _, s := range p.Spaces {
		if !s.stale {
			continue
		}
		s.stale = false
		s.Marks = s.Marks[:0]
		if len(s.Pods) <= MostMarks {
			s.Marks = slices.SortedFunc(maps.Values(s.Pods), func(a, b PodMark) int { return strings.Compare(a.Name, b.Name) })
		}
	}
}
