package zone

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// The ranges of the cluster are never anybody else's; all other reverse names are, if the cluster does not have them.
func TestOwnRanges(t *testing.T) {
	v := load(Options{TTL: 30, Reverse: []netip.Prefix{
		netip.MustParsePrefix("10.244.0.0/16"), netip.MustParsePrefix("10.96.0.1/12"), netip.MustParsePrefix("fd00:10:244::/56"), {},
	}}, "default", vip("web", "10.96.0.1"), endpoints("web", "web-1", "10.244.1.2 fd00:10:244::5 192.0.2.1"))
	v6 := func(addr string) string { name, _ := dns.ReverseAddr(addr); return name }
	check(t, v, []row{
		{"1.0.96.10.in-addr.arpa. PTR", "NOERROR\n1.0.96.10.in-addr.arpa. 30 PTR web.default.svc.cluster.local."},
		{"1.0.96.10.in-addr.arpa. A", nodata},
		{"1.0.96.10.in-addr.arpa. TXT", nodata},
		{"2.0.96.10.in-addr.arpa. PTR", nxdomain},
		{"2.0.96.10.in-addr.arpa. A", nxdomain},
		{"255.255.111.10.in-addr.arpa. PTR", nxdomain},
		{"0.0.112.10.in-addr.arpa. PTR", "forward"},
		{"2.1.244.10.in-addr.arpa. PTR", "NOERROR\n2.1.244.10.in-addr.arpa. 30 PTR 10-244-1-2.web.default.svc.cluster.local."},
		{"3.1.244.10.in-addr.arpa. PTR", nxdomain},
		{"x.3.1.244.10.in-addr.arpa. PTR", nxdomain},
		{"x.2.1.244.10.in-addr.arpa. PTR", nxdomain},
		{"256.1.244.10.in-addr.arpa. PTR", nxdomain},
		{"02.1.244.10.in-addr.arpa. PTR", nxdomain},
		{"244.10.in-addr.arpa. PTR", nodata}, // there are names below
		{"1.244.10.in-addr.arpa. NS", nodata},
		{"10.in-addr.arpa. PTR", "forward"},
		{"1.2.0.192.in-addr.arpa. PTR", "NOERROR\n1.2.0.192.in-addr.arpa. 30 PTR 192-0-2-1.web.default.svc.cluster.local."},
		{"1.2.0.192.in-addr.arpa. A", "forward"},
		{"2.2.0.192.in-addr.arpa. PTR", "forward"},
		{v6("fd00:10:244::5") + " PTR", "NOERROR\n" + v6("fd00:10:244::5") + " 30 PTR fd00-10-244--5.web.default.svc.cluster.local."},
		{v6("fd00:10:244::5") + " A", nodata},
		{v6("fd00:10:244::6") + " PTR", nxdomain},
		{v6("fd00:10:244:100::6") + " PTR", "forward"},
		{"0.0.4.4.2.0.0.1.0.0.0.d.f.ip6.arpa. PTR", "forward"},
		{"0.0.0.0.4.4.2.0.0.1.0.0.0.d.f.ip6.arpa. PTR", "forward"},
		{"0.0.4.4.2.0.0.1.0.0.0.0.d.f.ip6.arpa. PTR", nodata},
		{"in-addr.arpa. A", nodata}, {"in-addr.arpa. TXT", "forward"}, {"svc.in-addr.arpa. A", nodata}, {"default.svc.in-addr.arpa. A", "forward"},
	})
	check(t, load(Options{Reverse: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16")}}), []row{
		{"10.in-addr.arpa. PTR", "forward"}, {"0.10.in-addr.arpa. PTR", nodata},
	})
	a := v.Lookup("3.1.244.10.in-addr.arpa.", dns.TypePTR)
	if soa := a.Ns[0].(*dns.SOA); soa.Hdr.Name != "in-addr.arpa." || soa.Ns != "ns.dns.in-addr.arpa." {
		t.Errorf("denied with %v", soa)
	}
}

// What CoreDNS takes for an address, and what not.
func TestReverseNamesReadGenerously(t *testing.T) {
	v := load(Options{TTL: 30}, endpoints("web", "web-1", "10.1.0.1=a fd00::1=a"))
	name, _ := dns.ReverseAddr("fd00::1")
	mapped, _ := dns.ReverseAddr("::1")
	mapped = "1.0.0.0.1.0.a.0.f.f.f.f" + mapped[len("1.0.0.0.0.0.0.0.0.0.0.0"):] // ::ffff:10.1.0.1
	yes := func(name string) row {
		return row{name + " PTR", "NOERROR\n" + name + " 30 PTR a.web.default.svc.cluster.local."}
	}
	no := func(name string) row { return row{name + " PTR", "forward"} }
	check(t, v, []row{
		yes("1.0.1.10.in-addr.arpa."), yes(name), yes(mapped), yes("a." + name), yes("a.b." + name), yes("a.b.c." + name),
		no("a.b.c.d." + name), no(name[2:]), no("a.1.0.1.10.in-addr.arpa."), no("01.0.1.10.in-addr.arpa."),
		no(`0\.1.1.10.in-addr.arpa.`), no(`10\.1\.0\.1.in-addr.arpa.`), no(`fd00::1.ip6.arpa.`), no("1.0.1.10.ip6.arpa."),
		no(`\000.0.1.10.in-addr.arpa.`), no(strings.Replace(name, "ip6", "in-addr", 1)),
	})
}
