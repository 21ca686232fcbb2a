package load

import (
	"errors"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// searchPause is how long a metric that does not exist is not searched for again. Components register theirs when they
// start, and some have no value at first.
const searchPause = 10 * time.Second

// registry reads a few metrics of a registry, which itself can only gather all. It finds their collectors by trying to
// register one that describes the same metric: the registry refuses, and returns the existing one.
type registry struct {
	Registry
	wanted   []string
	found    map[string]prometheus.Collector
	searched time.Time
}

func newRegistry(r Registry, wanted ...string) *registry {
	return &registry{Registry: r, wanted: wanted, found: map[string]prometheus.Collector{}}
}

// read returns the wanted metrics that exist, by name.
func (r *registry) read(now time.Time) map[string][]*dto.Metric {
	if len(r.found) < len(r.wanted) && now.Sub(r.searched) >= searchPause {
		r.search()
		r.searched = now
	}
	all := map[string][]*dto.Metric{}
	for name, c := range r.found {
		all[name] = collect(c)
	}
	return all
}

// search gathers everything once, to find out how the metrics are described.
func (r *registry) search() {
	families, _ := r.Gatherer.Gather() // what could be gathered comes with the error
	for _, f := range families {
		name := f.GetName()
		if r.found[name] != nil || !slices.Contains(r.wanted, name) || len(f.GetMetric()) == 0 {
			continue
		}
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, l.GetName())
		}
		question := described{prometheus.NewDesc(name, f.GetHelp(), labels, nil)}
		switch err := r.Registerer.Register(question); {
		case err == nil: // it was removed just now
			r.Registerer.Unregister(question)
		default:
			if first, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
				r.found[name] = first.ExistingCollector
			}
		}
	}
}

// described is a collector without metrics.
type described struct{ desc *prometheus.Desc }

func (d described) Describe(descs chan<- *prometheus.Desc) { descs <- d.desc }
func (d described) Collect(chan<- prometheus.Metric)       {}

func collect(c prometheus.Collector) (values []*dto.Metric) {
	metrics := make(chan prometheus.Metric, 64)
	go func() {
		defer close(metrics)
		c.Collect(metrics)
	}()
	for m := range metrics {
		v := &dto.Metric{}
		if m.Write(v) == nil {
			values = append(values, v)
		}
	}
	return values
}
