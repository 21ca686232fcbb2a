package controlplane_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/component-base/metrics/legacyregistry"

	"bonsai/bootstrap/cluster"
)

// TestLoad measures a control plane with work to do. Where upstream renames a metric, it is found out here.
func TestLoad(t *testing.T) {
	dir := t.TempDir()
	cp := startWithAddons(t, dir, func(*cluster.Spec) {}, nil)
	defer cp.Stop()
	pki := filepath.Join(dir, "pki")
	admin, err := kubernetes.NewForConfig(&rest.Config{Host: cp.LoopbackConfig().Host, TLSClientConfig: rest.TLSClientConfig{
		CAFile: filepath.Join(pki, "ca.crt"), CertFile: filepath.Join(pki, "admin.crt"), KeyFile: filepath.Join(pki, "admin.key"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	meter := cp.NewLoadMeter()
	links := map[string]cluster.Link{}
	var l cluster.ControlPlaneLoad
	deadline := time.Now().Add(20 * time.Second)
	for complete := false; !complete; {
		if time.Now().After(deadline) {
			t.Fatalf("after 20 s: %+v, links %+v", l, links)
		}
		if _, err := admin.CoreV1().Namespaces().Create(t.Context(),
			&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "t-"}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		<-time.After(100 * time.Millisecond) // what is measured is what happens in a time
		l = meter.Measure()
		for _, k := range l.Links {
			if k.Rate > 0 && k.P50 > 0 && k.P99 >= k.P50 {
				links[k.From+" "+k.To] = k
			}
		}
		complete = l.FsyncP99 > 0 && len(l.Pending) > 3 && l.Objects["nodes"] == 2 && l.Objects["clusterroles.rbac.authorization.k8s.io"] > 50 &&
			l.Objects["apiservices.apiregistration.k8s.io"] > 10 && l.Objects["namespaces"] > 5 &&
			l.Controllers > 40 && l.Watches > 50 && l.DBSize > 1<<15 && l.CPU > 0 && l.Memory > 50<<20
		for _, name := range []string{"clients kube-apiserver", "kube-controller-manager kube-apiserver", "kube-apiserver kube-apiserver", "kube-apiserver etcd"} {
			complete = complete && links[name].Rate > 0
		}
	}
	// What one second of watching costs, beside what it would.
	cost := func(f func()) string {
		r := testing.Benchmark(func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				f()
			}
		})
		return fmt.Sprintf("%s, %d allocations of %d KB", time.Duration(r.NsPerOp()), r.AllocsPerOp(), r.AllocedBytesPerOp()>>10)
	}
	t.Logf("one measurement takes %s; all metrics take %s", cost(func() { meter.Measure() }), cost(func() { _, _ = legacyregistry.DefaultGatherer.Gather() }))

	list, err := admin.CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if l = meter.Measure(); l.Objects["namespaces"] != len(list.Items) || !slices.ContainsFunc(l.Links, func(k cluster.Link) bool { return k.To == "etcd" }) {
		t.Errorf("%d namespaces are reported, want %d", l.Objects["namespaces"], len(list.Items))
	}
}

// TestMetricsAreThoseOfUpstreamsPrograms: dashboards ask for what clients and work queues do, and for the build.
func TestMetricsAreThoseOfUpstreamsPrograms(t *testing.T) {
	cp := startControlPlane(t, func(*cluster.Spec) {})
	defer cp.Stop()
	text, err := cp.Client().Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"rest_client_requests_total{", "rest_client_request_duration_seconds_bucket{", "workqueue_depth{", "kubernetes_build_info{"} {
		if !strings.Contains(string(text), "\n"+name) {
			t.Errorf("there is no %s…}", name)
		}
	}
}
