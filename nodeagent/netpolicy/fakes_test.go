package netpolicy

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"google.golang.org/grpc"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	policyv1beta1 "sigs.k8s.io/network-policy-api/apis/v1beta1"

	"bonsai/nodeagent/netpolicy/rules"
)

// fakeAPI speaks as much of the API as a Part hears: watches that begin with what is there.
type fakeAPI struct {
	*httptest.Server
	mu      sync.Mutex // guards what follows
	objects map[string]map[string]object
	version int
	// history are the changes, by path, with the version of each.
	history []change
	changed chan struct{}
	// refuse answers everything with this status, if it is not 0.
	refuse int
	// watched counts the watches of a path that go on.
	watched map[string]int
}

type object interface {
	runtime.Object
	metav1.Object
}

type change struct {
	path, kind string
	version    int
	of         object
}

const (
	configMaps      = "/api/v1/namespaces/kube-system/configmaps"
	services        = "/api/v1/namespaces/kube-system/services"
	pods            = "/api/v1/pods"
	namespaces      = "/api/v1/namespaces"
	nodes           = "/api/v1/nodes"
	policies        = "/apis/networking.k8s.io/v1/networkpolicies"
	clusterPolicies = "/apis/policy.networking.k8s.io/v1beta1/clusternetworkpolicies"
)

func newFakeAPI(t *testing.T) *fakeAPI {
	t.Helper()
	f := &fakeAPI{objects: map[string]map[string]object{}, version: 1, changed: make(chan struct{}), watched: map[string]int{}}
	f.Server = httptest.NewServer(f)
	t.Cleanup(func() { f.CloseClientConnections(); f.Close() })
	return f
}

func (f *fakeAPI) config() *rest.Config { return &rest.Config{Host: f.URL} }

// place returns the path of an object's kind, and gives the object its type.
func place(o object) string {
	typed := func(version, kind string) { o.GetObjectKind().SetGroupVersionKind(versionKind(version, kind)) }
	switch o.(type) {
	case *corev1.ConfigMap:
		typed("v1", "ConfigMap")
		return configMaps
	case *corev1.Service:
		typed("v1", "Service")
		return services
	case *corev1.Pod:
		typed("v1", "Pod")
		return pods
	case *corev1.Namespace:
		typed("v1", "Namespace")
		return namespaces
	case *corev1.Node:
		typed("v1", "Node")
		return nodes
	case *networkingv1.NetworkPolicy:
		typed("networking.k8s.io/v1", "NetworkPolicy")
		return policies
	case *policyv1beta1.ClusterNetworkPolicy:
		typed("policy.networking.k8s.io/v1beta1", "ClusterNetworkPolicy")
		return clusterPolicies
	}
	panic(fmt.Sprintf("no path for %T", o))
}

func (f *fakeAPI) put(all ...object) {
	for _, o := range all {
		f.change(o, false)
	}
}

func (f *fakeAPI) remove(o object) { f.change(o, true) }

func (f *fakeAPI) change(o object, gone bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	o = o.DeepCopyObject().(object)
	path, key := place(o), o.GetNamespace()+"/"+o.GetName()
	f.version++
	o.SetResourceVersion(strconv.Itoa(f.version))
	if f.objects[path] == nil {
		f.objects[path] = map[string]object{}
	}
	kind := "MODIFIED"
	if f.objects[path][key] == nil {
		kind = "ADDED"
	}
	if f.objects[path][key] = o; gone {
		kind = "DELETED"
		delete(f.objects[path], key)
	}
	f.history = append(f.history, change{path, kind, f.version, o})
	close(f.changed)
	f.changed = make(chan struct{})
}

// answers makes the API server answer with a status from now on, and 0 as it should.
func (f *fakeAPI) answers(status int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refuse = status
}

func (f *fakeAPI) watches(path string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.watched[path]
}

func (f *fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	path := r.URL.Path
	f.mu.Lock()
	refuse, version := f.refuse, f.version
	initial := f.objects[path]
	all := make([]object, 0, len(initial))
	for _, o := range initial {
		all = append(all, o)
	}
	f.mu.Unlock()
	switch {
	case refuse != 0:
		fail(w, refuse, metav1.StatusReasonForbidden)
		return
	case r.URL.Query().Get("watch") == "":
		fail(w, http.StatusNotFound, metav1.StatusReasonNotFound) // the only read of a single object, whose absence is as good
		return
	}
	f.count(path, 1)
	defer f.count(path, -1)
	out, rc := json.NewEncoder(w), http.NewResponseController(w)
	send := func(kind string, o any) bool {
		return out.Encode(map[string]any{"type": kind, "object": o}) == nil && rc.Flush() == nil
	}
	if r.URL.Query().Get("sendInitialEvents") == "true" {
		for _, o := range all {
			send("ADDED", o)
		}
		end := map[string]any{"metadata": metav1.ObjectMeta{ResourceVersion: strconv.Itoa(version), Annotations: map[string]string{metav1.InitialEventsAnnotationKey: "true"}}}
		end["apiVersion"], end["kind"] = typeOf(path)
		send("BOOKMARK", end)
	} else {
		version, _ = strconv.Atoi(r.URL.Query().Get("resourceVersion"))
	}
	for {
		f.mu.Lock()
		changed := f.changed
		var news []change
		for _, c := range f.history {
			if c.version > version && c.path == path {
				news = append(news, c)
			}
		}
		version = f.version
		f.mu.Unlock()
		for _, c := range news {
			if !send(c.kind, c.of) {
				return
			}
		}
		if rc.Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-changed:
		}
	}
}

