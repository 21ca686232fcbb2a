package watch

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/kubewatch"
	"bonsai/dnsaddon/corefile"
	"bonsai/dnsaddon/zone"
)

func TestMain(m *testing.M) {
	klog.StopFlushDaemon()
	klog.SetSlogLogger(slog.New(slog.DiscardHandler)) // the servers here are away on purpose
	goleak.VerifyTestMain(m)
}

// node is a Watcher at work, with what a DNS server has around it. Tests run in a bubble of testing/synctest: time
// stands still while anything happens, and settle returns when nothing does.
type node struct {
	t       *testing.T
	api     *fakeAPI
	store   *zone.Store
	watcher *Watcher
	reader  corefile.Reader
	log     bytes.Buffer // the watcher's; to be read while nothing happens

	mu         sync.Mutex // guards what follows
	configs    []corefile.Config
	programmed []string
	// configured is called at the moment when a configuration is in force.
	configured func(corefile.Config)

	stop func()
}

// start begins to follow an API server. Node must be stopped.
func start(t *testing.T, api *fakeAPI) *node {
	t.Helper()
	n := &node{t: t, api: api, store: zone.NewStore(zone.Options{TTL: 30})}
	n.watcher = New(api.config(), n.store, n.configure, func(kind string, took time.Duration) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.programmed = append(n.programmed, fmt.Sprint(kind, " ", took))
	}, slog.New(slog.NewTextHandler(&n.log, nil)))
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := n.watcher.Run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	n.stop = func() { cancel(); running.Wait() }
	return n
}

func (n *node) configure(src corefile.Sources) []cluster.Problem {
	config, problems := n.reader.Read(src)
	n.mu.Lock()
	n.configs = append(n.configs, config)
	configured := n.configured
	n.mu.Unlock()
	n.store.SetOptions(config.Zone)
	if configured != nil {
		configured(config)
	}
	return problems
}

// want checks answers: "name TYPE" to rcode and data.
func (n *node) want(answers map[string]string) {
	n.t.Helper()
	synctest.Wait()
	for question, want := range answers {
		name, qtype, _ := strings.Cut(question, " ")
		a := n.store.View().Lookup(name, dns.StringToType[qtype])
		got := dns.RcodeToString[a.Rcode]
		if !a.In {
			got = "not ours"
		}
		var data []string
		for _, rr := range a.Answer {
			data = append(data, strings.TrimPrefix(rr.String(), rr.Header().String()))
		}
		slices.Sort(data)
		if got = strings.Join(append([]string{got}, data...), " "); got != want {
			n.t.Errorf("%s: got %q, want %q", question, got, want)
		}
	}
}

func (n *node) isSynced() bool {
	synctest.Wait()
	select {
	case <-n.watcher.Synced():
		return true
	default:
		return false
	}
}

// bubble runs a test in which time is made up.
func bubble(t *testing.T, test func(t *testing.T, api *fakeAPI)) {
	synctest.Test(t, func(t *testing.T) { test(t, newFakeAPI(t)) })
}

func named(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name}
}

func namespaceObject(name string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: named("", name)}
}

func serviceObject(namespace, name string, ips ...string) *corev1.Service {
	return &corev1.Service{ObjectMeta: named(namespace, name), Spec: corev1.ServiceSpec{
		ClusterIP: ips[0], ClusterIPs: ips, Type: corev1.ServiceTypeClusterIP,
		Ports: []corev1.ServicePort{{Name: "http", Port: 80, Protocol: corev1.ProtocolTCP}},
	}}
}

func sliceObject(namespace, service, suffix string, addresses ...string) *discoveryv1.EndpointSlice {
	port, name, protocol := int32(8080), "http", corev1.ProtocolTCP
	s := &discoveryv1.EndpointSlice{
		ObjectMeta:  named(namespace, service+"-"+suffix),
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: &name, Port: &port, Protocol: &protocol}},
	}
	s.Labels = map[string]string{discoveryv1.LabelServiceName: service}
	for _, a := range addresses {
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Addresses: []string{a}})
	}
	return s
}

func configMapObject(name, key, text string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: named("kube-system", name), Data: map[string]string{key: text}}
}

