package metricsserver

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/metrics-server/pkg/storage"
)

// page is what a kubelet of Kubernetes 1.37 answers, shortened.
const page = `# HELP container_cpu_usage_seconds_total [STABLE] Cumulative cpu time consumed by the container in core-seconds
# TYPE container_cpu_usage_seconds_total counter
container_cpu_usage_seconds_total{container="app",namespace="shop",pod="cart-1"} 1.5 1790000010000
container_cpu_usage_seconds_total{container="side",namespace="shop",pod="cart-1"} 0.25 1790000010500
container_cpu_usage_seconds_total{container="app",namespace="shop",pod="starting"} 0 1790000010000
# HELP container_memory_working_set_bytes [STABLE] Current working set of the container in bytes
# TYPE container_memory_working_set_bytes gauge
container_memory_working_set_bytes{container="app",namespace="shop",pod="cart-1"} 1.048576e+06 1790000010000
container_memory_working_set_bytes{container="side",namespace="shop",pod="cart-1"} 2.097152e+06 1790000010500
container_memory_working_set_bytes{container="app",namespace="shop",pod="starting"} 4096 1790000010000
# HELP container_start_time_seconds [STABLE] Start time of the container since unix epoch in seconds
# TYPE container_start_time_seconds gauge
container_start_time_seconds{container="app",namespace="shop",pod="cart-1"} 1.79e+09
container_start_time_seconds{container="side",namespace="shop",pod="cart-1"} 1.79e+09
# HELP node_cpu_usage_seconds_total [STABLE] Cumulative cpu time consumed by the node in core-seconds
# TYPE node_cpu_usage_seconds_total counter
node_cpu_usage_seconds_total 20.5 1790000010000
# HELP node_memory_working_set_bytes [STABLE] Current working set of the node in bytes
# TYPE node_memory_working_set_bytes gauge
node_memory_working_set_bytes 1.073741824e+09 1790000010000
# HELP pod_cpu_usage_seconds_total [STABLE] Cumulative cpu time consumed by the pod in core-seconds
# TYPE pod_cpu_usage_seconds_total counter
pod_cpu_usage_seconds_total{namespace="shop",pod="cart-1"} 1.8 1790000010000
scrape_error 0
`

func TestAPageOfAKubelet(t *testing.T) {
	got, err := decode(strings.NewReader(page), "n1")
	if err != nil {
		t.Fatal(err)
	}
	at := func(ms int64) time.Time { return time.UnixMilli(1790000010000 + ms) }
	wantNodes := map[string]storage.MetricsPoint{"n1": {Timestamp: at(0), CumulativeCPUUsed: 20_500_000_000, MemoryUsage: 1 << 30}}
	if !maps.Equal(got.Nodes, wantNodes) {
		t.Errorf("nodes %+v, want %+v", got.Nodes, wantNodes)
	}
	began := time.Unix(1790000000, 0)
	want := map[string]storage.MetricsPoint{
		"app":  {StartTime: began, Timestamp: at(0), CumulativeCPUUsed: 1_500_000_000, MemoryUsage: 1 << 20},
		"side": {StartTime: began, Timestamp: at(500), CumulativeCPUUsed: 250_000_000, MemoryUsage: 2 << 20},
	}
	if got := got.Pods[types.NamespacedName{Namespace: "shop", Name: "cart-1"}].Containers; !maps.Equal(got, want) {
		t.Errorf("containers %+v, want %+v", got, want)
	}
	if len(got.Pods) != 1 {
		t.Errorf("pods %v; one whose container has no figures yet is omitted", slices.Collect(maps.Keys(got.Pods)))
	}
}

func TestPagesThatAreIncompleteOrWrong(t *testing.T) {
	without := func(line string) string {
		var kept []string
		for l := range strings.Lines(page) {
			if !strings.HasPrefix(l, line) {
				kept = append(kept, l)
			}
		}
		return strings.Join(kept, "")
	}
	for name, text := range map[string]string{
		"no CPU": without(nodeCPU), "no memory": without(nodeMemory), "not a number": strings.Replace(page, nodeCPU+" 20.5", nodeCPU+" NaN", 1),
		"negative": strings.Replace(page, nodeMemory+" 1.073741824e+09", nodeMemory+" -5", 1), "empty": "",
	} {
		got, err := decode(strings.NewReader(text), "n1")
		if err != nil || len(got.Nodes) != 0 {
			t.Errorf("%s: nodes %v, %v", name, got, err)
		}
	}
	if _, err := decode(strings.NewReader("<html>"), "n1"); err == nil {
		t.Error("what is not metrics is taken for metrics")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(page)
	f.Add(`container_cpu_usage_seconds_total{container="",pod="a"} +Inf 9223372036854775807`)
	f.Add("node_cpu_usage_seconds_total 1e300 -1\nnode_memory_working_set_bytes 1\n")
	f.Fuzz(func(t *testing.T, text string) {
		batch, err := decode(strings.NewReader(text), "n1")
		if err != nil {
			return
		}
		for name, pod := range batch.Pods {
			if name.Name == "" || len(pod.Containers) == 0 || !complete(pod.Containers) {
				t.Errorf("pod %v has %+v", name, pod)
			}
		}
		store := storage.NewStorage(storedResolution)
		store.Store(batch)
		store.Store(batch)
	})
}
