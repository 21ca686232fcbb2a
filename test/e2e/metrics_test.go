package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/bootstrap/cluster"
	"bonsai/test/e2e/harness"
)

// TestMetrics: kubectl top and autoscalers work in a new cluster, and the addon behind them can go and come back.
func TestMetrics(t *testing.T) {
	t.Parallel()
	c := harness.New(t)
	c.Start(t, "--nodes", "2")
	c.LoadImages(t)
	n := c.NewNamespace(t)
	harness.Until(t, 20*time.Second, "figures of both nodes", func() error { return topNodes(t, c, c.Nodes(t)) })

	// Each pod uses up to 0.2 CPUs for as long as the file is there.
	const program = "trap exit TERM; while :; do if [ -e /tmp/load ]; then i=0; while [ $i -lt 1000 ]; do i=$((i+1)); done; else sleep 0.2; fi; done"
	web := n.Pod("web", harness.Busybox, "-c", "touch /tmp/load; "+program)
	web.Spec.Containers[0].Resources = corev1.ResourceRequirements{
		Requests: corev1.ResourceList{"cpu": resource.MustParse("100m"), "memory": resource.MustParse("16Mi")},
		Limits:   corev1.ResourceList{"cpu": resource.MustParse("200m")},
	}
	began := time.Now()
	scaled(t, n, "web", web.Spec, metric("cpu", 50))
	sleeper := n.Pod("sleeper", harness.Busybox, "-c", "head -c 40000000 /dev/zero > /dev/shm/x; sleep 1000000")
	sleeper.Spec.Containers[0].Resources.Requests = corev1.ResourceList{"memory": resource.MustParse("16Mi")}
	scaled(t, n, "sleeper", sleeper.Spec, metric("memory", 100))

	t.Run("top pods", func(t *testing.T) {
		harness.Until(t, 30*time.Second, "the figures of the busy pod", func() error {
			r := c.Bonsai(t, "kubectl", "--", "-n", n.Namespace, "top", "pods", "-l", "app=web", "--no-headers")
			if f := strings.Fields(r.Stdout); r.Code != 0 || len(f) < 3 || !strings.HasSuffix(f[1], "m") || len(f[1]) < len("100m") {
				return fmt.Errorf("%s", r)
			}
			return nil
		})
		t.Logf("figures of a new pod after %s", time.Since(began).Round(time.Second))
	})
	t.Run("autoscalers scale up", func(t *testing.T) {
		for name, limit := range map[string]time.Duration{"web": 45 * time.Second, "sleeper": 45 * time.Second} {
			harness.Until(t, limit, "more pods of "+name, func() error { return replicas(t, n, name, func(r int32) bool { return r > 1 }) })
			t.Logf("%s was scaled after %s", name, time.Since(began).Round(time.Second))
		}
	})
	t.Run("and down", func(t *testing.T) {
		for _, p := range runningPods(t, n, "web") {
			n.Exec(t, p, "rm", "-f", "/tmp/load")
		}
		// Pods that came meanwhile have the file, too; without their load it goes down in the end.
		harness.Until(t, 90*time.Second, "one pod of web", func() error {
			for _, p := range runningPods(t, n, "web") {
				_ = c.Bonsai(t, "kubectl", "--", "-n", n.Namespace, "exec", p, "--", "rm", "-f", "/tmp/load")
			}
			return replicas(t, n, "web", func(r int32) bool { return r == 1 })
		})
	})
	t.Run("whoever may view pods sees what they use", func(t *testing.T) {
		n.Kubectl(t, "-n", n.Namespace, "create", "serviceaccount", "viewer")
		n.Kubectl(t, "-n", n.Namespace, "create", "rolebinding", "viewer", "--clusterrole=view", "--serviceaccount="+n.Namespace+":viewer")
		as := "--as=system:serviceaccount:" + n.Namespace + ":viewer"
		harness.Until(t, 20*time.Second, "the right of a viewer", func() error {
			if r := c.Bonsai(t, "kubectl", "--", "-n", n.Namespace, "top", "pods", as); r.Code != 0 {
				return errors.New(r.String())
			}
			return nil
		})
		if r := c.Bonsai(t, "kubectl", "--", "top", "nodes", as); r.Code == 0 || !strings.Contains(r.Stderr, "forbidden") {
			t.Errorf("a viewer of one namespace sees nodes: %s", r)
		}
	})
	t.Run("the daemon is killed", func(t *testing.T) {
		kill(t, daemonPID(t, c))
		harness.Until(t, time.Minute, "figures after that", func() error { return topNodes(t, c, c.Nodes(t)) })
	})
	t.Run("disable leaves nothing", func(t *testing.T) {
		c.Must(t, "addons", "disable", cluster.MetricsAddon)
		if r := c.Bonsai(t, "kubectl", "--", "top", "nodes"); r.Code == 0 || !strings.Contains(r.Stderr, "Metrics API not available") {
			t.Errorf("without the addon: %s", r)
		}
		if left := c.Kubectl(t, "get", "apiservice,clusterrole,clusterrolebinding,service,sa", "-A", "-o", "name"); strings.Contains(left, "metrics-server") || strings.Contains(left, "metrics.k8s.io") || strings.Contains(left, "aggregated-metrics-reader") {
			t.Errorf("left are\n%s", left)
		}
		if r := c.Bonsai(t, "kubectl", "--", "api-resources", "--api-group=metrics.k8s.io", "-o", "name"); strings.TrimSpace(r.Stdout) != "" {
			t.Errorf("the API is still listed: %s", r.Stdout)
		}
		// Nobody waits for an API that does not answer.
		n.Kubectl(t, "create", "namespace", n.Namespace+"-2")
		n.Kubectl(t, "delete", "namespace", n.Namespace+"-2", "--timeout=30s")
	})
	t.Run("and enable brings it back", func(t *testing.T) {
		begin := time.Now()
		c.Must(t, "addons", "enable", cluster.MetricsAddon)
		t.Logf("enabled after %s", time.Since(begin).Round(time.Second))
		harness.Until(t, 30*time.Second, "the figures of every node", func() error { return topNodes(t, c, c.Nodes(t)) })
		if r := c.Bonsai(t, "kubectl", "--", "api-resources", "--api-group=metrics.k8s.io", "-o", "name"); len(strings.Fields(r.Stdout)) != 2 {
			t.Errorf("the API has %s", r)
		}
	})
	t.Run("a metrics-server of somebody else has precedence", func(t *testing.T) {
		n.Kubectl(t, "patch", "apiservice", "v1beta1.metrics.k8s.io", "--type=merge",
			"-p", `{"spec":{"service":{"namespace":"kube-system","name":"theirs"},"insecureSkipTLSVerify":true}}`)
		harness.Until(t, 40*time.Second, "the status says so", func() error {
			if r := c.Bonsai(t, "addons", "status", cluster.MetricsAddon); !strings.Contains(r.Stdout, "leads to Service kube-system/theirs") {
				return errors.New(r.String())
			}
			return nil
		})
		if r := c.Bonsai(t, "kubectl", "--", "top", "nodes"); r.Code == 0 {
			t.Errorf("the addon answers instead of a Service that does not: %s", r)
		}
		n.Kubectl(t, "delete", "apiservice", "v1beta1.metrics.k8s.io")
		harness.Until(t, time.Minute, "figures again", func() error { return topNodes(t, c, c.Nodes(t)) })
	})
}

