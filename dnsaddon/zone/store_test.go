package zone

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"bonsai/bootstrap/cluster"
)

// synced returns a store that publishes each change.
func synced(o Options, objects ...any) *Store {
	s := NewStore(o)
	add(s, objects...)
	s.SetSynced()
	return s
}

func TestServiceChangesItsKind(t *testing.T) {
	s := synced(Options{TTL: 30}, "default", endpoints("web", "web-1", "10.1.0.1=a", "http/TCP:80"))
	absent := []row{
		{"web.default.svc A", nxdomain}, {"a.web.default.svc A", nxdomain}, {"1.0.96.10.in-addr.arpa. PTR", "forward"},
		{"1.0.1.10.in-addr.arpa. PTR", "NOERROR\n1.0.1.10.in-addr.arpa. 30 PTR a.web.default.svc.cluster.local."},
	}
	clusterIPs := []row{
		{"web.default.svc A", "NOERROR\nweb.default.svc.cluster.local. 30 A 10.96.0.1"},
		{"a.web.default.svc A", "NOERROR\na.web.default.svc.cluster.local. 30 A 10.1.0.1"},
		{"1.0.96.10.in-addr.arpa. PTR", "NOERROR\n1.0.96.10.in-addr.arpa. 30 PTR web.default.svc.cluster.local."},
	}
	headless := []row{
		{"web.default.svc A", "NOERROR\nweb.default.svc.cluster.local. 30 A 10.1.0.1"},
		{"a.web.default.svc A", "NOERROR\na.web.default.svc.cluster.local. 30 A 10.1.0.1"},
		{"1.0.96.10.in-addr.arpa. PTR", "forward"},
	}
	aliased := []row{
		{"web.default.svc A", "NOERROR\nweb.default.svc.cluster.local. 30 CNAME example.com.\n-> example.com."},
		{"a.web.default.svc A", nxdomain}, {"1.0.96.10.in-addr.arpa. PTR", "forward"},
	}
	check(t, s.View(), absent)
	for _, step := range []struct {
		service Service
		want    []row
	}{
		{vip("web", "10.96.0.1", "http/TCP:80"), clusterIPs},
		{headlessService("web", "http/TCP:80"), headless},
		{external("web", "example.com"), aliased},
		{headlessService("web"), headless},
		{vip("web", "10.96.0.1"), clusterIPs},
		{external("web", "example.com"), aliased},
		{vip("web", "10.96.0.1"), clusterIPs},
	} {
		s.SetService(step.service)
		check(t, s.View(), step.want)
	}
	s.DeleteService("default", "web")
	check(t, s.View(), absent)
	s.DeleteSlice("default", "web-1")
	check(t, s.View(), []row{{"1.0.1.10.in-addr.arpa. PTR", "forward"}})
	if s.services.len != 0 || s.owners.len != 0 || len(s.slices) != 0 || s.orphans != 0 {
		t.Errorf("left behind: %d services, %d addresses, %d slices, %d orphans", s.services.len, s.owners.len, len(s.slices), s.orphans)
	}
}

func TestNamespaceHidesItsServices(t *testing.T) {
	s := synced(Options{TTL: 30}, vip("web", "10.96.0.1"))
	want := []row{{"web.default.svc A", "NOERROR\nweb.default.svc.cluster.local. 30 A 10.96.0.1"}}
	hidden := []row{
		{"web.default.svc A", nxdomain},
		{"1.0.96.10.in-addr.arpa. PTR", "NOERROR\n1.0.96.10.in-addr.arpa. 30 PTR web.default.svc.cluster.local."},
	}
	check(t, s.View(), hidden)
	s.SetNamespace("default")
	check(t, s.View(), want)
	s.DeleteNamespace("default")
	check(t, s.View(), hidden)
	s.DeleteNamespace("default")
	s.SetNamespace("default")
	check(t, s.View(), want)
}

func TestSliceMovesToAnotherService(t *testing.T) {
	s := synced(Options{TTL: 30}, "default", headlessService("a"), headlessService("b"), endpoints("a", "x", "10.1.0.1"))
	s.SetSlice(endpoints("b", "x", "10.1.0.1 10.1.0.2"))
	check(t, s.View(), []row{
		{"a.default.svc A", nxdomain},
		{"b.default.svc A", "NOERROR\nb.default.svc.cluster.local. 30 A 10.1.0.1\nb.default.svc.cluster.local. 30 A 10.1.0.2"},
		{"1.0.1.10.in-addr.arpa. PTR", "NOERROR\n1.0.1.10.in-addr.arpa. 30 PTR 10-1-0-1.b.default.svc.cluster.local."},
	})
	s.SetSlice(endpoints("", "x", "10.1.0.1"))
	check(t, s.View(), []row{{"b.default.svc A", nxdomain}, {"1.0.1.10.in-addr.arpa. PTR", "forward"}})
	if r := s.Records(); r.Endpoints != 0 || r.Services != 2 {
		t.Errorf("counted %+v", r)
	}
}

