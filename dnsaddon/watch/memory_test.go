package watch

import (
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"bonsai/bootstrap/cluster"
	"bonsai/dnsaddon/corefile"
	"bonsai/dnsaddon/zone"
)

const (
	manyServices = 10_000
	// What watcher and store together may keep for them, and what they may hold at a time while the lists come.
	maxKept, maxPeak = 16 << 20, 24 << 20
)

// TestTenThousandServices loads a large cluster, with objects as big as an API server's, the way an agent does it.
func TestTenThousandServices(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a second")
	}
	api := newFakeAPI(t)
	api.put(namespaceObject("default"))
	api.frames = map[string][][]byte{}
	bytes := 0
	for i := range manyServices {
		service, slice := bigObjects(i)
		for path, o := range map[string]object{servicesPath: service, slicesPath: slice} {
			frame, err := api.frame("ADDED", typed(o))
			if err != nil {
				t.Fatal(err)
			}
			api.frames[path] = append(api.frames[path], frame)
			bytes += len(frame)
		}
	}
	before := heap()
	var (
		mu   sync.Mutex // guards peak and n; two lists come at a time
		peak uint64
		n    int
	)
	api.sending = func() {
		mu.Lock()
		defer mu.Unlock()
		if n++; n%1000 == 0 {
			peak = max(peak, heap())
		}
	}

	store := zone.NewStore(zone.Options{TTL: 30})
	w := New(api.config(), store, func(corefile.Sources) []cluster.Problem { return nil }, nil, slog.New(slog.DiscardHandler))
	began := time.Now()
	var running sync.WaitGroup
	ctx := t.Context()
	running.Go(func() {
		if err := w.Run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	<-w.Synced()
	took := time.Since(began)
	kept := heap() - before
	t.Logf("%d services and slices, %.1f MB: %v, kept %.1f MB, at most %.1f MB", manyServices, float64(bytes)/(1<<20), took.Round(time.Millisecond),
		float64(kept)/(1<<20), float64(peak-before)/(1<<20))
	if kept > maxKept {
		t.Errorf("%.1f MB are kept", float64(kept)/(1<<20))
	}
	if peak-before > maxPeak {
		t.Errorf("%.1f MB were needed", float64(peak-before)/(1<<20))
	}
	for _, i := range []int{0, manyServices / 2, manyServices - 1} {
		service, _ := bigObjects(i)
		a := store.View().Lookup(fmt.Sprintf("%s.%s.svc.cluster.local.", service.Name, service.Namespace), dns.TypeA)
		if len(a.Answer) != 1 || !strings.HasSuffix(a.Answer[0].String(), "\t"+service.Spec.ClusterIP) {
			t.Errorf("service %d: got %+v", i, a)
		}
	}
	runtime.KeepAlive(w)
}

// heap is what is in use after a collection.
func heap() uint64 {
	runtime.GC()
	runtime.GC() // pools are emptied by the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// bigObjects are a Service and its slice with two endpoints, as a Deployment and "kubectl apply" leave them.
func bigObjects(i int) (*corev1.Service, *discoveryv1.EndpointSlice) {
	namespace, name := "default", fmt.Sprintf("service-%05d", i)
	ip := fmt.Sprintf("10.96.%d.%d", i/250, i%250+1)
	s := serviceObject(namespace, name, ip)
	s.UID = types.UID(fmt.Sprintf("6f1b2c3d-0000-4000-8000-%012d", i))
	s.Labels = map[string]string{"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": "a-large-application", "team": "payments"}
	s.Annotations = map[string]string{"kubectl.kubernetes.io/last-applied-configuration": strings.Repeat(`{"apiVersion":"v1","kind":"Service"}`, 10)}
	s.ManagedFields = managed("kubectl-client-side-apply")
	s.Spec.Selector = map[string]string{"app.kubernetes.io/name": name}
	e := sliceObject(namespace, name, "x7k2p", fmt.Sprintf("10.1.%d.%d", i/250, i%250+1), fmt.Sprintf("10.2.%d.%d", i/250, i%250+1))
	e.UID = types.UID(fmt.Sprintf("7f1b2c3d-0000-4000-8000-%012d", i))
	e.Labels["endpointslice.kubernetes.io/managed-by"] = "endpointslice-controller.k8s.io"
	e.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Service", Name: name, UID: s.UID}}
	e.ManagedFields = managed("kube-controller-manager")
	for n := range e.Endpoints {
		yes, node := true, "node-"+fmt.Sprint(n)
		e.Endpoints[n].Conditions = discoveryv1.EndpointConditions{Ready: &yes, Serving: &yes}
		e.Endpoints[n].NodeName = &node
		e.Endpoints[n].TargetRef = &corev1.ObjectReference{Kind: "Pod", Namespace: namespace, Name: name + "-7d9f8b6c5-abcde", UID: s.UID}
	}
	return s, e
}

func managed(by string) []metav1.ManagedFieldsEntry {
	return []metav1.ManagedFieldsEntry{{
		Manager: by, Operation: "Update", APIVersion: "v1", FieldsType: "FieldsV1",
		FieldsV1: metav1.NewFieldsV1(`{"f:metadata":{"f:annotations":{".":{},"f:x":{}},"f:labels":{".":{},"f:y":{}}},"f:spec":{` + strings.Repeat(`"f:ports":{".":{}},`, 15) + `"f:selector":{}}}`),
	}}
}
