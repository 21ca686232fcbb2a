// Package defaultstorageclass is the addon that gives claims without a class the volumes of storage-provisioner.
package defaultstorageclass

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/addons"
	"bonsai/controlplane/addons/storageprovisioner"
	"bonsai/controlplane/config"
)

// Name of the addon.
const Name = "default-storageclass"

// class is the StorageClass's name, as in minikube and kind.
const class = "standard"

// Addon is the addon.
type Addon struct{}

var _ addons.Addon = Addon{}

// New returns the addon.
func New() Addon { return Addon{} }

// Describe implements addons.Addon.
func (Addon) Describe() cluster.AddonDescription {
	return cluster.AddonDescription{
		Name: Name, Version: "1.0", Maintainer: "bonsai",
		Description: "The storage class of claims that name none",
		Docs:        "docs/storage.md",
		Delivery:    cluster.DeliveryBuiltin, Offline: true, Default: true,
		Needs: []string{storageprovisioner.Name},
	}
}

// Objects implements addons.Addon.
func (Addon) Objects(addons.Cluster) []runtime.Object {
	return []runtime.Object{&storagev1.StorageClass{
		TypeMeta: metav1.TypeMeta{APIVersion: "storage.k8s.io/v1", Kind: "StorageClass"},
		ObjectMeta: metav1.ObjectMeta{
			Name:        class,
			Annotations: map[string]string{"storageclass.kubernetes.io/is-default-class": "true"},
		},
		Provisioner:   config.VolumeProvisioner,
		ReclaimPolicy: new(corev1.PersistentVolumeReclaimDelete),
		// A volume is on one node: it has to be the one that the pod's other constraints lead to.
		VolumeBindingMode: new(storagev1.VolumeBindingWaitForFirstConsumer),
		// A folder has the space of its disk, whatever the claim requests.
		AllowVolumeExpansion: new(false),
	}}
}

// Health implements addons.Addon: a class works if it exists.
func (Addon) Health(context.Context, addons.Cluster) (cluster.AddonState, string, []cluster.Advice) {
	return cluster.AddonRunning, "", nil
}
