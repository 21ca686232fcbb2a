package nodes

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
)

// Pauses before the repair of one Node object: they double while somebody keeps undoing it, or the API server refuses.
const (
	firstPause = 20 * time.Millisecond
	lastPause  = 30 * time.Second
	// calm is how long a Node object has to be as planned for its troubles to be forgotten.
	calm = 10 * time.Second
	// callLimit bounds what one repair asks of the API server, which is in this process.
	callLimit = 10 * time.Second
)

// Run keeps the Node objects as planned until ctx ends: one that somebody deletes comes back, and one that a kubelet made
// itself is completed. informer watches Node objects and belongs to the caller, who starts and stops it; it may omit
// what is not read here (status, managed fields).
func (k *Keeper) Run(ctx context.Context, informer cache.SharedIndexInformer) error {
	queue := workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[string](firstPause, lastPause))
	defer queue.ShutDown()
	look := func(object any) {
		if last, ok := object.(cache.DeletedFinalStateUnknown); ok {
			queue.AddRateLimited(last.Key)
			return
		}
		if n, ok := object.(*corev1.Node); ok && !k.asPlanned(n) {
			queue.AddRateLimited(n.Name)
		}
	}
	handle, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    look,
		UpdateFunc: func(_, object any) { look(object) },
		DeleteFunc: func(object any) {
			if key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(object); err == nil {
				queue.AddRateLimited(key)
			}
		},
	})
	if err != nil {
		return err
	}
	defer func() { _ = informer.RemoveEventHandler(handle) }()
	if !cache.WaitForCacheSync(ctx.Done(), handle.HasSynced) {
		return nil // ctx has ended
	}
	// What went missing while nobody looked makes no event.
	for _, n := range k.plan().Nodes {
		queue.Add(n.Name)
	}
	stop := context.AfterFunc(ctx, queue.ShutDown)
	defer stop()
	acted := map[string]time.Time{}
	for {
		name, ended := queue.Get()
		if ended {
			return nil
		}
		k.repair(ctx, queue, name, acted)
		queue.Done(name)
	}
}

// repair looks at one Node object, and again later if something was done: somebody may undo it at once.
func (k *Keeper) repair(ctx context.Context, queue workqueue.TypedRateLimitingInterface[string], name string, acted map[string]time.Time) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	did, err := k.reconcile(ctx, name)
	switch {
	case err != nil:
		if ctx.Err() == nil {
			k.log.Warn("a node object is not as planned", "node", name, "err", err)
		}
		queue.AddRateLimited(name)
	case did:
		k.log.Info("a node object is as planned again", "node", name)
		acted[name] = time.Now()
		queue.AddAfter(name, calm)
	case time.Since(acted[name]) >= calm:
		delete(acted, name)
		queue.Forget(name)
	}
}
