package metricsserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	apidiscoveryv2 "k8s.io/api/apidiscovery/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/endpoints/request"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	metadatafake "k8s.io/client-go/metadata/fake"
	"k8s.io/client-go/rest"
	metricsv1beta1 "k8s.io/metrics/pkg/apis/metrics/v1beta1"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/addons"
)

// groups is an API server that serves what is to be served.
type groups struct {
	mu     sync.Mutex // guards the rest
	served http.Handler
	listed []string
}

// Serve implements addons.Groups.
func (g *groups) Serve(_ string, v apidiscoveryv2.APIVersionDiscovery, h http.Handler) (end func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.served = h
	for _, r := range v.Resources {
		g.listed = append(g.listed, r.Resource)
	}
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.served, g.listed = nil, nil
	}
}

// get asks for a path, as the API server passes it on; the code is 404 if nothing is served.
func (g *groups) get(t *testing.T, path string, into any) int {
	t.Helper()
	g.mu.Lock()
	h := g.served
	g.mu.Unlock()
	if h == nil {
		return http.StatusNotFound
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
	info, err := (&request.RequestInfoFactory{APIPrefixes: sets.NewString("api", "apis"), GrouplessAPIPrefixes: sets.NewString("api")}).NewRequestInfo(r)
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r.WithContext(request.WithRequestInfo(r.Context(), info)))
	data, _ := io.ReadAll(w.Body)
	if w.Code == http.StatusOK {
		if err := json.Unmarshal(data, into); err != nil {
			t.Fatalf("%s: %v: %s", path, err, data)
		}
	}
	return w.Code
}

func registration(service map[string]any) *unstructured.Unstructured {
	spec := map[string]any{"group": "metrics.k8s.io", "version": "v1beta1"}
	if service != nil {
		spec["service"] = service
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": map[string]any{"name": apiService}, "spec": spec,
	}}
}

func TestTheAPIFromTheKubeletsPageToTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ready := corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}}
		client := fake.NewClientset(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", Labels: map[string]string{"zone": "a"}}, Status: ready})
		scheme := metadatafake.NewTestScheme()
		if err := metav1.AddMetaToScheme(scheme); err != nil {
			t.Fatal(err)
		}
		pods := metadatafake.NewSimpleMetadataClient(scheme, &metav1.PartialObjectMetadata{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "cart-1", Labels: map[string]string{"app": "cart"}},
		})
		apiServices := schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}
		registered := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{apiServices: "APIServiceList"}, registration(nil))
		server, asked := &groups{}, make(chan string, 100)
		began := time.Now()
		pages := func(_ context.Context, node, path string) (io.ReadCloser, error) {
			asked <- node + path
			if node != "n1" {
				return nil, errors.New("no such node")
			}
			// Half a core and 64 MiB, from the beginning on.
			used := 100 + time.Since(began).Seconds()/2
			return io.NopCloser(strings.NewReader(fmt.Sprintf(`node_cpu_usage_seconds_total %[1]f %[2]d
node_memory_working_set_bytes 1e9 %[2]d
container_cpu_usage_seconds_total{container="app",namespace="shop",pod="cart-1"} %[1]f %[2]d
container_memory_working_set_bytes{container="app",namespace="shop",pod="cart-1"} 6.7108864e+07 %[2]d
container_start_time_seconds{container="app",namespace="shop",pod="cart-1"} %[3]d
`, used, time.Now().UnixMilli(), began.Add(-time.Hour).Unix()))), nil
		}
		a := New()
		c := addons.Cluster{
			Client: client, Config: &rest.Config{}, Dynamic: registered, Groups: server, Notify: func() {}, Log: slog.New(slog.DiscardHandler), Scale: 1,
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- a.run(ctx, c, pods, pages) }()
		is := func(want cluster.AddonState, reason string) {
			t.Helper()
			synctest.Wait()
			if got, why, _ := a.Health(ctx, c); got != want || !strings.Contains(why, reason) {
				t.Errorf("the addon is %s, %q; want %s, %q", got, why, want, reason)
			}
		}
		time.Sleep(100 * time.Millisecond)
		is(cluster.AddonInstalling, "take some seconds")
		if got := <-asked; got != "n1/metrics/resource" {
			t.Errorf("the kubelet was asked for %s", got)
		}
		time.Sleep(15 * time.Second)
		is(cluster.AddonRunning, "")

		var version metav1.APIResourceList
		if code := server.get(t, "/apis/metrics.k8s.io/v1beta1", &version); code != http.StatusOK || len(version.APIResources) != 2 || len(server.listed) != 2 {
			t.Errorf("the version: %d, %+v; discovery lists %v", code, version, server.listed)
		}
		var list metricsv1beta1.PodMetricsList
		if code := server.get(t, "/apis/metrics.k8s.io/v1beta1/namespaces/shop/pods?labelSelector=app%3Dcart", &list); code != http.StatusOK || len(list.Items) != 1 {
			t.Fatalf("the pods: %d, %+v", code, list)
		}
		if use := list.Items[0].Containers[0].Usage; use.Cpu().MilliValue() != 500 || use.Memory().Value() != 64<<20 {
			t.Errorf("the pod uses %v", use)
		}
		if code := server.get(t, "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods", &list); code != http.StatusOK || len(list.Items) != 0 {
			t.Errorf("another namespace: %d, %+v", code, list)
		}
		var node metricsv1beta1.NodeMetrics
		if code := server.get(t, "/apis/metrics.k8s.io/v1beta1/nodes/n1", &node); code != http.StatusOK || node.Usage.Cpu().MilliValue() != 500 || node.Labels["zone"] != "a" {
			t.Errorf("the node: %d, %+v", code, node)
		}
		if code := server.get(t, "/apis/metrics.k8s.io/v1beta1/nodes/n2", &node); code != http.StatusNotFound {
			t.Errorf("a node that does not exist: %d", code)
		}

		// Somebody installs a metrics-server of their own over it, and takes it away again.
		change := func(service map[string]any) {
			if _, err := registered.Resource(apiServices).Update(ctx, registration(service), metav1.UpdateOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		change(map[string]any{"namespace": "kube-system", "name": "metrics-server"})
		is(cluster.AddonDegraded, "leads to Service kube-system/metrics-server")
		if code := server.get(t, "/apis/metrics.k8s.io/v1beta1", &version); code != http.StatusNotFound {
			t.Errorf("what somebody else serves is answered with %d", code)
		}
		change(nil)
		is(cluster.AddonRunning, "")
		if code := server.get(t, "/apis/metrics.k8s.io/v1beta1", &version); code != http.StatusOK {
			t.Errorf("later it is answered with %d", code)
		}

		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("it ended with %v", err)
		}
		if code := server.get(t, "/apis/metrics.k8s.io/v1beta1", &version); code != http.StatusNotFound {
			t.Errorf("after its end it answers %d", code)
		}
		is(cluster.AddonInstalling, "is starting")
	})
}
