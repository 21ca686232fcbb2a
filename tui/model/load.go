package model

import (
	"slices"

	"bonsai/bootstrap/cluster"
)

// LoadHistory is the last five minutes of load.
type LoadHistory struct {
	Nodes map[string]*Series // CPU
	// CPUTop is the top of the nodes' graphs, low enough for an idle cluster to show its pulse.
	CPUTop float64
	Links  map[string]*Series          // rate by LinkKey
	Pods   map[string]cluster.PodUsage // by UID, of the newest load
	// PodMemory is the memory of pods by UID, of those that are there, every podStep loads: there may be thousands.
	PodMemory map[string]*Series
	loads     int
}

// podStep is how many loads there are to a value of PodMemory, podValues how many values it has.
const podStep, podValues = 10, 30

func newLoadHistory() LoadHistory {
	return LoadHistory{Nodes: map[string]*Series{}, Links: map[string]*Series{}, Pods: map[string]cluster.PodUsage{}, PodMemory: map[string]*Series{}}
}

// LinkKey names the traffic from one component to another.
func LinkKey(from, to string) string { return from + ">" + to }

func (h *LoadHistory) add(l cluster.Load) {
	clear(h.Pods)
	for _, n := range l.Nodes {
		if h.Nodes[n.Node] == nil {
			h.Nodes[n.Node] = &Series{}
		}
		h.Nodes[n.Node].add(n.CPU)
		for _, p := range n.Pods {
			h.Pods[p.UID] = p
			if h.PodMemory[p.UID] == nil {
				h.PodMemory[p.UID] = &Series{}
			} else if h.loads%podStep != 0 {
				continue
			}
			h.PodMemory[p.UID].addOf(float64(p.Memory), podValues)
		}
	}
	h.loads++
	for uid := range h.PodMemory {
		if _, ok := h.Pods[uid]; !ok {
			delete(h.PodMemory, uid)
		}
	}
	h.CPUTop = 0.2
	for _, s := range h.Nodes {
		h.CPUTop = max(h.CPUTop, Top(s.Shape(LongestGraph), 0))
	}
	for _, link := range l.ControlPlane.Links {
		key := LinkKey(link.From, link.To)
		if h.Links[key] == nil {
			h.Links[key] = &Series{}
		}
		h.Links[key].add(link.Rate)
	}
}

// historyLength is in steps of cluster.LoadInterval.
const historyLength = 300

// LongestGraph is how many values the longest graph in use has.
const LongestGraph = 40

// Series is the newest values of something that is measured in steps. A nil Series is empty.
type Series struct {
	values []float64
	total  int // how many there have ever been
}

func (s *Series) add(v float64) { s.addOf(v, historyLength) }

// addOf is add of a series that has at most so many values.
func (s *Series) addOf(v float64, most int) {
	if len(s.values) >= most {
		s.values = append(s.values[:0], s.values[1:]...)
	}
	s.values = append(s.values, v)
	s.total++
}

// Lately is the mean of the last n values.
func (s *Series) Lately(n int) float64 {
	tail := s.values[max(0, len(s.values)-n):]
	if len(tail) == 0 {
		return 0
	}
	sum := 0.0
	for _, v := range tail {
		sum += v
	}
	return sum / float64(len(tail))
}

// Shape is all of it in w values or a few more, for a graph of which the last w are seen. Each is the mean of so many
// steps that w of them reach back to the beginning; which steps belong together does not change as new ones come, or
// the graph would tremble. A nil series has no shape.
func (s *Series) Shape(w int) []float64 {
	if s == nil || w <= 0 {
		return nil
	}
	step := 1
	for _, n := range []int{1, 2, 5, 10, 15, 30, 60, historyLength} {
		if step = n; step*w >= len(s.values) {
			break
		}
	}
	var out []float64
	sum, n := 0.0, 0
	for i, v := range s.values {
		sum += v
		n++
		if at := s.total - len(s.values) + i + 1; at%step == 0 || i == len(s.values)-1 {
			out = append(out, sum/float64(n))
			sum, n = 0, 0
		}
	}
	return out
}

// Plus adds two series whose last values are of the same time.
func (s *Series) Plus(o *Series) *Series {
	if s == nil {
		return o
	}
	if s.total < o.total {
		s, o = o, s
	}
	sum := Series{slices.Clone(s.values), s.total}
	for i := range o.values {
		if at := len(sum.values) - len(o.values) + i; at >= 0 {
			sum.values[at] += o.values[i]
		}
	}
	return &sum
}

// Top is the top of a graph: a little above the highest value, and so far above their mean that what does not change
// is drawn as a line in the middle.
func Top(values []float64, least float64) float64 {
	values = values[max(0, len(values)-LongestGraph):]
	top, sum := least, 0.0
	for _, v := range values {
		top, sum = max(top, v*1.05), sum+v
	}
	return max(top, 2*sum/float64(max(1, len(values))))
}
