package e2e

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/bootstrap/cluster"
	"bonsai/test/e2e/harness"
)

// deployment creates a Deployment of sleeping pods and waits until all of them are available.
// Its pods leave a node that is gone after a second; by default they would wait half a minute.
func deployment(t *testing.T, n *harness.Namespace, name string, replicas int32) {
	t.Helper()
	labels := map[string]string{"app": name}
	template := n.Pod(name, harness.Testpod, "serve")
	for _, taint := range []string{corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable} {
		template.Spec.Tolerations = append(template.Spec.Tolerations, corev1.Toleration{
			Key: taint, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: new(int64(1)),
		})
	}
	d := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: template.Spec},
		},
	}
	if _, err := n.Client.AppsV1().Deployments(n.Namespace).Create(t.Context(), d, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	available(t, n, name, replicas)
}

func available(t *testing.T, n *harness.Namespace, name string, replicas int32) {
	t.Helper()
	harness.Until(t, 90*time.Second, "deployment "+name+" available", func() error {
		d, err := n.Client.AppsV1().Deployments(n.Namespace).Get(t.Context(), name, metav1.GetOptions{})
		if err == nil && d.Status.AvailableReplicas != replicas {
			err = fmt.Errorf("%d of %d replicas are available", d.Status.AvailableReplicas, replicas)
		}
		return err
	})
}

func testDeleteAndDrain(t *testing.T, c *harness.Cluster) {
	n := c.NewNamespace(t)
	p := n.Create(t, n.Pod("short-lived", harness.Testpod, "serve"))[0]
	n.Kubectl(t, "-n", n.Namespace, "delete", "pod", p.Name, "--timeout=30s")
	if _, err := n.Client.CoreV1().Pods(n.Namespace).Get(t.Context(), p.Name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the deleted pod: %v, want not found", err)
	}

	deployment(t, n, "movable", 4)
	node := c.Nodes(t)[1]
	n.Kubectl(t, "drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=60s")
	t.Cleanup(func() { n.Kubectl(t, "uncordon", node) })
	available(t, n, "movable", 4)
	list, err := n.Client.CoreV1().Pods(n.Namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "app=movable"})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range list.Items {
		if p.Spec.NodeName == node && p.DeletionTimestamp == nil {
			t.Errorf("pod %s is still on the drained node", p.Name)
		}
	}
}

// containerOf identifies a running container across restarts of everything else.
func containerOf(t *testing.T, n *harness.Namespace, pod string) (string, error) {
	t.Helper()
	p, err := n.Client.CoreV1().Pods(n.Namespace).Get(t.Context(), pod, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	if len(p.Status.ContainerStatuses) != 1 {
		return "", errors.New("no container")
	}
	s := p.Status.ContainerStatuses[0]
	return fmt.Sprintf("%s, %d restarts", s.ContainerID, s.RestartCount), harness.Ready(p)
}

// component returns the state of one supervised process of a node, from status.
func component(t *testing.T, c *harness.Cluster, node, name string) cluster.Component {
	t.Helper()
	s, _ := c.Status(t)
	for _, n := range s.Nodes {
		for _, component := range n.Components {
			if n.Name == node && component.Name == name {
				return component
			}
		}
	}
	t.Fatalf("status knows no %s on %s", name, node)
	panic("unreachable")
}

func testKilledComponents(t *testing.T, c *harness.Cluster) {
	n := c.NewNamespace(t)
	node := c.Nodes(t)[2]
	pod := n.Create(t, harness.On(node, n.Pod("steady", harness.Testpod, "serve")))[0]
	before, err := containerOf(t, n, pod.Name)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"containerd", "kubelet"} {
		was := component(t, c, node, name)
		if was.PID == 0 {
			t.Fatalf("status does not say which process %s on %s is", name, node)
		}
		harness.InNode(t, node, "kill", "-9", fmt.Sprint(was.PID))
		harness.Until(t, 30*time.Second, name+" back", func() error {
			is := component(t, c, node, name)
			if is.PID == was.PID || is.Phase != cluster.PhaseRunning || is.Restarts <= was.Restarts {
				return fmt.Errorf("%s is %+v, was %+v", name, is, was)
			}
			return nil
		})
		// This proves that the node works again, and that the old pod was not affected.
		n.Create(t, harness.On(node, n.Pod("after-"+name, harness.Testpod, "serve")))
		if after, err := containerOf(t, n, pod.Name); err != nil || after != before {
			t.Errorf("after %s was killed the pod's container is %s (%v), before it was %s", name, after, err, before)
		}
		target := fmt.Sprintf("http://%s:8080/", pod.Status.PodIP)
		n.Fetch(t, "after-"+name, 1, target)
	}
}