func (f *fakeAPI) count(path string, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.watched[path] += n
	close(f.changed)
	f.changed = make(chan struct{})
}

func fail(w http.ResponseWriter, code int, reason metav1.StatusReason) {
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure, Reason: reason, Code: int32(code),
	})
}

func typeOf(path string) (version, kind string) {
	of := map[string][2]string{
		configMaps: {"v1", "ConfigMap"}, services: {"v1", "Service"}, pods: {"v1", "Pod"}, namespaces: {"v1", "Namespace"}, nodes: {"v1", "Node"},
		policies: {"networking.k8s.io/v1", "NetworkPolicy"}, clusterPolicies: {"policy.networking.k8s.io/v1beta1", "ClusterNetworkPolicy"},
	}[path]
	return of[0], of[1]
}

// fakeRuntime is a container runtime with sandboxes.
type fakeRuntime struct {
	runtimeapi.UnimplementedRuntimeServiceServer
	socket    string
	mu        sync.Mutex // guards what follows
	sandboxes map[string]*runtimeapi.PodSandboxStatus
	streams   map[chan *runtimeapi.ContainerEventResponse]bool
}

// serve begins to answer; until then nobody listens.
func (f *fakeRuntime) serve(t *testing.T) (stop func()) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", f.socket)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	runtimeapi.RegisterRuntimeServiceServer(server, f)
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	return server.Stop
}

func newFakeRuntime(t *testing.T) *fakeRuntime {
	t.Helper()
	return &fakeRuntime{
		socket: filepath.Join(t.TempDir(), "runtime.sock"), sandboxes: map[string]*runtimeapi.PodSandboxStatus{},
		streams: map[chan *runtimeapi.ContainerEventResponse]bool{},
	}
}

func (f *fakeRuntime) GetContainerEvents(_ *runtimeapi.GetEventsRequest, s grpc.ServerStreamingServer[runtimeapi.ContainerEventResponse]) error {
	events := make(chan *runtimeapi.ContainerEventResponse, 10)
	f.mu.Lock()
	f.streams[events] = true
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.streams, events)
	}()
	for {
		select {
		case <-s.Context().Done():
			return s.Context().Err()
		case e := <-events:
			if err := s.Send(e); err != nil {
				return err
			}
		}
	}
}

func (f *fakeRuntime) ListPodSandbox(context.Context, *runtimeapi.ListPodSandboxRequest) (*runtimeapi.ListPodSandboxResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := &runtimeapi.ListPodSandboxResponse{}
	for id := range f.sandboxes {
		r.Items = append(r.Items, &runtimeapi.PodSandbox{Id: id})
	}
	return r, nil
}

func (f *fakeRuntime) PodSandboxStatus(_ context.Context, r *runtimeapi.PodSandboxStatusRequest) (*runtimeapi.PodSandboxStatusResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s, ok := f.sandboxes[r.PodSandboxId]; ok {
		return &runtimeapi.PodSandboxStatusResponse{Status: s}, nil
	}
	return nil, fmt.Errorf("no sandbox %s", r.PodSandboxId)
}

// starts has a sandbox start, and stops end.
func (f *fakeRuntime) starts(id string, pod rules.Key, ip string, created int64) {
	s := &runtimeapi.PodSandboxStatus{
		Id: id, CreatedAt: created, Metadata: &runtimeapi.PodSandboxMetadata{Namespace: pod.Namespace, Name: pod.Name},
		Network: &runtimeapi.PodSandboxNetworkStatus{Ip: ip},
	}
	f.happens(runtimeapi.ContainerEventType_CONTAINER_STARTED_EVENT, id, s)
}

func (f *fakeRuntime) stops(id string) {
	f.happens(runtimeapi.ContainerEventType_CONTAINER_STOPPED_EVENT, id, nil)
}

func (f *fakeRuntime) happens(what runtimeapi.ContainerEventType, id string, s *runtimeapi.PodSandboxStatus) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.sandboxes[id] = s; s == nil {
		delete(f.sandboxes, id)
	}
	for events := range f.streams {
		events <- &runtimeapi.ContainerEventResponse{ContainerId: id, ContainerEventType: what, PodSandboxStatus: s}
	}
}

// fakeKernel remembers the last rules.
type fakeKernel struct {
	mu      sync.Mutex // guards what follows
	applied int
	now     *rules.Ruleset
	drops   []rules.Drop
	fails   error
	damaged error
	changed chan struct{} // closed and replaced with each call of Apply
}

func (f *fakeKernel) Apply(_ context.Context, next *rules.Ruleset) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.changed)
	f.changed = make(chan struct{})
	if f.fails != nil {
		return false, f.fails
	}
	f.applied++
	f.now = next
	return true, nil
}

func (f *fakeKernel) Check() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	found := f.damaged
	f.damaged = nil
	return found
}

func (f *fakeKernel) Drops() ([]rules.Drop, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.drops, f.fails
}

func (f *fakeKernel) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}
