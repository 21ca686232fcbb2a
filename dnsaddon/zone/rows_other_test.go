package zone

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// The rows R13 to R24 of the record checklist.

func TestR13ExternalName(t *testing.T) {
	v := load(Options{TTL: 30}, "default",
		vip("web", "10.96.0.1", "http/TCP:80"),
		external("out", "www.example.com"), external("dot", "www.example.com."),
		external("in", "web.default.svc.cluster.local"),
		external("twice", "in.default.svc.cluster.local"),
		external("twice-out", "out.default.svc.cluster.local"),
		external("gone", "absent.default.svc.cluster.local"),
		external("self", "self.default.svc.cluster.local"),
		external("below", "x.below.default.svc.cluster.local"),
		external("ping", "pong.default.svc.cluster.local"), external("pong", "ping.default.svc.cluster.local"),
		external("pod", "10-1-2-3.default.pod.cluster.local"),
		external("parent", "local"),
	)
	check(t, v, []row{
		{"out.default.svc A", "NOERROR\nout.default.svc.cluster.local. 30 CNAME www.example.com.\n-> www.example.com."},
		{"dot.default.svc AAAA", "NOERROR\ndot.default.svc.cluster.local. 30 CNAME www.example.com.\n-> www.example.com."},
		{"out.default.svc CNAME", "NOERROR\nout.default.svc.cluster.local. 30 CNAME www.example.com."},
		{"in.default.svc A", `NOERROR
in.default.svc.cluster.local. 30 CNAME web.default.svc.cluster.local.
web.default.svc.cluster.local. 30 A 10.96.0.1`},
		{"in.default.svc AAAA", nodata},
		{"in.default.svc CNAME", "NOERROR\nin.default.svc.cluster.local. 30 CNAME web.default.svc.cluster.local."},
		{"twice.default.svc A", `NOERROR
in.default.svc.cluster.local. 30 CNAME web.default.svc.cluster.local.
twice.default.svc.cluster.local. 30 CNAME in.default.svc.cluster.local.
web.default.svc.cluster.local. 30 A 10.96.0.1`},
		{"twice-out.default.svc A", `NOERROR
out.default.svc.cluster.local. 30 CNAME www.example.com.
twice-out.default.svc.cluster.local. 30 CNAME out.default.svc.cluster.local.
-> www.example.com.`},
		{"pod.default.svc A", `NOERROR
10-1-2-3.default.pod.cluster.local. 30 A 10.1.2.3
pod.default.svc.cluster.local. 30 CNAME 10-1-2-3.default.pod.cluster.local.`},
		{"parent.default.svc A", "NOERROR\nparent.default.svc.cluster.local. 30 CNAME local.\n-> local."},
		{"gone.default.svc A", nodata},
		{"gone.default.svc CNAME", "NOERROR\ngone.default.svc.cluster.local. 30 CNAME absent.default.svc.cluster.local."},
		{"self.default.svc A", nodata},
		{"below.default.svc A", nodata},
		{"ping.default.svc A", nodata},
		{"out.default.svc MX", nodata},
		{"out.default.svc TXT", nodata},
		{"out.default.svc HTTPS", nodata},
	})
	// The records of an alias come in the order that they are followed.
	answer := v.Lookup("twice.default.svc.cluster.local.", dns.TypeA).Answer
	for i, want := range []string{"twice.default.svc.cluster.local.", "in.default.svc.cluster.local.", "web.default.svc.cluster.local."} {
		if got := answer[i].Header().Name; got != want {
			t.Errorf("record %d is of %s, want %s", i, got, want)
		}
	}
}

