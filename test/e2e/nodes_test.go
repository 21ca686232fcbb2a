package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"

	"bonsai/bootstrap/cluster"
	"bonsai/test/e2e/harness"
)

// nodeReady returns why a node is not Ready, or nil.
func nodeReady(n *corev1.Node) error {
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue {
			return nil
		}
	}
	return fmt.Errorf("node %s is not Ready: %+v", n.Name, n.Status.Conditions)
}

// readyNodes waits until all nodes are Ready and without taints, and returns them by name.
func readyNodes(t *testing.T, c *harness.Cluster, want int) []corev1.Node {
	t.Helper()
	client := c.Client(t)
	var nodes []corev1.Node
	harness.Until(t, time.Minute, fmt.Sprintf("%d nodes Ready", want), func() error {
		list, err := client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
		if err != nil {
			return err
		}
		nodes = list.Items
		if len(nodes) != want {
			return fmt.Errorf("there are %d nodes", len(nodes))
		}
		for _, n := range nodes {
			if err := nodeReady(&n); err != nil {
				return err
			}
			if len(n.Spec.Taints) > 0 {
				return fmt.Errorf("node %s has taints %+v", n.Name, n.Spec.Taints)
			}
		}
		return nil
	})
	return nodes
}

// reported checks that nodes have reported since a time: a start has to wait for nodes that are Ready, and not rely on
// what was known about them before they were stopped.
func reported(t *testing.T, nodes []corev1.Node, since time.Time) {
	t.Helper()
	since = since.Truncate(time.Second) // as precise as Kubernetes' times are
	for _, n := range nodes {
		for _, c := range n.Status.Conditions {
			if c.Type == corev1.NodeReady && c.LastHeartbeatTime.Time.Before(since) {
				t.Errorf("start returned by %s, node %s last reported at %s", time.Now().UTC(), n.Name, c.LastHeartbeatTime.UTC())
			}
		}
	}
}

func testNodes(t *testing.T, c *harness.Cluster) {
	machineIDs, systemUUIDs, addresses := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, n := range readyNodes(t, c, 3) {
		role := false
		for label := range n.Labels {
			role = role || strings.HasPrefix(label, "node-role.kubernetes.io/")
		}
		if !role {
			t.Errorf("node %s has no role: labels %v", n.Name, n.Labels)
		}
		info := n.Status.NodeInfo
		if !strings.HasPrefix(info.KubeletVersion, "v1.37.") {
			t.Errorf("node %s runs kubelet %s, want v1.37.x", n.Name, info.KubeletVersion)
		}
		if !strings.HasPrefix(info.ContainerRuntimeVersion, "containerd://2.") {
			t.Errorf("node %s runs %s, want containerd 2", n.Name, info.ContainerRuntimeVersion)
		}
		if info.MachineID == "" || machineIDs[info.MachineID] {
			t.Errorf("node %s: machine id %q is not its own", n.Name, info.MachineID)
		}
		if info.SystemUUID == "" || systemUUIDs[info.SystemUUID] {
			t.Errorf("node %s: system UUID %q is not its own", n.Name, info.SystemUUID)
		}
		machineIDs[info.MachineID], systemUUIDs[info.SystemUUID] = true, true
		for _, a := range n.Status.Addresses {
			if a.Type == corev1.NodeInternalIP {
				addresses[a.Address] = true
			}
		}
		if len(n.Spec.PodCIDRs) != 1 {
			t.Errorf("node %s has pod CIDRs %v, want one", n.Name, n.Spec.PodCIDRs)
		}
	}
	if len(addresses) != 3 {
		t.Errorf("the nodes have the addresses %v, want three", addresses)
	}

	var version struct {
		GitVersion string `json:"gitVersion"`
	}
	if err := json.Unmarshal([]byte(c.Kubectl(t, "get", "--raw", "/version")), &version); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(version.GitVersion, "v1.37.") {
		t.Errorf("the API server says it is %s, want v1.37.x", version.GitVersion)
	}
	if ready := c.Kubectl(t, "get", "--raw", "/readyz?verbose"); !strings.Contains(ready, "bonsai") {
		t.Errorf("/readyz?verbose does not list bonsai's own hook:\n%s", ready)
	}

	list := c.Must(t, "node", "list")
	for _, name := range c.Nodes(t) {
		if !strings.Contains(list, name) {
			t.Errorf("node list does not name %s:\n%s", name, list)
		}
	}
}

