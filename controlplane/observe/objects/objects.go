// Package objects keeps copies of the objects of a cluster's API as long as they are needed.
//
// All followers of a kind share one informer: it starts with the first of them, and ends with the last. What it keeps
// is trimmed to what package observe and those below it read (trim.go). Begin reading at Store and Follow.
package objects

import (
	"context"
	"fmt"
	"reflect"
	"sync"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"
	registrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	registration "k8s.io/kube-aggregator/pkg/client/clientset_generated/clientset"
	registrationinformers "k8s.io/kube-aggregator/pkg/client/informers/externalversions"
)

// Object is a pointer to an object of a kind that can be followed; see informerOf for which these are.
type Object interface {
	runtime.Object
	metav1.Object
}

// Clients of the API server. Those that no follower needs may be nil.
type Clients struct {
	Kubernetes kubernetes.Interface
	// Metadata reads CustomResourceDefinitions, whose schemas can have megabytes, without these.
	Metadata metadata.Interface
	// Registration reads APIServices.
	Registration registration.Interface
}

// Store holds the objects that are followed. It is safe for concurrent use.
type Store struct {
	clients Clients

	mu    sync.Mutex // guards kinds, and is held while an informer starts or ends
	kinds map[reflect.Type]*kind
}

// kind is one kind that is followed.
type kind struct {
	users    int
	informer cache.SharedIndexInformer
	end      func() // ends the informer and waits for it
}

// New returns a Store. It starts nothing, and need not be closed: everything ends with the last Following.
func New(clients Clients) *Store {
	return &Store{clients: clients, kinds: map[reflect.Type]*kind{}}
}

// Following is one follower's view of all objects of one kind. Objects are shared and must not be changed.
type Following[T Object] struct {
	informer cache.SharedIndexInformer
	handler  cache.ResourceEventHandlerRegistration
	stop     func()
}

// Follow starts following all objects of kind T; of Events, only the warnings. On is called for each object that exists
// or is created, for each that changes, and with deleted for each that is deleted; never concurrently. It must not call
// the Store. The caller stops the Following.
func Follow[T Object](s *Store, on func(object T, deleted bool)) *Following[T] {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := reflect.TypeFor[T]()
	k := s.kinds[id]
	if k == nil {
		k = start(s.clients, id)
		s.kinds[id] = k
	}
	k.users++
	f := &Following[T]{informer: k.informer}
	// It fails only for informers that have been stopped.
	f.handler, _ = k.informer.AddEventHandler(handler(on))
	f.stop = sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if k.users--; k.users > 0 {
			_ = cache.ShutDownEventHandler(k.informer, f.handler) // it fails for a handler of another informer
			return
		}
		k.end()
		delete(s.kinds, id)
	})
	return f
}

func handler[T Object](on func(T, bool)) cache.ResourceEventHandler {
	set := func(object any) { on(object.(T), false) }
	return cache.ResourceEventHandlerFuncs{
		AddFunc: set,
		UpdateFunc: func(old, now any) {
			// The list after an interrupted watch includes what is already known.
			if v := now.(T).GetResourceVersion(); v == "" || v != old.(T).GetResourceVersion() {
				set(now)
			}
		},
		DeleteFunc: func(object any) {
			if last, ok := object.(cache.DeletedFinalStateUnknown); ok {
				object = last.Obj
			}
			if t, ok := object.(T); ok {
				on(t, true)
			}
		},
	}
}

// start starts the informer of a kind.
func start(clients Clients, id reflect.Type) *kind {
	k := &kind{informer: informerOf(clients, id)}
	_ = k.informer.SetTransform(trim) // it fails only for informers that run
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { k.informer.RunWithContext(ctx) })
	k.end = func() {
		cancel()
		running.Wait()
	}
	return k
}

