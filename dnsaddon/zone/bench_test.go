package zone

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// fill loads n services with as many slices of three endpoints each, in 50 namespaces. Every tenth is headless with
// hostnames.
func fill(s *Store, n int) {
	for i := range 50 {
		s.SetNamespace(fmt.Sprintf("team-%d", i))
	}
	for i := range n {
		service, slice := numbered(i)
		s.SetService(service)
		s.SetSlice(slice)
	}
}

func numbered(i int) (Service, Slice) {
	namespace, name := fmt.Sprintf("team-%d", i%50), fmt.Sprintf("backend-%d", i)
	service := Service{
		Namespace: namespace, Name: name, Type: "ClusterIP",
		ClusterIPs: []string{fmt.Sprintf("10.96.%d.%d", i/250, 1+i%250)},
		Ports:      []Port{{Name: "http", Protocol: "TCP", Number: 80}, {Name: "metrics", Protocol: "TCP", Number: 9090}},
	}
	slice := Slice{
		Namespace: namespace, Name: name + "-x7k2p", Service: name,
		Ports: []Port{{Name: "http", Protocol: "TCP", Number: 8080}, {Name: "metrics", Protocol: "TCP", Number: 9090}},
	}
	for e := range 3 {
		endpoint := Endpoint{
			Addresses: []string{fmt.Sprintf("10.%d.%d.%d", 128+e, i/250, 1+i%250)},
			Pod:       fmt.Sprintf("%s-6d4cf56db6-%05d", name, e),
		}
		if i%10 == 0 {
			service.ClusterIPs = []string{"None"}
			endpoint.Hostname = fmt.Sprintf("%s-%d", name, e)
		}
		slice.Endpoints = append(slice.Endpoints, endpoint)
	}
	return service, slice
}

func BenchmarkPacked(b *testing.B) {
	const services = 10000
	s := NewStore(Options{TTL: 30})
	fill(s, services)
	s.SetSynced()
	v := s.View()
	names := func(format string) [][]byte {
		r := rand.New(rand.NewPCG(1, 2))
		all := make([][]byte, 4096)
		for i := range all {
			n := r.IntN(services) / 10 * 10
			all[i], _ = packName(fmt.Sprintf(format, n+1, (n+1)%50, n, n%50, 128, n/250, 1+n%250))
		}
		return all
	}
	for _, c := range []struct {
		what  string
		qtype uint16
		names [][]byte
	}{
		{"ClusterIP", dns.TypeA, names("backend-%[1]d.team-%[2]d.svc.cluster.local.")},
		{"NoData", dns.TypeAAAA, names("backend-%[1]d.team-%[2]d.svc.cluster.local.")},
		{"Headless", dns.TypeA, names("backend-%[3]d.team-%[4]d.svc.cluster.local.")},
		{"Hostname", dns.TypeA, names("backend-%[3]d-1.backend-%[3]d.team-%[4]d.svc.cluster.local.")},
		{"SearchMiss", dns.TypeA, names("www.example.com.team-%[2]d.svc.cluster.local.")},
		{"SearchMissZone", dns.TypeA, names("www.example%[1]d.com.cluster.local.")},
		{"PodMiss", dns.TypeAAAA, names("%[5]d-1-%[6]d-%[7]d.team-%[2]d.pod.cluster.local.")},
	} {
		b.Run(c.what, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, ok := v.Packed(c.names[i%len(c.names)], c.qtype); !ok {
					b.Fatal("left to Lookup")
				}
			}
		})
	}
}

func BenchmarkLookup(b *testing.B) {
	s := NewStore(Options{TTL: 30})
	fill(s, 10000)
	s.SetSynced()
	v := s.View()
	for _, c := range []struct {
		what, name string
		qtype      uint16
	}{
		{"ClusterIP", "backend-1.team-1.svc.cluster.local.", dns.TypeA},
		{"SRV", "backend-10.team-10.svc.cluster.local.", dns.TypeSRV},
		{"PTR", "3.0.128.10.in-addr.arpa.", dns.TypePTR},
		{"NXDOMAIN", "example.com.team-1.svc.cluster.local.", dns.TypeA},
	} {
		b.Run(c.what, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !v.Lookup(c.name, c.qtype).In {
					b.Fatal("forwarded")
				}
			}
		})
	}
}

// One change at 10,000 services, published.
func BenchmarkUpdate(b *testing.B) {
	const services = 10000
	s := NewStore(Options{TTL: 30})
	fill(s, services)
	s.SetSynced()
	b.Run("Slice", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			_, slice := numbered(i * 7919 % services)
			slice.Endpoints[0].Addresses[0] = fmt.Sprintf("10.200.%d.%d", i>>8&255, i&255)
			s.SetSlice(slice)
		}
	})
	b.Run("Service", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			service, _ := numbered(i * 7919 % services)
			service.ClusterIPs = []string{fmt.Sprintf("10.97.%d.%d", i>>8&255, i&255)}
			s.SetService(service)
		}
	})
	b.Run("LargeSlice", func(b *testing.B) {
		b.ReportAllocs()
		slice := Slice{Namespace: "team-1", Name: "large", Service: "large"}
		for i := range 100 {
			slice.Endpoints = append(slice.Endpoints, Endpoint{Addresses: []string{fmt.Sprintf("10.210.0.%d", i)}})
		}
		s.SetService(Service{Namespace: "team-1", Name: "large", ClusterIPs: []string{"None"}})
		for i := 0; b.Loop(); i++ {
			slice.Endpoints[i%100].Addresses[0] = fmt.Sprintf("10.211.%d.%d", i>>8&255, i&255)
			s.SetSlice(slice)
		}
	})
}

func BenchmarkLoad(b *testing.B) {
	for _, n := range []int{1000, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				s := NewStore(Options{TTL: 30})
				fill(s, n)
				s.SetSynced()
			}
		})
	}
}

// heap is how much is in use after a collection.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// The limits are several times what was measured, for machines that are busy or slow: they catch a change of order,
// not of a few percent.
func TestTenThousandServices(t *testing.T) {
	const services = 10000
	before := heap()
	s := NewStore(Options{TTL: 30})
	began := time.Now()
	fill(s, services)
	s.SetSynced()
	loaded := time.Since(began)
	after := heap()
	size := float64(after-before) / (1 << 20)

	// Neither limits nor figures of time: what would make a change slow is work that grows with the number of Services.
	i := 0
	change := func(s *Store, of int) func() {
		return func() {
			_, slice := numbered(i * 37 % of)
			slice.Endpoints[0].Addresses[0] = fmt.Sprintf("10.200.0.%d", i%200)
			s.SetSlice(slice)
			i++
		}
	}
	few := NewStore(Options{TTL: 30})
	fill(few, services/100)
	few.SetSynced()
	small, large := testing.AllocsPerRun(200, change(few, services/100)), testing.AllocsPerRun(200, change(s, services))
	t.Logf("%d services with %d endpoints: %.1f MiB, loaded in %v, a change allocates %.0f times",
		s.Records().Services, s.Records().Endpoints, size, loaded, large)
	if size > 20 {
		t.Errorf("the records take %.1f MiB, want at most 20", size)
	}
	if large > 2*small {
		t.Errorf("a change allocates %.0f times among %d services, and %.0f times among %d", large, services, small, services/100)
	}
	if r := s.Records(); r.Services != services || r.Endpoints != 3*services || r.Namespaces != 50 {
		t.Errorf("counted %+v", r)
	}
	runtime.KeepAlive(s)
}
