package storageprovisioner

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/config"
)

func TestWhatCannotBeIsRefusedWithReasons(t *testing.T) {
	options := func(change func(*corev1.PersistentVolumeClaim, *storagev1.StorageClass)) controller.ProvisionOptions {
		claim, class := &corev1.PersistentVolumeClaim{}, &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "fast"}}
		change(claim, class)
		return controller.ProvisionOptions{PVC: claim, StorageClass: class}
	}
	for name, c := range map[string]struct {
		change func(*corev1.PersistentVolumeClaim, *storagev1.StorageClass)
		words  []string
	}{
		"nothing special": {func(*corev1.PersistentVolumeClaim, *storagev1.StorageClass) {}, nil},
		"no attributes": {func(c *corev1.PersistentVolumeClaim, _ *storagev1.StorageClass) {
			c.Spec.VolumeAttributesClassName = new("")
		}, nil},
		"parameters": {func(_ *corev1.PersistentVolumeClaim, s *storagev1.StorageClass) {
			s.Parameters = map[string]string{"type": "ssd", "path": "/x"}
		}, []string{"fast", "path, type"}},
		"selector and attributes": {func(c *corev1.PersistentVolumeClaim, _ *storagev1.StorageClass) {
			c.Spec.Selector, c.Spec.VolumeAttributesClassName = &metav1.LabelSelector{}, new("gold")
		}, []string{"selector", "volumeAttributesClassName"}},
		"clone": {func(c *corev1.PersistentVolumeClaim, _ *storagev1.StorageClass) {
			c.Spec.DataSource = &corev1.TypedLocalObjectReference{Kind: "PersistentVolumeClaim", Name: "other"}
		}, []string{"dataSource"}},
	} {
		err := refuse(options(c.change))
		if (err == nil) != (c.words == nil) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, word := range c.words {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%s: %q does not mention %q", name, err, word)
			}
		}
		if s, ok := status.FromError(err); err != nil && (!ok || s.Code() != codes.InvalidArgument) {
			t.Errorf("%s: the controller takes it for %v, and would try again and again", name, s)
		}
	}
}

func readyNode(name string) corev1.Node {
	return corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name}},
		Status:     corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}},
	}
}

func TestSuitableNodes(t *testing.T) {
	spec := cluster.Spec{Nodes: []cluster.Node{{Name: "n1"}, {Name: "n2"}, {Name: "n3"}, {Name: "n4"}, {Name: "n5"}, {Name: "n6"}}}
	cordoned, tainted, down, preferred := readyNode("n2"), readyNode("n3"), readyNode("n4"), readyNode("n6")
	cordoned.Spec.Unschedulable = true
	tainted.Spec.Taints = []corev1.Taint{{Key: "dedicated", Effect: corev1.TaintEffectNoSchedule}}
	preferred.Spec.Taints = []corev1.Taint{{Key: "busy", Effect: corev1.TaintEffectPreferNoSchedule}}
	down.Status.Conditions[0].Status = corev1.ConditionUnknown
	nodes := []corev1.Node{readyNode("unplanned"), readyNode("n1"), cordoned, tainted, down, preferred}

	suitable, unfit := suitableNodes(nodes, spec, nil)
	if !slices.Equal(suitable, []string{"n1", "n6"}) {
		t.Errorf("suitable are %v", suitable)
	}
	reasons := strings.Join(unfit, "; ")
	for _, want := range []string{"n2 is cordoned", "n3 has the taint dedicated", "n4 is not Ready", "n5 is not known"} {
		if !strings.Contains(reasons, want) {
			t.Errorf("%q does not say %q", reasons, want)
		}
	}
	only := func(name string) []corev1.TopologySelectorTerm {
		return []corev1.TopologySelectorTerm{{MatchLabelExpressions: []corev1.TopologySelectorLabelRequirement{{Key: corev1.LabelHostname, Values: []string{name}}}}}
	}
	if suitable, _ := suitableNodes(nodes, spec, only("n6")); !slices.Equal(suitable, []string{"n6"}) {
		t.Errorf("of the topology of n6 are %v", suitable)
	}
	if suitable, unfit := suitableNodes(nodes, spec, only("nowhere")); len(suitable) > 0 || !strings.Contains(strings.Join(unfit, ";"), "allowedTopologies") {
		t.Errorf("of no topology are %v, because %v", suitable, unfit)
	}
	if _, unfit := suitableNodes(nil, cluster.Spec{}, nil); len(unfit) != 1 {
		t.Errorf("a cluster without nodes: %v", unfit)
	}
}

