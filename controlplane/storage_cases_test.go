package controlplane_test

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/bootstrap/cluster"
)

func testFirstConsumer(t *testing.T, s *storage) {
	s.claim(t, "data", "standard", func(c *corev1.PersistentVolumeClaim) {
		c.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany}
	})
	s.claim(t, "more", "standard", nil)
	s.pod(t, "one", "data", "more")
	node := s.scheduled(t, "one")
	pv := s.bound(t, "data")
	if want := filepath.Join(s.agents[node].dir, pv.Name); pv.Spec.Local == nil || pv.Spec.Local.Path != want || !isThere(want) {
		t.Fatalf("the volume is %+v, want the folder %s", pv.Spec.PersistentVolumeSource, want)
	}
	if capacity := pv.Spec.Capacity.Storage(); capacity.String() != "1Gi" || pv.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimDelete {
		t.Errorf("capacity %s, reclaim policy %s", capacity, pv.Spec.PersistentVolumeReclaimPolicy)
	}
	for i := range 4 { // by chance all of them would land there once in sixteen times only
		name := fmt.Sprintf("shares-%d", i)
		s.pod(t, name, "data")
		if got := s.scheduled(t, name); got != node {
			t.Errorf("pod %s is on %s, its volume on %s", name, got, node)
		}
	}
	more := s.bound(t, "more")
	s.drop(t, "data", "one", "shares-0", "shares-1", "shares-2", "shares-3")
	s.drop(t, "more")
	s.gone(t, pv)
	s.gone(t, more)
	if isThere(pv.Spec.Local.Path) || isThere(more.Spec.Local.Path) {
		t.Error("a folder is left")
	}
}

// Upstream's binder looks for the first time after a second. One pod that is faster proves that ours is at work.
func testNoPause(t *testing.T, s *storage) {
	best := time.Hour
	for i := range 5 {
		name := fmt.Sprintf("quick-%d", i)
		s.claim(t, name, "standard", nil)
		begin := time.Now()
		s.pod(t, name, name)
		s.scheduled(t, name)
		best = min(best, time.Since(begin))
		pv := s.bound(t, name)
		s.drop(t, name, name)
		s.gone(t, pv)
	}
	t.Logf("fastest pod with a claim: scheduled after %s", best.Round(time.Millisecond))
	if best > 900*time.Millisecond {
		t.Errorf("the fastest of five took %s", best)
	}
}

func testImmediate(t *testing.T, s *storage) {
	where := map[string]int{}
	for i := range 4 {
		s.claim(t, fmt.Sprintf("now-%d", i), "immediate", nil)
	}
	for i := range 4 {
		pv := s.bound(t, fmt.Sprintf("now-%d", i))
		where[filepath.Dir(pv.Spec.Local.Path)]++
	}
	if want := (map[string]int{s.agents["test-1"].dir: 2, s.agents["test-2"].dir: 2}); !maps.Equal(where, want) {
		t.Errorf("the volumes lie in %v, want %v", where, want)
	}
	s.pod(t, "later", "now-2")
	node, pv := s.scheduled(t, "later"), s.bound(t, "now-2")
	if filepath.Dir(pv.Spec.Local.Path) != s.agents[node].dir {
		t.Errorf("the pod is on %s, its volume in %s", node, pv.Spec.Local.Path)
	}
	s.drop(t, "now-2", "later")
	s.gone(t, pv)
	for _, i := range []int{0, 1, 3} {
		name := fmt.Sprintf("now-%d", i)
		pv := s.bound(t, name)
		s.drop(t, name)
		s.gone(t, pv)
	}
}

