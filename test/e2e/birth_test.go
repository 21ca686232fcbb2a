package e2e

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/bootstrap/cluster"
	"bonsai/test/e2e/harness"
)

// birthOf is what "bonsai birth -o json" says.
func birthOf(t *testing.T, n *harness.Namespace, pod string) (b cluster.Birth) {
	t.Helper()
	if err := json.Unmarshal([]byte(n.Must(t, "birth", n.Namespace+"/"+pod, "-o", "json")), &b); err != nil {
		t.Fatal(err)
	}
	return b
}

// testBirth follows a pod of a Deployment on a cluster whose first node is cordoned.
func testBirth(t *testing.T, c *harness.Cluster) {
	n := c.NewNamespace(t)
	node := c.Nodes(t)[0]
	c.Kubectl(t, "cordon", node)
	defer c.Kubectl(t, "uncordon", node)

	template := n.Pod("web", harness.Busybox, "-c", "sleep 3600")
	replicas := int32(1)
	labels := map[string]string{"app": "web"}
	if _, err := n.Client.AppsV1().Deployments(n.Namespace).Create(t.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: appsv1.DeploymentSpec{Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: template.Spec.Containers}}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	pod := ""
	harness.Until(t, 20*time.Second, "the pod of the Deployment", func() error {
		list, err := n.Client.CoreV1().Pods(n.Namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "app=web"})
		switch {
		case err != nil:
			return err
		case len(list.Items) == 0:
			return errors.New("there is none yet")
		}
		pod = list.Items[0].Name
		return nil
	})
	out := n.Must(t, "birth", n.Namespace+"/"+pod, "-w")
	t.Logf("\n%s", out)
	for _, want := range []string{"start/main", "The scheduler chose ", "NodeUnschedulable", "TaintToleration"} {
		if !strings.Contains(out, want) {
			t.Errorf("birth -w does not print %q", want)
		}
	}

	b := birthOf(t, n, pod)
	if !b.Ready || b.Note != "" {
		t.Errorf("the story is not complete: %+v", b)
	}
	var steps []string
	for _, s := range b.Steps {
		steps = append(steps, s.Step)
		if s.End <= s.Begin || s.End > harness.PodLimit || !s.Exact || s.Failed || s.Who == "" {
			t.Errorf("step %+v", s)
		}
	}
	want := []string{"api", "admission", "etcd", "queue", "schedule", "bind", "kubelet", "volumes", "sandbox", "image/main", "create/main", "start/main", "ready"}
	if !slices.Equal(steps, want) {
		t.Errorf("steps are %v, want %v", steps, want)
	}
	if who := b.Steps[0].Who; who != "kube-controller-manager (replicaset-controller)" {
		t.Errorf("created by %q", who)
	}
	// After the binding, one step follows the other with only short gaps.
	gaps, end := time.Duration(0), time.Duration(0)
	for _, s := range b.Steps {
		gaps += max(0, s.Begin-end)
		end = max(end, s.End)
	}
	if last := b.Steps[len(b.Steps)-1]; end != last.End || gaps > end/4 {
		t.Errorf("the steps leave %s of %s unexplained; the last one is %s", gaps, end, last.Step)
	}
	d := b.Scheduling
	if d == nil || len(d.Verdicts) != 3 || d.Node == node {
		t.Fatalf("the decision is %+v", d)
	}
	for _, v := range d.Verdicts {
		if v.Node == node && v.Plugin != "NodeUnschedulable" || v.Node != node && (len(v.Scores) == 0 || v.Total == 0) {
			t.Errorf("verdict %+v", v)
		}
	}
	if r := c.Bonsai(t, "birth", n.Namespace+"/nobody"); r.Code != 40 {
		t.Errorf("a pod that does not exist: %s", r)
	}
}

// testBirthAfterRestart asks about a pod that is older than the control plane's process.
func testBirthAfterRestart(t *testing.T, n *harness.Namespace, pod string) {
	b := birthOf(t, n, pod)
	if !b.Ready || b.Note == "" || len(b.Steps) < 3 || b.Steps[0].Exact {
		t.Errorf("after a restart the story is %+v", b)
	}
}
