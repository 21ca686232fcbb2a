// Package watch keeps a DNS server's records and configuration in line with the API server.
//
// Each kind of object is listed and watched by a reflector of client-go, which copes with API servers that are slow,
// down or new; in the meantime the last known records stay. Nothing is kept here except the names of objects: what DNS
// needs of them goes straight into the zone.Store (package kubewatch, convert.go). The pods are followed only while
// their names have to be verified (pods.go). The user's ConfigMaps are followed the same way, and problems with them
// are reported as Events (config.go, events.go). Begin reading at Watcher.Run.
package watch

import (
	"context"
	"log/slog"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/kubewatch"
	"bonsai/dnsaddon/corefile"
	"bonsai/dnsaddon/zone"
)

// Programmed is called with the time from a change of a Service or its pods until the endpoints were in the store. The
// kind of the Service is "cluster_ip" or "headless_with_selector".
type Programmed func(kind string, took time.Duration)

// Watcher follows one API server.
type Watcher struct {
	api        *rest.Config
	store      *zone.Store
	configure  func(corefile.Sources) []cluster.Problem
	programmed Programmed
	log        *slog.Logger

	synced chan struct{}
	pods   *podWatch
}

// New returns a watcher that does nothing yet. configure is called with the user's ConfigMaps before the records are
// complete and after each change, never concurrently. It has to set the store's options, which decide whether pods are
// needed. The problems that it returns become Warning Events on the ConfigMaps. programmed may be nil.
func New(api *rest.Config, store *zone.Store, configure func(corefile.Sources) []cluster.Problem, programmed Programmed, log *slog.Logger) *Watcher {
	if programmed == nil {
		programmed = func(string, time.Duration) {}
	}
	return &Watcher{
		api: api, store: store, configure: configure, programmed: programmed, log: log,
		synced: make(chan struct{}), pods: newPodWatch(store),
	}
}

// Synced is closed when the store has all records and the configuration is in effect.
func (w *Watcher) Synced() <-chan struct{} { return w.synced }

// Run follows the API server until ctx ends, and returns an error only if it cannot start. Call it once.
func (w *Watcher) Run(ctx context.Context) error {
	core, err := kubewatch.NewClient(w.api, "/api", corev1.SchemeGroupVersion, corev1.AddToScheme)
	if err != nil {
		return err
	}
	discovery, err := kubewatch.NewClient(w.api, "/apis", discoveryv1.SchemeGroupVersion, discoveryv1.AddToScheme)
	if err != nil {
		return err
	}
	if !kubewatch.WaitReady(ctx, core, w.log) {
		return nil // ctx has ended
	}
	services := newSink(w.store, service, w.store.SetService, w.store.DeleteService, nil)
	slices := newSink(w.store, endpointSlice, func(s slice) { w.store.SetSlice(s.Slice) }, w.store.DeleteSlice, w.measure)
	namespaces := newSink(w.store, (*corev1.Namespace).GetName, w.store.SetNamespace, func(_, name string) { w.store.DeleteNamespace(name) }, nil)
	config := newConfigWatch(w, core)

	var running sync.WaitGroup
	defer running.Wait()
	follow := func(k kubewatch.Kind) { running.Go(func() { k.Follow(ctx, w.log) }) }
	follow(kubewatch.Kind{Client: core, Resource: "services", Example: &corev1.Service{}, Sink: services})
	follow(kubewatch.Kind{Client: discovery, Resource: "endpointslices", Example: &discoveryv1.EndpointSlice{}, Sink: slices, LabelSelector: discoveryv1.LabelServiceName}) // slices without the label belong to no Service
	follow(kubewatch.Kind{Client: core, Resource: "namespaces", Example: &corev1.Namespace{}, Sink: namespaces})
	running.Go(func() { w.pods.run(ctx, core, w.log) })
	config.follow(ctx, &running)

	for _, first := range []<-chan struct{}{services.First(), slices.First(), namespaces.First(), config.applied} {
		select {
		case <-ctx.Done():
			return nil
		case <-first:
		}
	}
	// By now the configuration has decided whether pods are needed.
	if w.pods.wait(ctx) != nil {
		return nil
	}
	w.store.SetSynced()
	close(w.synced)
	records := w.store.Records()
	w.log.Info("all records are loaded", "services", records.Services, "endpoints", records.Endpoints, "namespaces", records.Namespaces)
	<-ctx.Done()
	return nil
}

// measure reports the age of a change to an EndpointSlice, now that it is answered. For changes that came with a list
// the age is unknown.
func (w *Watcher) measure(s slice) {
	if s.changed.IsZero() {
		return
	}
	kind := "cluster_ip"
	if s.headless {
		kind = "headless_with_selector"
	}
	w.programmed(kind, max(0, time.Since(s.changed)))
}

// newSink returns a sink that fills the store. news may be nil.
func newSink[O metav1.Object, T any](store *zone.Store, convert func(O) T, set func(T), remove func(namespace, name string), news func(T)) *kubewatch.Sink[T] {
	return kubewatch.NewSink(convert, kubewatch.Target[T]{Set: set, Delete: remove, Batch: store.Batch, News: news})
}
