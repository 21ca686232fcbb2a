package coredns

import (
	"context"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/bootstrap/cluster"
	"bonsai/dnsaddon/forward"
	"bonsai/dnsaddon/forward/cache"
	"bonsai/dnsaddon/server"
	"bonsai/dnsaddon/wire"
	"bonsai/dnsaddon/zone"
	"bonsai/test/coredns/internal/world"
)

// bonsai is bonsai's DNS server in this process, on a socket, without the watches. From one world to the next it gets
// every change on its own, in random order, as it does in a cluster.
type bonsai struct {
	store  *zone.Store
	server *server.Server
	now    *world.World
	order  *rand.Rand
}

func startBonsai(t *testing.T, pods zone.PodMode, upstream string) *bonsai {
	t.Helper()
	b := &bonsai{
		store: zone.NewStore(zone.Options{
			Domain: "cluster.local", TTL: 30, Pods: pods, Local: []netip.Addr{netip.MustParseAddr(world.LocalAddress)},
		}),
		now:   &world.World{},
		order: rand.New(rand.NewPCG(*seed, 1)),
	}
	// The limits are those of kubeadm's "cache 30".
	clock := time.Now()
	forwarder := forward.New(forward.Options{Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return clock }})
	limits := cache.Limits{Max: 30 * time.Second}
	forwarder.Configure([]forward.Zone{{Name: ".", Upstreams: []string{upstream}, Cache: forward.CacheOptions{Success: limits, Denial: limits}}})
	b.server = server.New(server.Options{
		Zone: b.store, Forward: ageless{forwarder, clock}, Registry: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler), Feed: nobody{},
		Listen: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 2)
	go func() { done <- b.server.Run(ctx) }()
	go func() { forwarder.Run(ctx); done <- nil }()
	t.Cleanup(func() {
		cancel()
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
	select {
	case <-b.server.Ready():
	case err := <-done:
		t.Fatal(err)
	}
	return b
}

// nobody watches.
type nobody struct{}

// ageless has a cache in which no time passes: its answers are compared, too.
type ageless struct {
	*forward.Forwarder
	now time.Time
}

func (a ageless) AppendCached(dst []byte, q *wire.Query, limit int, _ time.Time) ([]byte, bool) {
	return a.Forwarder.AppendCached(dst, q, limit, a.now)
}

func (b *bonsai) Addresses() (udp, tcp string) {
	addr := b.server.Listening()[0].String()
	return addr, addr
}

// Set changes what differs from the last world.
func (b *bonsai) Set(w *world.World) error {
	var changes []func()
	changes = append(changes, changed(b.now.Namespaces, w.Namespaces,
		func(o *corev1.Namespace) { b.store.SetNamespace(o.Name) },
		func(o *corev1.Namespace) { b.store.DeleteNamespace(o.Name) })...)
	changes = append(changes, changed(b.now.Services, w.Services,
		func(o *corev1.Service) { b.store.SetService(service(o)) },
		func(o *corev1.Service) { b.store.DeleteService(o.Namespace, o.Name) })...)
	changes = append(changes, changed(b.now.Slices, w.Slices,
		func(o *discoveryv1.EndpointSlice) { b.store.SetSlice(slice(o)) },
		func(o *discoveryv1.EndpointSlice) { b.store.DeleteSlice(o.Namespace, o.Name) })...)
	changes = append(changes, changed(b.now.Pods, w.Pods,
		func(o *corev1.Pod) { b.store.SetPod(pod(o)) },
		func(o *corev1.Pod) { b.store.DeletePod(o.Namespace, o.Name) })...)
	b.order.Shuffle(len(changes), func(i, j int) { changes[i], changes[j] = changes[j], changes[i] })
	for _, change := range changes {
		change()
	}
	b.store.SetSynced()
	b.now = w
	return nil
}

// changed is a call for each object that is new, different or gone.
func changed[T metav1.Object](was, is map[string]T, set, remove func(T)) []func() {
	var calls []func()
	for _, key := range slices.Sorted(maps.Keys(is)) {
		o := is[key]
		if old, ok := was[key]; !ok || any(old) != any(o) {
			calls = append(calls, func() { set(o) })
		}
	}
	for _, key := range slices.Sorted(maps.Keys(was)) {
		if _, ok := is[key]; !ok {
			o := was[key]
			calls = append(calls, func() { remove(o) })
		}
	}
	return calls
}

func service(o *corev1.Service) zone.Service {
	s := zone.Service{
		Namespace: o.Namespace, Name: o.Name, Type: string(o.Spec.Type), ExternalName: o.Spec.ExternalName,
		ClusterIPs: o.Spec.ClusterIPs,
	}
	if len(s.ClusterIPs) == 0 && o.Spec.ClusterIP != "" {
		s.ClusterIPs = []string{o.Spec.ClusterIP}
	}
	for _, p := range o.Spec.Ports {
		s.Ports = append(s.Ports, zone.Port{Name: p.Name, Protocol: string(p.Protocol), Number: p.Port})
	}
	return s
}

func slice(o *discoveryv1.EndpointSlice) zone.Slice {
	s := zone.Slice{Namespace: o.Namespace, Name: o.Name, Service: o.Labels[discoveryv1.LabelServiceName]}
	for _, e := range o.Endpoints {
		s.Endpoints = append(s.Endpoints, zone.Endpoint{Addresses: e.Addresses, Hostname: value(e.Hostname), Ready: e.Conditions.Ready})
	}
	for _, p := range o.Ports {
		s.Ports = append(s.Ports, zone.Port{Name: value(p.Name), Protocol: string(value(p.Protocol)), Number: value(p.Port)})
	}
	return s
}

func pod(o *corev1.Pod) zone.Pod {
	p := zone.Pod{Namespace: o.Namespace, Name: o.Name}
	for _, ip := range o.Status.PodIPs {
		p.IPs = append(p.IPs, ip.IP)
	}
	return p
}

func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

func (nobody) Active() bool             { return false }
func (nobody) Publish(cluster.DNSQuery) {}
