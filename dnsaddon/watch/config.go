package watch

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/rest"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/kubewatch"
	"bonsai/dnsaddon/corefile"
	"bonsai/dnsaddon/zone"
)

// podsLimit is how long a new configuration that verifies pod names waits for the pods. Without them it would deny
// names that exist, and clients cache that for longer.
const podsLimit = 2 * time.Second

// The ConfigMaps in kube-system with the configuration: the user's, and what he chose of the addon's settings.
const (
	coreDNS       = cluster.DNSConfigMap
	dnsValues     = cluster.DNSValuesMap
	coreDNSCustom = "coredns-custom"
	kubeDNS       = "kube-dns"
)

// configWatch follows the ConfigMaps, each with its own watch: the node may read only these.
type configWatch struct {
	w      *Watcher
	core   *rest.RESTClient
	events *eventWriter
	// applied is closed when the first configuration is in effect.
	applied chan struct{}
	// news has room for one.
	news chan struct{}

	mu   sync.Mutex // guards what is in maps
	maps map[string]*configMap
}

// configMap is one ConfigMap and the sink of its watch.
type configMap struct {
	of   *configWatch
	name string
	// known reports that it has been looked for; found is nil if it does not exist.
	known bool
	found *corev1.ConfigMap
}

func newConfigWatch(w *Watcher, core *rest.RESTClient) *configWatch {
	c := &configWatch{
		w: w, core: core, events: newEventWriter(core, w.log),
		applied: make(chan struct{}), news: make(chan struct{}, 1), maps: map[string]*configMap{},
	}
	for _, name := range []string{coreDNS, dnsValues, coreDNSCustom, kubeDNS} {
		c.maps[name] = &configMap{of: c, name: name}
	}
	return c
}

// follow runs everything in the background.
func (c *configWatch) follow(ctx context.Context, running *sync.WaitGroup) {
	for name, m := range c.maps {
		k := kubewatch.Kind{
			Client: c.core, Resource: "configmaps", Namespace: metav1.NamespaceSystem, Example: &corev1.ConfigMap{}, Sink: m,
			FieldSelector: fields.OneTermEqualSelector("metadata.name", name).String(),
		}
		running.Go(func() { k.Follow(ctx, c.w.log) })
	}
	running.Go(func() { c.run(ctx) })
	running.Go(func() { c.events.run(ctx) })
}

// run applies one configuration after the other.
func (c *configWatch) run(ctx context.Context) {
	var last corefile.Sources
	reported := map[string]bool{}
	for first := true; ; {
		select {
		case <-ctx.Done():
			return
		case <-c.news:
		}
		src, origin, complete := c.sources()
		if !complete || !first && same(src, last) {
			continue
		}
		reported = c.apply(ctx, src, origin, reported)
		last = src
		if first {
			close(c.applied)
			first = false
		}
	}
}

// sources are the ConfigMaps' data, and the ConfigMaps themselves without it. They are complete when all have been
// looked for: a partial configuration must not be applied.
func (c *configWatch) sources() (src corefile.Sources, origin map[string]metav1.ObjectMeta, complete bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	origin = map[string]metav1.ObjectMeta{}
	data := func(name string) map[string]string {
		m := c.maps[name]
		if m.found == nil {
			return nil
		}
		origin[name] = m.found.ObjectMeta
		if m.found.Data == nil {
			return map[string]string{} // a ConfigMap that exists
		}
		return m.found.Data
	}
	src = corefile.Sources{Corefile: data(coreDNS), Values: data(dnsValues), Custom: data(coreDNSCustom), KubeDNS: data(kubeDNS)}
	for _, m := range c.maps {
		if !m.known {
			return src, origin, false
		}
	}
	return src, origin, true
}

func same(a, b corefile.Sources) bool {
	equal := func(a, b map[string]string) bool { return (a == nil) == (b == nil) && maps.Equal(a, b) }
	return equal(a.Corefile, b.Corefile) && equal(a.Values, b.Values) && equal(a.Custom, b.Custom) && equal(a.KubeDNS, b.KubeDNS)
}

// apply applies a configuration, reports its problems unless they are in reported, and returns them.
func (c *configWatch) apply(ctx context.Context, src corefile.Sources, origin map[string]metav1.ObjectMeta, reported map[string]bool) map[string]bool {
	pods := c.w.pods
	if config, _ := corefile.Parse(src, corefile.Defaults{}); config.Zone.Pods == zone.Verified {
		pods.want(true)
		waiting, cancel := context.WithTimeout(ctx, podsLimit)
		if err := pods.wait(waiting); errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			c.w.log.Warn("pod names are verified although not all pods are known yet", "waited", podsLimit)
		}
		cancel()
	}
	problems := c.w.configure(src)
	// The result matters: if a text cannot be parsed, an older one stays in effect.
	pods.want(c.w.store.View().Pods == zone.Verified)
	now := map[string]bool{}
	for _, p := range problems {
		now[p.Object+p.Summary] = true
		if !reported[p.Object+p.Summary] && p.Severity != cluster.SeverityInfo {
			c.w.log.Warn("the configuration of cluster DNS has a problem", "object", p.Object, "problem", p.Summary, "cause", p.Cause)
			c.events.add(p, origin)
		}
	}
	return now
}

func (m *configMap) Add(obj any) error {
	if o, ok := obj.(*corev1.ConfigMap); ok && o.Name == m.name {
		m.set(o)
	}
	return nil
}

func (m *configMap) Update(obj any) error { return m.Add(obj) }

func (m *configMap) Delete(obj any) error {
	if o, ok := obj.(*corev1.ConfigMap); ok && o.Name == m.name {
		m.set(nil)
	}
	return nil
}

func (m *configMap) Replace(list []any, _ string) error {
	var found *corev1.ConfigMap
	for _, obj := range list {
		if o, ok := obj.(*corev1.ConfigMap); ok && o.Name == m.name {
			found = o
		}
	}
	m.set(found)
	return nil
}

// Resync is never called.
func (m *configMap) Resync() error { return nil }

// set stores the ConfigMap, nil if there is none.
func (m *configMap) set(o *corev1.ConfigMap) {
	m.of.mu.Lock()
	m.known, m.found = true, o
	m.of.mu.Unlock()
	select {
	case m.of.news <- struct{}{}:
	default: // a wake-up is already pending
	}
}