func TestVolumesAreSpread(t *testing.T) {
	store := cache.NewIndexer(cache.MetaNamespaceKeyFunc, nil)
	existing := corelisters.NewPersistentVolumeLister(store)
	add := func(name, node, provisioner string) {
		pv := describe(controller.ProvisionOptions{PVName: name, PVC: &corev1.PersistentVolumeClaim{}, StorageClass: &storagev1.StorageClass{}}, node, "/x/"+name)
		pv.Annotations = map[string]string{annProvisionedBy: provisioner}
		if err := store.Add(pv); err != nil {
			t.Fatal(err)
		}
	}
	var p placements
	choose := func(volume, want string, nodes ...string) {
		t.Helper()
		if got, err := p.choose(volume, nodes, existing); err != nil || got != want {
			t.Errorf("volume %s goes to %s (%v), want %s", volume, got, err, want)
		}
	}
	choose("a", "n1", "n1", "n2", "n3")
	choose("b", "n2", "n1", "n2", "n3") // though no volume exists yet
	add("a", "n1", config.VolumeProvisioner)
	add("c", "n3", config.VolumeProvisioner)
	add("d", "n1", "somebody.else/local")
	choose("e", "n1", "n1", "n2", "n3") // one each, a not twice
	p.forget("b")
	choose("f", "n2", "n1", "n2", "n3")
	choose("g", "n3", "n1", "n3")
	if node, ok := p.unfinished("g"); !ok || node != "n3" {
		t.Errorf("g was chosen for %q", node)
	}
	if node, ok := p.unfinished("b"); ok {
		t.Errorf("b is still meant for %s", node)
	}
}

func TestAVolumeSaysWhereItIs(t *testing.T) {
	retain := corev1.PersistentVolumeReclaimRetain
	o := controller.ProvisionOptions{
		PVName: "pvc-1", StorageClass: &storagev1.StorageClass{ReclaimPolicy: &retain, MountOptions: []string{"noatime"}},
		PVC: &corev1.PersistentVolumeClaim{Spec: corev1.PersistentVolumeClaimSpec{AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany, corev1.ReadOnlyMany}}},
	}
	pv := describe(o, "n2", "/v/pvc-1")
	if nodeOf(pv) != "n2" || pv.Spec.Local.Path != "/v/pvc-1" || pv.Spec.PersistentVolumeReclaimPolicy != retain ||
		!slices.Equal(pv.Spec.AccessModes, o.PVC.Spec.AccessModes) || !slices.Equal(pv.Spec.MountOptions, []string{"noatime"}) {
		t.Errorf("got %+v", pv.Spec)
	}
	if node := nodeOf(&corev1.PersistentVolume{}); node != "" {
		t.Errorf("somebody else's volume is on %q", node)
	}
}

func TestTroublesAreThoseOfClaimsThatWait(t *testing.T) {
	notified := 0
	tr := newTroubles(func() { notified++ })
	claim := func(uid string) *corev1.PersistentVolumeClaim {
		return &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: uid, UID: types.UID(uid)}}
	}
	all := func(*corev1.PersistentVolumeClaim) bool { return true }
	tr.add(claim("a"), "full")
	tr.add(claim("a"), "full") // again, as every few seconds
	tr.add(claim("b"), "read-only")
	if notified != 2 {
		t.Errorf("notified of %d changes, want 2", notified)
	}
	if got, ok := tr.oldest(all); !ok || got.claim.Name != "a" || got.reason != "full" {
		t.Errorf("oldest = %+v", got)
	}
	tr.remove(claim("a"))
	tr.remove(claim("never there"))
	if got, ok := tr.oldest(all); !ok || got.claim.Name != "b" || notified != 3 {
		t.Errorf("oldest = %+v, notified of %d", got, notified)
	}
	if _, ok := tr.oldest(func(*corev1.PersistentVolumeClaim) bool { return false }); ok {
		t.Error("a claim that is gone is still trouble")
	}
	if _, ok := tr.oldest(all); ok {
		t.Error("what was forgotten is back")
	}
}

func TestOtherErrorsAreNotUnknown(t *testing.T) {
	if unknown(nil) || unknown(errors.New("x")) || unknown(&infeasible{}) {
		t.Error("only an agent can leave an outcome open")
	}
}
