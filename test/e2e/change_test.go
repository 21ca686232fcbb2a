package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/bootstrap/fault"
	"bonsai/test/e2e/harness"
)

// TestChange changes one running cluster in every way that start knows.
func TestChange(t *testing.T) {
	t.Parallel()
	c := harness.New(t)
	c.Start(t, "--nodes", "2")
	c.LoadImages(t)
	ns := &harness.Namespace{Cluster: c, Namespace: "default", Client: c.Client(t)}
	second := c.Name + "-2"
	ns.Create(t, harness.On(second, ns.Pod("kept", harness.Testpod, "serve")))

	t.Run("a deleted Node object comes back as planned", func(t *testing.T) {
		nodes := c.Client(t).CoreV1().Nodes()
		before, err := nodes.Get(t.Context(), second, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := nodes.Delete(t.Context(), second, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		harness.Until(t, 3*time.Second, "the Node object", func() error {
			after, err := nodes.Get(t.Context(), second, metav1.GetOptions{})
			if err != nil {
				return err
			}
			if after.UID == before.UID {
				return fmt.Errorf("it is the old one")
			}
			if after.Spec.PodCIDR != before.Spec.PodCIDR || after.Spec.ProviderID != before.Spec.ProviderID {
				return fmt.Errorf("its spec is %+v, want that of %+v", after.Spec, before.Spec)
			}
			for name, value := range before.Labels {
				if after.Labels[name] != value {
					return fmt.Errorf("the label %s is missing in %v", name, after.Labels)
				}
			}
			return nil
		})
		readyNodes(t, c, 2)
		ns.WaitReady(t, "kept")
	})

	t.Run("an interrupted growth leaves no node", func(t *testing.T) {
		for _, delay := range []time.Duration{500 * time.Millisecond, 1200 * time.Millisecond} {
			ctx, cancel := context.WithTimeout(t.Context(), delay) // the harness sends SIGINT when it ends
			out, err := c.Command(ctx, "start", "-p", c.Name, "--nodes", "3").CombinedOutput()
			interrupted := ctx.Err() != nil
			cancel()
			if !interrupted {
				t.Fatalf("the start was faster than %s: %v\n%s", delay, err, out)
			}
			readyNodes(t, c, 2)
			if got := c.Nodes(t); len(got) != 2 {
				t.Errorf("the cluster has nodes %v", got)
			}
		}
	})

	t.Run("the next start completes a killed growth", func(t *testing.T) {
		cmd := c.Command(t.Context(), "start", "-p", c.Name, "--nodes", "3")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		harness.Until(t, 10*time.Second, "the third Node object", func() error {
			_, err := c.Client(t).CoreV1().Nodes().Get(t.Context(), c.Name+"-3", metav1.GetOptions{})
			return err
		})
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		c.Start(t)
		readyNodes(t, c, 3)
	})

	t.Run("limits", func(t *testing.T) {
		if r := c.Bonsai(t, "start", "--cpus", "1", "--dry-run"); !strings.Contains(r.Stdout, "change the limits of node "+second) || strings.Contains(r.Stdout, "restarts") {
			t.Errorf("the plan is not that the limits change live: %s", r)
		}
		c.Start(t, "--cpus", "1", "--memory", "2g")
		harness.Until(t, 5*time.Second, "the new capacity of all nodes", func() error {
			for _, n := range readyNodes(t, c, 3) {
				if cpus := n.Status.Capacity.Cpu().Value(); cpus != 1 {
					return fmt.Errorf("node %s promises %d CPUs, its limit is 1", n.Name, cpus)
				}
			}
			return nil
		})
		ns.WaitReady(t, "kept")
	})

	t.Run("registry mirrors", func(t *testing.T) {
		c.Start(t, "--registry-mirror", "http://one.invalid", "--registry-mirror", "ghcr.io=http://two.invalid")
		c.Start(t, "--registry-mirror", "http://three.invalid")
		files := harness.InNode(t, second, "sh", "-c", "cat /etc/containerd/certs.d/*/hosts.toml")
		for _, url := range []string{"http://two.invalid", "http://three.invalid"} {
			if !strings.Contains(files, url) {
				t.Errorf("containerd does not know of %s:\n%s", url, files)
			}
		}
		if strings.Contains(files, "http://one.invalid") {
			t.Errorf("containerd still knows of a mirror that was replaced:\n%s", files)
		}
	})

	t.Run("what needs a stopped cluster", func(t *testing.T) {
		r := c.Bonsai(t, "start", "--upstream-hooks")
		wantCode(t, r, code(fault.Usage))
		c.Must(t, "stop")
		c.Start(t, "--upstream-hooks")
		nodes := readyNodes(t, c, 3)
		if !slices.ContainsFunc(nodes, func(n corev1.Node) bool { return n.Name == second }) {
			t.Errorf("nodes are %+v", nodes)
		}
		if r := c.Bonsai(t, "start", "--dry-run"); !strings.Contains(r.Stdout, "Nothing to change") {
			t.Errorf("something is left to change: %s", r)
		}
	})
}
