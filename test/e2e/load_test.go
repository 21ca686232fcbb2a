package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"bonsai/bootstrap/cluster"
	"bonsai/test/e2e/harness"
)

// testLoad has a pod use a third of a CPU, which is its limit, and checks whether that is reported.
func testLoad(t *testing.T, c *harness.Cluster) {
	n := c.NewNamespace(t)
	nodes := n.Nodes(t)
	busy := harness.On(nodes[0], n.Pod("busy", harness.Busybox, "-c", "while :; do :; done"))
	busy.Spec.Containers[0].Resources.Limits = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("300m")}
	idle := harness.On(nodes[1], n.Pod("idle", harness.Busybox, "-c", "sleep 1000000"))
	pods := n.Create(t, busy, idle)

	harness.Until(t, 20*time.Second, "the busy pod is reported to use a third of a CPU", func() error {
		l := loadOf(t, c)
		var errs []error
		for i, want := range []struct{ from, to float64 }{{0.2, 0.4}, {0, 0.05}} {
			u, node := usageOf(l, string(pods[i].UID))
			if node != nodes[i] || u.Namespace != n.Namespace || u.Name != pods[i].Name || u.CPU < want.from || u.CPU > want.to || u.Memory == 0 || u.Memory > 32<<20 {
				errs = append(errs, fmt.Errorf("%s is reported as %+v on %q", pods[i].Name, u, node))
			}
		}
		return errors.Join(append(errs, plausible(l, len(nodes))...)...)
	})
	if out := c.Must(t, "top", "pods", "-n", n.Namespace); !strings.Contains(out, "busy") || strings.Index(out, "busy") > strings.Index(out, "idle") {
		t.Errorf("top pods says\n%s", out)
	}

	// Creating a Deployment uses each arrow of the architecture; kubelets renew their leases every ten seconds.
	lines, stop := c.Follow(t, "top", "-w", "-o", "json")
	defer stop()
	<-lines // rates are those since the one before
	deployment(t, n, "web", 2)
	quiet := map[string]bool{
		"clients>kube-apiserver": true, "kubelet>kube-apiserver": true, "kube-scheduler>kube-apiserver": true,
		"kube-controller-manager>kube-apiserver": true, "kube-apiserver>etcd": true,
	}
	for limit := time.After(harness.Scale(30 * time.Second)); len(quiet) > 0; {
		select {
		case line, ok := <-lines:
			var l cluster.Load
			if err := json.Unmarshal([]byte(line), &l); err != nil || !ok {
				t.Fatalf("top -w said %q: %v", line, err)
			}
			for _, k := range l.ControlPlane.Links {
				if k.Rate > 0 && k.P50 > 0 && k.P99 >= k.P50 {
					delete(quiet, k.From+">"+k.To)
				}
			}
		case <-limit:
			t.Fatalf("nothing is reported about %q", slices.Sorted(maps.Keys(quiet)))
		}
	}
}

func loadOf(t *testing.T, c *harness.Cluster) (l cluster.Load) {
	t.Helper()
	if err := json.Unmarshal([]byte(c.Must(t, "top", "-o", "json")), &l); err != nil {
		t.Fatal(err)
	}
	return l
}

func usageOf(l cluster.Load, uid string) (u cluster.PodUsage, node string) {
	for _, n := range l.Nodes {
		for _, p := range n.Pods {
			if p.UID == uid {
				return p, n.Node
			}
		}
	}
	return u, ""
}

// plausible returns what is wrong with a Load.
func plausible(l cluster.Load, nodes int) (errs []error) {
	if len(l.Nodes) != nodes {
		errs = append(errs, fmt.Errorf("%d nodes are reported, want %d", len(l.Nodes), nodes))
	}
	for _, n := range l.Nodes {
		cpu, memory := 0.0, uint64(0)
		for _, p := range n.Pods {
			cpu, memory = cpu+p.CPU, memory+p.Memory
		}
		// Its own processes use a few hundredths of a CPU and more than 20 MiB. Counters are read one after the other.
		if n.Reason != "" || n.CPU < cpu*0.9 || n.CPU > n.CPUs*1.1 || n.Memory < memory+20<<20 || n.Memory > n.MemoryLimit ||
			n.DiskUsed == 0 || n.DiskUsed > n.DiskSize || l.Time.Sub(n.Time) > 5*time.Second {
			errs = append(errs, fmt.Errorf("node %+v, whose pods use %.2f CPUs and %d bytes", n, cpu, memory))
		}
	}
	cp := l.ControlPlane
	if cp.CPU <= 0 || cp.Memory < 50<<20 || cp.Watches < 10 || cp.Objects["pods"] < 0 || cp.Objects["nodes"] != nodes || cp.DBSize <= 0 || cp.Controllers < 20 {
		errs = append(errs, fmt.Errorf("control plane %+v", cp))
	}
	return errs
}
