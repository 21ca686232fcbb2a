package metricsserver

import (
	"fmt"
	"io"
	"math"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/metrics-server/pkg/storage"
)

// The metrics of a kubelet's page, of pkg/kubelet/metrics/collectors/resource_metrics.go.
const (
	nodeCPU        = "node_cpu_usage_seconds_total"
	nodeMemory     = "node_memory_working_set_bytes"
	containerCPU   = "container_cpu_usage_seconds_total"
	containerBytes = "container_memory_working_set_bytes"
	containerStart = "container_start_time_seconds"
)

// decode reads a kubelet's page. As upstream's decoder (pkg/scraper/client/resource/decode.go), it omits the node if one of its
// figures is missing, and a pod if one of a container is: an autoscaler would take the rest for all.
func decode(page io.Reader, node string) (*storage.MetricsBatch, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(page)
	if err != nil {
		return nil, fmt.Errorf("parse metrics: %w", err)
	}
	read := time.Now() // for figures without a time of their own
	batch := &storage.MetricsBatch{Nodes: map[string]storage.MetricsPoint{}, Pods: map[types.NamespacedName]storage.PodMetricsPoint{}}
	of := storage.MetricsPoint{}
	for _, m := range families[nodeCPU].GetMetric() {
		of.CumulativeCPUUsed, of.Timestamp = nanos(m), measured(m, read)
	}
	for _, m := range families[nodeMemory].GetMetric() {
		of.MemoryUsage = whole(value(m))
	}
	if of.CumulativeCPUUsed > 0 && of.MemoryUsage > 0 {
		batch.Nodes[node] = of
	}
	pods := map[types.NamespacedName]map[string]storage.MetricsPoint{}
	each := func(name string, set func(*storage.MetricsPoint, *dto.Metric)) {
		for _, m := range families[name].GetMetric() {
			pod, container := names(m)
			if pod.Name == "" || container == "" {
				continue
			}
			if pods[pod] == nil {
				pods[pod] = map[string]storage.MetricsPoint{}
			}
			point := pods[pod][container]
			set(&point, m)
			pods[pod][container] = point
		}
	}
	each(containerCPU, func(p *storage.MetricsPoint, m *dto.Metric) {
		p.CumulativeCPUUsed, p.Timestamp = nanos(m), measured(m, read)
	})
	each(containerBytes, func(p *storage.MetricsPoint, m *dto.Metric) { p.MemoryUsage = whole(value(m)) })
	each(containerStart, func(p *storage.MetricsPoint, m *dto.Metric) { p.StartTime = time.Unix(0, int64(whole(value(m)*1e9))) })
	for pod, containers := range pods {
		if complete(containers) {
			batch.Pods[pod] = storage.PodMetricsPoint{Containers: containers}
		}
	}
	return batch, nil
}

func complete(containers map[string]storage.MetricsPoint) bool {
	for _, c := range containers {
		if c.CumulativeCPUUsed == 0 || c.MemoryUsage == 0 {
			return false
		}
	}
	return true
}

func names(m *dto.Metric) (pod types.NamespacedName, container string) {
	for _, l := range m.GetLabel() {
		switch l.GetName() {
		case "namespace":
			pod.Namespace = l.GetValue()
		case "pod":
			pod.Name = l.GetValue()
		case "container":
			container = l.GetValue()
		}
	}
	return pod, container
}

// value is that of a counter or a gauge, or of a metric whose type the page does not say.
func value(m *dto.Metric) float64 {
	switch {
	case m.Counter != nil:
		return m.GetCounter().GetValue()
	case m.Gauge != nil:
		return m.GetGauge().GetValue()
	}
	return m.GetUntyped().GetValue()
}

func nanos(m *dto.Metric) uint64 { return whole(value(m) * 1e9) }

// measured is when the kubelet measured it.
func measured(m *dto.Metric, otherwise time.Time) time.Time {
	if m.TimestampMs == nil {
		return otherwise
	}
	return time.UnixMilli(m.GetTimestampMs())
}

// whole is a figure as a whole number; 0 if it cannot be one.
func whole(v float64) uint64 {
	if !(v > 0 && v < math.MaxInt64) {
		return 0
	}
	return uint64(v)
}
