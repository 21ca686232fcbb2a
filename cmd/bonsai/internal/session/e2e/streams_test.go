package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/kube"
	"bonsai/cmd/bonsai/internal/session"
	"bonsai/test/e2e/harness"
)

// twice fails the first time and stays the second; it counts in a volume that outlives its container.
const twice = `if [ -e /data/been ]; then echo second; exec sleep 3600; fi; touch /data/been; echo first; exit 3`

func testLogs(t *testing.T, c *harness.Cluster, s *session.Session) {
	n := c.NewNamespace(t)
	n.Create(t, n.Pod("web", harness.Testpod, "serve"))
	q := kube.LogQuery{Namespace: n.Namespace, Tail: 100, Follow: true}
	var seen []string
	made := false
	err := s.PodLogs(bounded(t, "the logs of two pods"), q, func(lines []kube.LogLine) error {
		for _, l := range lines {
			if l.Time.IsZero() {
				t.Errorf("a line without time: %+v", l)
			}
			text := l.Source.Pod + ": " + l.Text
			if m := l.Marker; m != nil {
				text += fmt.Sprintf("[%s %d exit %d]", m.Kind, m.Count, m.End.ExitCode)
			}
			seen = append(seen, text)
		}
		if !made && slices.Contains(seen, "web: serving as web") {
			made = true // one that joins
			p := n.Pod("crash", harness.Busybox)
			p.Spec.Containers[0].Command = []string{"sh", "-c", twice}
			p.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}
			p.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
			if _, err := n.Client.CoreV1().Pods(n.Namespace).Create(t.Context(), p, metav1.CreateOptions{}); err != nil {
				return err
			}
		}
		if slices.Contains(seen, "crash: second") {
			return errDone
		}
		return nil
	})
	if !errors.Is(err, errDone) {
		t.Fatalf("%v; seen %q", err, seen)
	}
	if len(seen) != 4 || seen[1] != "crash: first" || seen[2] != "crash: [restarted 1 exit 3]" || seen[3] != "crash: second" {
		t.Errorf("seen %q", seen)
	}

	var previous []string
	err = s.PodLogs(bounded(t, "the log before the restart"), kube.LogQuery{Namespace: n.Namespace, Pods: []string{"crash"}, Tail: -1, Previous: true},
		func(lines []kube.LogLine) error {
			for _, l := range lines {
				previous = append(previous, l.Text)
			}
			return nil
		})
	if err != nil || !slices.Equal(previous, []string{"first"}) {
		t.Errorf("the log before the restart: %q, %v", previous, err)
	}
}

func testComponentLogs(t *testing.T, c *harness.Cluster, s *session.Session) {
	for _, from := range []struct{ node, component string }{{"", "apiserver"}, {c.Nodes(t)[1], "kubelet"}, {c.Nodes(t)[0], "containerd"}} {
		err := s.ComponentLogs(bounded(t, "the log of "+from.component), from.node, from.component, 5, func(lines []kube.LogLine) error {
			for _, l := range lines {
				if l.Time.IsZero() || time.Since(l.Time) > time.Hour || l.Source.Node != from.node {
					t.Errorf("line %+v", l)
				}
			}
			return errDone
		})
		if !errors.Is(err, errDone) {
			t.Errorf("%s on %q: %v", from.component, from.node, err)
		}
	}
	if err := s.ComponentLogs(t.Context(), c.Nodes(t)[0], "nothing", 5, func([]kube.LogLine) error { return nil }); fault.KindOf(err) != fault.Usage {
		t.Errorf("a component that is none: %v", err)
	}
}

func testDNS(t *testing.T, c *harness.Cluster, s *session.Session) {
	if status, err := s.DNSStatus(t.Context()); err != nil || len(status) != 2 || status[0].Phase != cluster.PhaseRunning {
		t.Errorf("DNS status: %+v, %v", status, err)
	}
	answer, err := s.DNSLookup(t.Context(), "kubernetes", "A", "")
	if err != nil || len(answer.Steps) == 0 || answer.Steps[len(answer.Steps)-1].Rcode != "NOERROR" {
		t.Errorf("lookup: %+v, %v", answer, err)
	}
	n := c.NewNamespace(t)
	n.Create(t, n.Pod("client", harness.Testpod, "sleep"))
	var wg sync.WaitGroup
	defer wg.Wait()
	err = s.DNSLog(bounded(t, "a question in the log"), func() {
		wg.Go(func() { n.Exec(t, "client", "testpod", "resolve", "kubernetes.default") })
	}, func(q cluster.DNSQuery) error {
		if strings.HasPrefix(q.Name, "kubernetes.default") && strings.HasSuffix(q.Pod, "/client") {
			return errDone
		}
		return nil
	})
	if !errors.Is(err, errDone) {
		t.Error(err)
	}
}