func TestR13LongChain(t *testing.T) {
	objects := []any{"default", vip("end", "10.96.0.1")}
	for i := range 14 {
		objects = append(objects, external("c"+string(rune('a'+i)), "c"+string(rune('a'+i+1))+".default.svc.cluster.local"))
	}
	objects = append(objects, external("co", "end.default.svc.cluster.local"))
	v := load(Options{TTL: 30}, objects...)
	// ce is the eleventh from the end, and ten more are followed after the first.
	if got := ask(t, v, "ce.default.svc A"); strings.Count(got, "CNAME") != 11 || !strings.Contains(got, "10.96.0.1") {
		t.Errorf("eleven aliases:\n%s", got)
	}
	check(t, v, []row{{"cd.default.svc A", nodata}})
}

func TestR14ExternalNameWithoutRecords(t *testing.T) {
	v := load(Options{TTL: 30}, "default", external("out", "www.example.com"), external("ip", "192.0.2.1"), external("ip6", "2001:db8::1"),
		external("long", strings.Repeat("a", 64)+".example.com"), endpoints("out", "out-1", "10.1.0.1=a"))
	check(t, v, []row{
		{"out.default.svc SRV", nodata},
		{"_http._tcp.out.default.svc SRV", nxdomain},
		{"a.out.default.svc A", nxdomain},
		{"ip.default.svc A", nxdomain},
		{"ip.default.svc CNAME", nxdomain},
		{"ip6.default.svc AAAA", nxdomain},
		{"long.default.svc A", nodata},
		{"long.default.svc CNAME", nodata},
	})
}

func TestR15Pods(t *testing.T) {
	objects := []any{"default", "other", Pod{"default", "a", []string{"10.1.2.3", "fd00::1"}}, Pod{"default", "b", []string{"10.1.2.3"}}}
	check(t, load(Options{TTL: 30}, objects...), []row{
		{"1-2-3-4.default.pod A", "NOERROR\n1-2-3-4.default.pod.cluster.local. 30 A 1.2.3.4"},
		{"1-2-3-4.default.pod AAAA", nodata},
		{"fd00--9.default.pod AAAA", "NOERROR\nfd00--9.default.pod.cluster.local. 30 AAAA fd00::9"},
		{"--1.default.pod AAAA", "NOERROR\n--1.default.pod.cluster.local. 30 AAAA ::1"},
		{"--ffff-102-304.default.pod A", "NOERROR\n--ffff-102-304.default.pod.cluster.local. 30 A 1.2.3.4"},
		{"1-2-3-4.default.pod SRV", `NOERROR
1-2-3-4.default.pod.cluster.local. 30 SRV 0 100 0 1-2-3-4.default.pod.cluster.local.
+ 1-2-3-4.default.pod.cluster.local. 30 A 1.2.3.4`},
		{"x.1-2-3-4.default.pod A", "NOERROR\nx.1-2-3-4.default.pod.cluster.local. 30 A 1.2.3.4"},
		{"_x._y.1-2-3-4.default.pod A", "NOERROR\n_x._y.1-2-3-4.default.pod.cluster.local. 30 A 1.2.3.4"},
		{"a.b.c.1-2-3-4.default.pod A", nxdomain},
		{"1-2-3-4.default.pod TXT", nodata},
		{"1-2-3.default.pod A", nxdomain},
		{"1-2-3-256.default.pod A", nxdomain},
		{"01-2-3-4.default.pod A", nxdomain},
		{`1\.2\.3\.4.default.pod A`, nxdomain},
		{"web.default.pod A", nxdomain},
		{"1-2-3-4.absent.pod A", nxdomain},
	})
	check(t, load(Options{TTL: 30, Pods: Disabled}, objects...), []row{
		{"10-1-2-3.default.pod A", nxdomain},
		{"default.pod A", nxdomain},
		{"pod A", nodata},
	})
	check(t, load(Options{TTL: 30, Pods: Verified}, objects...), []row{
		{"10-1-2-3.default.pod A", "NOERROR\n10-1-2-3.default.pod.cluster.local. 30 A 10.1.2.3"},
		{"10-1-2-3.default.pod SRV", `NOERROR
10-1-2-3.default.pod.cluster.local. 30 SRV 0 50 0 10-1-2-3.default.pod.cluster.local.
+ 10-1-2-3.default.pod.cluster.local. 30 A 10.1.2.3`},
		{"fd00--1.default.pod AAAA", "NOERROR\nfd00--1.default.pod.cluster.local. 30 AAAA fd00::1"},
		{"fd00-0-0-0-0-0-0-1.default.pod AAAA", nxdomain},
		{"10-1-2-3.other.pod A", nxdomain},
		{"10-1-2-4.default.pod A", nxdomain},
		{"default.pod A", nodata},
	})
}

