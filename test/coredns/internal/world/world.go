// Package world generates random sets of the API objects from which cluster DNS is answered, small steps from one set
// to the next, and questions about them. Everything is determined by a seed.
package world

import (
	"iter"
	"maps"
	"math/rand/v2"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// LocalAddress is where the DNS server itself listens: the endpoint of kube-dns that always exists, from which the NS
// records of the zone are derived.
const LocalAddress = "10.244.7.7"

// World is one set of objects, by "namespace/name". The objects are never changed: a step replaces them.
type World struct {
	Namespaces map[string]*corev1.Namespace
	Services   map[string]*corev1.Service
	Slices     map[string]*discoveryv1.EndpointSlice
	Pods       map[string]*corev1.Pod
}

// Clone can be changed without changing w.
func (w *World) Clone() *World {
	return &World{maps.Clone(w.Namespaces), maps.Clone(w.Services), maps.Clone(w.Slices), maps.Clone(w.Pods)}
}

// Objects are all of them in a fixed order.
func (w *World) Objects() []metav1.Object {
	var all []metav1.Object
	for _, key := range slices.Sorted(maps.Keys(w.Namespaces)) {
		all = append(all, w.Namespaces[key])
	}
	for _, key := range slices.Sorted(maps.Keys(w.Services)) {
		all = append(all, w.Services[key])
	}
	for _, key := range slices.Sorted(maps.Keys(w.Slices)) {
		all = append(all, w.Slices[key])
	}
	for _, key := range slices.Sorted(maps.Keys(w.Pods)) {
		all = append(all, w.Pods[key])
	}
	return all
}

// Smaller are worlds that have slightly less in them than w: without an object, or with half of the endpoints of a
// slice.
func (w *World) Smaller() iter.Seq[*World] {
	return func(yield func(*World) bool) {
		for _, o := range w.Objects() {
			if !yield(w.without(o)) {
				return
			}
		}
		for _, key := range slices.Sorted(maps.Keys(w.Slices)) {
			all := w.Slices[key].Endpoints
			if len(all) < 2 {
				continue
			}
			for _, half := range [][]discoveryv1.Endpoint{all[:len(all)/2], all[len(all)/2:]} {
				out := w.Clone()
				out.Slices[key] = w.Slices[key].DeepCopy()
				out.Slices[key].Endpoints = half
				if !yield(out) {
					return
				}
			}
		}
	}
}

func (w *World) without(o metav1.Object) *World {
	out := w.Clone()
	key := o.GetNamespace() + "/" + o.GetName()
	switch o.(type) {
	case *corev1.Namespace:
		delete(out.Namespaces, o.GetName())
	case *corev1.Service:
		delete(out.Services, key)
	case *discoveryv1.EndpointSlice:
		delete(out.Slices, key)
	case *corev1.Pod:
		delete(out.Pods, key)
	}
	return out
}

// Generator generates worlds and questions.
type Generator struct {
	*rand.Rand
	// Every ClusterIP is used once, as with the API server.
	addresses int
}

// New returns the generator for a seed.
func New(seed uint64) *Generator {
	return &Generator{Rand: rand.New(rand.NewPCG(seed, 0x626f6e736169))}
}

// one in n.
func (g *Generator) one(n int) bool { return g.IntN(n) == 0 }

func pick[T any](g *Generator, from ...T) T { return from[g.IntN(len(from))] }

// The pools are small so that names collide: a service named like a namespace, a namespace named like a part of the
// schema, a hostname like another endpoint's dashed address.
var (
	namespaces   = []string{"default", "kube-system", "a", "b", "web", "svc", "pod", "team-1", "com", "dns", "cluster", "local", "x--y", "n23456789-123456789-123456789-123456789-123456789-123456789-123"}
	serviceNames = []string{"web", "db", "a", "b", "c", "svc", "pod", "ns", "dns", "dns-version", "apex", "api-v1", "web-0", "kubernetes", "default", "s23456789-123456789-123456789-123456789-123456789-123456789-123"}
	hostnames    = []string{"web-0", "web-1", "db-0", "a", "svc", "pod", "10-244-0-1", "h23456789-123456789-123456789-123456789-123456789-123456789-123"}
	portNames    = []string{"http", "https", "dns", "dns-tcp", "p", "udp", "tcp", "a-b"}
	protocols    = []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP}
)

