package e2e

import (
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/kube"
	"bonsai/test/e2e/harness"
)

// TestTenThousandPods measures the rows of many pods that are objects only. What it bounds is memory; times depend on
// the machine and are logged.
func TestTenThousandPods(t *testing.T) {
	const count = 10_000
	c := harness.New(t)
	t.Setenv("KUBECONFIG", c.Kubeconfig)
	s := open(t, c)
	if err := s.Operate(t.Context(), []string{"start", "--nodes", "0"}, func(cluster.Event) {}); err != nil {
		t.Fatal(err)
	}
	n := c.NewNamespace(t)
	config := c.Config(t)
	config.QPS = -1
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	var g errgroup.Group
	g.SetLimit(32)
	for i := range count {
		g.Go(func() error {
			p := n.Pod(fmt.Sprintf("web-%d-7b8c9d6f5-%05d", i/10, i), harness.Testpod, "serve")
			p.Labels = map[string]string{"app": fmt.Sprint("web-", i/10), "pod-template-hash": "7b8c9d6f5"}
			p.Spec.SchedulerName = "nobody" // ours would look for nodes again and again
			p.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "COLOUR", Value: "green"}, {Name: "SIZE", Value: "large"}}
			_, err := client.CoreV1().Pods(n.Namespace).Create(t.Context(), p, metav1.CreateOptions{})
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Types(t.Context()); err != nil { // the connection is there, as it is in the UI
		t.Fatal(err)
	}

	before := heap()
	w := &world{rows: map[string]kube.Row{}}
	var first, synced time.Duration
	began := time.Now()
	err = s.WatchRows(bounded(t, "the list of pods"), kube.RowQuery{Type: pods, Namespace: n.Namespace}, func(b kube.RowBatch) error {
		if w.take(b); first == 0 {
			first = time.Since(began)
		}
		if b.Synced {
			synced = time.Since(began)
			return errDone
		}
		return nil
	})
	if !errors.Is(err, errDone) || len(w.rows) != count {
		t.Fatalf("%d rows, %v", len(w.rows), err)
	}
	used := int64(heap()) - int64(before)
	t.Logf("%d pods: first batch after %s, synced after %s, %.1f MB of heap with the rows, %d bytes a row",
		count, first.Round(time.Millisecond), synced.Round(time.Millisecond), float64(used)/1e6, used/count)
	if used > 15e6 {
		t.Errorf("%d pods take %d bytes of heap, want at most 15 MB", count, used)
	}
	runtime.KeepAlive(w)
}

// heap is what is in use after everything unused has gone.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