func podObject(name, ip string, phase corev1.PodPhase) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: named("default", name), Status: corev1.PodStatus{Phase: phase}}
	if ip != "" {
		p.Status.PodIPs = []corev1.PodIP{{IP: ip}}
	}
	return p
}

// fill makes a small cluster.
func fill(api *fakeAPI) {
	hostname, no := "db-0", false
	headless := sliceObject("default", "db", "x1", "10.1.0.1", "10.1.0.2")
	headless.Endpoints[0].Hostname = &hostname
	headless.Endpoints[1].Conditions.Ready = &no
	unlabelled := sliceObject("default", "web", "nobody", "10.1.9.9")
	unlabelled.Labels = nil
	external := &corev1.Service{ObjectMeta: named("default", "ext"), Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "example.org"}}
	old := serviceObject("default", "old", "10.96.0.9")
	old.Spec.ClusterIPs = nil // as clusters before dual stack had it
	api.put(namespaceObject("default"), namespaceObject("kube-system"), serviceObject("default", "web", "10.96.0.5", "fd00::5"),
		serviceObject("default", "db", "None"), headless, unlabelled, external, old)
}

var small = map[string]string{
	"web.default.svc.cluster.local. A":              "NOERROR 10.96.0.5",
	"web.default.svc.cluster.local. AAAA":           "NOERROR fd00::5",
	"_http._tcp.web.default.svc.cluster.local. SRV": "NOERROR 0 50 80 web.default.svc.cluster.local.",
	"db.default.svc.cluster.local. A":               "NOERROR 10.1.0.1",
	"db-0.db.default.svc.cluster.local. A":          "NOERROR 10.1.0.1",
	"1.0.1.10.in-addr.arpa. PTR":                    "NOERROR db-0.db.default.svc.cluster.local.",
	"9.9.1.10.in-addr.arpa. PTR":                    "not ours",
	"ext.default.svc.cluster.local. CNAME":          "NOERROR example.org.",
	"old.default.svc.cluster.local. A":              "NOERROR 10.96.0.9",
	"1-2-3-4.default.pod.cluster.local. A":          "NOERROR 1.2.3.4",
	"1-2-3-4.nowhere.pod.cluster.local. A":          "NXDOMAIN",
	"none.default.svc.cluster.local. A":             "NXDOMAIN",
}

func TestRecordsArrive(t *testing.T) {
	for name, noStream := range map[string]bool{"streamed": false, "listed": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, api *fakeAPI) {
				api.noStream = noStream
				fill(api)
				began := time.Now()
				n := start(t, api)
				defer n.stop()
				n.want(small)
				if !n.isSynced() {
					t.Error("not synced")
				}
				if took := time.Since(began); took != 0 {
					t.Errorf("a caller waited for %v", took)
				}
				if r := n.store.Records(); r.Services != 4 || r.Namespaces != 2 || r.Endpoints != 1 {
					t.Errorf("got %+v", r)
				}
				if api.asked(slicesPath) != api.asked("labelSelector=kubernetes.io%2Fservice-name") {
					t.Error("slices are asked for that belong to no Service")
				}
				if api.asked(podsPath) > 0 {
					t.Error("the pods are followed although they are not needed")
				}
			})
		})
	}
}

// TestNothingBeforeReady has an API server that listens long before its roles exist.
func TestNothingBeforeReady(t *testing.T) {
	bubble(t, func(t *testing.T, api *fakeAPI) {
		fill(api)
		api.notReady, api.refuse = http.StatusForbidden, http.StatusForbidden
		n := start(t, api)
		defer n.stop()
		time.Sleep(3 * time.Second)
		n.want(map[string]string{"web.default.svc.cluster.local. A": "SERVFAIL", "none.default.svc.cluster.local. A": "SERVFAIL"})
		api.set(func() {
			if len(api.requests) < 20 || len(api.requests) > 120 {
				t.Errorf("asked %d times in 3 seconds", len(api.requests))
			}
			for _, r := range api.requests {
				if r != "GET /readyz" {
					t.Errorf("asked too early: %s", r)
				}
			}
			api.notReady, api.refuse = 0, 0
		})
		ready := time.Now()
		<-n.watcher.Synced()
		if took := time.Since(ready); took > 400*time.Millisecond {
			t.Errorf("synced %v after the API server was ready", took)
		}
		n.want(small)
	})
}