func testStatusOfARunningCluster(t *testing.T, c *harness.Cluster) {
	s, code := c.Status(t)
	if code != 0 || s.Phase != cluster.PhaseRunning || s.APIServer != cluster.PhaseRunning {
		t.Errorf("status exits with %d and says %s, API server %s; want 0, Running, Running", code, s.Phase, s.APIServer)
	}
	if s.Kubeconfig != "Configured" {
		t.Errorf("kubeconfig is %s, want Configured", s.Kubeconfig)
	}
	var names []string
	for _, component := range s.Components {
		names = append(names, component.Name)
	}
	for _, want := range []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"} {
		if !slices.Contains(names, want) {
			t.Errorf("status lists the components %v, %s is missing", names, want)
		}
	}
	if len(s.Nodes) != 3 {
		t.Fatalf("status lists %d nodes, want 3", len(s.Nodes))
	}
	for _, n := range s.Nodes {
		if n.Host != cluster.PhaseRunning || !n.Ready {
			t.Errorf("node %s: host %s, ready %v; want Running, true", n.Name, n.Host, n.Ready)
		}
		if len(n.Components) < 2 {
			t.Errorf("node %s lists the components %+v, want containerd and kubelet at least", n.Name, n.Components)
		}
	}
	text := c.Must(t, "status")
	for _, want := range []string{"kubelet", "apiserver", "kubeconfig", "Running", "Configured"} {
		if !strings.Contains(text, want) {
			t.Errorf("status does not say %q:\n%s", want, text)
		}
	}
}

func testKubeconfig(t *testing.T, c *harness.Cluster) {
	info, err := os.Stat(c.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the kubeconfig has mode %v, want 0600", info.Mode())
	}
	kc, err := clientcmd.LoadFromFile(c.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	if kc.CurrentContext != c.Name || kc.Contexts[c.Name] == nil {
		t.Errorf("the current context is %q, want %q to exist and be current", kc.CurrentContext, c.Name)
	}
	delete(kc.Contexts, c.Name)
	if err := clientcmd.WriteToFile(*kc, c.Kubeconfig); err != nil {
		t.Fatal(err)
	}
	if s, _ := c.Status(t); s.Kubeconfig != "Missing" {
		t.Errorf("without the context status says %s, want Missing", s.Kubeconfig)
	}
	c.Must(t, "update-context")
	if s, code := c.Status(t); s.Kubeconfig != "Configured" || code != 0 {
		t.Errorf("after update-context status says %s and exits with %d; want Configured and 0", s.Kubeconfig, code)
	}
	c.Kubectl(t, "get", "nodes")
}

func testSSHAndLogs(t *testing.T, c *harness.Cluster) {
	node := c.Nodes(t)[0]
	ps := c.Must(t, "ssh", node, "--", "ps")
	for _, want := range []string{"bonsai-init", "bonsai-agent", "containerd", "kubelet"} {
		if !strings.Contains(ps, want) {
			t.Errorf("ps in %s does not list %s:\n%s", node, want, ps)
		}
	}
	if images := c.Must(t, "ssh", node, "--", "crictl", "images"); !strings.Contains(images, "bonsai.test/testpod") {
		t.Errorf("crictl images in %s does not list the loaded image:\n%s", node, images)
	}
	if r := c.Bonsai(t, "ssh", node, "--", "sh", "-c", "exit 7"); r.Code != 7 {
		t.Errorf("the exit code of a command over ssh is %d, want 7", r.Code)
	}
	for _, component := range []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"} {
		if c.Must(t, "logs", component, "--tail", "5") == "" {
			t.Errorf("the log of %s is empty", component)
		}
	}
	for _, component := range []string{"kubelet", "kube-proxy", "containerd"} {
		if c.Must(t, "logs", component, "--node", node, "--tail", "5") == "" {
			t.Errorf("the log of %s on %s is empty", component, node)
		}
	}
}
