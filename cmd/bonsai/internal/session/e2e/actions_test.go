package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/kube"
	"bonsai/cmd/bonsai/internal/session"
	"bonsai/test/e2e/harness"
)

func testScaleAndRestart(t *testing.T, c *harness.Cluster, s *session.Session) {
	n := c.NewNamespace(t)
	deployment(t, n, "web", 1)
	ref := kube.Ref{Type: deployments, Namespace: n.Namespace, Name: "web"}
	quiet := func(string) {}
	if err := s.Do(t.Context(), kube.Action{Verb: kube.VerbScale, Ref: ref, Replicas: 2}, quiet); err != nil {
		t.Fatal(err)
	}
	if err := s.Do(t.Context(), kube.Action{Verb: kube.VerbRestart, Ref: ref}, quiet); err != nil {
		t.Fatal(err)
	}
	o, err := n.Client.AppsV1().Deployments(n.Namespace).Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil || *o.Spec.Replicas != 2 || o.Spec.Template.Annotations["kubectl.kubernetes.io/restartedAt"] == "" {
		t.Errorf("%d replicas, template %v, %v", *o.Spec.Replicas, o.Spec.Template.Annotations, err)
	}
	ref.UID = "another"
	if err := s.Do(t.Context(), kube.Action{Verb: kube.VerbScale, Ref: ref, Replicas: 5}, quiet); fault.KindOf(err) != fault.ObjectNotFound {
		t.Errorf("scaling another UID: %v", err)
	}
	if err := s.Do(t.Context(), kube.Action{Verb: kube.VerbRestart, Ref: kube.Ref{Type: pods, Namespace: n.Namespace, Name: "x"}}, quiet); fault.KindOf(err) != fault.Usage {
		t.Errorf("restarting a pod: %v", err)
	}
}

func testDrain(t *testing.T, c *harness.Cluster, s *session.Session) {
	n := c.NewNamespace(t)
	deployment(t, n, "web", 4)
	node := c.Nodes(t)[1]
	ref := kube.Ref{Type: nodes, Name: node}
	// Pods of other tests' namespaces may still be going; without a controller they would be in the way.
	harness.Until(t, time.Minute, "the end of other pods on "+node, func() error {
		list, err := n.Client.CoreV1().Pods("").List(t.Context(), metav1.ListOptions{FieldSelector: "spec.nodeName=" + node})
		if err != nil {
			return err
		}
		for _, p := range list.Items {
			if len(p.OwnerReferences) == 0 {
				return fmt.Errorf("%s/%s is there", p.Namespace, p.Name)
			}
		}
		return nil
	})
	var progress []string
	if err := s.Do(bounded(t, "the drain"), kube.Action{Verb: kube.VerbDrain, Ref: ref, Grace: -1}, func(p string) { progress = append(progress, p) }); err != nil {
		t.Fatalf("%v; progress is %q", err, progress)
	}
	if text := strings.Join(progress, "\n"); !strings.Contains(text, "evicting pod "+n.Namespace+"/web-") || !strings.Contains(text, "is gone") {
		t.Errorf("progress is\n%s", text)
	}
	list, err := n.Client.CoreV1().Pods(n.Namespace).List(t.Context(), metav1.ListOptions{FieldSelector: "spec.nodeName=" + node})
	if err != nil || len(list.Items) != 0 {
		t.Errorf("%d pods are left, %v", len(list.Items), err)
	}
	until(t, s, kube.RowQuery{Type: nodes}, "a cordoned node", func(w *world) bool {
		return w.row(node).Cordoned
	})
	if err := s.Do(t.Context(), kube.Action{Verb: kube.VerbUncordon, Ref: ref}, func(string) {}); err != nil {
		t.Error(err)
	}
	until(t, s, kube.RowQuery{Type: nodes}, "an uncordoned node", func(w *world) bool { return w.cell(node, "Status") == "Ready" })

	// A pod that nobody would make again is not thrown away.
	n.Create(t, harness.On(node, n.Pod("alone", harness.Testpod, "sleep")))
	err = s.Do(bounded(t, "the second drain"), kube.Action{Verb: kube.VerbDrain, Ref: ref, Grace: -1}, func(string) {})
	if fault.KindOf(err) != fault.Refused || !strings.Contains(err.Error(), "alone") {
		t.Errorf("draining a pod of nobody: %v", err)
	}
	if err := s.Do(t.Context(), kube.Action{Verb: kube.VerbUncordon, Ref: ref}, func(string) {}); err != nil {
		t.Error(err)
	}
}

