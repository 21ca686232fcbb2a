// Package storageprovisioner is the addon that gives claims their volumes: folders on the disks of the nodes, created
// and removed by the nodes' agents. It has no pods; its controller runs in this process.
//
// The controller is upstream's library for external provisioners; ours is the Provisioner that it calls. A volume is a
// PersistentVolume of type "local" with an affinity for the node that has the folder. Unlike a hostPath, a local volume
// respects fsGroup, and if its folder is missing, pods do not start, instead of starting with an empty one.
//
// Begin reading at Addon.Run and provisioner.Provision.
package storageprovisioner

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/addons"
	"bonsai/controlplane/config"
)

// Name of the addon.
const Name = "storage-provisioner"

const (
	// retryFirst and retryMax are the pauses between attempts at a claim or a volume, which double. Retrying never
	// stops: this process is not notified when space is freed or a node comes back.
	retryFirst = 250 * time.Millisecond
	retryMax   = 10 * time.Second
	// workers is how many claims and how many volumes are processed in parallel; each mostly waits for an agent.
	workers = 8
)

// storeVolume is how often and how fast writing a volume's object is retried if the API server does not accept it.
// After that the folder is removed and the claim says why.
var storeVolume = wait.Backoff{Duration: 100 * time.Millisecond, Factor: 2, Steps: 6}

// Addon is the addon of one cluster.
type Addon struct {
	mu      sync.Mutex // guards running
	running *provisioner
}

var (
	_ addons.Addon  = (*Addon)(nil)
	_ addons.Runner = (*Addon)(nil)
)

// New returns the addon; its controller runs while Run does.
func New() *Addon { return &Addon{} }

// Describe implements addons.Addon.
func (*Addon) Describe() cluster.AddonDescription {
	return cluster.AddonDescription{
		Name: Name, Version: "1.0", Maintainer: "bonsai",
		Description: "Volumes for claims, on the nodes' own disks",
		Docs:        "docs/storage.md",
		Delivery:    cluster.DeliveryBuiltin, Offline: true, Default: true,
	}
}

// Objects implements addons.Addon. There are none: the StorageClass is an addon of its own.
func (*Addon) Objects(addons.Cluster) []runtime.Object { return nil }

// Health implements addons.Addon. It is degraded while a node has no room for a requested volume.
func (a *Addon) Health(_ context.Context, c addons.Cluster) (state cluster.AddonState, reason string, advice []cluster.Advice) {
	a.mu.Lock()
	p := a.running
	a.mu.Unlock()
	if p == nil {
		return cluster.AddonInstalling, "its controller is starting", nil
	}
	if t, ok := p.troubles.oldest(p.waits); ok {
		return cluster.AddonDegraded, fmt.Sprintf("claim %s/%s gets no volume: %s", t.claim.Namespace, t.claim.Name, t.reason),
			[]cluster.Advice{cluster.Advise("", cluster.Kubectl("describe", "pvc").On(t.claim.Name).In(t.claim.Namespace))}
	}
	return cluster.AddonRunning, "", nil
}

// Run provisions and deletes volumes until ctx ends.
func (a *Addon) Run(ctx context.Context, c addons.Cluster) error {
	ctx, cancel := context.WithCancel(klog.NewContext(ctx, logr.FromSlogHandler(c.Log.Handler())))
	defer cancel()
	factory := informers.NewSharedInformerFactory(c.Client, 0)
	defer factory.Shutdown()
	defer cancel()
	core := factory.Core().V1()
	p := newProvisioner(c, core.PersistentVolumeClaims().Lister(), core.PersistentVolumes().Lister())

	ctrl := controller.NewProvisionController(ctx, c.Client, config.VolumeProvisioner, p,
		controller.ClaimsInformer(core.PersistentVolumeClaims().Informer()),
		controller.VolumesInformer(core.PersistentVolumes().Informer()),
		controller.ClassesInformer(factory.Storage().V1().StorageClasses().Informer()),
		// One process, one provisioner: an election would only add seconds, and losing it exits the process.
		controller.LeaderElection(false),
		controller.Threadiness(workers),
		controller.RateLimiter(workqueue.NewTypedItemExponentialFailureRateLimiter[string](retryFirst, retryMax)),
		controller.FailedProvisionThreshold(0), controller.FailedDeleteThreshold(0),
		controller.CreateProvisionedPVBackoff(storeVolume),
		// If a volume's object is deleted before its claim, its folder must be deleted too.
		controller.AddFinalizer(true),
	)
	var working sync.WaitGroup
	ctrl.ControllerWaitGroup(&working)
	defer working.Wait()
	defer cancel()

	factory.StartWithContext(ctx)
	if synced := factory.WaitForCacheSyncWithContext(ctx); synced.Err != nil {
		return fmt.Errorf("follow claims, volumes and storage classes: %w", synced.Err)
	}
	a.set(p, c)
	defer a.set(nil, c)
	ctrl.Run(ctx)
	return ctx.Err()
}

func (a *Addon) set(p *provisioner, c addons.Cluster) {
	a.mu.Lock()
	a.running = p
	a.mu.Unlock()
	c.Notify()
}

// waits reports whether a claim still exists and has no volume.
func (p *provisioner) waits(claim *corev1.PersistentVolumeClaim) bool {
	now, err := p.claims.PersistentVolumeClaims(claim.Namespace).Get(claim.Name)
	return err == nil && now.UID == claim.UID && now.Spec.VolumeName == ""
}
