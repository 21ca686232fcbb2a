package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/bootstrap/cluster"
	"bonsai/test/e2e/harness"
)

// TestComponentsAreVisible: as pods in kube-system, with states and logs, and as component statuses.
func TestComponentsAreVisible(t *testing.T) {
	t.Parallel()
	c := harness.New(t)
	c.Start(t, "--nodes", "2")
	pods := c.Client(t).CoreV1().Pods(metav1.NamespaceSystem)
	name := func(component string, node int) string { return fmt.Sprintf("%s-%s-%d", component, c.Name, node) }
	ready := func(t *testing.T, pod string) (p *corev1.Pod) {
		t.Helper()
		harness.Until(t, harness.Scale(time.Minute), pod+" to be ready", func() (err error) {
			if p, err = pods.Get(t.Context(), pod, metav1.GetOptions{}); err != nil {
				return err
			}
			return harness.Ready(p)
		})
		return p
	}
	host := []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"}
	all := []string{name("kube-proxy", 1), name("kube-proxy", 2), name("dns", 1), name("dns", 2)}
	for _, component := range host {
		all = append(all, name(component, 1))
	}
	ids := map[string]any{}
	for _, pod := range all {
		ids[pod] = ready(t, pod).UID
	}

	t.Run("logs", func(t *testing.T) {
		for _, pod := range all {
			if log := c.Kubectl(t, "-n", "kube-system", "logs", pod, "--tail", "3", "--timestamps"); strings.Count(log, "\n") == 0 || strings.Count(log, "\n") > 3 || !strings.HasPrefix(log, "20") {
				t.Errorf("the log of %s is %q", pod, log)
			}
		}
		lines, stop := c.Follow(t, "kubectl", "--", "-n", "kube-system", "logs", "-f", "--tail", "1", name("kube-apiserver", 1))
		defer stop()
		select {
		case <-lines:
		case <-time.After(harness.Scale(30 * time.Second)):
			t.Error("timed out waiting for a line of a followed log")
		}
		if r := c.Bonsai(t, "kubectl", "--", "-n", "kube-system", "logs", "--previous", name("etcd", 1)); r.Code == 0 || !strings.Contains(r.Stderr, "previous terminated container") {
			t.Errorf("a previous log without a restart: %s", r)
		}
		if r := c.Bonsai(t, "kubectl", "--", "-n", "kube-system", "exec", name("etcd", 1), "--", "etcdctl"); r.Code == 0 || !strings.Contains(r.Stderr, "is not a container") {
			t.Errorf("exec: %s", r)
		}
	})

	t.Run("statuses", func(t *testing.T) {
		if text := c.Kubectl(t, "get", "componentstatuses"); strings.Count(text, "Healthy") != 3 || strings.Contains(text, "Unhealthy") {
			t.Errorf("component statuses are %s", text)
		}
	})

	// Tools take pods without a node for a cluster that is not ready. Those that stand for CoreDNS are run by no kubelet.
	t.Run("every pod has a node, and an end", func(t *testing.T) {
		list, err := pods.List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		coredns := ""
		for _, p := range list.Items {
			if p.Spec.NodeName == "" {
				t.Errorf("pod %s has no node", p.Name)
			}
			if strings.HasPrefix(p.Name, "coredns-") {
				coredns = p.Name
			}
		}
		c.Kubectl(t, "-n", "kube-system", "delete", "pod", coredns, "--timeout=30s")
		c.Kubectl(t, "-n", "kube-system", "rollout", "status", "deploy/coredns", "--timeout=60s")
		c.Kubectl(t, "drain", name("", 2)[1:], "--ignore-daemonsets", "--timeout=60s")
		c.Kubectl(t, "uncordon", name("", 2)[1:])
	})

	t.Run("a restart is counted", func(t *testing.T) {
		c.Must(t, "ssh", name("", 2)[1:], "--", "killall", "-9", "bonsai")
		proxy := name("kube-proxy", 2)
		harness.Until(t, harness.Scale(time.Minute), "a restart of "+proxy, func() error {
			p, err := pods.Get(t.Context(), proxy, metav1.GetOptions{})
			if err == nil && p.Status.ContainerStatuses[0].RestartCount != 1 {
				err = fmt.Errorf("%d restarts", p.Status.ContainerStatuses[0].RestartCount)
			}
			return err
		})
		p := ready(t, proxy)
		if last := p.Status.ContainerStatuses[0].LastTerminationState.Terminated; last == nil || !strings.Contains(last.Message, "killed") {
			t.Errorf("it says of the run before: %+v", last)
		}
		if log := c.Kubectl(t, "-n", "kube-system", "logs", "--previous", proxy); log == "" {
			t.Error("there is no log of the run before")
		}
		ids[proxy] = p.UID
	})

	t.Run("kubelets leave them alone, and drain does", func(t *testing.T) {
		c.Kubectl(t, "drain", name("", 2)[1:], "--ignore-daemonsets")
		c.Kubectl(t, "uncordon", name("", 2)[1:])
		for _, pod := range all { // kubelets look for mirror pods to delete every two seconds
			if p := ready(t, pod); p.UID != ids[pod] {
				t.Errorf("%s is another pod than before", pod)
			}
		}
	})

	t.Run("deleted ones come back", func(t *testing.T) {
		for pod, restarts := range map[string]int32{name("etcd", 1): 0, name("kube-proxy", 2): 1} {
			c.Kubectl(t, "-n", "kube-system", "delete", "pod", pod)
			if p := ready(t, pod); p.UID == ids[pod] || p.Status.ContainerStatuses[0].RestartCount != restarts {
				t.Errorf("%s is %+v", pod, p.Status.ContainerStatuses)
			}
		}
		if s, code := c.Status(t); code != 0 || len(s.Problems) > 0 {
			t.Errorf("status has exit code %d and problems %+v", code, s.Problems)
		}
	})

	t.Run("the control plane moves with its role", func(t *testing.T) {
		out := c.Must(t, "node", "delete", "1")
		if want := name("", 2)[1:] + " has the role control-plane now."; !strings.Contains(out, want) {
			t.Errorf("node delete says %q, want %q", out, want)
		}
		n, err := c.Client(t).CoreV1().Nodes().Get(t.Context(), name("", 2)[1:], metav1.GetOptions{})
		if _, has := n.Labels[cluster.LabelControlPlane]; err != nil || !has {
			t.Errorf("labels %v, %v", n.Labels, err)
		}
		for _, component := range host {
			ready(t, name(component, 2))
		}
		harness.Until(t, harness.Scale(time.Minute), "the pods of the node to go", func() error {
			_, err := pods.Get(t.Context(), name("etcd", 1), metav1.GetOptions{})
			if apierrors.IsNotFound(err) {
				return nil
			}
			return fmt.Errorf("etcd's is there: %w", err)
		})
	})
}
