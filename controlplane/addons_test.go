package controlplane_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane"
	"bonsai/controlplane/addons"
	"bonsai/controlplane/addons/builtin"
	"bonsai/controlplane/agents"
)

// house is a control plane with addons, whose nodes exist as far as the addons ask them.
type house struct {
	t      *testing.T
	dir    string
	spec   cluster.Spec
	more   []addons.Addon // besides those that every cluster has
	agents map[string]*dnsAgent
	// transport is to the agent of a node: to agents, unless a test changes it before the start.
	transport func(cluster.Node) http.RoundTripper

	cp      *controlplane.ControlPlane
	manager *addons.Manager
	client  kubernetes.Interface
	stop    func()
}

// dnsAgent is a node's agent that says how its DNS server is, and nothing else.
type dnsAgent struct {
	mu      sync.Mutex // guards everything below
	phase   cluster.Phase
	streams []*io.PipeWriter
}

func (a *dnsAgent) RoundTrip(r *http.Request) (*http.Response, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.phase == "" || r.URL.Path != "/v1/dns/health" {
		return nil, errors.New("connection refused")
	}
	body, w := io.Pipe()
	a.streams = append(a.streams, w)
	context.AfterFunc(r.Context(), func() { _ = body.CloseWithError(context.Cause(r.Context())) })
	phase := a.phase
	go func() { _, _ = fmt.Fprintf(w, "{\"phase\":%q}\n", phase) }()
	return &http.Response{StatusCode: http.StatusOK, Body: body}, nil
}

func (a *dnsAgent) is(phase cluster.Phase) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.phase = phase
	for _, w := range a.streams {
		if phase == "" {
			_ = w.CloseWithError(io.ErrUnexpectedEOF)
		} else {
			_, _ = fmt.Fprintf(w, "{\"phase\":%q}\n", phase)
		}
	}
	if phase == "" {
		a.streams = nil
	}
}

func newHouse(t *testing.T, more ...addons.Addon) *house {
	h := &house{t: t, dir: t.TempDir(), more: more, agents: map[string]*dnsAgent{"test-1": {}, "test-2": {}}}
	h.transport = func(n cluster.Node) http.RoundTripper { return h.agents[n.Name] }
	return h
}

// start starts everything, as the daemon does.
func (h *house) start(chosen map[string]bool) {
	h.t.Helper()
	h.cp = startWithAddons(h.t, h.dir, func(s *cluster.Spec) { s.Addons = chosen; h.spec = *s }, func(ctx context.Context, cp *controlplane.ControlPlane) error {
		var err error
		if h.manager, err = addons.New(addons.Options{
			Addons: append(builtin.All(builtin.Machine{}), h.more...), Spec: h.spec, Log: slog.New(slog.NewTextHandler(h.t.Output(), nil)),
		}); err != nil {
			return err
		}
		client, err := dynamic.NewForConfig(cp.LoopbackConfig())
		if err != nil {
			return err
		}
		begin := time.Now()
		err = h.manager.Apply(ctx, addons.Cluster{
			Client: cp.Client(), Config: cp.LoopbackConfig(), Dynamic: client, Log: slog.New(slog.NewTextHandler(h.t.Output(), nil)),
			Agents: agents.New(h.transport, 1), Groups: cp.Groups(),
		})
		h.t.Logf("addons applied in %s: %v", time.Since(begin).Round(time.Millisecond), err)
		return nil
	})
	h.client = h.cp.Client()
	ctx, cancel := context.WithCancel(context.WithoutCancel(h.t.Context()))
	ended := make(chan struct{})
	go func() { h.manager.Run(ctx); close(ended) }()
	h.stop = sync.OnceFunc(func() {
		cancel()
		<-ended
		h.cp.Stop()
	})
	h.t.Cleanup(h.stop)
}

func (h *house) choose(chosen map[string]bool) {
	h.spec.Addons = chosen
	h.manager.Reload(h.spec)
}

// until waits for the state of an addon.
func (h *house) until(name string, state cluster.AddonState) {
	h.t.Helper()
	eventually(h.t, fmt.Sprintf("%s being %s", name, state), func() error {
		for _, s := range h.manager.Status() {
			if s.Name == name && s.State != state {
				return fmt.Errorf("it is %s: %s", s.State, s.Reason)
			}
		}
		return nil
	})
}

