package scheduler

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	storagelisters "k8s.io/client-go/listers/storage/v1"
	"k8s.io/client-go/tools/cache"
	volumehelpers "k8s.io/component-helpers/storage/volume"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/volumebinding"

	"bonsai/controlplane/config"
)

func TestWaitLooksAtEachChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &eagerBinder{timeout: time.Minute}
		looks, bound := 0, false
		result := make(chan error, 1)
		begin := time.Now()
		go func() {
			result <- b.wait(t.Context(), func() (bool, error) { looks++; return bound, nil })
		}()
		synctest.Wait()
		b.changes.announce() // of somebody else's claim
		synctest.Wait()
		if looks != 2 {
			t.Errorf("looked %d times, want once before and once after the change", looks)
		}
		bound = true
		b.changes.announce()
		if err := <-result; err != nil || time.Since(begin) != 0 {
			t.Errorf("wait = %v after %s, want success without any pause", err, time.Since(begin))
		}
	})
}

func TestWaitNoticesWithoutAChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &eagerBinder{timeout: time.Minute}
		gone := errors.New("pod does not exist any more")
		begin := time.Now()
		err := b.wait(t.Context(), func() (bool, error) {
			if time.Since(begin) > 0 {
				return false, gone
			}
			return false, nil
		})
		if !errors.Is(err, gone) || time.Since(begin) != recheck {
			t.Errorf("wait = %v after %s", err, time.Since(begin))
		}
	})
}

func TestWaitEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		never := func() (bool, error) { return false, nil }
		b := &eagerBinder{timeout: 10 * time.Minute}
		begin := time.Now()
		if err := b.wait(t.Context(), never); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != b.timeout {
			t.Errorf("wait = %v after %s", err, time.Since(begin))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // as the framework does when it preempts the pod
		if err := b.wait(ctx, never); !errors.Is(err, context.Canceled) {
			t.Errorf("wait = %v", err)
		}
	})
}

// store is the listers of a binder with these objects.
func store(t *testing.T, objects ...metav1.Object) *eagerBinder {
	t.Helper()
	namespaced := cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc}
	claims, pods := cache.NewIndexer(cache.MetaNamespaceKeyFunc, namespaced), cache.NewIndexer(cache.MetaNamespaceKeyFunc, namespaced)
	volumes, nodes := cache.NewIndexer(cache.MetaNamespaceKeyFunc, nil), cache.NewIndexer(cache.MetaNamespaceKeyFunc, nil)
	classes := cache.NewIndexer(cache.MetaNamespaceKeyFunc, nil)
	for _, o := range objects {
		var into cache.Indexer
		switch o.(type) {
		case *corev1.PersistentVolumeClaim:
			into = claims
		case *corev1.Pod:
			into = pods
		case *corev1.PersistentVolume:
			into = volumes
		case *corev1.Node:
			into = nodes
		case *storagev1.StorageClass:
			into = classes
		}
		if err := into.Add(o); err != nil {
			t.Fatal(err)
		}
	}
	return &eagerBinder{
		claims: corelisters.NewPersistentVolumeClaimLister(claims), pods: corelisters.NewPodLister(pods),
		volumes: corelisters.NewPersistentVolumeLister(volumes), nodes: corelisters.NewNodeLister(nodes),
		classes: storagelisters.NewStorageClassLister(classes),
	}
}

func claimAt(version, node, volume string, completed bool) *corev1.PersistentVolumeClaim {
	c := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "data", ResourceVersion: version, Annotations: map[string]string{}},
		Spec:       corev1.PersistentVolumeClaimSpec{VolumeName: volume, StorageClassName: new("standard")},
	}
	if node != "" {
		c.Annotations[volumehelpers.AnnSelectedNode] = node
	}
	if completed {
		c.Annotations[volumehelpers.AnnBindCompleted] = "yes"
	}
	return c
}