// topNodes returns why kubectl top does not show these nodes.
func topNodes(t *testing.T, c *harness.Cluster, names []string) error {
	t.Helper()
	r := c.Bonsai(t, "kubectl", "--", "top", "nodes")
	for _, name := range names {
		if r.Code != 0 || !strings.Contains(r.Stdout, name) || strings.Contains(r.Stdout, "<unknown>") {
			return errors.New(r.String())
		}
	}
	return nil
}

func metric(name corev1.ResourceName, percent int32) autoscalingv2.MetricSpec {
	return autoscalingv2.MetricSpec{Type: autoscalingv2.ResourceMetricSourceType, Resource: &autoscalingv2.ResourceMetricSource{
		Name: name, Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: new(percent)},
	}}
}

// scaled makes a Deployment of a pod and its autoscaler, from one to three, which scales down at once.
func scaled(t *testing.T, n *harness.Namespace, name string, pod corev1.PodSpec, by autoscalingv2.MetricSpec) {
	t.Helper()
	labels := map[string]string{"app": name}
	if _, err := n.Client.AppsV1().Deployments(n.Namespace).Create(t.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: pod},
		},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Client.AutoscalingV2().HorizontalPodAutoscalers(n.Namespace).Create(t.Context(), &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: name},
			MinReplicas:    new(int32(1)), MaxReplicas: 3, Metrics: []autoscalingv2.MetricSpec{by},
			Behavior: &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleDown: &autoscalingv2.HPAScalingRules{StabilizationWindowSeconds: new(int32(0))}},
		},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// replicas returns how many pods a Deployment should have, unless that is as wanted.
func replicas(t *testing.T, n *harness.Namespace, name string, wanted func(int32) bool) error {
	t.Helper()
	d, err := n.Client.AppsV1().Deployments(n.Namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if wanted(*d.Spec.Replicas) {
		return nil
	}
	h, err := n.Client.AutoscalingV2().HorizontalPodAutoscalers(n.Namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	state, _ := json.Marshal(h.Status)
	return fmt.Errorf("%d replicas; %s", *d.Spec.Replicas, state)
}

// runningPods are the names of the running pods of a Deployment.
func runningPods(t *testing.T, n *harness.Namespace, name string) (names []string) {
	t.Helper()
	list, err := n.Client.CoreV1().Pods(n.Namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "app=" + name, FieldSelector: "status.phase=Running"})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range list.Items {
		if p.DeletionTimestamp == nil {
			names = append(names, p.Name)
		}
	}
	return names
}
