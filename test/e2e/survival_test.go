package e2e

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/statedir"
	"bonsai/test/e2e/harness"
)

// writer counts in a ConfigMap as fast as the API server confirms it, whatever happens to that.
type writer struct {
	stop context.CancelFunc
	done sync.WaitGroup

	mu        sync.Mutex // guards the rest
	confirmed int
	at        time.Time // of the last confirmation
	gap       time.Duration
}

// startWriter starts counting; every write that was confirmed is in etcd from then on.
func startWriter(t *testing.T, client kubernetes.Interface) *writer {
	t.Helper()
	maps := client.CoreV1().ConfigMaps("default")
	counter := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("counter-%d", time.Now().UnixNano())}, Data: map[string]string{"n": "0"}}
	counter, err := maps.Create(t.Context(), counter, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	w := &writer{stop: cancel, at: time.Now()}
	w.done.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for n := 1; ctx.Err() == nil; n++ {
			// The version is not sent: after a failure nobody knows whether the write has happened.
			next := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: counter.Name}, Data: map[string]string{"n": strconv.Itoa(n)}}
			limited, done := context.WithTimeout(ctx, 5*time.Second)
			_, err := maps.Update(limited, next, metav1.UpdateOptions{})
			done()
			if err == nil {
				w.confirm(n)
			}
			select {
			case <-ctx.Done():
			case <-tick.C:
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		w.done.Wait()
	})
	return w
}

func (w *writer) confirm(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	w.gap = max(w.gap, now.Sub(w.at))
	w.confirmed, w.at = n, now
}

func (w *writer) last() (int, time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.confirmed, w.at
}

// ends stops counting and checks that the store has the last confirmed number, or one that was under way.
func (w *writer) ends(t *testing.T, client kubernetes.Interface) (longestGap time.Duration) {
	t.Helper()
	w.stop()
	w.done.Wait()
	confirmed, _ := w.last()
	list, err := client.CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	newest := -1
	for _, m := range list.Items {
		if n, err := strconv.Atoi(m.Data["n"]); err == nil {
			newest = max(newest, n)
		}
		if _, ok := m.Data["n"]; ok {
			_ = client.CoreV1().ConfigMaps("default").Delete(t.Context(), m.Name, metav1.DeleteOptions{})
		}
	}
	if newest < confirmed {
		t.Errorf("the API server confirmed %d and has %d: a confirmed write is lost", confirmed, newest)
	}
	return w.gap
}

// testKilledDaemon kills the control plane while somebody writes: the guardian brings it back, no confirmed write is lost,
// and status says what happened.
func testKilledDaemon(t *testing.T, c *harness.Cluster) {
	client := c.Client(t)
	w := startWriter(t, client)
	harness.Until(t, 30*time.Second, "a first write", func() error {
		if n, _ := w.last(); n == 0 {
			return errors.New("none is confirmed")
		}
		return nil
	})
	state := statedir.Dir{Root: c.Dir}.Cluster(c.Name)
	before := state.Restarts().Total()
	pid := daemonPID(t, c)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	harness.Until(t, 60*time.Second, "writes after the kill", func() error {
		if _, at := w.last(); at.Before(killed.Add(100 * time.Millisecond)) {
			return errors.New("none is confirmed")
		}
		return nil
	})
	if now := daemonPID(t, c); now == pid {
		t.Errorf("writes are confirmed, but the daemon is still process %d", now)
	}
	t.Logf("after a kill of the control plane, writes were confirmed again after %s (longest gap)", w.ends(t, client).Round(time.Millisecond))
	harness.Until(t, 60*time.Second, "a healthy cluster", func() error {
		s, code := c.Status(t)
		if code != 0 {
			return fmt.Errorf("status exits with %d: %s", code, s.Phase)
		}
		return nil
	})
	s, _ := c.Status(t)
	if s.Restarts.Total() != before+1 || !hasProblem(s, cluster.ProblemRestarted) {
		t.Errorf("status has %+v and %+v, want one more restart and a problem that says so", s.Restarts, s.Problems)
	}
}

func hasProblem(s cluster.Snapshot, kind string) bool {
	for _, p := range s.Problems {
		if p.Kind == kind {
			return true
		}
	}
	return false
}
