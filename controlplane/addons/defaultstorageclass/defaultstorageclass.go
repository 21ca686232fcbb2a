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

// The settings.
const (
	settingName          = "name"
	settingReclaimPolicy = "reclaimPolicy"
	settingBindingMode   = "volumeBindingMode"
)

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
		Settings: []cluster.AddonSetting{
			{
				Name: settingName, Type: cluster.SettingName, Default: "standard", // as in minikube and kind
				Description: "Name of the class",
				Cost:        "Volumes stay; claims that name the class as it was get no new ones",
			},
			{
				Name: settingReclaimPolicy, Type: cluster.SettingChoice, Options: []string{string(corev1.PersistentVolumeReclaimDelete), string(corev1.PersistentVolumeReclaimRetain)},
				Default:     string(corev1.PersistentVolumeReclaimDelete),
				Description: "What becomes of a volume and its data when its claim is deleted",
				Cost:        "Volumes that exist keep theirs",
			},
			{
				Name: settingBindingMode, Type: cluster.SettingChoice, Options: []string{string(storagev1.VolumeBindingWaitForFirstConsumer), string(storagev1.VolumeBindingImmediate)},
				// A volume is on one node: it has to be the one that the pod's other constraints lead to.
				Default:     string(storagev1.VolumeBindingWaitForFirstConsumer),
				Description: "Whether a claim gets its volume when a pod uses it, on the pod's node, or at once, on any node",
				Cost:        "Volumes that exist stay where they are",
			},
		},
	}
}

// Objects implements addons.Addon.
func (a Addon) Objects(c addons.Cluster) []runtime.Object {
	about, spec := a.Describe(), c.Spec()
	return []runtime.Object{&storagev1.StorageClass{
		TypeMeta: metav1.TypeMeta{APIVersion: "storage.k8s.io/v1", Kind: "StorageClass"},
		ObjectMeta: metav1.ObjectMeta{
			Name:        about.Value(spec, settingName),
			Annotations: map[string]string{"storageclass.kubernetes.io/is-default-class": "true"},
		},
		Provisioner:       config.VolumeProvisioner,
		ReclaimPolicy:     new(corev1.PersistentVolumeReclaimPolicy(about.Value(spec, settingReclaimPolicy))),
		VolumeBindingMode: new(storagev1.VolumeBindingMode(about.Value(spec, settingBindingMode))),
		// A folder has the space of its disk, whatever the claim requests.
		AllowVolumeExpansion: new(false),
	}}
}

// Health implements addons.Addon: a class works if it exists.
func (Addon) Health(context.Context, addons.Cluster) (cluster.AddonState, string, []cluster.Advice) {
	return cluster.AddonRunning, "", nil
}