// World generates a new set of objects. The API server, kube-dns and its namespace always exist.
func (g *Generator) World() *World {
	w := &World{
		Namespaces: map[string]*corev1.Namespace{},
		Services:   map[string]*corev1.Service{},
		Slices:     map[string]*discoveryv1.EndpointSlice{},
		Pods:       map[string]*corev1.Pod{},
	}
	for _, name := range []string{"default", "kube-system"} {
		w.Namespaces[name] = namespace(name)
	}
	g.addKubeDNS(w)
	for range 2 + g.IntN(6) {
		g.addNamespace(w)
	}
	for range 4 + g.IntN(20) {
		g.addService(w)
	}
	for range g.IntN(10) {
		g.addPod(w)
	}
	if g.one(5) {
		g.addChain(w)
	}
	return w
}

// Step is w after a few random changes.
func (g *Generator) Step(w *World) *World {
	out := w.Clone()
	for range 1 + g.IntN(8) {
		switch g.IntN(12) {
		case 0:
			g.addNamespace(out)
		case 1:
			g.remove(out, &corev1.Namespace{})
		case 2, 3:
			g.addService(out)
		case 4:
			g.changeService(out)
		case 5:
			g.remove(out, &corev1.Service{})
		case 6, 7, 8:
			g.changeSlice(out)
		case 9:
			g.remove(out, &discoveryv1.EndpointSlice{})
		case 10:
			g.addPod(out)
		case 11:
			g.remove(out, &corev1.Pod{})
		}
	}
	return out
}

// remove removes any object of a kind, whatever else refers to it, but nothing of kube-system.
func (g *Generator) remove(w *World, kind metav1.Object) {
	switch kind.(type) {
	case *corev1.Namespace:
		if key, ok := g.key(slices.Sorted(maps.Keys(w.Namespaces))); ok && key != "kube-system" {
			delete(w.Namespaces, key)
		}
	case *corev1.Service:
		if key, ok := g.key(slices.Sorted(maps.Keys(w.Services))); ok && key != "kube-system/kube-dns" {
			delete(w.Services, key)
		}
	case *discoveryv1.EndpointSlice:
		if key, ok := g.key(slices.Sorted(maps.Keys(w.Slices))); ok && key != "kube-system/kube-dns-own" {
			delete(w.Slices, key)
		}
	case *corev1.Pod:
		if key, ok := g.key(slices.Sorted(maps.Keys(w.Pods))); ok {
			delete(w.Pods, key)
		}
	}
}

func (g *Generator) key(keys []string) (string, bool) {
	if len(keys) == 0 {
		return "", false
	}
	return keys[g.IntN(len(keys))], true
}

func namespace(name string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

func (g *Generator) addNamespace(w *World) {
	name := pick(g, namespaces...)
	w.Namespaces[name] = namespace(name)
}

// namespaceName is mostly one that exists.
func (g *Generator) namespaceName(w *World) string {
	if g.one(12) {
		return pick(g, namespaces...)
	}
	return pick(g, slices.Sorted(maps.Keys(w.Namespaces))...)
}

func (g *Generator) addPod(w *World) {
	name := pick(g, hostnames...)
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: g.namespaceName(w), Name: name}}
	for range g.IntN(3) {
		pod.Status.PodIPs = append(pod.Status.PodIPs, corev1.PodIP{IP: g.endpointAddress(g.one(2))})
	}
	if len(pod.Status.PodIPs) > 0 {
		pod.Status.PodIP = pod.Status.PodIPs[0].IP
	}
	pod.Status.Phase = corev1.PodRunning
	w.Pods[pod.Namespace+"/"+name] = pod
}
