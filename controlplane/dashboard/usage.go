package dashboard

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/wait"
)

const (
	// usageInterval is the pause between two samples of what nodes use, usageSpan how far back plots go.
	usageInterval = 30 * time.Second
	usageSpan     = time.Hour
	// gap is the longest pause that a line crosses.
	gap = 3 * usageInterval
	// A plot is so large.
	plotWidth, plotHeight = 480, 90
)

// usage is what nodes have used in the last hour. It is safe for concurrent use.
type usage struct {
	mu     sync.Mutex // guards points
	points []usagePoint
}

// usagePoint is one sample.
type usagePoint struct {
	at    time.Time
	nodes []cluster.NodeUsage
}

// add adds a sample, and forgets those that are too old.
func (u *usage) add(at time.Time, nodes []cluster.NodeUsage) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.points = append(u.points, usagePoint{at, nodes})
	for len(u.points) > 0 && at.Sub(u.points[0].at) > usageSpan {
		u.points = slices.Delete(u.points, 0, 1)
	}
}

// all are the samples, which the caller does not change.
func (u *usage) all() []usagePoint {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.points)
}

// sample samples until ctx ends: one request to each node every half a minute, so that plots have a past when somebody looks.
func (s *Server) sample(ctx context.Context) {
	for {
		limited, cancel := s.o.Scale.Limit(ctx, usageInterval/2, "what nodes use")
		nodes, err := s.o.Cluster.Usage(limited)
		cancel()
		if err == nil && len(nodes) > 0 {
			s.used.add(time.Now(), nodes)
		}
		if wait.Pause(ctx, usageInterval) != nil {
			return
		}
	}
}

// plot is a line in time. Lines are the paths of its pieces.
type plot struct {
	Width, Height int
	Lines         []string
	// Most and Now are for people; Now is empty if the last value is old.
	Most, Now string
	// Limit is what is available.
	Limit string
}

// plotsOf are CPU and memory of a node in the last hour; ok is false if it has not been sampled twice yet.
func plotsOf(points []usagePoint, node string, now time.Time) (cpu, memory plot, ok bool) {
	var list []cluster.NodeUsage
	var times []time.Time
	for _, p := range points {
		if i := slices.IndexFunc(p.nodes, func(u cluster.NodeUsage) bool { return u.Node == node }); i >= 0 {
			list, times = append(list, p.nodes[i]), append(times, p.at)
		}
	}
	if len(list) < 2 {
		return cpu, memory, false
	}
	last := list[len(list)-1]
	cores := func(c float64) string { return fmt.Sprintf("%.2f", c) }
	size := func(n float64) string { return bytesText(uint64(n)) }
	cpu = plotOf(times, list, now, last.CPUs, func(u cluster.NodeUsage) float64 { return u.CPU }, cores)
	memory = plotOf(times, list, now, float64(last.MemoryLimit), func(u cluster.NodeUsage) float64 { return float64(u.Memory) }, size)
	return cpu, memory, true
}

// plotOf draws values from the bottom, which is 0, to the limit at the top.
func plotOf(times []time.Time, list []cluster.NodeUsage, now time.Time, limit float64, value func(cluster.NodeUsage) float64, text func(float64) string) plot {
	p := plot{Width: plotWidth, Height: plotHeight, Limit: text(limit)}
	most := 0.0
	for _, u := range list {
		most = max(most, value(u))
	}
	top := cmp.Or(max(limit, most), 1)
	var line strings.Builder
	end := func() {
		if strings.Contains(line.String(), "L") { // a point alone does not make a line
			p.Lines = append(p.Lines, line.String())
		}
		line.Reset()
	}
	for i, at := range times {
		if i > 0 && at.Sub(times[i-1]) > gap {
			end()
		}
		letter := "L"
		if line.Len() == 0 {
			letter = "M"
		}
		x := plotWidth * (1 - float64(now.Sub(at))/float64(usageSpan))
		y := plotHeight * (1 - value(list[i])/top)
		fmt.Fprintf(&line, "%s%.1f %.1f", letter, max(0, min(plotWidth, x)), max(0, min(plotHeight, y)))
	}
	end()
	p.Most = text(most)
	if now.Sub(times[len(times)-1]) <= gap {
		p.Now = text(value(list[len(list)-1]))
	}
	return p
}