func TestR16HostnameAndSubdomain(t *testing.T) {
	// What the EndpointSlice controller makes of a pod with hostname busybox and subdomain sub.
	v := load(Options{TTL: 30}, "default", headlessService("sub"), endpoints("sub", "sub-1", "10.1.0.7=busybox"))
	check(t, v, []row{
		{"busybox.sub.default.svc A", "NOERROR\nbusybox.sub.default.svc.cluster.local. 30 A 10.1.0.7"},
		{"busybox.sub.default.svc AAAA", nodata},
		{"7.0.1.10.in-addr.arpa. PTR", "NOERROR\n7.0.1.10.in-addr.arpa. 30 PTR busybox.sub.default.svc.cluster.local."},
	})
}

func TestR17ReadyOnly(t *testing.T) {
	yes, no := true, false
	slice := Slice{Namespace: "default", Name: "db-1", Service: "db", Endpoints: []Endpoint{
		{Addresses: []string{"10.1.0.1"}, Ready: nil},
		{Addresses: []string{"10.1.0.2"}, Ready: &yes}, // also what publishNotReadyAddresses makes
		{Addresses: []string{"10.1.0.3"}, Ready: &no},  // also a pod that terminates
	}}
	v := load(Options{TTL: 30}, "default", headlessService("db"), slice)
	check(t, v, []row{
		{"db.default.svc A", "NOERROR\ndb.default.svc.cluster.local. 30 A 10.1.0.1\ndb.default.svc.cluster.local. 30 A 10.1.0.2"},
		{"10-1-0-3.db.default.svc A", nxdomain},
		{"3.0.1.10.in-addr.arpa. PTR", "forward"},
	})
}

func TestR18EmptyNonTerminals(t *testing.T) {
	v := load(Options{TTL: 30}, "default")
	check(t, v, []row{
		{"svc A", nodata}, {"pod AAAA", nodata}, {"default.svc A", nodata}, {"default.pod SRV", nodata}, {"default.svc MX", nodata},
		{"absent.svc A", nxdomain}, {"absent.pod A", nxdomain}, {"absent.svc SRV", nxdomain},
		// As CoreDNS does, against RFC 8020.
		{"svc TXT", nxdomain}, {"default.svc TXT", nxdomain}, {"cluster.local. TXT", nxdomain},
		{"absent.svc SOA", nodata}, {"x.y.z SOA", nodata},
	})
}