func TestAwayFromTheStart(t *testing.T) {
	bubble(t, func(t *testing.T, api *fakeAPI) {
		fill(api)
		api.stop()
		n := start(t, api)
		defer n.stop()
		time.Sleep(time.Hour)
		api.start()
		back := time.Now()
		<-n.watcher.Synced()
		if took := time.Since(back); took > kubewatch.LastPause {
			t.Errorf("synced %v after the API server came", took)
		}
		n.want(small)
	})
}

func TestChangesAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, api *fakeAPI) {
		fill(api)
		n := start(t, api)
		defer n.stop()
		n.want(small)
		began := time.Now()

		api.put(serviceObject("default", "web", "10.96.0.6"), serviceObject("default", "new", "10.96.0.7"), namespaceObject("nowhere"),
			sliceObject("default", "db", "x1", "10.1.0.3"), sliceObject("default", "db", "x2", "10.1.0.4"))
		n.want(map[string]string{
			"web.default.svc.cluster.local. A": "NOERROR 10.96.0.6", "web.default.svc.cluster.local. AAAA": "NOERROR",
			"new.default.svc.cluster.local. A": "NOERROR 10.96.0.7", "1-2-3-4.nowhere.pod.cluster.local. A": "NOERROR 1.2.3.4",
			"db.default.svc.cluster.local. A": "NOERROR 10.1.0.3 10.1.0.4", "db-0.db.default.svc.cluster.local. A": "NXDOMAIN",
		})
		api.remove(serviceObject("default", "new", "10.96.0.7"))
		api.remove(namespaceObject("nowhere"))
		api.remove(sliceObject("default", "db", "x1"))
		n.want(map[string]string{
			"new.default.svc.cluster.local. A": "NXDOMAIN", "1-2-3-4.nowhere.pod.cluster.local. A": "NXDOMAIN", "db.default.svc.cluster.local. A": "NOERROR 10.1.0.4",
		})
		// A slice that loses its label belongs to nobody.
		unlabelled := sliceObject("default", "db", "x2", "10.1.0.4")
		unlabelled.Labels = nil
		api.put(unlabelled)
		n.want(map[string]string{"db.default.svc.cluster.local. A": "NXDOMAIN"})
		if took := time.Since(began); took != 0 {
			t.Errorf("a caller waited for %v", took)
		}
	})
}

// TestRestart takes the API server down and changes things in the meantime. With a new watch cache, which is the usual case,
// it cannot say what has changed but only what there is.
func TestRestart(t *testing.T) {
	for name, compacted := range map[string]bool{"history kept": false, "history lost": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, api *fakeAPI) {
				fill(api)
				api.put(configMapObject("coredns", "Corefile", ". {\n kubernetes cluster.local {\n ttl 11\n }\n forward . 1.1.1.1\n}"))
				n := start(t, api)
				defer n.stop()
				<-n.watcher.Synced()
				time.Sleep(time.Minute)

				api.stop()
				time.Sleep(20 * time.Second)
				n.want(map[string]string{"web.default.svc.cluster.local. A": "NOERROR 10.96.0.5", "none.default.svc.cluster.local. A": "NXDOMAIN"})
				api.remove(serviceObject("default", "old", "10.96.0.9"))
				api.remove(sliceObject("default", "db", "x1"))
				api.remove(namespaceObject("kube-system"))
				api.remove(configMapObject("coredns", "", ""))
				api.put(serviceObject("default", "web", "10.96.0.50"), serviceObject("default", "fresh", "10.96.0.51"))
				if compacted {
					api.compact()
				}
				api.start()
				time.Sleep(time.Second)
				n.want(map[string]string{
					"old.default.svc.cluster.local. A": "NXDOMAIN", "db.default.svc.cluster.local. A": "NXDOMAIN",
					"1-2-3-4.kube-system.pod.cluster.local. A": "NXDOMAIN",
					"web.default.svc.cluster.local. A":         "NOERROR 10.96.0.50", "fresh.default.svc.cluster.local. A": "NOERROR 10.96.0.51",
					"ext.default.svc.cluster.local. CNAME": "NOERROR example.org.",
				})
				n.wantTTLs(11, 30)
			})
		})
	}
}

