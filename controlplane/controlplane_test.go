package controlplane_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/pki"
	"bonsai/controlplane"
	"bonsai/controlplane/config"
)

// startControlPlane runs a control plane on a temporary folder and stops it with the test at the latest.
func startControlPlane(t *testing.T, change func(*cluster.Spec)) *controlplane.ControlPlane {
	t.Helper()
	return startWithAddons(t, t.TempDir(), change, nil)
}

// startWithAddons is startControlPlane in a folder that may have been used before.
func startWithAddons(t *testing.T, dir string, change func(*cluster.Spec), apply func(context.Context, *controlplane.ControlPlane) error) *controlplane.ControlPlane {
	t.Helper()
	return startWith(t, dir, change, func(o *controlplane.Options) { o.ApplyAddons = apply })
}

// startWith starts a control plane with other options.
func startWith(t *testing.T, dir string, change func(*cluster.Spec), set func(*controlplane.Options)) *controlplane.ControlPlane {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	spec := cluster.Spec{Version: cluster.SpecVersion, Name: "test", ID: "test", KubernetesVersion: "1.37", APIPort: port,
		Subnet: netip.MustParsePrefix("10.201.252.0/22"), Nodes: make([]cluster.Node, 0)}
	spec.Replan()
	spec.Nodes = append(spec.Nodes, spec.PlanNode(1), spec.PlanNode(2))
	change(&spec)
	if err := pki.Ensure(filepath.Join(dir, "pki"), spec); err != nil {
		t.Fatal(err)
	}
	o := controlplane.Options{
		Config:  config.Config{Spec: spec, PKIDir: filepath.Join(dir, "pki"), EtcdDir: filepath.Join(dir, "etcd"), RunDir: filepath.Join(dir, "run")},
		EtcdLog: t.Output(), Say: func(reason string) { t.Error(reason) },
		Events: func(e cluster.Event) {
			t.Logf("%s %s %s %s", e.Kind, e.Step, e.Elapsed.Round(time.Millisecond), e.Detail)
		},
		Log:        slog.New(slog.DiscardHandler),
		LogHandler: func(string) slog.Handler { return slog.DiscardHandler },
	}
	set(&o)
	cp, err := controlplane.Start(t.Context(), o)
	if err != nil {
		t.Fatalf("start the control plane: %v", err)
	}
	return cp
}

// bootstrapObjects is everything that the two upstream hooks are about, without what differs from run to run.
func bootstrapObjects(t *testing.T, client kubernetes.Interface) map[string]string {
	t.Helper()
	ctx, all := t.Context(), metav1.ListOptions{}
	objects := map[string]string{}
	add := func(kind string, list runtime.Object, err error) {
		if err != nil {
			t.Fatalf("list %s: %v", kind, err)
		}
		raw, err := runtime.DefaultUnstructuredConverter.ToUnstructured(list)
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range raw["items"].([]any) {
			object := item.(map[string]any)
			meta := object["metadata"].(map[string]any)
			for _, volatile := range []string{"uid", "resourceVersion", "creationTimestamp", "managedFields"} {
				delete(meta, volatile)
			}
			namespace, _ := meta["namespace"].(string)
			text, err := json.Marshal(object)
			if err != nil {
				t.Fatal(err)
			}
			name := meta["name"].(string)
			if strings.HasPrefix(name, "bonsai:") {
				continue // our own, upstream has no opinion of them
			}
			objects[kind+"/"+namespace+"/"+name] = string(text)
		}
	}
	roles, err := client.RbacV1().ClusterRoles().List(ctx, all)
	add("clusterrole", roles, err)
	bindings, err := client.RbacV1().ClusterRoleBindings().List(ctx, all)
	add("clusterrolebinding", bindings, err)
	namespaced, err := client.RbacV1().Roles("").List(ctx, all)
	add("role", namespaced, err)
	namespacedBindings, err := client.RbacV1().RoleBindings("").List(ctx, all)
	add("rolebinding", namespacedBindings, err)
	classes, err := client.SchedulingV1().PriorityClasses().List(ctx, all)
	add("priorityclass", classes, err)
	return objects
}