// exists checks whether something is there.
func (h *house) exists(what string, want bool, _ any, err error) {
	h.t.Helper()
	if err != nil && !apierrors.IsNotFound(err) {
		h.t.Fatalf("%s: %v", what, err)
	}
	if got := err == nil; got != want {
		h.t.Errorf("%s exists: %v, want %v", what, got, want)
	}
}

// toy is an addon of the test: what its objects are can change, as between two versions.
type toy struct {
	mu      sync.Mutex // guards objects
	objects []runtime.Object
}

func (*toy) Describe() cluster.AddonDescription { return cluster.AddonDescription{Name: "toy"} }

func (a *toy) Objects(addons.Cluster) []runtime.Object {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.objects
}

func (*toy) Health(context.Context, addons.Cluster) (cluster.AddonState, string, []cluster.Advice) {
	return cluster.AddonRunning, "", nil
}

func (a *toy) has(objects ...runtime.Object) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.objects = objects
}

func toyMap(name string, data map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: name}, Data: data,
	}
}

func toyClass(provisioner string) *storagev1.StorageClass {
	return &storagev1.StorageClass{
		TypeMeta: metav1.TypeMeta{APIVersion: "storage.k8s.io/v1", Kind: "StorageClass"}, ObjectMeta: metav1.ObjectMeta{Name: "toy"}, Provisioner: provisioner,
	}
}

const metricsAPI = "/apis/metrics.k8s.io/v1beta1"