// Two services and two slices have an address; it keeps its reverse name until the last of them goes.
func TestSharedAddress(t *testing.T) {
	s := synced(Options{TTL: 30}, "default", endpoints("a", "a-1", "10.1.0.1"), endpoints("a", "a-2", "10.1.0.1=h"),
		endpoints("b", "b-1", "10.1.0.1 10.1.0.2"))
	ptr := func(labels ...string) []row {
		want := "NOERROR"
		for _, label := range labels {
			want += "\n1.0.1.10.in-addr.arpa. 30 PTR " + label + ".default.svc.cluster.local."
		}
		return []row{{"1.0.1.10.in-addr.arpa. PTR", want}}
	}
	check(t, s.View(), ptr("10-1-0-1.a", "10-1-0-1.b", "h.a"))
	s.DeleteSlice("default", "a-1")
	check(t, s.View(), ptr("10-1-0-1.b", "h.a"))
	s.SetSlice(endpoints("b", "b-1", "10.1.0.2"))
	check(t, s.View(), ptr("h.a"))
	s.SetService(vip("c", "10.1.0.1"))
	check(t, s.View(), ptr("c"))
	s.DeleteSlice("default", "a-2")
	check(t, s.View(), ptr("c"))
	s.DeleteService("default", "c")
	check(t, s.View(), []row{{"1.0.1.10.in-addr.arpa. PTR", "forward"}})
}

func TestOptionsChange(t *testing.T) {
	slice := endpoints("db", "db-1", "10.1.0.1 10.1.0.2=h")
	slice.Endpoints[0].Pod, slice.Endpoints[1].Pod = "db-6f7d", "db-abcd"
	s := synced(Options{TTL: 30}, "default", headlessService("db"), slice, endpoints("db", "db-2", "10.1.0.3"), vip("web", "10.96.0.1 fd96::1"))
	addresses := []row{
		{"10-1-0-1.db.default.svc A", "NOERROR\n10-1-0-1.db.default.svc.cluster.local. 30 A 10.1.0.1"},
		{"h.db.default.svc A", "NOERROR\nh.db.default.svc.cluster.local. 30 A 10.1.0.2"},
		{"db-6f7d.db.default.svc A", nxdomain},
	}
	check(t, s.View(), addresses)

	s.SetOptions(Options{TTL: 60, Domain: "bonsai.test", Aliases: []string{"cluster.local", "x.bonsai.test.", ".."}, EndpointPodNames: true})
	check(t, s.View(), []row{
		{"db-6f7d.db.default.svc.bonsai.test. A", "NOERROR\ndb-6f7d.db.default.svc.bonsai.test. 60 A 10.1.0.1"},
		{"10-1-0-3.db.default.svc.bonsai.test. A", "NOERROR\n10-1-0-3.db.default.svc.bonsai.test. 60 A 10.1.0.3"},
		{"10-1-0-1.db.default.svc.bonsai.test. A", nxdomain},
		{"h.db.default.svc A", "NOERROR\nh.db.default.svc.cluster.local. 60 A 10.1.0.2"},
		{"db-abcd.db.default.svc A", nxdomain},
		{"web.default.svc A", "NOERROR\nweb.default.svc.cluster.local. 60 A 10.96.0.1"},
		{"web.default.svc.x.bonsai.test. AAAA", "NOERROR\nweb.default.svc.x.bonsai.test. 60 AAAA fd96::1"},
		{"svc.x.bonsai.test. A", nodata},
		{"1.0.96.10.in-addr.arpa. PTR", "NOERROR\n1.0.96.10.in-addr.arpa. 60 PTR web.default.svc.bonsai.test."},
	})

	s.SetOptions(Options{TTL: 30, IgnoreEmptyService: true})
	check(t, s.View(), append(addresses, row{"web.default.svc A", nxdomain}, row{"web.default.svc.bonsai.test. A", "forward"}))
	s.SetSlice(endpoints("web", "web-1", "10.1.0.9"))
	check(t, s.View(), []row{{"web.default.svc A", "NOERROR\nweb.default.svc.cluster.local. 30 A 10.96.0.1"}})
}

