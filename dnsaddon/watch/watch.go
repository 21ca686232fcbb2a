// Package watch keeps a DNS server's records and configuration what the API server says.
//
// Each kind of object is listed and watched by a reflector of client-go, which puts up with API servers that are slow,
// away or new. Nothing is kept here but the names of objects: what DNS needs of them goes straight into the zone.Store
// (sink.go, convert.go). The user's ConfigMaps are followed the same way (config.go). Begin reading at Watcher.Run.
package watch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"bonsai/bootstrap/cluster"
	"bonsai/dnsaddon/corefile"
	"bonsai/dnsaddon/zone"
)

const (
	// An API server that starts is asked often, since the whole cluster waits for its names; one that is away for
	// longer, seldom.
	firstPause, lastPause = 25 * time.Millisecond, time.Second
	// askLimit bounds one question whether it is ready.
	askLimit = 5 * time.Second
)

// backoff is between the tries of a list or watch that failed.
func backoff() *wait.Backoff {
	return &wait.Backoff{Duration: 50 * time.Millisecond, Factor: 2, Jitter: 0.2, Steps: 20, Cap: 2 * time.Second}
}

// Watcher follows one API server.
type Watcher struct {
	api       *rest.Config
	store     *zone.Store
	configure func(corefile.Sources) []cluster.Problem
	log       *slog.Logger

	synced chan struct{}
	// programmed is told how long a change of endpoints took to get here.
	programmed func(time.Duration)
	verify     atomic.Bool
	// verifyChanged has room for one.
	verifyChanged chan struct{}
}

// New makes a watcher that does nothing yet. configure is called with the user's ConfigMaps before the records are
// complete and after each change, by one goroutine at a time; the problems that it returns become Warning Events on
// the ConfigMaps. programmed may be nil.
func New(api *rest.Config, store *zone.Store, configure func(corefile.Sources) []cluster.Problem, programmed func(time.Duration), log *slog.Logger) *Watcher {
	if programmed == nil {
		programmed = func(time.Duration) {}
	}
	return &Watcher{
		api: api, store: store, configure: configure, log: log, programmed: programmed,
		synced: make(chan struct{}), verifyChanged: make(chan struct{}, 1),
	}
}

// Synced is closed when the store has all records and the configuration is in force.
func (w *Watcher) Synced() <-chan struct{} { return w.synced }

// VerifyPods says whether the store needs the cluster's pods, which nothing but verified pod names does.
func (w *Watcher) VerifyPods(on bool) {
	if w.verify.Swap(on) == on {
		return
	}
	select {
	case w.verifyChanged <- struct{}{}:
	default: // somebody will look anyway
	}
}

// Run follows the API server until ctx ends. Run once.
func (w *Watcher) Run(ctx context.Context) error {
	core, err := client(w.api, "/api", corev1.SchemeGroupVersion, corev1.AddToScheme)
	if err != nil {
		return err
	}
	discovery, err := client(w.api, "/apis", discoveryv1.SchemeGroupVersion, discoveryv1.AddToScheme)
	if err != nil {
		return err
	}
	if err := w.waitReady(ctx); err != nil {
		return nil // ctx has ended
	}
	config := newConfigWatch(w, core)
	var following sync.WaitGroup
	defer following.Wait()
	sinks := []*sink{
		newSink(w.store, func(o *corev1.Service) { w.store.SetService(service(o)) }, w.store.DeleteService),
		newSink(w.store, func(o *discoveryv1.EndpointSlice) { w.slice(o) }, w.store.DeleteSlice),
		newSink(w.store, func(o *corev1.Namespace) { w.store.SetNamespace(o.Name) }, func(_, name string) { w.store.DeleteNamespace(name) }),
	}
	// A Service without selector has slices that somebody else wrote; without the label they belong to none.
	labelled := func(o *metav1.ListOptions) { o.LabelSelector = discoveryv1.LabelServiceName }
	follow(ctx, &following, core, "services", &corev1.Service{}, sinks[0], nil)
	follow(ctx, &following, discovery, "endpointslices", &discoveryv1.EndpointSlice{}, sinks[1], labelled)
	follow(ctx, &following, core, "namespaces", &corev1.Namespace{}, sinks[2], nil)
	config.follow(ctx, &following)
	following.Go(func() { w.followPods(ctx, core) })

	first := config.first
	for _, s := range sinks {
		first = append(first, s.first)
	}
	for _, loaded := range first {
		select {
		case <-ctx.Done():
			return nil
		case <-loaded:
		}
	}
	config.settle() // the ConfigMap that came last is being applied
	w.store.SetSynced()
	close(w.synced)
	records := w.store.Records()
	w.log.Info("all records are here", "services", records.Services, "endpoints", records.Endpoints, "namespaces", records.Namespaces)
	<-ctx.Done()
	return nil
}

