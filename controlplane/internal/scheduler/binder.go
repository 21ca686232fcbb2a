package scheduler

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	storagelisters "k8s.io/client-go/listers/storage/v1"
	"k8s.io/client-go/tools/cache"
	volumehelpers "k8s.io/component-helpers/storage/volume"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/volumebinding"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/volumebinding/metrics"

	"bonsai/controlplane/config"
)

// eagerBinder is upstream's volume binder, except that it checks the volumes it waits for when they change instead of
// once a second. It does so for pods whose unbound claims are all provisioned by bonsai's provisioner, which takes a
// few milliseconds; every other pod is left to upstream.
//
// Its assumptions: after the assume step the claims in PodVolumes are what has to be written, and the informers' stores
// are what upstream's own check reads. If BindPodVolumes fails, the framework unreserves the pod, which reverts the
// assumed claims of PodVolumes; so these are never changed here.
type eagerBinder struct {
	volumebinding.SchedulerVolumeBinder

	client  kubernetes.Interface
	claims  corelisters.PersistentVolumeClaimLister
	volumes corelisters.PersistentVolumeLister
	nodes   corelisters.NodeLister
	pods    corelisters.PodLister
	classes storagelisters.StorageClassLister

	changes changes
	timeout time.Duration
}

// recheck is how soon it is noticed, without an event of a claim or volume, that waiting is pointless because the pod
// or its node is gone. It is upstream's pause.
const recheck = time.Second

// newEagerBinder wraps upstream's binder, whose informers it shares; timeout is upstream's limit for binding.
func newEagerBinder(upstream volumebinding.SchedulerVolumeBinder, client kubernetes.Interface, f informers.SharedInformerFactory, timeout time.Duration) (*eagerBinder, error) {
	core := f.Core().V1()
	b := &eagerBinder{
		SchedulerVolumeBinder: upstream, client: client, timeout: timeout,
		claims:  core.PersistentVolumeClaims().Lister(),
		volumes: core.PersistentVolumes().Lister(),
		nodes:   core.Nodes().Lister(),
		pods:    core.Pods().Lister(),
		classes: f.Storage().V1().StorageClasses().Lister(),
	}
	notify := cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { b.changes.announce() },
		UpdateFunc: func(any, any) { b.changes.announce() },
		DeleteFunc: func(any) { b.changes.announce() },
	}
	for _, informer := range []cache.SharedIndexInformer{core.PersistentVolumeClaims().Informer(), core.PersistentVolumes().Informer()} {
		if _, err := informer.AddEventHandler(notify); err != nil {
			return nil, fmt.Errorf("watch claims and volumes: %w", err)
		}
	}
	return b, nil
}

// BindPodVolumes requests the pod's volumes and returns when they are bound, or when the pod has to be scheduled again.
func (b *eagerBinder) BindPodVolumes(ctx context.Context, pod *corev1.Pod, v *volumebinding.PodVolumes) error {
	if !b.ours(v) {
		return b.SchedulerVolumeBinder.BindPodVolumes(ctx, pod, v)
	}
	err := b.bind(ctx, pod, v.DynamicProvisions)
	if err != nil {
		metrics.VolumeSchedulingStageFailed.WithLabelValues("bind").Inc()
	}
	return err
}

// ours reports whether the only thing to wait for is bonsai's provisioner.
func (b *eagerBinder) ours(v *volumebinding.PodVolumes) bool {
	if len(v.StaticBindings) > 0 || len(v.DynamicProvisions) == 0 {
		return false
	}
	for _, p := range v.DynamicProvisions {
		class, err := b.classes.Get(volumehelpers.GetPersistentVolumeClaimClass(p.PVC))
		if err != nil || class.Provisioner != config.VolumeProvisioner {
			return false
		}
	}
	return true
}

