package controlplane_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane"
)

// Controllers and scheduler end and run again in one process, more than once, also if it began without them.
func TestPauseAndResume(t *testing.T) {
	cp := startWith(t, t.TempDir(), func(*cluster.Spec) {}, func(o *controlplane.Options) { o.Paused = true })
	defer cp.Stop()
	phases := func(want cluster.Phase) {
		t.Helper()
		for _, c := range cp.Components() {
			acts := c.Name == controlplane.ControllerManager || c.Name == controlplane.Scheduler
			if acts && c.Phase != want || !acts && c.Phase != cluster.PhaseRunning {
				t.Errorf("%s is %s", c.Name, c.Phase)
			}
		}
	}
	phases(cluster.PhasePaused)
	for i := range 3 {
		labels := map[string]string{"app": fmt.Sprint("web-", i)}
		d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: labels["app"]}, Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{
				Containers: []corev1.Container{{Name: "web", Image: "web"}},
			}},
		}}
		deployments := cp.Client().AppsV1().Deployments("default")
		made, err := deployments.Create(t.Context(), d, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if made.Status.ObservedGeneration != 0 {
			t.Errorf("a controller of a paused control plane has seen %+v", made.Status)
		}
		began := time.Now()
		cp.Resume()
		cp.Resume() // nothing happens
		phases(cluster.PhaseRunning)
		// The pod has been seen by controllers, and by the scheduler.
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for scheduled := false; !scheduled; {
			select {
			case <-ctx.Done():
				t.Fatalf("the pods of %s are not seen", d.Name)
			case err := <-cp.Failed():
				t.Fatal(err)
			case <-tick.C:
			}
			pods, err := cp.Client().CoreV1().Pods("default").List(ctx, metav1.ListOptions{LabelSelector: "app=" + labels["app"]})
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range pods.Items {
				for _, c := range p.Status.Conditions {
					scheduled = scheduled || c.Type == corev1.PodScheduled
				}
			}
		}
		resumed := time.Since(began)
		began = time.Now()
		if err := cp.Pause(); err != nil {
			t.Fatal(err)
		}
		phases(cluster.PhasePaused)
		t.Logf("a pod was scheduled %s after the end of the pause; the next pause took %s", resumed.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
		select {
		case err := <-cp.Failed():
			t.Fatal(err)
		default:
		}
	}
}
