package zone

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func TestExplain(t *testing.T) {
	objects := []any{"default", "shop", "prod",
		vip("web", "10.96.0.1", "http/TCP:80", "metrics/TCP:9090"), endpoints("web", "web-1", "10.1.0.1=first 10.1.0.2 !10.1.0.3", "http/TCP:80"),
		vip("unnamed", "10.96.0.2", "/TCP:80"), endpoints("unnamed", "unnamed-1", "!10.1.0.4", "/TCP:80"),
		headlessService("db", "sql/TCP:5432"), endpoints("db", "db-1", "10.1.0.5", "sql/TCP:5432"),
		headlessService("waiting"), endpoints("waiting", "waiting-1", "!10.1.0.6 !10.1.0.7"),
		headlessService("nobody"),
		external("out", "example.com"), external("ip", "192.0.2.1"), external("loop", "loop.default.svc.cluster.local"),
		external("long", strings.Repeat("a", 64)+".com"), external("evil", "x\x1b[31m.com"),
		Service{Namespace: "shop", Name: "cart", ClusterIPs: []string{"10.96.0.3"}},
		endpoints("orphan", "orphan-1", "10.1.0.8"),
	}
	v := load(Options{TTL: 30, Reverse: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}}, objects...)
	for _, c := range []struct{ question, want string }{
		// What is missing, and what was meant.
		{"web.staging.svc A", "namespace staging does not exist"},
		{"web.product.svc A", "namespace product does not exist; there is prod"},
		{"web.sohp.svc A", "namespace sohp does not exist; there is shop"},
		{"WEB.Sohp.svc A", "namespace sohp does not exist; there is shop"},
		{"web.defaul.svc A", "namespace defaul does not exist; there is default"},
		{"default.web.svc A", "namespace web does not exist; there is service default/web: the service comes first, then its namespace"},
		{"web.svc A", "namespace web does not exist; there is service web in namespace default"},
		{"cart.default.svc A", "service cart is in namespace shop, not default"},
		{"wbe.default.svc A", "service default/wbe does not exist; there is web"},
		{"wxyz.default.svc A", "service default/wxyz does not exist"},
		{"nobidy.default.svc A", "service default/nobidy does not exist; there is nobody"},
		{"noody.default.svc A", "service default/noody does not exist; there is nobody"},
		{"w.default.svc A", "service default/w does not exist"},
		{"webb.default.svc A", "service default/webb does not exist; there is web"},
		{"out-of.default.svc A", "service default/out-of does not exist; there is out"},
		{"orphan.default.svc A", "service default/orphan does not exist, although it has EndpointSlices"},
		{"cart.shop A", "below cluster.local there are svc and pod only; service shop/cart is called cart.shop.svc.cluster.local"},
		{"www.example.com A", "below cluster.local there are svc and pod only"},
		{"a.b.c.web.default.svc A", "no name in the cluster has that many labels"},
		{"waiting.default.svc A", "service default/waiting has no ready endpoint (2 are not ready)"},
		{"nobody.default.svc A", "service default/nobody has no ready endpoint"},
		{"pod-0.waiting.default.svc A", "service default/waiting has no ready endpoint (2 are not ready)"},
		{"10-1-0-3.web.default.svc A", "service default/web has no ready endpoint 10-1-0-3 (one is not ready); there is 10-1-0-2, first"},
		{"_https._tcp.web.default.svc SRV", "service default/web has no port https with protocol tcp; there is _http._tcp, _metrics._tcp"},
		{"_http._tcp.db.default.svc SRV", "service default/db has no port http with protocol tcp; there is _sql._tcp"},
		{"_http._tcp.unnamed.default.svc SRV", "service default/unnamed has no port http with protocol tcp; its ports have no names"},
		{"ip.default.svc A", "service default/ip has the externalName 192.0.2.1, an address; DNS can only refer to names"},
		{"a.out.default.svc A", "service default/out refers to example.com (ExternalName) and has no names below it"},
		{"web.default.pod A", "web is not an address with dashes"},
		{"1-2-3-4.absent.pod A", "namespace absent does not exist"},
		{"9.0.1.10.in-addr.arpa. PTR", "no service or endpoint has 10.1.0.9, and it is in the cluster's own range, so no other server is asked"},
		{"9.9.9.9.in-addr.arpa. PTR", "no service or endpoint has 9.9.9.9"},
		// What exists, without such records.
		{"web.default.svc AAAA", "service default/web has no IPv6 address here"},
		{"web.default.svc MX", "service default/web exists; it has no records of this type"},
		{"loop.default.svc A", "service default/loop refers to loop.default.svc.cluster.local (ExternalName), which does not lead to an address"},
		{"long.default.svc A", "service default/long has the externalName " + strings.Repeat("a", 64) + ".com, which cannot be a DNS name"},
		{"evil.default.svc A", `service default/evil refers to x\027[31m.com (ExternalName)`},
		{"out.default.svc SRV", "service default/out exists; it has no records of this type"},
		{"default.svc A", "default is a namespace; only names below it have records"},
		{"svc A", "there are only names below svc"},
		{"cluster.local. MX", "the top of the zone has no records of this type"},
		{"1-2-3-4.default.pod AAAA", "the name stands for an address of the other family"},
		{"1-2-3-4.default.pod MX", "the name stands for an address; it has no records of this type"},
		{"1.0.96.10.in-addr.arpa. A", "no service or endpoint has this reverse name"},
		{"5.0.1.10.in-addr.arpa. A", "reverse names have only PTR records"},
		// What was found.
		{"web.default.svc A", "service default/web has a cluster IP"},
		{"unnamed.default.svc A", "service default/unnamed has a cluster IP, but no ready endpoint behind it (one is not ready)"},
		{"db.default.svc A", "service default/db is headless: these are its ready endpoints"},
		{"first.web.default.svc A", "first is an endpoint of service default/web"},
		{"out.default.svc A", "service default/out refers to example.com (ExternalName)"},
		{"1-2-3-4.default.pod A", "the address is in the name; whether a pod has it was not checked (pods insecure)"},
		{"1.0.96.10.in-addr.arpa. PTR", "10.96.0.1 is the cluster IP of service default/web"},
		{"5.0.1.10.in-addr.arpa. PTR", "10.1.0.5 is an endpoint of service default/db"},
		{"cluster.local. SOA", "this is the top of the zone"},
		{"dns-version TXT", "this is the version of the specification of the names"},
		{"ns.dns A", "this is the name of the zone's name server if it has no service"},
		{"web.default.svc AXFR", "zone transfers are not supported"},
		{"example.com. A", "the name is not in cluster.local, so it is not a name of the cluster"},
	} {
		ask(t, v, c.question)
		name, typeName, _ := strings.Cut(c.question, " ")
		if !strings.HasSuffix(name, ".") {
			name += ".cluster.local."
		}
		if got := v.Explain(name, dns.StringToType[typeName]); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.question, got, c.want)
		}
	}

	for _, c := range []struct {
		options        Options
		question, want string
	}{
		{Options{Pods: Disabled}, "1-2-3-4.default.pod", "names for pod addresses are disabled (pods disabled)"},
		{Options{Pods: Verified}, "1-2-3-4.default.pod", "no pod in namespace default has the address that 1-2-3-4 spells"},
		{Options{Pods: Verified}, "10-9-9-9.default.pod", "a pod in namespace default has the address"},
		{Options{IgnoreEmptyService: true}, "unnamed.default.svc",
			"service default/unnamed has no ready endpoint (one is not ready), and such services are denied (ignore empty_service)"},
	} {
		v := load(c.options, append(objects, Pod{"default", "p", []string{"10.9.9.9"}})...)
		if got := v.Explain(c.question+".cluster.local.", dns.TypeA); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.question, got, c.want)
		}
	}
	if got := NewStore(Options{}).View().Explain("web.default.svc.cluster.local.", dns.TypeA); got != "the cluster's records are not complete yet" {
		t.Errorf("before the sync: %s", got)
	}
}