func volumeOn(node string) *corev1.PersistentVolume {
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: "pv"},
		Spec: corev1.PersistentVolumeSpec{NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{
			NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{
				{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{node}},
			}}},
		}}},
	}
}

func TestBound(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p"}, Spec: corev1.PodSpec{NodeName: "n1"}}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", Labels: map[string]string{corev1.LabelHostname: "n1"}}}
	for name, c := range map[string]struct {
		seen    []metav1.Object
		bound   bool
		failure string
	}{
		"bound":                     {[]metav1.Object{pod, node, claimAt("9", "n1", "pv", true), volumeOn("n1")}, true, ""},
		"not provisioned":           {[]metav1.Object{pod, node, claimAt("9", "n1", "", false)}, false, ""},
		"bound in half":             {[]metav1.Object{pod, node, claimAt("9", "n1", "pv", false), volumeOn("n1")}, false, ""},
		"volume not seen":           {[]metav1.Object{pod, node, claimAt("9", "n1", "pv", true)}, false, ""},
		"our own write not seen":    {[]metav1.Object{pod, node, claimAt("4", "", "", false)}, false, ""},
		"provisioner gave up":       {[]metav1.Object{pod, node, claimAt("9", "", "", false)}, false, "provisioning failed"},
		"another node was selected": {[]metav1.Object{pod, node, claimAt("9", "n2", "pv", true), volumeOn("n1")}, false, "provisioning failed"},
		"volume of another node":    {[]metav1.Object{pod, node, claimAt("9", "n1", "pv", true), volumeOn("n2")}, false, "affinity"},
		"claim is gone":             {[]metav1.Object{pod, node}, false, "not found"},
		"pod is gone":               {[]metav1.Object{node, claimAt("9", "n1", "pv", true), volumeOn("n1")}, false, "pod does not exist"},
		"node is gone":              {[]metav1.Object{pod, claimAt("9", "n1", "pv", true), volumeOn("n1")}, false, "failed to get node"},
	} {
		t.Run(name, func(t *testing.T) {
			bound, err := store(t, c.seen...).bound(pod, []*corev1.PersistentVolumeClaim{claimAt("5", "n1", "", false)})
			if bound != c.bound || (err == nil) != (c.failure == "") || err != nil && !strings.Contains(err.Error(), c.failure) {
				t.Errorf("bound = %v, %v; want %v, %q", bound, err, c.bound, c.failure)
			}
		})
	}
}

func TestOnlyOurClaimsAreWaitedForHere(t *testing.T) {
	class := func(name, provisioner string) *storagev1.StorageClass {
		return &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Provisioner: provisioner}
	}
	b := store(t, class("standard", config.VolumeProvisioner), class("other", "csi.example.com"))
	of := func(class string) *volumebinding.DynamicProvision {
		c := claimAt("1", "n1", "", false)
		c.Spec.StorageClassName = &class
		return &volumebinding.DynamicProvision{PVC: c}
	}
	for name, c := range map[string]struct {
		volumes volumebinding.PodVolumes
		want    bool
	}{
		"ours":                   {volumebinding.PodVolumes{DynamicProvisions: []*volumebinding.DynamicProvision{of("standard"), of("standard")}}, true},
		"somebody else's":        {volumebinding.PodVolumes{DynamicProvisions: []*volumebinding.DynamicProvision{of("other")}}, false},
		"both":                   {volumebinding.PodVolumes{DynamicProvisions: []*volumebinding.DynamicProvision{of("standard"), of("other")}}, false},
		"of a class that is not": {volumebinding.PodVolumes{DynamicProvisions: []*volumebinding.DynamicProvision{of("gone")}}, false},
		"and one that exists": {volumebinding.PodVolumes{
			DynamicProvisions: []*volumebinding.DynamicProvision{of("standard")}, StaticBindings: []*volumebinding.BindingInfo{{}},
		}, false},
		"nothing to provision": {volumebinding.PodVolumes{}, false},
	} {
		if got := b.ours(&c.volumes); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
