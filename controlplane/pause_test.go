package controlplane_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

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

// Of all that is asked of an API server with all its components, only what a user asks is a use of the cluster.
func TestUses(t *testing.T) {
	dir := t.TempDir()
	var mu sync.Mutex // guards the rest
	var uses []string
	using, asleep := 0, error(nil)
	cp := startWith(t, dir, func(*cluster.Spec) {}, func(o *controlplane.Options) {
		o.Use = func(_ context.Context, what string) (func(), error) {
			mu.Lock()
			defer mu.Unlock()
			uses = append(uses, what)
			if asleep != nil {
				return nil, asleep
			}
			using++
			return func() {
				mu.Lock()
				defer mu.Unlock()
				using--
			}, nil
		}
	})
	defer cp.Stop()
	pki := filepath.Join(dir, "pki")
	admin, err := kubernetes.NewForConfig(&rest.Config{Host: cp.LoopbackConfig().Host, UserAgent: "test", TLSClientConfig: rest.TLSClientConfig{
		CAFile: filepath.Join(pki, "ca.crt"), CertFile: filepath.Join(pki, "admin.crt"), KeyFile: filepath.Join(pki, "admin.key"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := cp.Answers(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.Discovery().ServerVersion(); err != nil {
		t.Fatal(err)
	}
	// Controllers have made it, and have used the API server a lot by then.
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := cp.Client().CoreV1().ServiceAccounts("default").Get(ctx, "default", metav1.GetOptions{})
		if err == nil {
			break
		}
		select {
		case <-ctx.Done():
			t.Fatal(err)
		case <-tick.C:
		}
	}
	mu.Lock()
	if len(uses) > 0 {
		t.Errorf("without a user, these are uses: %q", uses)
	}
	mu.Unlock()
	if _, err := admin.CoreV1().Pods("").List(ctx, metav1.ListOptions{}); err != nil {
		t.Fatal(err)
	}
	watch, err := admin.CoreV1().Pods("").Watch(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Stop()
	mu.Lock()
	want := []string{"list pods by kubernetes-admin with test", "watch pods by kubernetes-admin with test"}
	if !slices.Equal(uses, want) || using != 0 {
		t.Errorf("the uses are %q, want %q; %d have not ended", uses, want, using)
	}
	asleep = errors.New("the engine does not answer")
	mu.Unlock()
	_, err = admin.CoreV1().Pods("").List(ctx, metav1.ListOptions{})
	if !apierrors.IsServiceUnavailable(err) || !strings.Contains(err.Error(), "cannot be woken: the engine does not answer; try: bonsai unpause") {
		t.Errorf("the API server of a cluster that cannot be woken answers %v", err)
	}
}