func TestAddons(t *testing.T) {
	plaything := &toy{}
	plaything.has(toyMap("toy-1", map[string]string{"a": "1", "b": "2"}), toyMap("toy-2", nil), toyClass("example.com/one"))
	h := newHouse(t, plaything)
	h.start(map[string]bool{"toy": true})
	ctx := t.Context()

	t.Run("what is wanted is there when the cluster is ready", func(t *testing.T) {
		service, err := h.client.CoreV1().Services("kube-system").Get(ctx, "kube-dns", metav1.GetOptions{})
		if err != nil || service.Spec.ClusterIP != "10.96.0.10" || len(service.Spec.Selector) > 0 || len(service.Spec.Ports) != 3 ||
			*service.Spec.TrafficDistribution != "PreferSameNode" || service.Labels["k8s-app"] != "kube-dns" {
			t.Errorf("Service kube-dns: %v, %+v", err, service)
		}
		class, err := h.client.StorageV1().StorageClasses().Get(ctx, "standard", metav1.GetOptions{})
		if err != nil || class.Provisioner != "bonsai.io/local" || *class.VolumeBindingMode != "WaitForFirstConsumer" || *class.ReclaimPolicy != "Delete" ||
			*class.AllowVolumeExpansion || class.Annotations["storageclass.kubernetes.io/is-default-class"] != "true" {
			t.Errorf("StorageClass standard: %v, %+v", err, class)
		}
		for _, name := range []string{"default-storageclass", "storage-provisioner", "toy"} {
			h.until(name, cluster.AddonRunning)
		}
	})

	t.Run("an API that the API server serves for an addon", func(t *testing.T) {
		eventually(t, "the API metrics.k8s.io", func() error {
			_, err := h.client.Discovery().RESTClient().Get().AbsPath(metricsAPI + "/nodes").DoRaw(ctx)
			return err
		})
		groups, err := h.client.Discovery().ServerGroups()
		if err != nil || !slices.ContainsFunc(groups.Groups, func(g metav1.APIGroup) bool { return g.Name == "metrics.k8s.io" }) {
			t.Errorf("discovery does not list it: %v, %v", groups, err)
		}
		list, err := h.client.Discovery().ServerResourcesForGroupVersion("metrics.k8s.io/v1beta1")
		if err != nil || len(list.APIResources) != 2 {
			t.Errorf("its resources: %v, %v", list, err)
		}
		eventually(t, "the rights of viewers", func() error {
			role, err := h.client.RbacV1().ClusterRoles().Get(ctx, "view", metav1.GetOptions{})
			if err == nil && !slices.ContainsFunc(role.Rules, func(r rbacv1.PolicyRule) bool { return slices.Contains(r.APIGroups, "metrics.k8s.io") }) {
				err = errors.New("viewers may not see it")
			}
			return err
		})
	})

	t.Run("endpoints follow the nodes", func(t *testing.T) {
		ready := func(want ...string) {
			t.Helper()
			eventually(t, fmt.Sprintf("endpoints of %v", want), func() error {
				slice, err := h.client.DiscoveryV1().EndpointSlices("kube-system").Get(ctx, "kube-dns", metav1.GetOptions{})
				if err != nil {
					return err
				}
				var got []string
				for _, e := range slice.Endpoints {
					if *e.Conditions.Ready {
						got = append(got, fmt.Sprintf("%s %s", *e.NodeName, e.Addresses[0]))
					}
				}
				if !slices.Equal(got, want) || len(slice.Ports) != 3 || *slice.Ports[0].Port != cluster.DNSPort || slice.Labels["kubernetes.io/service-name"] != "kube-dns" {
					return fmt.Errorf("%v of %+v", got, slice)
				}
				return nil
			})
		}
		ready()
		h.until("dns", cluster.AddonInstalling)
		h.agents["test-1"].is(cluster.PhaseRunning)
		ready("test-1 10.201.252.10")
		h.until("dns", cluster.AddonDegraded)
		h.agents["test-2"].is(cluster.PhaseRunning)
		ready("test-1 10.201.252.10", "test-2 10.201.252.11")
		h.until("dns", cluster.AddonRunning)
		// The Manager's next comparison must not take the endpoints away.
		h.manager.Reload(h.spec)
		if _, err := h.client.CoreV1().Services("kube-system").Patch(ctx, "kube-dns", types.MergePatchType, []byte(`{"metadata":{"labels":{"k8s-app":"mine","mine":"too"}}}`), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
		h.manager.Reload(h.spec)
		eventually(t, "the label being put back", func() error {
			service, err := h.client.CoreV1().Services("kube-system").Get(ctx, "kube-dns", metav1.GetOptions{})
			if err != nil || service.Labels["k8s-app"] != "kube-dns" || service.Labels["mine"] != "too" {
				return fmt.Errorf("labels %v, %w", service.Labels, err)
			}
			return nil
		})
		ready("test-1 10.201.252.10", "test-2 10.201.252.11")
		h.agents["test-2"].is("")
		ready("test-1 10.201.252.10")
		// The phases wait for the pods that stand for the servers, which the controllers of Kubernetes make.
		eventually(t, "the phases of the nodes", func() error {
			if got := h.manager.Nodes("dns"); got["test-1"] != cluster.PhaseRunning || got["test-2"] != cluster.PhaseUnknown {
				return fmt.Errorf("they are %v", got)
			}
			return nil
		})
	})

	t.Run("scripts find CoreDNS", func(t *testing.T) {
		ready := func(want int) {
			t.Helper()
			eventually(t, fmt.Sprintf("%d pods of coredns being ready", want), func() error {
				d, err := h.client.AppsV1().Deployments("kube-system").Get(ctx, "coredns", metav1.GetOptions{})
				if err != nil || int(d.Status.ReadyReplicas) != want || d.Status.ObservedGeneration != d.Generation {
					return fmt.Errorf("%v, %w", d.Status, err)
				}
				return nil
			})
		}
		ready(1)
		scale := []byte(`{"spec":{"replicas":2,"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"now"}}}}}`)
		if _, err := h.client.AppsV1().Deployments("kube-system").Patch(ctx, "coredns", types.MergePatchType, scale, metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
		ready(2)
		config, err := h.client.CoreV1().ConfigMaps("kube-system").Get(ctx, "coredns", metav1.GetOptions{})
		if err != nil || config.Data["Corefile"] != cluster.Corefile("cluster.local") {
			t.Errorf("the ConfigMap has %v, %v", config.Data, err)
		}
	})

	t.Run("a new version prunes, changes and replaces", func(t *testing.T) {
		plaything.has(toyMap("toy-1", map[string]string{"a": "3"}), toyClass("example.com/two"))
		h.manager.Reload(h.spec)
		eventually(t, "the new version", func() error {
			m, err := h.client.CoreV1().ConfigMaps("kube-system").Get(ctx, "toy-1", metav1.GetOptions{})
			if err != nil || len(m.Data) != 1 || m.Data["a"] != "3" {
				return fmt.Errorf("toy-1 has %v, %w", m.Data, err)
			}
			class, err := h.client.StorageV1().StorageClasses().Get(ctx, "toy", metav1.GetOptions{})
			if err != nil || class.Provisioner != "example.com/two" {
				return fmt.Errorf("the class has %s, %w", class.Provisioner, err)
			}
			if _, err := h.client.CoreV1().ConfigMaps("kube-system").Get(ctx, "toy-2", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
				return fmt.Errorf("toy-2: %w", err)
			}
			return nil
		})
	})

	t.Run("values are applied to what runs", func(t *testing.T) {
		has := func(name string, policy corev1.PersistentVolumeReclaimPolicy, dns bool) {
			t.Helper()
			h.until("default-storageclass", cluster.AddonRunning)
			eventually(t, "the values", func() error {
				list, err := h.client.StorageV1().StorageClasses().List(ctx, metav1.ListOptions{LabelSelector: addons.Label + "=default-storageclass"})
				if err != nil || len(list.Items) != 1 || list.Items[0].Name != name || *list.Items[0].ReclaimPolicy != policy {
					return fmt.Errorf("%d classes: %v, %w", len(list.Items), list.Items, err)
				}
				m, err := h.client.CoreV1().ConfigMaps("kube-system").Get(ctx, cluster.DNSValuesMap, metav1.GetOptions{})
				if apierrors.IsNotFound(err) == dns || err == nil && m.Data[cluster.DNSValuesKey] != "cache 10\n" {
					return fmt.Errorf("the values of dns: %v, %w", m.Data, err)
				}
				return nil
			})
		}
		give := func(values map[string]map[string]string) {
			h.spec.AddonValues = values
			h.manager.Reload(h.spec)
		}
		has("standard", "Delete", false)
		give(map[string]map[string]string{"default-storageclass": {"reclaimPolicy": "Retain"}, "dns": {"cacheSeconds": "10"}})
		has("standard", "Retain", true) // a class cannot change its policy
		give(map[string]map[string]string{"default-storageclass": {"name": "local"}})
		has("local", "Delete", false)
		give(nil)
		has("standard", "Delete", false)
	})

	t.Run("what somebody deletes comes back", func(t *testing.T) {
		if err := h.client.CoreV1().ConfigMaps("kube-system").Delete(ctx, "toy-1", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "its coming back", func() error {
			h.manager.Observe(ctx) // as status does
			_, err := h.client.CoreV1().ConfigMaps("kube-system").Get(ctx, "toy-1", metav1.GetOptions{})
			return err
		})
		h.until("toy", cluster.AddonRunning)
	})

	t.Run("disable leaves nothing but what is the user's", func(t *testing.T) {
		// A copy that a user made carries the label as well.
		mine := toyMap("my-copy", nil)
		mine.Labels = map[string]string{addons.Label: "toy"}
		if _, err := h.client.CoreV1().ConfigMaps("kube-system").Create(ctx, mine, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "data"}, Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{"storage": resource.MustParse("1Mi")}},
		}}
		if _, err := h.client.CoreV1().PersistentVolumeClaims("default").Create(ctx, claim, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		off := map[string]bool{"toy": false}
		for _, d := range builtin.Descriptions() {
			off[d.Name] = false
		}
		h.choose(off)
		for name := range off {
			h.until(name, cluster.AddonDisabled)
		}
		for _, s := range h.manager.Observe(ctx) {
			if s.State != cluster.AddonDisabled {
				t.Errorf("%s is %s", s.Name, s.State)
			}
		}
		if _, err := h.client.Discovery().RESTClient().Get().AbsPath(metricsAPI).DoRaw(ctx); !apierrors.IsNotFound(err) {
			t.Errorf("metrics.k8s.io of a disabled addon answers %v", err)
		}
		none := metav1.GetOptions{}
		service, err := h.client.CoreV1().Services("kube-system").Get(ctx, "kube-dns", none)
		h.exists("Service kube-dns", false, service, err)
		slice, err := h.client.DiscoveryV1().EndpointSlices("kube-system").Get(ctx, "kube-dns", none)
		h.exists("EndpointSlice kube-dns", false, slice, err)
		eventually(t, "the end of the Deployment coredns", func() error {
			if _, err := h.client.AppsV1().Deployments("kube-system").Get(ctx, "coredns", none); !apierrors.IsNotFound(err) {
				return fmt.Errorf("it is there, or %w", err)
			}
			return nil
		})
		class, err := h.client.StorageV1().StorageClasses().Get(ctx, "standard", none)
		h.exists("StorageClass standard", false, class, err)
		toy1, err := h.client.CoreV1().ConfigMaps("kube-system").Get(ctx, "toy-1", none)
		h.exists("ConfigMap toy-1", false, toy1, err)
		kept, err := h.client.CoreV1().ConfigMaps("kube-system").Get(ctx, "my-copy", none)
		h.exists("ConfigMap my-copy", true, kept, err)
		data, err := h.client.CoreV1().PersistentVolumeClaims("default").Get(ctx, "data", none)
		h.exists("the claim", true, data, err)
	})

	t.Run("enable is quick", func(t *testing.T) {
		begin := time.Now()
		h.choose(map[string]bool{"dns": false})
		h.until("default-storageclass", cluster.AddonRunning)
		h.until("storage-provisioner", cluster.AddonRunning)
		took := time.Since(begin)
		t.Logf("storage was enabled in %s", took.Round(time.Millisecond))
		if took > 10*time.Second { // a second on a quiet machine
			t.Errorf("enabling took %s", took)
		}
	})

	t.Run("somebody else's object is left alone", func(t *testing.T) {
		theirs := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "kube-dns"}, Spec: corev1.ServiceSpec{
			Ports: []corev1.ServicePort{{Port: 53, Protocol: corev1.ProtocolUDP}}, Selector: map[string]string{"theirs": "yes"},
		}}
		if _, err := h.client.CoreV1().Services("kube-system").Create(ctx, theirs, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		h.choose(nil)
		h.until("dns", cluster.AddonFailed)
		i := slices.IndexFunc(h.manager.Status(), func(s cluster.AddonStatus) bool { return s.Name == "dns" })
		if s := h.manager.Status()[i]; !strings.Contains(s.Reason, "Service kube-system/kube-dns exists already") || !strings.Contains(s.HintText(), "delete services kube-dns") {
			t.Errorf("it says %q, %q", s.Reason, s.HintText())
		}
		if err := h.client.CoreV1().Services("kube-system").Delete(ctx, "kube-dns", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		h.until("dns", cluster.AddonDegraded) // one of two nodes answers
	})

	t.Run("every kind that may be pruned is what the API calls it", func(t *testing.T) {
		served := map[string]bool{}
		lists, err := h.client.Discovery().ServerPreferredResources()
		if err != nil {
			t.Fatal(err)
		}
		for _, list := range lists {
			for _, r := range list.APIResources {
				served[list.GroupVersion+" "+r.Kind+" "+r.Name] = true
			}
		}
		for _, kind := range addons.Kinds() {
			if kind.Group == "gateway.networking.k8s.io" {
				continue // its addon brings the definition; TestGatewayAddon has it removed
			}
			resource, _ := meta.UnsafeGuessKindToResource(kind)
			if want := kind.GroupVersion().String() + " " + kind.Kind + " " + resource.Resource; !served[want] {
				t.Errorf("%s is not served", want)
			}
		}
	})
	h.stop()

	t.Run("the choice outlives the control plane", func(t *testing.T) {
		h.t = t
		h.start(map[string]bool{"dns": true, "default-storageclass": false, "toy": true})
		h.until("toy", cluster.AddonRunning)
		h.until("default-storageclass", cluster.AddonDisabled)
		class, err := h.client.StorageV1().StorageClasses().Get(t.Context(), "standard", metav1.GetOptions{})
		h.exists("StorageClass standard", false, class, err)
		kept, err := h.client.CoreV1().ConfigMaps("kube-system").Get(t.Context(), "my-copy", metav1.GetOptions{})
		h.exists("ConfigMap my-copy", true, kept, err)
		// Status is sent as JSON.
		if data, err := json.Marshal(h.manager.Status()); err != nil || !strings.Contains(string(data), `"state":"disabled"`) {
			t.Errorf("status is %s, %v", data, err)
		}
		h.stop()
	})
}
