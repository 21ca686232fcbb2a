package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"bonsai/test/e2e/harness"
)

// otherVersion links the executable under test again, as another version of it.
func otherVersion(t *testing.T, version string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bonsai")
	cmd := exec.CommandContext(t.Context(), "sh", "-c",
		`go build -ldflags "$(tools/ldflags.sh) -X bonsai/bootstrap/buildinfo.Version=$1" -o "$2" ./cmd/bonsai`, "sh", version, path)
	cmd.Dir = harness.Root()
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-trimpath -buildvcs=false") // as the Makefile has them, so that nothing is compiled
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("link another version: %v\n%s", err, out)
	}
	return path
}

// spread is a Deployment with a pod on each of n nodes, and a Service that leads to them from outside.
func spread(t *testing.T, n *harness.Namespace, name string, replicas int32) (nodePort int32) {
	t.Helper()
	labels := map[string]string{"app": name}
	template := n.Pod(name, harness.Testpod, "serve")
	template.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{
			LabelSelector: &metav1.LabelSelector{MatchLabels: labels}, TopologyKey: corev1.LabelHostname,
		}},
	}}
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
	s := n.Service(t, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeNodePort, Selector: labels, Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(8080)}},
		},
	})
	return s.Spec.Ports[0].NodePort
}

// visitors ask a Service again and again, as through a load balancer that tries the other nodes if one does not answer.
type visitors struct {
	stop     context.CancelFunc
	done     chan struct{} // closed when there are no more
	answered int
	failed   []error // each when no node answered; read it after done
}

func visit(t *testing.T, n *harness.Namespace, port int32) *visitors {
	t.Helper()
	list, err := n.Client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var urls []string
	for _, node := range list.Items {
		for _, a := range node.Status.Addresses {
			if a.Type == corev1.NodeInternalIP {
				urls = append(urls, "http://"+net.JoinHostPort(a.Address, strconv.Itoa(int(port)))+"/")
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	v := &visitors{stop: cancel, done: make(chan struct{})}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: harness.Scale(time.Second)}
	ask := func(url string) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		body, err := io.ReadAll(io.LimitReader(resp.Body, 1000))
		_ = resp.Body.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", url, err)
		}
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s, %q", url, resp.Status, body)
		}
		return nil
	}
	go func() {
		defer close(v.done)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			var errs []error
			for _, url := range urls {
				err := ask(url)
				if err == nil {
					errs = nil
					v.answered++
					break
				}
				errs = append(errs, err)
			}
			if ctx.Err() != nil {
				return
			}
			if errs != nil {
				v.failed = append(v.failed, fmt.Errorf("%s: %w", time.Now().Format("15:04:05.000"), errors.Join(errs...)))
			}
			select {
			case <-ctx.Done():
			case <-tick.C:
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-v.done })
	return v
}

// end sends no more visitors, and reports those that got no answer. A few may not: how long the kube-proxy of a node takes to follow
// is not known, and on a busy machine it is longer than bonsai waits. If all nodes were replaced at once, it would be most of them.
func (v *visitors) end(t *testing.T) {
	t.Helper()
	v.stop()
	<-v.done
	t.Logf("%d visitors of the Service were answered, and %d not: %v", v.answered, len(v.failed), errors.Join(v.failed...))
	if len(v.failed) > v.answered/50 || v.answered < 20 {
		t.Error("too many were not answered")
	}
}

// TestUpgrade: another version of bonsai takes a running cluster over with all that is in it, node by node, and the first one
// takes it back. A Service with a pod on each node goes on answering.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	const version = "v99.0.0-test"
	c := harness.New(t)
	other := otherVersion(t, version)
	t.Cleanup(func() { c.Binary = "" }) // the other one is gone when the cluster is deleted
	c.Start(t, "--nodes", "2")
	c.LoadImages(t)
	n := keptNamespace(t, c, "kept")
	port := spread(t, n, "web", 2)
	claim(t, n, "data", "")
	keeper := n.Create(t, withClaim(n, "keeper", "data"))[0]
	write(t, n, "keeper", "of-before")

	payload := func() string {
		t.Helper()
		images := map[string]bool{}
		for _, node := range c.Nodes(t) {
			images[harness.Docker(t, "inspect", harness.Container(t, node), "--format", "{{.Config.Image}}")] = true
		}
		if len(images) != 1 {
			t.Fatalf("nodes are of %v", images)
		}
		for image := range images {
			return image
		}
		panic("unreachable")
	}
	first, _ := state(c).Daemon()
	images := []string{payload()}
	for i, binary := range []string{other, ""} {
		before := daemonPID(t, c)
		c.Binary = binary
		v := visit(t, n, port)
		r := c.Start(t)
		v.end(t)
		if !strings.Contains(r.Stdout+r.Stderr, "this version of bonsai") {
			t.Errorf("the start does not say that it restarts the control plane: %s", r)
		}
		d, _ := state(c).Daemon()
		if want := []string{version, first.Bonsai}[i]; d.PID == before || d.Bonsai != want {
			t.Errorf("the daemon is %+v, want one of %s", d, want)
		}
		if images = append(images, payload()); images[i] == images[i+1] {
			t.Errorf("the nodes are still of %s", images[i])
		}
		readyNodes(t, c, 2)
		available(t, n, "web", 2)
		harness.Until(t, time.Minute, "the claim's data in its pod", func() error {
			pod, err := n.Client.CoreV1().Pods(n.Namespace).Get(t.Context(), "keeper", metav1.GetOptions{})
			if err != nil {
				return err
			}
			if pod.UID != keeper.UID {
				t.Fatalf("the pod is another one: %s, was %s", pod.UID, keeper.UID)
			}
			r := c.Bonsai(t, "kubectl", "--", "-n", n.Namespace, "exec", "keeper", "--", "cat", "/data/file")
			if strings.TrimSpace(r.Stdout) != "of-before" {
				return fmt.Errorf("it has %q: %s", r.Stdout, r.Stderr)
			}
			return nil
		})
		harness.Until(t, time.Minute, "status to find nothing wrong", func() error {
			if s, code := c.Status(t); code != 0 {
				return fmt.Errorf("it exits with %d: %+v", code, s.Problems)
			}
			return nil
		})
	}
	if images[0] != images[2] {
		t.Errorf("back again the nodes are of %s, they were of %s", images[2], images[0])
	}
}