func testExec(t *testing.T, c *harness.Cluster, s *session.Session) {
	n := c.NewNamespace(t)
	box := n.Pod("box", harness.Busybox)
	box.Spec.Containers[0].Command = []string{"sleep", "3600"}
	n.Create(t, box, n.Pod("bare", harness.Testpod, "sleep"))
	var out, complaints bytes.Buffer
	code, err := s.Exec(bounded(t, "a command"), kube.Exec{
		Namespace: n.Namespace, Pod: "box", Container: "main", Command: []string{"sh", "-c", "cat; echo oops >&2; exit 7"},
		Stdin: strings.NewReader("hello\n"), Stdout: &out, Stderr: &complaints,
	})
	if err != nil || code != 7 || out.String() != "hello\n" || complaints.String() != "oops\n" {
		t.Errorf("code %d, %v, stdout %q, stderr %q", code, err, out.String(), complaints.String())
	}

	for _, where := range []kube.Exec{{Namespace: n.Namespace, Pod: "box"}, {Node: c.Nodes(t)[0]}} {
		out.Reset()
		keys, typed := io.Pipe() // stays open, as a terminal does
		go func() { _, _ = io.WriteString(typed, "until stty size | grep '40 100'; do :; done; exit 4\n") }()
		sizes := make(chan kube.TerminalSize, 1)
		sizes <- kube.TerminalSize{Width: 100, Height: 40}
		where.Stdin, where.Stdout, where.Size = keys, &out, sizes
		code, err = s.Exec(bounded(t, "a shell"), where)
		_ = keys.Close()
		if err != nil || code != 4 || !strings.Contains(out.String(), "\n40 100") {
			t.Errorf("a shell in %q: code %d, %v, %q", where.Pod+where.Node, code, err, out.String())
		}
	}

	_, err = s.Exec(bounded(t, "a shell that is not there"), kube.Exec{Namespace: n.Namespace, Pod: "bare", Stdin: strings.NewReader(""), Stdout: &out, Size: make(chan kube.TerminalSize)})
	if f, ok := errors.AsType[*fault.Fault](err); !ok || f.Kind != fault.Refused || !strings.Contains(fault.Problem(f).HintText(), "debug") {
		t.Errorf("a shell in an image without one: %v", err)
	}
}

// deployment makes one with pods that serve, and waits for them.
func deployment(t *testing.T, n *harness.Namespace, name string, replicas int32) {
	t.Helper()
	spec := n.Pod(name, harness.Testpod, "serve").Spec
	spec.Containers[0].ReadinessProbe = &corev1.Probe{PeriodSeconds: 1, ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"testpod", "fetch", "http://127.0.0.1:8080/"}}}}
	labels := map[string]string{"app": name}
	_, err := n.Client.AppsV1().Deployments(n.Namespace).Create(t.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	n.Kubectl(t, "-n", n.Namespace, "rollout", "status", "deployment/"+name, "--timeout=60s")
}

// forwarded is a port that a test forwards.
type forwarded struct {
	states chan kube.ForwardState
	now    kube.ForwardState
	stop   func()
}

// forward begins to forward a port and returns when there is a pod.
func forward(t *testing.T, s *session.Session, n *harness.Namespace, target kube.Object) *forwarded {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	fw := &forwarded{states: make(chan kube.ForwardState, 10_000)}
	done := make(chan error, 1)
	go func() {
		done <- s.Forward(ctx, kube.ForwardSpec{Namespace: n.Namespace, Target: target, Remote: 8080}, func(st kube.ForwardState) { fw.states <- st })
	}()
	fw.stop = func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("forwarding to %s ended with %v", target, err)
		}
	}
	for wait := bounded(t, "a pod of "+target.String()); fw.now.Pod == ""; {
		select {
		case fw.now = <-fw.states:
		case err := <-done:
			t.Fatal(err)
		case <-wait.Done():
			t.Fatalf("no pod: %+v", fw.now)
		}
	}
	return fw
}

// ask returns the name of the pod that answers.
func (fw *forwarded) ask() (string, error) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: harness.Scale(10 * time.Second)}
	resp, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d/", fw.now.Local))
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	name, _, _ := strings.Cut(string(body), " ")
	return name, err
}

func testForward(t *testing.T, c *harness.Cluster, s *session.Session) {
	n := c.NewNamespace(t)
	deployment(t, n, "web", 2)
	fw := forward(t, s, n, kube.Object{Kind: "Deployment", Name: "web"})
	defer fw.stop()
	first, err := fw.ask()
	if err != nil || first != fw.now.Pod {
		t.Fatalf("%q, %v; want an answer of %s", first, err, fw.now.Pod)
	}
	began := time.Now()
	if err := n.Client.CoreV1().Pods(n.Namespace).Delete(t.Context(), first, metav1.DeleteOptions{GracePeriodSeconds: new(int64(1))}); err != nil {
		t.Fatal(err)
	}
	harness.Until(t, 3*time.Second, "an answer from another pod", func() error {
		name, err := fw.ask()
		if err == nil && name == first {
			err = errors.New("it is still " + first)
		}
		return err
	})
	t.Logf("another pod answered %s after the first was deleted", time.Since(began).Round(time.Millisecond))
	harness.Until(t, 5*time.Second, "all connections counted", func() error {
		for len(fw.states) > 0 {
			fw.now = <-fw.states
		}
		if fw.now.Bytes == 0 || fw.now.Connections != 0 || fw.now.Pod == first {
			return fmt.Errorf("state %+v", fw.now)
		}
		return nil
	})
}