func TestFallthrough(t *testing.T) {
	objects := []any{"default", vip("web", "10.96.0.1")}
	check(t, load(Options{Fallthrough: []string{}}, objects...), []row{
		{"absent.default.svc A", nxdomain}, {"8.8.8.8.in-addr.arpa. PTR", nxdomain}, {"1.0.96.10.in-addr.arpa. A", nxdomain},
	})
	check(t, load(Options{Fallthrough: []string{"."}}, objects...), []row{
		{"absent.default.svc A", "forward"}, {"8.8.8.8.in-addr.arpa. PTR", "forward"}, {"web.default.svc AAAA", nodata},
		{"web.default.svc A", "NOERROR\nweb.default.svc.cluster.local. 0 A 10.96.0.1"},
	})
	check(t, load(Options{Fallthrough: []string{"default.svc.Cluster.local"}}, objects...), []row{
		{"absent.default.svc A", "forward"}, {"absent A", nxdomain}, {"8.8.8.8.in-addr.arpa. PTR", nxdomain},
	})
}

func TestInvalidObjectsAreLeftOut(t *testing.T) {
	long := "a23456789012345678901234567890123456789012345678901234567890123"
	s := synced(Options{TTL: 30}, "default", "", "a.b", "x\x00", long+"4",
		vip("", "10.96.0.1"), vip("a.b", "10.96.0.2"), vip(long+"4", "10.96.0.3"), vip(long, "10.96.0.4"),
		vip("odd", "10.96.0.300 fe80::1%eth0 010.0.0.1 ::ffff:10.96.0.5 10.96.0.5"),
		headlessService("h"), endpoints("h", "h-1", "10.1.0.1=a.b 10.1.0.2=\x1b[31m example.com fe80::2%lo 10.1.0.3="+long))
	check(t, s.View(), []row{
		{long + ".default.svc A", "NOERROR\n" + long + ".default.svc.cluster.local. 30 A 10.96.0.4"},
		{"odd.default.svc A", "NOERROR\nodd.default.svc.cluster.local. 30 A 10.96.0.5"},
		{"h.default.svc A", "NOERROR\nh.default.svc.cluster.local. 30 A 10.1.0.1\nh.default.svc.cluster.local. 30 A 10.1.0.2\nh.default.svc.cluster.local. 30 A 10.1.0.3"},
		{"10-1-0-1.h.default.svc A", "NOERROR\n10-1-0-1.h.default.svc.cluster.local. 30 A 10.1.0.1"},
		{long + ".h.default.svc A", "NOERROR\n" + long + ".h.default.svc.cluster.local. 30 A 10.1.0.3"},
		{`a\.b.default.svc A`, nxdomain},
		{"1.0.96.10.in-addr.arpa. PTR", "forward"},
	})
	if r := s.Records(); r.Services != 3 || r.Endpoints != 3 || r.Namespaces != 1 {
		t.Errorf("counted %+v", r)
	}
}

// Of a long domain, the names of some endpoints are longer than a name can be.
func TestLongDomain(t *testing.T) {
	label := "a23456789012345678901234567890123456789012345678901234567890123"
	domain := label + "." + label + "." + label[:40]
	v := load(Options{TTL: 30, Domain: domain}, "default", headlessService(label, "x/TCP:1"), endpoints(label, "s", "10.1.0.1="+label, "x/TCP:1"))
	check(t, v, []row{
		{"svc." + domain + ". A", nodata},
		{label[:50] + ".default.svc." + domain + ". A", nxdomain},
		{label + ".default.svc." + domain + ". A", "NOERROR\n" + label + ".default.svc." + domain + ". 30 A 10.1.0.1"},
		{label + ".default.svc." + domain + ". SRV", nodata}, // the endpoint's name would have 310 bytes
		{"1.0.1.10.in-addr.arpa. PTR", "forward"},
	})
	var m dns.Msg
	a := v.Lookup("svc."+domain+".", dns.TypeA)
	m.Ns = a.Ns
	if _, err := m.Pack(); err != nil {
		t.Errorf("pack the SOA record: %v", err)
	}
}

