package defaultstorageclass

import (
	"slices"
	"testing"

	"go.uber.org/goleak"
	storagev1 "k8s.io/api/storage/v1"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/addons"
	"bonsai/controlplane/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// with is a cluster in which these values are chosen.
func with(values map[string]string) addons.Cluster {
	return addons.Cluster{Spec: func() cluster.Spec {
		return cluster.Spec{Name: "dev", AddonValues: map[string]map[string]string{Name: values}}
	}}
}

// TestValuesAreThoseOfTheClass: each setting is in the object.
func TestValuesAreThoseOfTheClass(t *testing.T) {
	class := New().Objects(with(map[string]string{"name": "local", "reclaimPolicy": "Retain", "volumeBindingMode": "Immediate"}))[0].(*storagev1.StorageClass)
	if class.Name != "local" || *class.ReclaimPolicy != "Retain" || *class.VolumeBindingMode != "Immediate" || class.Provisioner != config.VolumeProvisioner {
		t.Errorf("got %+v", class)
	}
}

// TestTheClassLeadsToVolumes: what it names is served by the addon that it needs, and is what claims get by default.
func TestTheClassLeadsToVolumes(t *testing.T) {
	if needs := New().Describe().Needs; !slices.Equal(needs, []string{"storage-provisioner"}) {
		t.Errorf("it needs %v", needs)
	}
	objects := New().Objects(with(nil))
	if len(objects) != 1 {
		t.Fatalf("%d objects, want the class alone", len(objects))
	}
	class := objects[0].(*storagev1.StorageClass)
	if class.Name != "standard" || class.Annotations["storageclass.kubernetes.io/is-default-class"] != "true" {
		t.Errorf("class %s with annotations %v is nobody's default", class.Name, class.Annotations)
	}
	if class.Provisioner != config.VolumeProvisioner {
		t.Errorf("volumes are made by %s, want %s", class.Provisioner, config.VolumeProvisioner)
	}
	if *class.VolumeBindingMode != storagev1.VolumeBindingWaitForFirstConsumer {
		t.Errorf("volumes are bound %s, before anybody knows on which node they are needed", *class.VolumeBindingMode)
	}
}
