package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/test/e2e/harness"
)

// TestNodesOfALiveCluster is a life of nodes: they come, are changed, stopped, and go.
func TestNodesOfALiveCluster(t *testing.T) {
	t.Parallel()
	c := harness.New(t)
	c.Start(t, "--nodes", "2")
	c.LoadImages(t)
	ns := &harness.Namespace{Cluster: c, Namespace: "default", Client: c.Client(t)}
	nodes := ns.Client.CoreV1().Nodes()
	name := func(n int) string { return fmt.Sprintf("%s-%d", c.Name, n) }
	get := func(t *testing.T, n int) *corev1.Node {
		t.Helper()
		node, err := nodes.Get(t.Context(), name(n), metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return node
	}

	t.Run("the first node has the control-plane role", func(t *testing.T) {
		// The taint of a node that is not ready is upstream's, and may go a moment after the node has become so.
		tainted := func() bool {
			return slices.ContainsFunc(get(t, 1).Spec.Taints, func(taint corev1.Taint) bool { return taint.Key == cluster.LabelControlPlane })
		}
		_, first := get(t, 1).Labels[cluster.LabelControlPlane]
		_, second := get(t, 2).Labels[cluster.LabelControlPlane]
		if !first || second || tainted() {
			t.Errorf("labels %v and %v, taints %v", get(t, 1).Labels, get(t, 2).Labels, get(t, 1).Spec.Taints)
		}
		if c.Start(t, "--control-plane-taint"); !tainted() {
			t.Errorf("it has the taints %v", get(t, 1).Spec.Taints)
		}
		if c.Start(t, "--control-plane-taint=false"); tainted() {
			t.Errorf("it still has the taints %v", get(t, 1).Spec.Taints)
		}
	})

	t.Run("add", func(t *testing.T) {
		c.Must(t, "node", "add", "--cpus", "1", "--memory", "1g", "--labels", "disk=ssd", "--taints", "gpu=yes:PreferNoSchedule")
		n := get(t, 3)
		if nodeReady(n) != nil || n.Labels["disk"] != "ssd" || !slices.ContainsFunc(n.Spec.Taints, func(taint corev1.Taint) bool { return taint.Key == "gpu" }) || n.Status.Capacity.Cpu().Value() != 1 || n.Status.Capacity.Memory().Value() != 1<<30 {
			t.Errorf("the node is %+v", n)
		}
		// With the images that were loaded before.
		ns.Create(t, harness.On(name(3), ns.Pod("alone", harness.Testpod, "serve")))
	})

	t.Run("update", func(t *testing.T) {
		before, err := ns.Client.CoreV1().Pods("default").Get(t.Context(), "alone", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		c.Must(t, "node", "update", "3", "--cpus", "2", "--memory", "1500m")
		harness.Until(t, 5*time.Second, "the new capacity", func() error {
			if s := get(t, 3).Status.Capacity; s.Cpu().Value() != 2 || s.Memory().Value() != 1500<<20 {
				return fmt.Errorf("it is %v", s)
			}
			return nil
		})
		if after := ns.WaitReady(t, "alone"); after.Status.ContainerStatuses[0].ContainerID != before.Status.ContainerStatuses[0].ContainerID {
			t.Error("the pod was restarted")
		}
		if limit := harness.Docker(t, "inspect", "--format", "{{.HostConfig.Memory}}", harness.Container(t, name(3))); strings.TrimSpace(limit) != fmt.Sprint(1500<<20) {
			t.Errorf("the container's limit is %s", limit)
		}
	})

	t.Run("list", func(t *testing.T) {
		if list := c.Must(t, "node", "list"); !strings.Contains(list, "control-plane") || strings.Count(list, "Ready") != 3 || !strings.Contains(list, "v1.37.") {
			t.Errorf("node list:\n%s", list)
		}
		if got := strings.Fields(c.Must(t, "node", "list", "-o", "name")); !slices.Equal(got, []string{name(1), name(2), name(3)}) {
			t.Errorf("names %v", got)
		}
		var list []struct {
			Name, Role, Status string
			Pods               *int
			Memory             *uint64
		}
		if err := json.Unmarshal([]byte(c.Must(t, "node", "list", "-o", "json")), &list); err != nil || len(list) != 3 || list[2].Pods == nil || *list[2].Pods != 1 || *list[2].Memory == 0 {
			t.Errorf("node list -o json: %+v, %v", list, err)
		}
	})

	t.Run("a stopped node stays stopped", func(t *testing.T) {
		c.Must(t, "node", "stop", "2")
		stopped := func() {
			t.Helper()
			s, code := c.Status(t)
			if code != 0 || s.Phase != cluster.PhaseRunning || !s.Nodes[1].Stopped || s.Nodes[1].Host != cluster.PhaseStopped || len(s.Problems) > 0 {
				t.Errorf("status: code %d, %s, %+v, problems %+v", code, s.Phase, s.Nodes[1], s.Problems)
			}
		}
		stopped()
		c.Must(t, "stop")
		c.Start(t)
		stopped()
		c.Must(t, "node", "start", "2")
		if s, code := c.Status(t); code != 0 || s.Nodes[1].Stopped || !s.Nodes[1].Ready {
			t.Errorf("status: code %d, %+v", code, s.Nodes[1])
		}
		c.Must(t, "node", "restart", "2")
	})

	t.Run("what is in the way of a deletion is named", func(t *testing.T) {
		ns.WaitReady(t, "alone")
		r := c.Bonsai(t, "node", "delete", "3")
		wantCode(t, r, code(fault.Blocked))
		if !strings.Contains(r.Stderr, "pod default/alone has no controller") || get(t, 3).Spec.Unschedulable {
			t.Errorf("%s", r)
		}
		if err := ns.Client.CoreV1().Pods("default").Delete(t.Context(), "alone", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		labels := map[string]string{"app": "web"}
		pod := ns.Pod("web", harness.Testpod, "serve")
		pod.Spec.NodeSelector = map[string]string{"disk": "ssd"}
		if _, err := ns.Client.AppsV1().Deployments("default").Create(t.Context(), &appsv1.Deployment{
			ObjectMeta: metav1.ObjectMeta{Name: "web"},
			Spec: appsv1.DeploymentSpec{Replicas: new(int32(1)), Selector: &metav1.LabelSelector{MatchLabels: labels},
				Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: pod.Spec}},
		}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		one := intstr.FromInt32(1)
		if _, err := ns.Client.PolicyV1().PodDisruptionBudgets("default").Create(t.Context(), &policyv1.PodDisruptionBudget{
			ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: policyv1.PodDisruptionBudgetSpec{MinAvailable: &one, Selector: &metav1.LabelSelector{MatchLabels: labels}},
		}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		c.Kubectl(t, "rollout", "status", "deployment", "web", "--timeout=30s")
		c.Kubectl(t, "wait", "--for=jsonpath={.status.currentHealthy}=1", "pdb/web", "--timeout=30s")
		c.Kubectl(t, "wait", "--for=delete", "pod/alone", "--timeout=30s")
		r = c.Bonsai(t, "node", "delete", "3", "--timeout", "2s")
		wantCode(t, r, code(fault.Blocked))
		if !strings.Contains(r.Stderr, "disruption budget web needs 1 healthy pods") || get(t, 3).Spec.Unschedulable {
			t.Errorf("%s", r)
		}
	})

	t.Run("a deleted node leaves nothing", func(t *testing.T) {
		if err := ns.Client.PolicyV1().PodDisruptionBudgets("default").Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		c.Must(t, "node", "add", "--labels", "disk=ssd") // to where the pod can go
		c.Must(t, "node", "delete", "3")
		if _, err := nodes.Get(t.Context(), name(3), metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			t.Errorf("the Node object: %v", err)
		}
		if _, err := ns.Client.CoordinationV1().Leases(corev1.NamespaceNodeLease).Get(t.Context(), name(3), metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			t.Errorf("the lease: %v", err)
		}
		if left := harness.Docker(t, "ps", "-aq", "--filter", "label="+harness.NodeLabel+"="+name(3)) + harness.Docker(t, "volume", "ls", "-q", "--filter", "label="+harness.NodeLabel+"="+name(3)); strings.TrimSpace(left) != "" {
			t.Errorf("in the engine: %s", left)
		}
		if keys, err := filepath.Glob(filepath.Join(c.Dir, "clusters", c.Name, "pki", "nodes", "*")); err != nil || len(keys) != 3 {
			t.Errorf("keys %v, %v", keys, err)
		}
		if config, err := os.ReadFile(c.Kubeconfig); err != nil || !strings.Contains(string(config), c.Name) {
			t.Errorf("the kubeconfig: %v", err)
		}
		c.Kubectl(t, "rollout", "status", "deployment", "web", "--timeout=60s")
		harness.Until(t, 20*time.Second, "no pod on the deleted node", func() error {
			list, err := ns.Client.CoreV1().Pods("").List(t.Context(), metav1.ListOptions{FieldSelector: "spec.nodeName=" + name(3)})
			if err == nil && len(list.Items) > 0 {
				return fmt.Errorf("%d pods are there", len(list.Items))
			}
			return err
		})
	})

	t.Run("with force, and of a stopped cluster", func(t *testing.T) {
		ns.Create(t, harness.On(name(2), ns.Pod("alone", harness.Testpod, "serve")))
		c.Must(t, "node", "delete", "2", "--force")
		c.Must(t, "stop")
		c.Must(t, "node", "add")
		c.Must(t, "node", "delete", "4")
		c.Start(t)
		if got := strings.Fields(c.Must(t, "node", "list", "-o", "name")); !slices.Equal(got, []string{name(1), name(5)}) {
			t.Errorf("names %v", got)
		}
		readyNodes(t, c, 2)
	})
}