// follow lists and watches one kind in the background.
func follow(ctx context.Context, running *sync.WaitGroup, c *rest.RESTClient, resource string, kind runtime.Object, s cache.ReflectorStore, narrow func(*metav1.ListOptions)) {
	if narrow == nil {
		narrow = func(*metav1.ListOptions) {}
	}
	lw := cache.NewFilteredListWatchFromClient(c, resource, metav1.NamespaceAll, narrow)
	r := cache.NewReflectorWithOptions(lw, kind, s, cache.ReflectorOptions{Name: "dns/" + resource, Backoff: backoff()})
	running.Go(func() { r.RunWithContext(ctx) })
}

// followPods has the pods in the store while they are wanted.
func (w *Watcher) followPods(ctx context.Context, core *rest.RESTClient) {
	for ctx.Err() == nil {
		if w.verify.Load() {
			w.podsUntil(ctx, core)
			continue
		}
		select {
		case <-ctx.Done():
		case <-w.verifyChanged:
		}
	}
}

// podsUntil follows the pods until they are no longer wanted, and forgets them then.
func (w *Watcher) podsUntil(ctx context.Context, core *rest.RESTClient) {
	following, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	s := newSink(w.store, func(o *corev1.Pod) { w.pod(o) }, w.store.DeletePod)
	// Pods that have ended have given their address back.
	alive := fields.AndSelectors(
		fields.OneTermNotEqualSelector("status.phase", string(corev1.PodSucceeded)),
		fields.OneTermNotEqualSelector("status.phase", string(corev1.PodFailed))).String()
	follow(following, &running, core, "pods", &corev1.Pod{}, s, func(o *metav1.ListOptions) { o.FieldSelector = alive })
	for w.verify.Load() && ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-w.verifyChanged:
		}
	}
	cancel()
	running.Wait()
	_ = s.Replace(nil, "") // never fails
}

// waitReady returns when the API server calls itself ready. A reflector that starts earlier would meet an API server
// that refuses it, for its roles do not exist yet, and then wait longer than the rest of the start takes.
func (w *Watcher) waitReady(ctx context.Context) error {
	c, err := rest.HTTPClientFor(w.api)
	if err != nil {
		return fmt.Errorf("make a client for the API server: %w", err)
	}
	defer c.CloseIdleConnections()
	for pause := firstPause; ; pause = min(pause*11/10, lastPause) {
		err := ask(ctx, c, w.api.Host+"/readyz")
		if err == nil {
			return nil
		}
		w.log.Debug("the API server is not ready", "cause", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

func ask(ctx context.Context, c *http.Client, url string) error {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection can be used again
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return err
}

// client knows the types of one group and nothing else; the usual clientset links and registers all of Kubernetes'.
func client(api *rest.Config, path string, group schema.GroupVersion, add func(*runtime.Scheme) error) (*rest.RESTClient, error) {
	scheme := runtime.NewScheme()
	if err := add(scheme); err != nil {
		return nil, fmt.Errorf("make a client for %s: %w", group, err)
	}
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	cfg := rest.CopyConfig(api)
	cfg.APIPath, cfg.GroupVersion = path, &group
	cfg.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	cfg.ContentType = runtime.ContentTypeProtobuf
	// One list per kind, and then watches: there is nothing to hold back.
	cfg.QPS = -1
	c, err := rest.RESTClientFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("make a client for %s: %w", group, err)
	}
	return c, nil
}