func TestBatchPublishesOnce(t *testing.T) {
	s := synced(Options{TTL: 30}, "default")
	before := s.View()
	s.Batch(func() {
		for i := range 100 {
			s.SetService(vip(fmt.Sprintf("s%d", i), fmt.Sprintf("10.96.0.%d", i)))
			if i == 50 {
				s.Batch(func() { s.SetNamespace("inner") })
			}
			if s.View() != before {
				t.Fatal("published within the batch")
			}
		}
	})
	check(t, s.View(), []row{
		{"s99.default.svc A", "NOERROR\ns99.default.svc.cluster.local. 30 A 10.96.0.99"}, {"inner.svc A", nodata},
	})
	check(t, before, []row{{"s99.default.svc A", nxdomain}, {"inner.svc A", nxdomain}})
	after := s.View()
	s.Batch(func() {})
	if s.View() != after {
		t.Error("an empty batch published")
	}
}

// What does not change an answer does not change the serial, and what changes nothing publishes nothing.
func TestSerialAndRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewStore(Options{TTL: 30, Pods: Verified})
		add(s, "default", vip("web", "10.96.0.1", "http/TCP:80"), endpoints("web", "web-1", "10.1.0.1"))
		s.SetSynced()
		serial := func() uint32 { return s.View().Lookup("cluster.local.", dns.TypeSOA).Answer[0].(*dns.SOA).Serial }
		if got, want := serial(), uint32(time.Now().Unix()); got != want {
			t.Errorf("serial %d, want %d", got, want)
		}
		for _, step := range []struct {
			what           string
			do             func()
			bumps, publish bool
		}{
			{"same service", func() { s.SetService(vip("web", "10.96.0.1", "http/TCP:80")) }, false, false},
			{"same slice", func() { s.SetSlice(endpoints("web", "web-1", "10.1.0.1")) }, false, false},
			{"unready endpoint", func() { s.SetSlice(endpoints("web", "web-1", "10.1.0.1 !10.1.0.2")) }, false, true},
			{"ready endpoint", func() { s.SetSlice(endpoints("web", "web-1", "10.1.0.1 10.1.0.2")) }, true, true},
			{"port", func() { s.SetService(vip("web", "10.96.0.1", "https/TCP:80")) }, true, true},
			{"same namespace", func() { s.SetNamespace("default") }, false, false},
			{"namespace", func() { s.SetNamespace("other") }, true, true},
			{"pod", func() { s.SetPod(Pod{"default", "p", []string{"10.1.0.1"}}) }, true, true},
			{"same pod", func() { s.SetPod(Pod{"default", "p", []string{"10.1.0.1"}}) }, false, false},
			{"unknown service", func() { s.DeleteService("default", "x") }, false, false},
			{"unknown slice", func() { s.DeleteSlice("default", "x") }, false, false},
			{"unknown pod", func() { s.DeletePod("default", "x") }, false, false},
			{"synced again", s.SetSynced, false, false},
		} {
			time.Sleep(time.Minute)
			was, view := serial(), s.View()
			step.do()
			checkPacked(t, s.View(), "absent.cluster.local.", dns.TypeA)
			if got := serial() != was; got != step.bumps {
				t.Errorf("%s: serial changed: %v, want %v", step.what, got, step.bumps)
			}
			if got := s.View() != view; got != step.publish {
				t.Errorf("%s: published: %v, want %v", step.what, got, step.publish)
			}
		}
		changed := time.Now().Add(-5 * time.Minute)
		want := cluster.DNSRecords{Services: 1, Endpoints: 2, Namespaces: 2, Pods: 1, Changed: changed}
		if got := s.Records(); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}

func TestPodsComeAndGo(t *testing.T) {
	s := synced(Options{TTL: 30, Pods: Verified}, "default", Pod{"default", "a", []string{"10.1.0.1", "bad", "fd00::1", "10.1.0.1"}})
	yes := row{"10-1-0-1.default.pod A", "NOERROR\n10-1-0-1.default.pod.cluster.local. 30 A 10.1.0.1"}
	no := row{"10-1-0-1.default.pod A", nxdomain}
	check(t, s.View(), []row{yes, {"fd00--1.default.pod AAAA", "NOERROR\nfd00--1.default.pod.cluster.local. 30 AAAA fd00::1"}})
	s.SetPod(Pod{"default", "b", []string{"10.1.0.1"}})
	s.DeletePod("default", "a")
	check(t, s.View(), []row{yes, {"fd00--1.default.pod AAAA", nxdomain}})
	s.SetPod(Pod{"default", "b", []string{"10.1.0.2"}})
	check(t, s.View(), []row{no})
	s.DeletePod("default", "b")
	if s.pods.len != 0 || len(s.podIPs) != 0 {
		t.Errorf("left behind: %d addresses of %d pods", s.pods.len, len(s.podIPs))
	}
}

