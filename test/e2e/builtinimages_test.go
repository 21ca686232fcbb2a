package e2e

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"bonsai/bootstrap/fault"
	"bonsai/test/e2e/harness"
)

// TestBuiltinImages does what a user does in the first minute, and needs no image and no registry for it.
func TestBuiltinImages(t *testing.T) {
	t.Parallel()
	c := harness.New(t)
	c.Start(t, "--nodes", "1")
	c.Must(t, "node", "add", "--labels", "topology.kubernetes.io/zone=eu-1")
	n := c.NewNamespace(t)
	kubectl := func(args ...string) string {
		t.Helper()
		return n.Kubectl(t, append([]string{"-n", n.Namespace}, args...)...)
	}
	begin := time.Now()
	kubectl("create", "deployment", "web", "--image=bonsai/hello", "--replicas=2")
	kubectl("expose", "deployment", "web", "--port=80")
	kubectl("rollout", "status", "deployment", "web", "--timeout=60s")
	t.Logf("the first application runs after %s", time.Since(begin).Round(100*time.Millisecond))
	kubectl("run", "tools", "--image=bonsai/tools", "--", "sleep", "1000000")
	n.WaitReady(t, "tools")

	t.Run("hello says where it runs", func(t *testing.T) {
		seen := map[string]bool{}
		harness.Until(t, 30*time.Second, "answers of both pods", func() error {
			text := n.Exec(t, "tools", "curl", "-sS", "--max-time", "5", "http://web/some?status=201")
			for _, want := range []string{"Hello from web-", "namespace  " + n.Namespace, "node       " + c.Name, "request    GET /some?status=201", "User-Agent: curl/"} {
				if !strings.Contains(text, want) {
					return fmt.Errorf("%q is missing in\n%s", want, text)
				}
			}
			if node2 := strings.Contains(text, "node       "+c.Name+"-2\n"); node2 != strings.Contains(text, "zone       eu-1\n") {
				return fmt.Errorf("the zone is not that of the node:\n%s", text)
			}
			seen[strings.Fields(text)[2]] = true
			if len(seen) < 2 {
				return fmt.Errorf("only %v answered", seen)
			}
			return nil
		})
	})
	t.Run("tools work", func(t *testing.T) {
		if got := n.Exec(t, "tools", "dig", "+short", "kubernetes.default.svc.cluster.local"); strings.TrimSpace(got) != "10.96.0.1" {
			t.Errorf("dig says %q", got)
		}
		if got := n.Exec(t, "tools", "sh", "-c", "printf 'GET /healthz HTTP/1.0\\r\\n\\r\\n' | nc -w 5 web 80 | tail -n 1"); strings.TrimSpace(got) != "ok" {
			t.Errorf("nc says %q", got)
		}
		if got := n.Exec(t, "tools", "sh", "-c", "echo | openssl s_client -connect kubernetes.default.svc:443 2>/dev/null | openssl x509 -noout -subject"); !strings.Contains(got, "subject=") {
			t.Errorf("openssl says %q", got)
		}
	})
	t.Run("every pull policy", func(t *testing.T) {
		for _, policy := range []corev1.PullPolicy{corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever} {
			p := n.Pod(strings.ToLower(string(policy)), "docker.io/bonsai/hello:latest")
			p.Spec.Containers[0].ImagePullPolicy = policy
			n.Create(t, p)
		}
	})
	t.Run("others are pulled as usual", func(t *testing.T) {
		kubectl("run", "other", "--image=bonsai/hello:2")
		harness.Until(t, time.Minute, "the failure of a pull", func() error {
			if r := c.Bonsai(t, "kubectl", "--", "-n", n.Namespace, "get", "pod", "other"); !strings.Contains(r.Stdout, "ErrImagePull") && !strings.Contains(r.Stdout, "ImagePullBackOff") {
				return errors.New(r.String())
			}
			return nil
		})
	})
	t.Run("hello fails, leaks and ends on request", func(t *testing.T) {
		kubectl("run", "bad", "--image=bonsai/hello", "--overrides", `{"spec":{"containers":[{"name":"bad","image":"bonsai/hello","resources":{"limits":{"memory":"64Mi"}}}]}}`)
		at := n.WaitReady(t, "bad").Status.PodIP
		n.Exec(t, "tools", "sh", "-c", "curl -s --max-time 20 http://"+at+":8080/?leak=200Mi || true")
		harness.Until(t, 30*time.Second, "the end of a container that used too much memory", func() error {
			p := n.WaitReady(t, "bad")
			if s := p.Status.ContainerStatuses[0]; s.RestartCount == 0 || s.LastTerminationState.Terminated == nil || s.LastTerminationState.Terminated.Reason != "OOMKilled" {
				return fmt.Errorf("%+v", s)
			}
			return nil
		})
	})
	t.Run("a user's own image has precedence", func(t *testing.T) {
		wantCode(t, c.Bonsai(t, "image", "rm", "bonsai/hello"), 0)
		n.Create(t, n.Pod("again", "bonsai/hello"))
		c.Must(t, "image", "pull", "bonsai/tools")
		if out := c.Must(t, "image", "ls"); !strings.Contains(out, "bonsai/tools") {
			t.Errorf("image ls says\n%s", out)
		}
		if r := c.Bonsai(t, "image", "pull", "bonsai/hello:2"); r.Code == 0 || r.Code == code(fault.Internal) {
			t.Errorf("a tag that does not exist: %s", r)
		}
	})
}