func (b *eagerBinder) bind(ctx context.Context, pod *corev1.Pod, provisions []*volumebinding.DynamicProvision) error {
	logger := klog.FromContext(ctx)
	written := make([]*corev1.PersistentVolumeClaim, len(provisions))
	for i, p := range provisions {
		// The assumed claim names the node; writing it starts the provisioner.
		claim, err := b.client.CoreV1().PersistentVolumeClaims(p.PVC.Namespace).Update(ctx, p.PVC, metav1.UpdateOptions{})
		if err != nil {
			logger.V(4).Info("Claim cannot be updated with its node", "PVC", klog.KObj(p.PVC), "err", err)
			return err
		}
		written[i] = claim
	}
	err := b.wait(ctx, func() (bool, error) { return b.bound(pod, written) })
	if err != nil {
		return fmt.Errorf("binding volumes: %w", err)
	}
	logger.V(2).Info("All volumes of the pod are bound", "pod", klog.KObj(pod))
	return nil
}

// wait returns when done returns true or fails, and with the context's error after the binder's timeout.
func (b *eagerBinder) wait(ctx context.Context, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	tick := time.NewTicker(recheck)
	defer tick.Stop()
	for {
		changed := b.changes.next() // before looking, so that no change is missed
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		case <-tick.C:
		}
	}
}

// bound reports whether all claims are bound, and fails if that is not possible on the pod's node: then the pod has to
// be scheduled again. These are the conditions of upstream's check for claims that are provisioned.
func (b *eagerBinder) bound(pod *corev1.Pod, claims []*corev1.PersistentVolumeClaim) (bool, error) {
	node, err := b.nodes.Get(pod.Spec.NodeName)
	if err != nil {
		return false, fmt.Errorf("failed to get node %q: %w", pod.Spec.NodeName, err)
	}
	if _, err := b.pods.Pods(pod.Namespace).Get(pod.Name); apierrors.IsNotFound(err) {
		return false, fmt.Errorf("pod does not exist any more: %w", err)
	}
	for _, written := range claims {
		claim, err := b.claims.PersistentVolumeClaims(written.Namespace).Get(written.Name)
		if err != nil {
			return false, fmt.Errorf("failed to check provisioning pvc: %w", err)
		}
		if older, err := resourceversion.CompareResourceVersion(claim.ResourceVersion, written.ResourceVersion); err != nil || older < 0 {
			return false, err // what was written has not come back yet
		}
		if claim.Annotations[volumehelpers.AnnSelectedNode] != pod.Spec.NodeName {
			// This is how a provisioner reports that it gives up on the node.
			return false, fmt.Errorf("provisioning failed for PVC %q", claim.Name)
		}
		if ok, err := b.boundTo(node, claim); !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}

// boundTo reports whether the claim is bound completely, and fails if that is to a volume of another node.
func (b *eagerBinder) boundTo(node *corev1.Node, claim *corev1.PersistentVolumeClaim) (bool, error) {
	if claim.Spec.VolumeName == "" {
		return false, nil
	}
	volume, err := b.volumes.Get(claim.Spec.VolumeName)
	if apierrors.IsNotFound(err) {
		return false, nil // not seen yet; or gone, and the claim will not stay bound to it
	}
	if err != nil {
		return false, fmt.Errorf("failed to get pv %q from cache: %w", claim.Spec.VolumeName, err)
	}
	if err := volumehelpers.CheckNodeAffinity(volume, node.Labels); err != nil {
		return false, fmt.Errorf("pv %q node affinity doesn't match node %q: %w", volume.Name, node.Name, err)
	}
	return metav1.HasAnnotation(claim.ObjectMeta, volumehelpers.AnnBindCompleted), nil
}

// changes wakes everything that waits for the next change. The zero value is ready.
type changes struct {
	mu   sync.Mutex
	wake chan struct{} // closed by the next change; nil while nobody waits
}

// next returns a channel that the next change closes.
func (c *changes) next() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wake == nil {
		c.wake = make(chan struct{})
	}
	return c.wake
}

func (c *changes) announce() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wake != nil {
		close(c.wake)
		c.wake = nil
	}
}