// TestRefusedForAWhile has an API server that is up but says no, as one does whose roles are not back yet.
func TestRefusedForAWhile(t *testing.T) {
	bubble(t, func(t *testing.T, api *fakeAPI) {
		fill(api)
		n := start(t, api)
		defer n.stop()
		<-n.watcher.Synced()
		time.Sleep(time.Minute)
		api.stop()
		api.set(func() { api.refuse = http.StatusForbidden })
		api.put(serviceObject("default", "web", "10.96.0.50"))
		api.compact()
		api.start()
		time.Sleep(30 * time.Second)
		n.want(map[string]string{"web.default.svc.cluster.local. A": "NOERROR 10.96.0.5"})
		if got := strings.Count(n.log.String(), "cannot be followed"); got != 7 {
			t.Errorf("got %d lines in the log, want one of each kind:\n%s", got, &n.log)
		}
		api.set(func() { api.refuse = 0 })
		time.Sleep(1200 * time.Millisecond)
		n.want(map[string]string{"web.default.svc.cluster.local. A": "NOERROR 10.96.0.50"})

		// The next failure is logged again.
		time.Sleep(time.Minute)
		api.stop()
		api.set(func() { api.refuse = http.StatusForbidden })
		api.start()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if got := strings.Count(n.log.String(), "cannot be followed"); got != 14 {
			t.Errorf("got %d lines in the log after the second time", got)
		}
	})
}

func (n *node) wantTTLs(want ...uint32) {
	n.t.Helper()
	synctest.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	var got []uint32
	for _, c := range n.configs {
		got = append(got, c.Zone.TTL)
	}
	if !slices.Equal(got, want) {
		n.t.Errorf("got configurations with TTLs %v, want %v", got, want)
	}
}

func TestProgrammed(t *testing.T) {
	bubble(t, func(t *testing.T, api *fakeAPI) {
		fill(api)
		stamped := func(suffix string, ago time.Duration, headless bool) *discoveryv1.EndpointSlice {
			s := sliceObject("default", "web", suffix, "10.1.0.1")
			s.Annotations = map[string]string{corev1.EndpointsLastChangeTriggerTime: time.Now().Add(-ago).UTC().Format(time.RFC3339Nano)}
			if headless {
				s.Labels[corev1.IsHeadlessService] = ""
			}
			return s
		}
		api.put(stamped("first", time.Hour, false))
		n := start(t, api)
		defer n.stop()
		<-n.watcher.Synced()
		synctest.Wait()
		api.put(stamped("second", 20*time.Millisecond, false), stamped("third", 30*time.Millisecond, true))
		api.put(sliceObject("default", "web", "byhand", "10.1.0.2"), stamped("future", -time.Minute, false))
		broken := stamped("broken", 0, false)
		broken.Annotations[corev1.EndpointsLastChangeTriggerTime] = "yesterday"
		api.put(broken)
		synctest.Wait()
		// A list says nothing about when its objects could have been here.
		time.Sleep(time.Minute)
		api.stop()
		api.put(stamped("fourth", 0, false))
		api.compact()
		api.start()
		time.Sleep(10 * time.Second)
		n.want(map[string]string{"web.default.svc.cluster.local. A": "NOERROR 10.96.0.5"})
		if n.store.Records().Endpoints != 8 {
			t.Errorf("got %+v", n.store.Records())
		}
		n.mu.Lock()
		defer n.mu.Unlock()
		if want := []string{"cluster_ip 20ms", "headless_with_selector 30ms", "cluster_ip 0s"}; !slices.Equal(n.programmed, want) {
			t.Errorf("got %q, want %q", n.programmed, want)
		}
	})
}

// TestStopWhileAway must not take longer than the node has to stop.
func TestStopWhileAway(t *testing.T) {
	bubble(t, func(t *testing.T, api *fakeAPI) {
		fill(api)
		n := start(t, api)
		<-n.watcher.Synced()
		api.stop()
		time.Sleep(time.Minute)
		began := time.Now()
		n.stop()
		if took := time.Since(began); took > time.Second {
			t.Errorf("took %v", took)
		}
	})
}