// definitions are the CustomResourceDefinitions.
var definitions = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// informerOf has the kinds that can be followed. PartialObjectMetadata is that of CustomResourceDefinitions.
func informerOf(clients Clients, id reflect.Type) cache.SharedIndexInformer {
	switch id {
	case reflect.TypeFor[*registrationv1.APIService]():
		return registrationinformers.NewSharedInformerFactory(clients.Registration, 0).Apiregistration().V1().APIServices().Informer()
	case reflect.TypeFor[*metav1.PartialObjectMetadata]():
		return metadatainformer.NewSharedInformerFactory(clients.Metadata, 0).ForResource(definitions).Informer()
	}
	f := informers.NewSharedInformerFactoryWithOptions(clients.Kubernetes, 0, informers.WithTweakListOptions(func(o *metav1.ListOptions) {
		if id == reflect.TypeFor[*corev1.Event]() {
			o.FieldSelector = "type=" + corev1.EventTypeWarning
		}
	}))
	core, apps := f.Core().V1(), f.Apps().V1()
	switch id {
	case reflect.TypeFor[*corev1.Namespace]():
		return core.Namespaces().Informer()
	case reflect.TypeFor[*corev1.Pod]():
		return core.Pods().Informer()
	case reflect.TypeFor[*corev1.Node]():
		return core.Nodes().Informer()
	case reflect.TypeFor[*corev1.Event]():
		return core.Events().Informer()
	case reflect.TypeFor[*corev1.Service]():
		return core.Services().Informer()
	case reflect.TypeFor[*corev1.PersistentVolumeClaim]():
		return core.PersistentVolumeClaims().Informer()
	case reflect.TypeFor[*corev1.PersistentVolume]():
		return core.PersistentVolumes().Informer()
	case reflect.TypeFor[*storagev1.StorageClass]():
		return f.Storage().V1().StorageClasses().Informer()
	case reflect.TypeFor[*appsv1.Deployment]():
		return apps.Deployments().Informer()
	case reflect.TypeFor[*appsv1.ReplicaSet]():
		return apps.ReplicaSets().Informer()
	case reflect.TypeFor[*appsv1.StatefulSet]():
		return apps.StatefulSets().Informer()
	case reflect.TypeFor[*appsv1.DaemonSet]():
		return apps.DaemonSets().Informer()
	case reflect.TypeFor[*batchv1.Job]():
		return f.Batch().V1().Jobs().Informer()
	case reflect.TypeFor[*batchv1.CronJob]():
		return f.Batch().V1().CronJobs().Informer()
	case reflect.TypeFor[*autoscalingv2.HorizontalPodAutoscaler]():
		return f.Autoscaling().V2().HorizontalPodAutoscalers().Informer()
	case reflect.TypeFor[*networkingv1.Ingress]():
		return f.Networking().V1().Ingresses().Informer()
	case reflect.TypeFor[*networkingv1.NetworkPolicy]():
		return f.Networking().V1().NetworkPolicies().Informer()
	case reflect.TypeFor[*policyv1.PodDisruptionBudget]():
		return f.Policy().V1().PodDisruptionBudgets().Informer()
	case reflect.TypeFor[*admissionv1.ValidatingWebhookConfiguration]():
		return f.Admissionregistration().V1().ValidatingWebhookConfigurations().Informer()
	case reflect.TypeFor[*admissionv1.MutatingWebhookConfiguration]():
		return f.Admissionregistration().V1().MutatingWebhookConfigurations().Informer()
	}
	panic(fmt.Sprintf("objects: nobody follows %s", id))
}

// Stop ends the following; for the last one it ends the informer. It waits until on is no longer called. What was known
// stays readable.
func (f *Following[T]) Stop() { f.stop() }

// Informer returns the informer, for callers that need more than All, Get and calls. It ends with the last Following;
// the caller must not stop it.
func (f *Following[T]) Informer() cache.SharedIndexInformer { return f.informer }

// Synced is done when everything that existed at the beginning has been passed to on.
func (f *Following[T]) Synced() cache.DoneChecker { return f.handler.HasSyncedChecker() }

// All returns the objects that are known, in no order.
func (f *Following[T]) All() []T {
	list := f.informer.GetStore().List()
	all := make([]T, len(list))
	for i, o := range list {
		all[i] = o.(T)
	}
	return all
}

// Get returns the object of that name, whose namespace is empty if its kind has none.
func (f *Following[T]) Get(namespace, name string) (object T, ok bool) {
	o, ok, _ := f.informer.GetStore().GetByKey(cache.NewObjectName(namespace, name).String()) // a cache does not fail
	if !ok {
		return object, false
	}
	return o.(T), true
}
