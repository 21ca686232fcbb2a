package e2e

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"bonsai/test/e2e/harness"
)

func testExecAttachLogs(t *testing.T, c *harness.Cluster) {
	n := c.NewNamespace(t)
	for i, node := range n.Nodes(t) {
		p := harness.On(node, n.Pod(fmt.Sprintf("box-%d", i), harness.Busybox, "-c", "while read line; do echo got $line; done"))
		p.Spec.Containers[0].Stdin = true
		n.Create(t, p)

		r := n.RunWithInput(t, strings.NewReader("over stdin\n"),
			"kubectl", "-p", n.Name, "--", "-n", n.Namespace, "exec", "-i", p.Name, "--", "cat")
		if r.Code != 0 || r.Stdout != "over stdin\n" {
			t.Errorf("exec -i on %s: %s", node, r)
		}
		r = n.Bonsai(t, "kubectl", "--", "-n", n.Namespace, "exec", p.Name, "--", "sh", "-c", "echo oops >&2; exit 3")
		if r.Code != 3 || !strings.Contains(r.Stderr, "oops") {
			t.Errorf("exec with an exit code on %s: %s", node, r)
		}

		// attach sends a line, logs -f returns the answer.
		lines, stop := follow(t, n, "logs", "-f", p.Name)
		ctx, cancel := context.WithCancel(t.Context())
		attach := n.Command(ctx, "kubectl", "-p", n.Name, "--", "-n", n.Namespace, "attach", "-i", p.Name)
		attach.Stdin = strings.NewReader(fmt.Sprintf("line %d\n", i))
		if err := attach.Start(); err != nil {
			t.Fatal(err)
		}
		waitLine(t, lines, fmt.Sprintf("got line %d", i))
		stop()
		cancel()
		_ = attach.Wait()
	}
}

// follow starts a kubectl command and returns its lines of output; stop ends it.
func follow(t *testing.T, n *harness.Namespace, args ...string) (lines <-chan string, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cmd := n.Command(ctx, append([]string{"kubectl", "-p", n.Name, "--", "-n", n.Namespace}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	found := make(chan string, 100)
	go func() {
		defer close(found)
		for s := bufio.NewScanner(out); s.Scan(); {
			found <- s.Text()
		}
	}()
	stop = func() {
		cancel()
		_ = cmd.Wait()
	}
	t.Cleanup(stop)
	return found, stop
}

// waitLine returns the first line that matches.
func waitLine(t *testing.T, lines <-chan string, pattern string) []string {
	t.Helper()
	want := regexp.MustCompile(pattern)
	limit := time.After(harness.Scale(30 * time.Second))
	var seen []string
	for {
		select {
		case line, ok := <-lines:
			if !ok {
				t.Fatalf("the command ended without printing %q, but: %q", pattern, seen)
			}
			seen = append(seen, line)
			if m := want.FindStringSubmatch(line); m != nil {
				return m
			}
		case <-limit:
			t.Fatalf("timed out waiting for a line that matches %q; got: %q", pattern, seen)
		}
	}
}

func testPortForward(t *testing.T, c *harness.Cluster) {
	n := c.NewNamespace(t)
	pods := servers(t, n)
	n.Service(t, serverService("servers", corev1.ServiceTypeClusterIP))
	for _, to := range append(podNames(pods), "service/servers") {
		portSpec := ":8080"
		if strings.HasPrefix(to, "service/") {
			portSpec = ":80"
		}
		lines, stop := follow(t, n, "port-forward", to, portSpec)
		local := port(t, waitLine(t, lines, `Forwarding from 127\.0\.0\.1:(\d+)`)[1])
		for range 3 {
			body, err := get(t, fmt.Sprintf("http://127.0.0.1:%d/", local))
			if err != nil || !strings.HasPrefix(body, "on-") {
				t.Errorf("through port-forward %s: %q, %v", to, body, err)
			}
		}
		stop()
	}
}

func podNames(pods []*corev1.Pod) []string {
	var names []string
	for _, p := range pods {
		names = append(names, "pod/"+p.Name)
	}
	return names
}

// get fetches a URL from this machine.
func get(t *testing.T, url string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), harness.Scale(10*time.Second))
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s", resp.Status, body)
	}
	return string(body), nil
}

// 200 MB into a pod and out again, unchanged.
func testCopy(t *testing.T, c *harness.Cluster) {
	n := c.NewNamespace(t)
	box := n.Create(t, n.Pod("box", harness.Busybox, "-c", "sleep 1000"))[0]
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in"), filepath.Join(dir, "out")
	f, err := os.Create(in)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.New()
	_, err = io.CopyN(io.MultiWriter(f, sum), rand.Reader, 200_000_000)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("%x", sum.Sum(nil))

	began := time.Now()
	n.Kubectl(t, "cp", in, n.Namespace+"/"+box.Name+":/tmp/big")
	if got, _, _ := strings.Cut(n.Exec(t, box.Name, "sha256sum", "/tmp/big"), " "); got != want {
		t.Errorf("in the pod the file has the sum %s, want %s", got, want)
	}
	n.Kubectl(t, "cp", n.Namespace+"/"+box.Name+":/tmp/big", out)
	data, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%x", sha256.Sum256(data)); got != want {
		t.Errorf("back here the file has the sum %s, want %s", got, want)
	}
	t.Logf("200 MB in and out took %s", time.Since(began).Round(time.Millisecond))
}

func testProxy(t *testing.T, c *harness.Cluster) {
	n := c.NewNamespace(t)
	pods := servers(t, n)
	n.Service(t, serverService("servers", corev1.ServiceTypeClusterIP))
	lines, stop := follow(t, n, "proxy", "--port=0")
	defer stop()
	local := port(t, waitLine(t, lines, `Starting to serve on 127\.0\.0\.1:(\d+)`)[1])
	paths := map[string]string{"services/servers:http": "on-"}
	for _, p := range pods {
		paths["pods/"+p.Name+":8080"] = p.Name
	}
	for path, want := range paths {
		url := fmt.Sprintf("http://127.0.0.1:%d/api/v1/namespaces/%s/%s/proxy/", local, n.Namespace, path)
		harness.Until(t, 20*time.Second, "proxy to "+path, func() error {
			body, err := get(t, url)
			if err == nil && !strings.HasPrefix(body, want) {
				err = fmt.Errorf("the answer is %q, want one from %s", body, want)
			}
			return err
		})
	}
	// Metrics of a kubelet, over the same path that exec uses.
	node := n.Nodes(t)[0]
	if m := n.Kubectl(t, "get", "--raw", "/api/v1/nodes/"+node+"/proxy/metrics/resource"); !strings.Contains(m, "node_memory_working_set_bytes") {
		t.Errorf("the kubelet of %s serves no metrics: %.200s", node, m)
	}
}
