package load

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"bonsai/controlplane/observe/load/traffic"
)

// fixture is a process with all metrics that are read, and one more.
type fixture struct {
	kubernetes, etcd               *prometheus.Registry
	objects, pending, depth, other *prometheus.GaugeVec
	fsync                          prometheus.Histogram
	traffic                        traffic.Counters
}

func newFixture() *fixture {
	gauge := func(name string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: "[ALPHA] Help of " + name}, labels)
	}
	return &fixture{
		kubernetes: prometheus.NewRegistry(), etcd: prometheus.NewRegistry(),
		objects: gauge(resources, "group", "resource"), pending: gauge(pending, "queue"), depth: gauge(queueDepth, "name"),
		other: gauge("other", "x"),
		fsync: prometheus.NewHistogram(prometheus.HistogramOpts{Name: fsync, Buckets: []float64{0.001, 0.002, 0.004}}),
	}
}

func (f *fixture) register() {
	f.kubernetes.MustRegister(f.objects, f.pending, f.depth, f.other)
	f.etcd.MustRegister(f.fsync)
}

func (f *fixture) sources() Sources {
	return Sources{
		Traffic: &f.traffic, Kubernetes: Registry{f.kubernetes, f.kubernetes}, Etcd: Registry{f.etcd, f.etcd},
		DBSize: func() int64 { return 4096 }, Controllers: func() int { return 2 },
		Objects: func(r schema.GroupResource) (int, error) {
			if r.Resource == "secrets" {
				return 9, errors.New("not now")
			}
			return map[string]int{"pods": 12, "deployments.apps": 3}[r.String()], nil
		},
	}
}

func TestMeasure(t *testing.T) {
	f := newFixture()
	f.register()
	for _, r := range []string{"pods", "secrets", "jobs"} {
		f.objects.WithLabelValues("", r).Set(1) // counted long ago
	}
	f.objects.WithLabelValues("apps", "deployments").Set(0)
	f.pending.WithLabelValues("active").Set(2)
	f.pending.WithLabelValues("gated").Set(0)
	f.depth.WithLabelValues("deployment").Set(4)
	f.depth.WithLabelValues("replicaset").Set(0)
	f.fsync.Observe(1) // before
	m := NewMeter(f.sources())
	f.fsync.Observe(0.0015)
	f.traffic.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), "").
		ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))

	got := m.Measure()
	if got.Memory == 0 || got.CPU < 0 || got.DBSize != 4096 || got.Controllers != 2 {
		t.Errorf("got %+v", got)
	}
	if got.Links[0].From != "clients" || got.Links[0].Rate <= 0 {
		t.Errorf("links are %+v", got.Links)
	}
	if got.FsyncP99 != 1990*time.Microsecond {
		t.Errorf("p99 of fsync is %s", got.FsyncP99)
	}
	for _, c := range []struct{ got, want map[string]int }{
		{got.Objects, map[string]int{"pods": 12, "deployments.apps": 3}},
		{got.Pending, map[string]int{"active": 2, "gated": 0}},
		{got.Queues, map[string]int{"deployment": 4}},
	} {
		if !reflect.DeepEqual(c.got, c.want) {
			t.Errorf("got %v, want %v", c.got, c.want)
		}
	}
	f.depth.WithLabelValues("deployment").Set(1)
	if got = m.Measure(); got.Queues["deployment"] != 1 || got.Links[0].Rate != 0 || got.FsyncP99 != -1 {
		t.Errorf("nothing happened: %+v", got)
	}
}

// TestMetricsThatComeLater are found, and others are not looked for over and over.
func TestMetricsThatComeLater(t *testing.T) {
	f := newFixture()
	gathered := 0
	r := newRegistry(Registry{f.kubernetes, prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		gathered++
		return f.kubernetes.Gather()
	})}, resources, pending)
	now := time.Unix(1000, 0)
	want := func(searches, values int) {
		t.Helper()
		all := r.read(now)
		if gathered != searches || len(all[resources]) != values || len(all["other"]) != 0 {
			t.Errorf("after %d searches: %v, want %d and %d values", gathered, all, searches, values)
		}
	}
	want(1, 0)
	f.register()
	f.objects.WithLabelValues("", "pods").Set(1)
	f.other.WithLabelValues("x").Set(1)
	want(1, 0)
	now = now.Add(searchPause)
	want(2, 1)
	f.objects.WithLabelValues("", "nodes").Set(1)
	want(2, 2)
	now = now.Add(searchPause)
	f.pending.WithLabelValues("active").Set(1)
	want(3, 2)
	now = now.Add(time.Hour) // all are found
	want(3, 2)
	if len(r.read(now)[pending]) != 1 {
		t.Error("the last one is missing")
	}
	if n, err := f.kubernetes.Gather(); err != nil || len(n) != 3 {
		t.Errorf("the registry is not as it was: %d families, %v", len(n), err)
	}
}

func TestQuantile(t *testing.T) {
	histogram := func(seconds ...float64) *dto.Histogram {
		h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "x", Buckets: []float64{0.001, 0.002, 0.004}})
		for _, s := range seconds {
			h.Observe(s)
		}
		return collect(h)[0].GetHistogram()
	}
	for _, c := range []struct {
		before, after *dto.Histogram
		want          time.Duration
	}{
		{nil, nil, -1},
		{histogram(1), histogram(1), -1},
		{nil, histogram(0.0005), 990 * time.Microsecond},
		{histogram(1, 1, 1), histogram(1, 1, 1, 0.003), 3980 * time.Microsecond},
		{nil, histogram(1), 4 * time.Millisecond},
	} {
		if got := quantile(c.before, c.after, 0.99); (got-c.want).Abs() > time.Microsecond || (got < 0) != (c.want < 0) {
			t.Errorf("%v to %v: %s, want %s", c.before, c.after, got, c.want)
		}
	}
}