func TestR19Apex(t *testing.T) {
	objects := []any{"kube-system", "default",
		Service{Namespace: "kube-system", Name: "kube-dns", ClusterIPs: []string{"10.96.0.10", "fd96::a"}},
		Slice{Namespace: "kube-system", Name: "kube-dns-1", Service: "kube-dns", Endpoints: []Endpoint{{Addresses: []string{"192.0.2.1"}}}},
		headlessService("monitor"), endpoints("monitor", "monitor-1", "192.0.2.1=node 192.0.2.2"),
	}
	kubeDNS := `NOERROR
cluster.local. 30 NS kube-dns.kube-system.svc.cluster.local.
+ kube-dns.kube-system.svc.cluster.local. 30 A 10.96.0.10
+ kube-dns.kube-system.svc.cluster.local. 30 AAAA fd96::a`
	local := []netip.Addr{netip.MustParseAddr("192.0.2.1")}

	check(t, load(Options{TTL: 30, Local: local, NameServer: "kube-system/kube-dns"}, objects...), []row{
		{"cluster.local. NS", kubeDNS},
		{"ns.dns A", "NOERROR\nns.dns.cluster.local. 30 A 10.96.0.10"},
		{"ns.dns AAAA", "NOERROR\nns.dns.cluster.local. 30 AAAA fd96::a"},
		{"ns.dns MX", nodata},
		{"ns.dns TXT", nxdomain},
		{"x.ns.dns A", nxdomain},
		{"ns.dns.cluster.local A", "NOERROR\nns.dns.cluster.local.cluster.local. 30 A 10.96.0.10"},
		{"cluster.local. A", nodata}, {"cluster.local. AAAA", nodata}, {"cluster.local. HINFO", nodata},
		{"cluster.local. MX", nodata}, {"cluster.local. SRV", nodata}, {"cluster.local. PTR", nodata}, {"cluster.local. CNAME", nodata},
		{"cluster.local. AXFR", "REFUSED"}, {"web.default.svc IXFR", "REFUSED"},
	})
	check(t, load(Options{TTL: 30, Local: local}, objects...), []row{{"cluster.local. NS", `NOERROR
cluster.local. 30 NS 192-0-2-2.monitor.default.svc.cluster.local.
cluster.local. 30 NS kube-dns.kube-system.svc.cluster.local.
cluster.local. 30 NS node.monitor.default.svc.cluster.local.
+ 192-0-2-2.monitor.default.svc.cluster.local. 30 A 192.0.2.2
+ kube-dns.kube-system.svc.cluster.local. 30 A 10.96.0.10
+ kube-dns.kube-system.svc.cluster.local. 30 AAAA fd96::a
+ node.monitor.default.svc.cluster.local. 30 A 192.0.2.1`}})
	check(t, load(Options{TTL: 30, Local: append(local, netip.MustParseAddr("2001:db8::1"))}), []row{
		{"cluster.local. NS", `NOERROR
cluster.local. 30 NS ns.dns.cluster.local.
+ ns.dns.cluster.local. 30 A 192.0.2.1
+ ns.dns.cluster.local. 30 AAAA 2001:db8::1`},
		{"in-addr.arpa. NS", `NOERROR
in-addr.arpa. 30 NS ns.dns.in-addr.arpa.
+ ns.dns.in-addr.arpa. 30 A 192.0.2.1
+ ns.dns.in-addr.arpa. 30 AAAA 2001:db8::1`},
	})
	check(t, load(Options{TTL: 30}), []row{{"cluster.local. NS", nodata}, {"ns.dns A", nodata}})
}

func TestR19SOA(t *testing.T) {
	for _, c := range []struct{ ttl, header uint32 }{{0, 0}, {30, 30}, {300, 300}, {3600, 300}} {
		v := load(Options{TTL: c.ttl})
		for _, a := range []Answer{v.Lookup("cluster.local.", dns.TypeSOA), v.Lookup("x.cluster.local.", dns.TypeA)} {
			rr := append(a.Answer, a.Ns...)[0].(*dns.SOA)
			want := dns.SOA{
				Hdr: dns.RR_Header{Name: "cluster.local.", Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: c.header},
				Ns:  "ns.dns.cluster.local.", Mbox: "hostmaster.cluster.local.", Serial: rr.Serial,
				Refresh: 7200, Retry: 1800, Expire: 86400, Minttl: c.ttl,
			}
			if *rr != want {
				t.Errorf("TTL %d: got %v, want %v", c.ttl, rr, &want)
			}
		}
	}
}

