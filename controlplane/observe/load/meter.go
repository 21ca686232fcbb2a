// Package load measures how busy a cluster is: it asks the agents of all nodes what they and their pods use, measures
// the control plane of this process, and combines both.
//
// Nothing is measured without watchers. The first watcher of a View starts one measurer, which the others share and
// which ends with the last of them. Begin reading at View; measure.go is the measurer, node.go queries one node,
// between.go computes figures from its counters, names.go knows the pods.
//
// The control plane is read by a Meter: it reads counters and computes what changed since it last did. Most counters
// are metrics that the components keep anyway. There are thousands, and gathering all of them takes too long for once a
// second, so a Meter reads only the few that it needs (registry.go). The requests between components come from package
// traffic.
package load

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/observe/load/traffic"
)

// The metrics that are read; all are in Kubernetes' registry except the last, which is etcd's.
const (
	resources  = "apiserver_resource_objects"           // group, resource; the values are minutes old
	pending    = "scheduler_pending_pods"               // queue
	queueDepth = "workqueue_depth"                      // name
	fsync      = "etcd_disk_wal_fsync_duration_seconds" // a histogram that begins at a millisecond
)

// Registry is where metrics are registered.
type Registry struct {
	Registerer prometheus.Registerer
	Gatherer   prometheus.Gatherer
}

// Sources are what a Meter reads.
type Sources struct {
	Traffic          *traffic.Counters
	Kubernetes, Etcd Registry
	// DBSize returns the size of etcd's file.
	DBSize func() int64
	// Objects counts those of one resource.
	Objects func(schema.GroupResource) (int, error)
	// Controllers returns how many run.
	Controllers func() int
}

// Meter measures for one client. It is not safe for concurrent use.
type Meter struct {
	sources          Sources
	kubernetes, etcd *registry
	before           reading
}

// reading holds the counters at one moment.
type reading struct {
	time    time.Time
	cpu     time.Duration
	traffic traffic.Reading
	fsync   *dto.Histogram
}

// NewMeter returns a Meter whose first measurement begins now. It takes about ten milliseconds.
func NewMeter(s Sources) *Meter {
	m := &Meter{
		sources: s, kubernetes: newRegistry(s.Kubernetes, resources, pending, queueDepth), etcd: newRegistry(s.Etcd, fsync),
	}
	m.before, _ = m.read()
	return m
}

// Measure returns what happened since it was last called, or since the Meter was created.
func (m *Meter) Measure() cluster.ControlPlaneLoad {
	after, metrics := m.read()
	before := m.before
	m.before = after
	span := max(after.time.Sub(before.time), time.Millisecond)
	l := cluster.ControlPlaneLoad{
		CPU: float64(after.cpu-before.cpu) / float64(span), Memory: residentMemory(),
		Links:   traffic.Between(before.traffic, after.traffic, span),
		Watches: after.traffic.Watches, Inflight: after.traffic.Inflight,
		Objects: map[string]int{}, DBSize: m.sources.DBSize(), FsyncP99: quantile(before.fsync, after.fsync, 0.99),
		Pending: map[string]int{}, Controllers: m.sources.Controllers(), Queues: map[string]int{},
	}
	for _, r := range metrics[resources] {
		r := schema.GroupResource{Group: label(r, "group"), Resource: label(r, "resource")}
		if n, err := m.sources.Objects(r); err == nil && n > 0 {
			l.Objects[r.String()] = n
		}
	}
	for _, q := range metrics[pending] {
		l.Pending[label(q, "queue")] = gauge(q)
	}
	for _, q := range metrics[queueDepth] {
		if n := gauge(q); n > 0 {
			l.Queues[label(q, "name")] = n
		}
	}
	return l
}

// read reads all counters, and the metrics that are not counters.
func (m *Meter) read() (reading, map[string][]*dto.Metric) {
	now := time.Now()
	r := reading{time: now, cpu: cpuTime(), traffic: m.sources.Traffic.Read()}
	if f := m.etcd.read(now)[fsync]; len(f) > 0 {
		r.fsync = f[0].GetHistogram()
	}
	return r, m.kubernetes.read(now)
}

func gauge(m *dto.Metric) int { return int(m.GetGauge().GetValue()) }

func label(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}

// quantile is the value in seconds that the share q of the observations between two readings of a histogram did not
// exceed, interpolated within a bucket as Prometheus does; -1 if there were none.
func quantile(before, after *dto.Histogram, q float64) time.Duration {
	count := func(h *dto.Histogram, i int) float64 { // up to the bound of bucket i
		if b := h.GetBucket(); i < len(b) {
			return float64(b[i].GetCumulativeCount())
		}
		return 0
	}
	total := float64(after.GetSampleCount()) - float64(before.GetSampleCount())
	if total <= 0 {
		return -1
	}
	low, below := 0.0, 0.0
	for i, b := range after.GetBucket() {
		up := count(after, i) - count(before, i)
		if up >= q*total && up > below {
			return time.Duration((low + (b.GetUpperBound()-low)*(q*total-below)/(up-below)) * float64(time.Second))
		}
		low, below = b.GetUpperBound(), up
	}
	return time.Duration(low * float64(time.Second)) // beyond the last bound
}