// settled lists until the controllers have filled the aggregated roles and two lists are the same.
func settled(t *testing.T, client kubernetes.Interface) map[string]string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	last := bootstrapObjects(t, client)
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for same := 0; same < 4; {
		select {
		case <-ctx.Done():
			t.Fatal("roles keep changing")
		case <-tick.C:
		}
		next := bootstrapObjects(t, client)
		if maps.Equal(last, next) {
			same++
		} else {
			same = 0
		}
		last = next
	}
	return last
}

func TestOwnHookMakesExactlyUpstreamsObjects(t *testing.T) {
	collect := func(upstream bool) map[string]string {
		cp := startControlPlane(t, func(s *cluster.Spec) { s.UpstreamHooks = upstream })
		defer cp.Stop()
		return settled(t, cp.Client())
	}
	ours, upstreams := collect(false), collect(true)
	if len(upstreams) < 100 {
		t.Fatalf("upstream's hooks made %d objects, which cannot be all", len(upstreams))
	}
	for _, key := range slices.Sorted(maps.Keys(upstreams)) {
		if ours[key] != upstreams[key] {
			t.Errorf("%s:\n got %s\nwant %s", key, ours[key], upstreams[key])
		}
	}
	for key := range ours {
		if _, ok := upstreams[key]; !ok {
			t.Errorf("%s: upstream does not make it", key)
		}
	}
}

// TestReadyIncludesTheAccountOfPods: "kubectl run" is forbidden in a namespace without the account "default".
func TestReadyIncludesTheAccountOfPods(t *testing.T) {
	cp := startControlPlane(t, func(*cluster.Spec) {})
	defer cp.Stop()
	// Not a pod: admission waits a second or two for the account, which is enough where nothing else runs.
	if _, err := cp.Client().CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(t.Context(), "default", metav1.GetOptions{}); err != nil {
		t.Errorf("at once: %v", err)
	}
}

// TestGatesAndFlagsAreServed: upstream's commands do this, not the code that they call.
func TestGatesAndFlagsAreServed(t *testing.T) {
	cp := startControlPlane(t, func(*cluster.Spec) {})
	defer cp.Stop()
	for path, want := range map[string]string{
		"/metrics": `kubernetes_feature_enabled{name="ComponentFlagz",stage="BETA"} 1`,
		"/flagz":   "service-cluster-ip-range",
	} {
		body, err := cp.Client().Discovery().RESTClient().Get().AbsPath(path).SetHeader("Accept", "text/plain").DoRaw(t.Context())
		if err != nil || !strings.Contains(string(body), want) {
			t.Errorf("%s does not contain %s: %v\n%.1000s", path, want, err, body)
		}
	}
}

func TestStopIsQuickWithWatchesOpen(t *testing.T) {
	cp := startControlPlane(t, func(*cluster.Spec) {})
	watch, err := cp.Client().CoreV1().Pods("").Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ready, err := cp.Client().Discovery().RESTClient().Get().AbsPath("/readyz").Param("verbose", "").DoRaw(t.Context())
	if err != nil || !strings.Contains(string(ready), "poststarthook/bonsai/bootstrap ok") {
		t.Errorf("readyz = %s, %v; want it to list our hook", ready, err)
	}
	v, err := cp.Client().Discovery().ServerVersion()
	if err != nil || !strings.HasPrefix(v.GitVersion, "v1.37.") {
		t.Errorf("server version = %v, %v, want v1.37.x (run the tests through make, which sets it)", v, err)
	}
	nodes, err := cp.Client().CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil || len(nodes.Items) != 2 || nodes.Items[0].Spec.PodCIDR != "10.244.1.0/24" {
		t.Errorf("nodes = %v, %v; want the two planned ones with their pod CIDRs", nodes, err)
	}
	begin := time.Now()
	cp.Stop()
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("stop took %s: the server waited for the watch", took)
	}
	for range watch.ResultChan() { // ends because the server cut it
	}
}
