package metricsserver

import (
	"context"
	"fmt"
	"net/http"

	apidiscoveryv2 "k8s.io/api/apidiscovery/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/informers"
	v1listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"
	registrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	metricsv1beta1 "k8s.io/metrics/pkg/apis/metrics/v1beta1"
	"sigs.k8s.io/metrics-server/pkg/scraper"
	"sigs.k8s.io/metrics-server/pkg/storage"

	"bonsai/controlplane/addons"
)

// Run reads figures and serves the API until ctx ends.
func (a *Addon) Run(ctx context.Context, c addons.Cluster) error {
	meta, err := metadata.NewForConfig(c.Config)
	if err != nil {
		return fmt.Errorf("prepare a client for pods: %w", err)
	}
	return a.run(ctx, c, meta, proxied(c.Client))
}

// run is Run with its ways to the cluster.
func (a *Addon) run(ctx context.Context, c addons.Cluster, pods metadata.Interface, pages pageSource) error {
	ctx, cancel := context.WithCancel(ctx)
	core := informers.NewSharedInformerFactory(c.Client, 0)
	running := metadatainformer.NewFilteredSharedInformerFactory(pods, 0, metav1.NamespaceAll, func(o *metav1.ListOptions) {
		o.FieldSelector = "status.phase=" + string(corev1.PodRunning) // as upstream does: others use nothing
	})
	registered := dynamicinformer.NewFilteredDynamicSharedInformerFactory(c.Dynamic, 0, metav1.NamespaceAll, func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, apiService).String()
	})
	defer func() {
		cancel()
		core.Shutdown()
		running.Shutdown()
		registered.Shutdown()
	}()

	nodes := core.Core().V1().Nodes()
	podInformer := running.ForResource(corev1.SchemeGroupVersion.WithResource("pods"))
	if err := podInformer.Informer().SetTransform(onlyLabels); err != nil {
		return fmt.Errorf("follow pods: %w", err)
	}
	store := storage.NewStorage(storedResolution)
	f := newFigures(scraper.NewScraper(nodes.Lister(), kubelets{pages}, c.Scale.Of(scrapeLimit), nil), store, func() []string { return readyNodes(nodes.Lister()) }, c.Notify)
	api, version, err := newAPI(c.Config, store, podInformer.Lister(), nodes.Lister())
	if err != nil {
		return fmt.Errorf("make the API %s: %w", metricsv1beta1.GroupName, err)
	}
	if _, err := nodes.Informer().AddEventHandler(onReadiness(f.soon)); err != nil {
		return fmt.Errorf("follow nodes: %w", err)
	}
	registrations := registered.ForResource(registrationv1.SchemeGroupVersion.WithResource("apiservices"))
	place := &place{a: a, c: c, version: version, api: f.before(api)}
	if _, err := registrations.Informer().AddEventHandler(place.handler()); err != nil {
		return fmt.Errorf("follow APIService %s: %w", apiService, err)
	}

	core.StartWithContext(ctx)
	running.Start(ctx.Done())
	registered.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), nodes.Informer().HasSynced, podInformer.Informer().HasSynced, registrations.Informer().HasSynced) {
		return context.Cause(ctx)
	}
	a.set(c, func() { a.figures = f })
	defer func() {
		place.end()
		a.set(c, func() { a.figures, a.elsewhere = nil, "" })
	}()
	f.run(ctx)
	return context.Cause(ctx)
}

// onlyLabels drops what the API does not show of a pod.
func onlyLabels(object any) (any, error) {
	if pod, ok := object.(*metav1.PartialObjectMetadata); ok {
		pod.Annotations, pod.ManagedFields, pod.OwnerReferences, pod.Finalizers = nil, nil, nil, nil
	}
	return object, nil
}

// onReadiness calls changed when a node comes, goes, becomes Ready or stops being so.
func onReadiness(changed func()) cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { changed() },
		DeleteFunc: func(any) { changed() },
		UpdateFunc: func(before, now any) {
			if isReady(before.(*corev1.Node)) != isReady(now.(*corev1.Node)) {
				changed()
			}
		},
	}
}

func isReady(n *corev1.Node) bool {
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// place serves the API as long as its APIService names no Service: then somebody else serves it. The informer calls it, one event
// after the other.
type place struct {
	a       *Addon
	c       addons.Cluster
	version apidiscoveryv2.APIVersionDiscovery
	api     http.Handler
	stop    func() // while it is served; Addon.mu guards it
	ended   bool
}

func (p *place) handler() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { p.follow(o) },
		UpdateFunc: func(_, o any) { p.follow(o) },
		DeleteFunc: func(any) { p.set(false, "") },
	}
}

func (p *place) follow(object any) {
	u, ok := object.(*unstructured.Unstructured)
	if !ok {
		return
	}
	namespace, _, _ := unstructured.NestedString(u.Object, "spec", "service", "namespace")
	name, _, _ := unstructured.NestedString(u.Object, "spec", "service", "name")
	if name == "" {
		p.set(true, "")
		return
	}
	p.set(false, namespace+"/"+name)
}

// set begins or ends serving. elsewhere is the Service that serves instead.
func (p *place) set(here bool, elsewhere string) {
	p.a.set(p.c, func() {
		p.a.elsewhere = elsewhere
		switch {
		case here && p.stop == nil && !p.ended:
			p.stop = p.c.Groups.Serve(metricsv1beta1.GroupName, p.version, p.api)
		case !here && p.stop != nil:
			p.stop()
			p.stop = nil
		}
	})
}

// end ends serving for good.
func (p *place) end() {
	p.a.set(p.c, func() { p.ended = true })
	p.set(false, "")
}

// readyNodes are the names of the nodes that are Ready.
func readyNodes(nodes v1listers.NodeLister) (names []string) {
	list, _ := nodes.List(labels.Everything()) // from a cache, which cannot fail
	for _, n := range list {
		if isReady(n) {
			names = append(names, n.Name)
		}
	}
	return names
}
