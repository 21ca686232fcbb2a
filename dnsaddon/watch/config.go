package watch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"bonsai/bootstrap/cluster"
	"bonsai/dnsaddon/corefile"
)

const (
	// ReasonConfigProblem is the reason of the Warning Events about the configuration.
	ReasonConfigProblem = "DNSConfigProblem"
	// tellLimit bounds the writing of Events.
	tellLimit = 5 * time.Second
)

// configWatch follows the user's ConfigMaps, each by a watch of its own: the node may read these three and no others.
type configWatch struct {
	w    *Watcher
	core *rest.RESTClient
	// first are closed when each ConfigMap has been looked for.
	first []<-chan struct{}
	maps  []*configMap
	// applying lets one configuration after the other come into force, and guards the data of maps and told.
	applying sync.Mutex
	told     map[string]bool
}

// configMap is the sink of one ConfigMap.
type configMap struct {
	of   *configWatch
	name string
	data map[string]string
	uid  string
	done chan struct{}
	once sync.Once
}

func newConfigWatch(w *Watcher, core *rest.RESTClient) *configWatch {
	c := &configWatch{w: w, core: core, told: map[string]bool{}}
	for _, name := range []string{"coredns", "coredns-custom", "kube-dns"} {
		m := &configMap{of: c, name: name, done: make(chan struct{})}
		c.maps = append(c.maps, m)
		c.first = append(c.first, m.done)
	}
	return c
}

func (c *configWatch) follow(ctx context.Context, running *sync.WaitGroup) {
	for _, m := range c.maps {
		lw := cache.NewListWatchFromClient(c.core, "configmaps", metav1.NamespaceSystem, fields.OneTermEqualSelector("metadata.name", m.name))
		r := cache.NewReflectorWithOptions(lw, &corev1.ConfigMap{}, m, cache.ReflectorOptions{Name: "dns/" + m.name, Backoff: backoff()})
		running.Go(func() { r.RunWithContext(ctx) })
	}
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

// Resync is never asked for.
func (m *configMap) Resync() error { return nil }

// set takes in a ConfigMap, nil if there is none, and has it applied if it says something new.
func (m *configMap) set(o *corev1.ConfigMap) {
	c := m.of
	c.applying.Lock()
	defer c.applying.Unlock()
	var data map[string]string
	if o != nil {
		data = o.Data
		if data == nil {
			data = map[string]string{}
		}
		m.uid = string(o.UID)
	}
	known := false
	select {
	case <-m.done:
		known = true
	default:
	}
	same := known && (data == nil) == (m.data == nil) && maps.Equal(data, m.data)
	m.data = data
	m.once.Do(func() { close(m.done) })
	if !same && c.complete() {
		c.apply()
	}
}

// complete says whether all ConfigMaps have been looked for: half of a configuration is none.
func (c *configWatch) complete() bool {
	for _, done := range c.first {
		select {
		case <-done:
		default:
			return false
		}
	}
	return true
}

// settle returns when no configuration is on its way into force.
func (c *configWatch) settle() {
	c.applying.Lock()
	defer c.applying.Unlock()
}

func (c *configWatch) apply() {
	problems := c.w.configure(corefile.Sources{Corefile: c.maps[0].data, Custom: c.maps[1].data, KubeDNS: c.maps[2].data})
	current := map[string]bool{}
	for _, p := range problems {
		id := eventName(p)
		current[id] = true
		if !c.told[id] {
			c.tell(id, p)
		}
	}
	c.told = current
}

// eventName is the same in every node, so that one of them tells and the others find it told.
func eventName(p cluster.Problem) string {
	sum := sha256.Sum256([]byte(p.Object + "\x00" + p.Summary + "\x00" + p.Cause))
	return "dns-config." + hex.EncodeToString(sum[:8])
}

// tell writes a Warning Event on the ConfigMap that a problem is about. It is worth a try and no more.
func (c *configWatch) tell(id string, p cluster.Problem) {
	name := p.Object[strings.LastIndexByte(p.Object, '/')+1:]
	c.w.log.Warn("the configuration of cluster DNS has a problem", "object", p.Object, "problem", p.Summary, "cause", p.Cause)
	now := metav1.Now()
	message := p.Summary
	if p.Cause != "" {
		message += ": " + p.Cause
	}
	event := &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: metav1.NamespaceSystem, Name: id},
		InvolvedObject: corev1.ObjectReference{APIVersion: "v1", Kind: "ConfigMap", Namespace: metav1.NamespaceSystem, Name: name},
		Type:           corev1.EventTypeWarning, Reason: ReasonConfigProblem, Message: message,
		Source: corev1.EventSource{Component: "bonsai-dns"}, FirstTimestamp: now, LastTimestamp: now, Count: 1,
	}
	for _, m := range c.maps {
		if m.name == name {
			event.InvolvedObject.UID = types.UID(m.uid)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), tellLimit)
	defer cancel()
	err := c.core.Post().Namespace(metav1.NamespaceSystem).Resource("events").Body(event).Do(ctx).Error()
	if err != nil && !apierrors.IsAlreadyExists(err) {
		c.w.log.Warn("the problem cannot be told as an event", "cause", err)
	}
}