// More endpoints than are kept packed, in slices with and without hostnames.
func TestLargeHeadlessService(t *testing.T) {
	s := synced(Options{TTL: 30}, "default", headlessService("big"))
	addr := netip.MustParseAddr("10.1.0.0")
	for i := range 30 {
		slice := endpoints("big", fmt.Sprintf("big-%d", i), "")
		for e := range 100 {
			addr = addr.Next()
			endpoint := Endpoint{Addresses: []string{addr.String()}}
			if i%2 == 0 {
				endpoint.Hostname = fmt.Sprintf("pod-%d", i*100+e)
			}
			slice.Endpoints = append(slice.Endpoints, endpoint)
		}
		s.SetSlice(slice)
		v := s.View()
		if n := len(v.Lookup("big.default.svc.cluster.local.", dns.TypeA).Answer); n != 100*(i+1) {
			t.Fatalf("%d addresses after %d slices", n, i+1)
		}
		packed := checkPacked(t, v, "big.default.svc.cluster.local.", dns.TypeA)
		if want := 100*(i+1) <= maxPacked; packed != want {
			t.Errorf("%d addresses: packed: %v, want %v", 100*(i+1), packed, want)
		}
	}
	check(t, s.View(), []row{
		{"10-1-0-101.big.default.svc A", "NOERROR\n10-1-0-101.big.default.svc.cluster.local. 30 A 10.1.0.101"},
		{"pod-42.big.default.svc A", "NOERROR\npod-42.big.default.svc.cluster.local. 30 A 10.1.0.43"},
	})
	for i := range 30 {
		s.DeleteSlice("default", fmt.Sprintf("big-%d", i))
	}
	if s.owners.len != 0 || s.endpoints != 0 {
		t.Errorf("left behind: %d addresses, %d endpoints", s.owners.len, s.endpoints)
	}
}

// A View stays as it was while the store goes on, and may be asked by anybody at any time.
func TestViewsWhileTheStoreChanges(t *testing.T) {
	s := synced(Options{TTL: 30}, "default", headlessService("db"), endpoints("db", "db-1", "10.1.0.1=a"))
	first := s.View()
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				v := s.View()
				for _, name := range []string{"db.default.svc.cluster.local.", "a.db.default.svc.cluster.local.", "x.default.svc.cluster.local.", "web.default.svc.cluster.local."} {
					checkPacked(t, v, name, dns.TypeA)
				}
				v.Lookup("1.0.1.10.in-addr.arpa.", dns.TypePTR)
				v.Explain("webb.default.svc.cluster.local.", dns.TypeA)
				s.Records()
			}
		})
	}
	var writers sync.WaitGroup
	for w := range 2 {
		writers.Go(func() {
			for i := range 300 {
				s.SetSlice(endpoints("db", fmt.Sprintf("db-%d", w+2), fmt.Sprintf("10.1.%d.%d=a 10.1.0.1", w, i%250)))
				s.SetService(vip("web", fmt.Sprintf("10.96.%d.%d", w, i%250)))
				if i%3 == 0 {
					s.DeleteService("default", "web")
					s.DeleteSlice("default", fmt.Sprintf("db-%d", w+2))
				}
				if i%100 == 0 {
					s.SetOptions(Options{TTL: uint32(30 + i)})
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
	check(t, first, []row{
		{"db.default.svc A", "NOERROR\ndb.default.svc.cluster.local. 30 A 10.1.0.1"},
		{"web.default.svc A", nxdomain},
	})
}

func TestTableKeepsWhatReadersHave(t *testing.T) {
	tab := newTable[string, int](func(k string) uint64 { return uint64(len(k)) })
	var want, frozen []string
	state := func(s *shards[string, int]) (all []string) {
		s.each(func(k string, v int) bool { all = append(all, fmt.Sprint(k, v)); return true })
		slices.Sort(all)
		return all
	}
	var reader *shards[string, int]
	for i := range 200 {
		key := fmt.Sprint("k", i%37)
		if i%5 == 4 {
			tab.delete(key)
		} else {
			tab.set(key, i)
		}
		if reader != nil && !slices.Equal(state(reader), frozen) {
			t.Fatalf("step %d changed what a reader has", i)
		}
		if i%7 == 0 {
			reader = tab.freeze()
			frozen = state(reader)
		}
	}
	want = state(tab.freeze())
	if len(want) != tab.len {
		t.Errorf("%d entries, counted %d", len(want), tab.len)
	}
}