func testDockerRestart(t *testing.T, c *harness.Cluster) {
	n := c.NewNamespace(t)
	node := c.Nodes(t)[1]
	deployment(t, n, "everywhere", 3)
	pinned := n.Create(t, harness.On(node, n.Pod("pinned", harness.Testpod, "serve")))[0]
	before, err := n.Client.CoreV1().Nodes().Get(t.Context(), node, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	harness.Docker(t, "restart", "-t", "10", harness.Container(t, node))
	readyNodes(t, c, 3)
	available(t, n, "everywhere", 3)
	harness.Until(t, 60*time.Second, "the pod's new container", func() error {
		p, err := n.Client.CoreV1().Pods(n.Namespace).Get(t.Context(), pinned.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if len(p.Status.ContainerStatuses) == 1 && p.Status.ContainerStatuses[0].RestartCount == 0 {
			return errors.New("the container was not started again yet")
		}
		return harness.Ready(p)
	})
	after, err := n.Client.CoreV1().Nodes().Get(t.Context(), node, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if after.Status.NodeInfo.MachineID != before.Status.NodeInfo.MachineID {
		t.Error("the node's machine id changed with the restart")
	}
	if got, want := fmt.Sprint(after.Status.Addresses), fmt.Sprint(before.Status.Addresses); got != want {
		t.Errorf("the node's addresses are %s, before the restart %s", got, want)
	}
	target := fmt.Sprintf("http://%s:8080/", n.WaitReady(t, pinned.Name).Status.PodIP)
	from := n.Create(t, harness.On(c.Nodes(t)[0], n.Pod("client", harness.Testpod, "serve")))[0]
	if got := n.Fetch(t, from.Name, 1, target)[target][0]; !strings.HasPrefix(got, "pinned ") {
		t.Errorf("asked the pod on the restarted node: %q", got)
	}
}

// The controllers notice a node that is gone and move its pods elsewhere; start brings it back.
func testLostNode(t *testing.T, c *harness.Cluster) {
	n := c.NewNamespace(t)
	deployment(t, n, "mobile", 3)
	pods := func() []corev1.Pod {
		list, err := n.Client.CoreV1().Pods(n.Namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "app=mobile"})
		if err != nil {
			t.Fatal(err)
		}
		return list.Items
	}
	node := pods()[0].Spec.NodeName
	harness.Docker(t, "stop", "-t", "10", harness.Container(t, node))
	s, got := c.Status(t)
	if got == 0 || s.Phase == cluster.PhaseRunning {
		t.Errorf("with a stopped node status says %s and exits with %d", s.Phase, got)
	}
	harness.Until(t, 2*time.Minute, "the lost node's pods elsewhere", func() error {
		elsewhere := 0
		for _, p := range pods() {
			if p.Spec.NodeName != node && harness.Ready(&p) == nil {
				elsewhere++
			}
		}
		if elsewhere != 3 {
			return fmt.Errorf("%d of 3 run elsewhere", elsewhere)
		}
		return nil
	})
	c.Start(t)
	readyNodes(t, c, 3)
}

// A start of a running cluster repairs what is missing and is not an error.
func testSecondStart(t *testing.T, c *harness.Cluster) {
	n := c.NewNamespace(t)
	deployment(t, n, "kept", 2)
	node := c.Nodes(t)[0]
	harness.Docker(t, "rm", "-f", harness.Container(t, node))
	removed := time.Now()
	if _, code := c.Status(t); code == 0 {
		t.Error("status exits with 0 although a node's container is gone")
	}
	r := c.Start(t)
	if regexp.MustCompile(`(?i)\berror`).MatchString(r.Stderr) {
		t.Errorf("the repair reports an error: %s", r)
	}
	for _, n := range readyNodes(t, c, 3) {
		if n.Name == node {
			reported(t, []corev1.Node{n}, removed)
		}
	}
	// A pod on the repaired node proves that it works; the API server's state of the old ones may be outdated.
	n.Create(t, harness.On(node, n.Pod("after-repair", harness.Testpod, "serve")))
	available(t, n, "kept", 2)
	if _, code := c.Status(t); code != 0 {
		t.Errorf("status exits with %d after the repair, want 0", code)
	}
}