func testRetain(t *testing.T, s *storage) {
	s.claim(t, "archive", "kept", nil)
	s.pod(t, "archivist", "archive")
	s.scheduled(t, "archivist")
	pv := s.bound(t, "archive")
	s.drop(t, "archive", "archivist")
	eventually(t, "volume released", func() error {
		p, err := s.client.CoreV1().PersistentVolumes().Get(t.Context(), pv.Name, metav1.GetOptions{})
		if err == nil && p.Status.Phase != corev1.VolumeReleased {
			err = fmt.Errorf("it is %s", p.Status.Phase)
		}
		return err
	})
	if err := s.client.CoreV1().PersistentVolumes().Delete(t.Context(), pv.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	s.gone(t, pv)
	if !isThere(pv.Spec.Local.Path) {
		t.Error("the data is gone")
	}
}

func testVolumeDeletedFirst(t *testing.T, s *storage) {
	s.claim(t, "hasty", "standard", nil)
	s.pod(t, "hasty", "hasty")
	s.scheduled(t, "hasty")
	pv := s.bound(t, "hasty")
	if err := s.client.CoreV1().PersistentVolumes().Delete(t.Context(), pv.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	s.drop(t, "hasty", "hasty")
	s.gone(t, pv)
	if isThere(pv.Spec.Local.Path) {
		t.Error("the folder is left")
	}
}

func testRefusals(t *testing.T, s *storage) {
	s.claim(t, "block", "immediate", func(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeMode = new(corev1.PersistentVolumeBlock) })
	s.hasEvent(t, "block", "ProvisioningFailed", "does not support block volume")
	s.claim(t, "picky", "immediate", func(c *corev1.PersistentVolumeClaim) { c.Spec.Selector = &metav1.LabelSelector{} })
	s.hasEvent(t, "picky", "ProvisioningFailed", "selector")
	s.claim(t, "tuned", "tuned", nil)
	s.pod(t, "tuned", "tuned")
	s.hasEvent(t, "tuned", "ProvisioningFailed", "StorageClass tuned has parameters (type)")
	if state, reason, _ := s.addon.Health(t.Context(), s.at); state != cluster.AddonRunning {
		t.Errorf("what users ask for makes the addon %s: %s", state, reason)
	}
	s.drop(t, "tuned", "tuned")
	s.drop(t, "block")
	s.drop(t, "picky")
}

func testFullDisks(t *testing.T, s *storage) {
	for _, a := range s.agents {
		a.serve(t, 1<<62)
	}
	s.claim(t, "crowded", "standard", nil)
	s.pod(t, "crowded", "crowded")
	s.hasEvent(t, "crowded", "ProvisioningFailed", "the disk is full")
	s.claim(t, "crowded-now", "immediate", nil)
	s.hasEvent(t, "crowded-now", "ProvisioningFailed", "node test-2: the disk is full")
	state, reason, advice := s.addon.Health(t.Context(), s.at)
	if state != cluster.AddonDegraded || !strings.Contains(reason, "default/crowded") || len(advice) != 1 || !strings.Contains(advice[0].String(), "describe pvc crowded") {
		t.Errorf("the addon is %s, %q, %q", state, reason, advice)
	}
	// The scheduler has to hear of it, and to try again.
	s.hasEvent(t, "crowded", "FailedScheduling", "provisioning failed for PVC")
	for _, a := range s.agents {
		a.serve(t, 0)
	}
	s.scheduled(t, "crowded")
	s.bound(t, "crowded-now")
	eventually(t, "the addon well again", func() error {
		if state, reason, _ := s.addon.Health(t.Context(), s.at); state != cluster.AddonRunning {
			return errors.New(reason)
		}
		return nil
	})
	s.drop(t, "crowded", "crowded")
	s.drop(t, "crowded-now")
}

func testFullDiskOfOneNode(t *testing.T, s *storage) {
	s.agents["test-1"].serve(t, 1<<62)
	defer s.agents["test-1"].serve(t, 0)
	for i := range 3 {
		name := fmt.Sprintf("elsewhere-%d", i)
		s.claim(t, name, "immediate", nil)
		if pv := s.bound(t, name); filepath.Dir(pv.Spec.Local.Path) != s.agents["test-2"].dir {
			t.Errorf("volume of %s is in %s", name, pv.Spec.Local.Path)
		}
		s.drop(t, name)
	}
	if left := s.folders(t)["test-1"]; slices.ContainsFunc(left, func(v string) bool { return strings.HasPrefix(v, ".") }) {
		t.Errorf("%v", left)
	}
}

func testOtherVolumes(t *testing.T, s *storage) {
	handMade := func(name, class string, claim *corev1.ObjectReference) {
		pv := &corev1.PersistentVolume{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec: corev1.PersistentVolumeSpec{
				StorageClassName: class, ClaimRef: claim, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
				Capacity:               corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")},
				PersistentVolumeSource: corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/x"}},
			},
		}
		if _, err := s.client.CoreV1().PersistentVolumes().Create(t.Context(), pv, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	handMade("found", "manual", nil)
	s.claim(t, "found", "manual", nil)
	s.claim(t, "mixed", "standard", nil)
	s.pod(t, "mixed", "found", "mixed") // a binding and a provision at once
	s.scheduled(t, "mixed")

	s.claim(t, "theirs", "foreign", nil)
	s.pod(t, "theirs", "theirs")
	claim := s.selected(t, "theirs")
	handMade("theirs", "foreign", &corev1.ObjectReference{Namespace: "default", Name: "theirs", UID: claim.UID})
	s.scheduled(t, "theirs")
	s.drop(t, "found", "mixed", "theirs")
	s.drop(t, "mixed")
	s.drop(t, "theirs")
}

func testStoppedNode(t *testing.T, s *storage) {
	s.claim(t, "asleep", "standard", nil)
	s.pod(t, "asleep", "asleep")
	node, pv := s.scheduled(t, "asleep"), s.bound(t, "asleep")
	s.agents[node].stop()
	s.drop(t, "asleep", "asleep")
	s.hasEvent(t, pv.Name, "VolumeFailedDelete", "is the node running?")
	if !isThere(pv.Spec.Local.Path) {
		t.Fatal("the folder is gone already")
	}
	s.agents[node].serve(t, 0)
	s.gone(t, pv)
	if isThere(pv.Spec.Local.Path) {
		t.Error("the folder is left")
	}
}

func testGoneNodes(t *testing.T, s *storage) {
	lose := func(name string, lose func(node string)) {
		s.claim(t, name, "standard", nil)
		s.pod(t, name, name)
		node, pv := s.scheduled(t, name), s.bound(t, name)
		s.agents[node].stop()
		lose(node)
		s.drop(t, name, name)
		s.gone(t, pv)
	}
	lose("unplanned", func(node string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.spec.Nodes = slices.DeleteFunc(slices.Clone(s.spec.Nodes), func(n cluster.Node) bool { return n.Name == node })
		if err := s.client.CoreV1().Nodes().Delete(t.Context(), node, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	})
	lose("deleted", func(node string) {
		if err := s.client.CoreV1().Nodes().Delete(t.Context(), node, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	})
}
