package harness

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// PodLimit is how long a pod may take to be Ready.
const PodLimit = time.Minute

// Config returns the access to the API server that a user of the merged kubeconfig has.
func (c *Cluster) Config(t *testing.T) *rest.Config {
	t.Helper()
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		&clientcmd.ClientConfigLoadingRules{ExplicitPath: c.Kubeconfig},
		&clientcmd.ConfigOverrides{CurrentContext: c.Name},
	).ClientConfig()
	if err != nil {
		t.Fatal(err)
	}
	config.QPS, config.Burst = 200, 400
	return config
}

// Client returns a client for the cluster's API server.
func (c *Cluster) Client(t *testing.T) kubernetes.Interface {
	t.Helper()
	client, err := kubernetes.NewForConfig(c.Config(t))
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// Namespace is a namespace of one test.
type Namespace struct {
	*Cluster
	Namespace string
	Client    kubernetes.Interface
}

// NewNamespace creates a namespace that is deleted with the test. If the test fails, its contents are logged first.
func (c *Cluster) NewNamespace(t *testing.T) *Namespace {
	t.Helper()
	client := c.Client(t)
	ns, err := client.CoreV1().Namespaces().Create(t.Context(),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "t-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			r := c.Bonsai(t, "kubectl", "--", "-n", ns.Name, "get", "all", "-o", "wide")
			e := c.Bonsai(t, "kubectl", "--", "-n", ns.Name, "get", "events")
			t.Logf("in namespace %s:\n%s\n%s", ns.Name, r.Stdout, e.Stdout)
		}
		// Not waited for: the namespace controller is not under test.
		_ = client.CoreV1().Namespaces().Delete(context.Background(), ns.Name, metav1.DeleteOptions{})
	})
	n := &Namespace{c, ns.Name, client}
	// Pods are rejected until the controllers have created the namespace's service account.
	Until(t, 20*time.Second, "service account of "+ns.Name, func() error {
		_, err := client.CoreV1().ServiceAccounts(ns.Name).Get(t.Context(), "default", metav1.GetOptions{})
		return err
	})
	return n
}

// Pod describes a pod with one container; the caller may change it before it is created.
func (n *Namespace) Pod(name, image string, command ...string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: n.Namespace, Labels: map[string]string{"app": name}},
		Spec: corev1.PodSpec{
			Containers: []corev1.Container{{Name: "main", Image: image, Args: command}},
			// Nothing in these pods needs time to stop.
			TerminationGracePeriodSeconds: new(int64(1)),
		},
	}
}

// On puts a pod onto a node.
func On(node string, p *corev1.Pod) *corev1.Pod {
	p.Spec.NodeName = node
	return p
}

// Create creates pods and returns them when all are Ready, with their addresses.
func (n *Namespace) Create(t *testing.T, pods ...*corev1.Pod) []*corev1.Pod {
	t.Helper()
	for _, p := range pods {
		if _, err := n.Client.CoreV1().Pods(n.Namespace).Create(t.Context(), p, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	ready := make([]*corev1.Pod, len(pods))
	for i, p := range pods {
		ready[i] = n.WaitReady(t, p.Name)
	}
	return ready
}

// WaitReady returns the pod once it is Ready.
func (n *Namespace) WaitReady(t *testing.T, name string) *corev1.Pod {
	t.Helper()
	var pod *corev1.Pod
	Until(t, PodLimit, "pod "+name+" Ready", func() (err error) {
		pod, err = n.Client.CoreV1().Pods(n.Namespace).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		return Ready(pod)
	})
	return pod
}

// Ready returns why a pod is not Ready, or nil.
func Ready(p *corev1.Pod) error {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue && p.DeletionTimestamp == nil {
			return nil
		}
	}
	for _, s := range p.Status.ContainerStatuses {
		if w := s.State.Waiting; w != nil {
			return fmt.Errorf("%s: %s %s", p.Status.Phase, w.Reason, w.Message)
		}
	}
	return fmt.Errorf("%s %s %s", p.Status.Phase, p.Status.Reason, p.Status.Message)
}

// Service creates a Service and returns it with its addresses.
func (n *Namespace) Service(t *testing.T, s *corev1.Service) *corev1.Service {
	t.Helper()
	made, err := n.Client.CoreV1().Services(n.Namespace).Create(t.Context(), s, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// Exec runs a command in a pod and returns what it printed; it has to succeed.
func (n *Namespace) Exec(t *testing.T, pod string, command ...string) string {
	t.Helper()
	return n.Kubectl(t, append([]string{"-n", n.Namespace, "exec", pod, "--"}, command...)...)
}

// Fetch sends requests to targets from a pod with the image Testpod and returns the answers of each, in order.
func (n *Namespace) Fetch(t *testing.T, pod string, times int, targets ...string) map[string][]string {
	t.Helper()
	command := []string{"-n", n.Namespace, "exec", pod, "--", "testpod", "fetch", "-n", fmt.Sprint(times)}
	r := n.Bonsai(t, "kubectl", append(append([]string{"--"}, command...), targets...)...)
	if r.Code != 0 {
		t.Fatalf("from pod %s: %s", pod, r)
	}
	return ParseFetch(t, r.Stdout)
}

// ParseFetch reads the output of "testpod fetch".
func ParseFetch(t *testing.T, output string) map[string][]string {
	t.Helper()
	answers := map[string][]string{}
	for line := range strings.Lines(output) {
		target, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		answer, ok := strings.CutPrefix(rest, "ok ")
		if !ok {
			t.Fatalf("testpod fetch printed %q", line)
		}
		answers[target] = append(answers[target], answer)
	}
	return answers
}

// HostFetch sends requests to targets from this machine and returns the answers of each, in order.
func HostFetch(t *testing.T, times int, targets ...string) map[string][]string {
	t.Helper()
	Archive(t)
	args := append([]string{"fetch", "-n", fmt.Sprint(times)}, targets...)
	out, err := exec.Command(filepath.Join(images.dir, "testpod"), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("from this machine: %v\n%s", err, out)
	}
	return ParseFetch(t, string(out))
}