// testStopAndStart keeps a watch of rows through a stop and a start, as the UI does: it asks again whenever it fails. A
// forwarded port survives on its own.
func testStopAndStart(t *testing.T, c *harness.Cluster, s *session.Session) {
	n := c.NewNamespace(t)
	deployment(t, n, "web", 1)
	n.Service(t, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "web-http"},
		Spec:       corev1.ServiceSpec{Selector: map[string]string{"app": "web"}, Ports: []corev1.ServicePort{{Port: 8080}}},
	})
	fw := forward(t, s, n, kube.Object{Kind: "Service", Name: "web-http"})
	defer fw.stop()
	ctx, cancel := context.WithTimeout(t.Context(), harness.Scale(3*time.Minute))
	defer cancel()
	synced := make(chan time.Time, 100)
	var failures []error
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			err := s.WatchRows(ctx, kube.RowQuery{Type: pods}, func(b kube.RowBatch) error {
				if b.Synced {
					synced <- time.Now()
				}
				return nil
			})
			failures = append(failures, err)
			select {
			case <-time.After(200 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	})
	defer wg.Wait()
	defer cancel()
	wait := func(what string) time.Time {
		t.Helper()
		select {
		case at := <-synced:
			return at
		case <-ctx.Done():
			t.Fatalf("%s did not happen", what)
			return time.Time{}
		}
	}
	wait("the first list")
	steps := map[string]bool{}
	tell := func(e cluster.Event) { steps[e.Step] = true }
	if err := s.Operate(ctx, []string{"stop"}, tell); err != nil {
		t.Fatal(err)
	}
	if !steps["daemon"] {
		t.Errorf("a stop has the steps %v", steps)
	}
	if snapshot, err := s.Observe(ctx); err != nil || snapshot.Phase != cluster.PhaseStopped {
		t.Errorf("after the stop: %s, %v", snapshot.Phase, err)
	}
	if err := s.Watch(ctx, func(cluster.Snapshot) error { return nil }); fault.KindOf(err) != fault.NotRunning {
		t.Errorf("watching a stopped cluster: %v", err)
	}
	if _, err := s.Types(ctx); fault.KindOf(err) != fault.NotRunning {
		t.Errorf("the types of a stopped cluster: %v", err)
	}
	// Its container's own output can still be read.
	err := s.ComponentLogs(ctx, c.Nodes(t)[0], "kubelet", 5, func(lines []kube.LogLine) error {
		if m := lines[0].Marker; m == nil || m.Kind != kube.LogNodeOutput {
			t.Errorf("the log of a stopped node begins with %+v", lines[0])
		}
		return errDone
	})
	if !errors.Is(err, errDone) {
		t.Errorf("the log of a stopped node: %v", err)
	}
	if err := s.Operate(ctx, []string{"start"}, tell); err != nil {
		t.Fatal(err)
	}
	up := time.Now()
	t.Logf("rows were there again %s before the start had ended", up.Sub(wait("a list after the start")).Round(time.Millisecond))
	harness.Until(t, 20*time.Second, "an answer through the forwarded port", func() error {
		_, err := fw.ask()
		return err
	})
	t.Logf("the forwarded port answered %s after the start had ended", time.Since(up).Round(time.Millisecond))
	err = s.Watch(ctx, func(snapshot cluster.Snapshot) error {
		if snapshot.Phase == cluster.PhaseRunning || len(snapshot.Nodes) == 2 {
			return errDone
		}
		return fmt.Errorf("the first snapshot is %s", snapshot.Phase)
	})
	if !errors.Is(err, errDone) {
		t.Errorf("watching after the start: %v", err)
	}
	cancel()
	wg.Wait()
	if kind := fault.KindOf(failures[0]); kind != fault.NotRunning && kind != fault.ControlPlane {
		t.Errorf("the watch failed with %v, want a fault of the cluster", failures[0])
	}
}