func TestR20NoSuchShape(t *testing.T) {
	v := load(Options{TTL: 30}, "default", vip("web", "10.96.0.1", "http/TCP:80"), endpoints("web", "web-1", "10.1.0.1=a", "http/TCP:80"))
	check(t, v, []row{
		{"a.b.c.web.default.svc A", nxdomain},
		{"a._http._tcp.web.default.svc SRV", nxdomain},
		{"web.default.foo A", nxdomain},
		{"foo A", nxdomain},
		{"*.default.svc A", nxdomain}, {"web.*.svc A", nxdomain}, {"*.web.default.svc A", nxdomain}, {"any.any.svc A", nxdomain},
		{"*._tcp.web.default.svc SRV", nxdomain},
		{"www.example.com A", nxdomain}, {"example.com.svc A", nxdomain}, {"example.com.default.svc AAAA", nxdomain},
		{"www.example.com.default.svc A", nxdomain}, {"a.b.www.example.com.default.svc A", nxdomain},
		{"cluster.local A", nxdomain},
		{"example.com. A", "forward"}, {"local. A", "forward"}, {". NS", "forward"}, {"xcluster.local. A", "forward"},
	})
}

func TestR21Case(t *testing.T) {
	v := load(Options{TTL: 30, Domain: "Cluster.LOCAL"}, "default", vip("web", "10.96.0.1", "HTTP/TCP:80"), endpoints("web", "web-1", "FD00:0:0::A=Pod-A fd00:0::B"))
	check(t, v, []row{
		{"_http._tcp.web.default.svc SRV", `NOERROR
_http._tcp.web.default.svc.cluster.local. 30 SRV 0 100 80 web.default.svc.cluster.local.
+ web.default.svc.cluster.local. 30 A 10.96.0.1`},
		{"pod-a.web.default.svc AAAA", "NOERROR\npod-a.web.default.svc.cluster.local. 30 AAAA fd00::a"},
		{"WEB.Default.svc A", "NOERROR\nWEB.Default.svc.cluster.local. 30 A 10.96.0.1"},
		{"CLUSTER.local. TXT", nxdomain}, {"1.0.96.10.IN-addr.ARPA. PTR", "NOERROR\n1.0.96.10.IN-addr.ARPA. 30 PTR web.default.svc.cluster.local."},
		{"fd00-0--b.web.default.svc AAAA", "NOERROR\nfd00-0--b.web.default.svc.cluster.local. 30 AAAA fd00::b"},
	})
}

func TestR22BeforeSync(t *testing.T) {
	pods := []netip.Prefix{netip.MustParsePrefix("10.244.0.0/16")}
	s := NewStore(Options{TTL: 30, Reverse: pods})
	add(s, "default", vip("web", "10.96.0.1"))
	rows := []row{
		{"web.default.svc A", "SERVFAIL"}, {"absent.default.svc A", "SERVFAIL"}, {"cluster.local. SOA", "SERVFAIL"},
		{"dns-version TXT", "SERVFAIL"}, {"ns.dns A", "SERVFAIL"}, {"1.0.244.10.in-addr.arpa. PTR", "SERVFAIL"},
		{"8.8.8.8.in-addr.arpa. PTR", "forward"}, {"example.com. A", "forward"},
	}
	check(t, s.View(), rows)
	s.SetOptions(Options{TTL: 30})
	check(t, s.View(), []row{rows[0], {"8.8.8.8.in-addr.arpa. PTR", "SERVFAIL"}})
	s.SetSynced()
	check(t, s.View(), []row{{"web.default.svc A", "NOERROR\nweb.default.svc.cluster.local. 30 A 10.96.0.1"}})
}

func TestR23R24NotServed(t *testing.T) {
	v := load(Options{TTL: 30}, "default", headlessService("db"), endpoints("db", "db-1", "10.1.0.1"))
	check(t, v, []row{
		{"eu-1.pin._zone.db.default.svc A", nxdomain}, {"eu-1.prefer._zone.db.default.svc A", nxdomain},
		{"db.default.svc.clusterset.local. A", "forward"},
	})
}
