package zone

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// The rows R1 to R12 of the record checklist; rows_other_test.go has the others.

func TestR1Version(t *testing.T) {
	check(t, load(Options{TTL: 30}), []row{
		{"dns-version TXT", `NOERROR` + "\n" + `dns-version.cluster.local. 28800 TXT "1.1.0"`},
		{"dns-version A", nxdomain},
		{"x.dns-version TXT", nxdomain},
	})
}

func TestR2ClusterIP(t *testing.T) {
	v := load(Options{TTL: 30}, "default",
		vip("web", "10.96.0.1", "http/TCP:80"),
		vip("dual", "10.96.0.2 fd96::2", "http/TCP:80"),
		vip("dual6", "fd96::3 10.96.0.3", "http/TCP:80", "https/TCP:443"),
		vip("portless", "10.96.0.4"),
		vip("unready", "10.96.0.5", "http/TCP:80"), endpoints("unready", "unready-1", "!10.1.0.1", "http/TCP:80"),
		vip("pending", "", "http/TCP:80"), // no cluster IP was given out yet
	)
	check(t, v, []row{
		{"web.default.svc A", "NOERROR\nweb.default.svc.cluster.local. 30 A 10.96.0.1"},
		{"dual.default.svc A", "NOERROR\ndual.default.svc.cluster.local. 30 A 10.96.0.2"},
		{"dual.default.svc AAAA", "NOERROR\ndual.default.svc.cluster.local. 30 AAAA fd96::2"},
		{"dual6.default.svc A", "NOERROR\ndual6.default.svc.cluster.local. 30 A 10.96.0.3"},
		{"dual6.default.svc AAAA", "NOERROR\ndual6.default.svc.cluster.local. 30 AAAA fd96::3"},
		{"portless.default.svc A", "NOERROR\nportless.default.svc.cluster.local. 30 A 10.96.0.4"},
		{"unready.default.svc A", "NOERROR\nunready.default.svc.cluster.local. 30 A 10.96.0.5"},
		{"pending.default.svc A", nodata},
		{"absent.default.svc A", nxdomain},
		{"web.other.svc A", nxdomain},
	})
}

func TestR3OtherFamilyIsNoData(t *testing.T) {
	v := load(Options{TTL: 30}, "default", vip("v4", "10.96.0.1", "http/TCP:80"), vip("v6", "fd96::1", "http/TCP:80"),
		headlessService("h4"), endpoints("h4", "h4-1", "10.1.0.1=a"), headlessService("h6"), endpoints("h6", "h6-1", "fd00::1=a"))
	check(t, v, []row{
		{"v4.default.svc AAAA", nodata},
		{"v6.default.svc A", nodata},
		{"h4.default.svc AAAA", nodata},
		{"h6.default.svc A", nodata},
		{"a.h4.default.svc AAAA", nodata},
		{"a.h6.default.svc A", nodata},
	})
	for _, qtype := range []string{"HTTPS", "SVCB", "MX", "CNAME", "TXT", "PTR", "NS", "SOA", "HINFO", "ANY", "NAPTR"} {
		check(t, v, []row{{"v4.default.svc " + qtype, nodata}, {"a.h6.default.svc " + qtype, nodata}})
	}
}

func TestR4SRVOfNamedPort(t *testing.T) {
	v := load(Options{TTL: 30}, "default",
		vip("web", "10.96.0.1", "http/TCP:80", "dns/UDP:53", "dns-tcp/TCP:53", "sctp/SCTP:9"),
		vip("unnamed", "10.96.0.2", "/TCP:80"),
		vip("dual", "10.96.0.3 fd96::3", "http/TCP:80"))
	check(t, v, []row{
		{"_http._tcp.web.default.svc SRV", `NOERROR
_http._tcp.web.default.svc.cluster.local. 30 SRV 0 100 80 web.default.svc.cluster.local.
+ web.default.svc.cluster.local. 30 A 10.96.0.1`},
		{"_dns._udp.web.default.svc SRV", `NOERROR
_dns._udp.web.default.svc.cluster.local. 30 SRV 0 100 53 web.default.svc.cluster.local.
+ web.default.svc.cluster.local. 30 A 10.96.0.1`},
		{"_sctp._sctp.web.default.svc SRV", `NOERROR
_sctp._sctp.web.default.svc.cluster.local. 30 SRV 0 100 9 web.default.svc.cluster.local.
+ web.default.svc.cluster.local. 30 A 10.96.0.1`},
		{"_http._tcp.dual.default.svc SRV", `NOERROR
_http._tcp.dual.default.svc.cluster.local. 30 SRV 0 50 80 dual.default.svc.cluster.local.
+ dual.default.svc.cluster.local. 30 A 10.96.0.3
+ dual.default.svc.cluster.local. 30 AAAA fd96::3`},
		{"_http._udp.web.default.svc SRV", nxdomain},
		{"_ftp._tcp.web.default.svc SRV", nxdomain},
		{"_http._tcp.unnamed.default.svc SRV", nxdomain},
		// The name exists for every type, and carries the service's addresses.
		{"_http._tcp.web.default.svc A", "NOERROR\n_http._tcp.web.default.svc.cluster.local. 30 A 10.96.0.1"},
		{"_http._tcp.web.default.svc AAAA", nodata},
		{"_http._tcp.web.default.svc TXT", nodata},
		{"_ftp._tcp.web.default.svc A", nxdomain},
		// Underscores may be missing, and alone match any.
		{"http.tcp.web.default.svc A", "NOERROR\nhttp.tcp.web.default.svc.cluster.local. 30 A 10.96.0.1"},
		{"_._.unnamed.default.svc A", "NOERROR\n_._.unnamed.default.svc.cluster.local. 30 A 10.96.0.2"},
		{"_._udp.unnamed.default.svc A", nxdomain},
	})
}

func TestR5SRVOfService(t *testing.T) {
	v := load(Options{TTL: 30}, "default",
		vip("web", "10.96.0.1", "http/TCP:80", "metrics/TCP:9090"),
		vip("same", "10.96.0.2", "dns/UDP:53", "dns-tcp/TCP:53"),
		vip("unnamed", "10.96.0.3", "/TCP:8080"),
		headlessService("six", "http/TCP:80"), endpoints("six", "six-1", "10.1.0.1 10.1.0.2 10.1.0.3 10.1.0.4 10.1.0.5 10.1.0.6", "http/TCP:80"),
	)
	check(t, v, []row{
		{"web.default.svc SRV", `NOERROR
web.default.svc.cluster.local. 30 SRV 0 50 80 web.default.svc.cluster.local.
web.default.svc.cluster.local. 30 SRV 0 50 9090 web.default.svc.cluster.local.
+ web.default.svc.cluster.local. 30 A 10.96.0.1`},
		{"same.default.svc SRV", `NOERROR
same.default.svc.cluster.local. 30 SRV 0 50 53 same.default.svc.cluster.local.
+ same.default.svc.cluster.local. 30 A 10.96.0.2`},
		{"unnamed.default.svc SRV", `NOERROR
unnamed.default.svc.cluster.local. 30 SRV 0 100 8080 unnamed.default.svc.cluster.local.
+ unnamed.default.svc.cluster.local. 30 A 10.96.0.3`},
	})
	if got := ask(t, v, "six.default.svc SRV"); strings.Count(got, " SRV 0 16 80 ") != 6 || strings.Count(got, "\n+ ") != 6 {
		t.Errorf("six endpoints:\n%s", got)
	}
	// More than a hundred: no weight is zero.
	many := endpoints("many", "many-1", "", "http/TCP:80")
	for i := range 150 {
		many.Endpoints = append(many.Endpoints, Endpoint{Addresses: []string{netip.AddrFrom4([4]byte{10, 2, 0, byte(i)}).String()}})
	}
	v = load(Options{TTL: 30}, "default", headlessService("many"), many)
	if got := ask(t, v, "many.default.svc SRV"); strings.Count(got, " SRV 0 1 80 ") != 150 {
		t.Errorf("150 endpoints:\n%s", got)
	}
}

func TestR6Headless(t *testing.T) {
	v := load(Options{TTL: 30}, "default",
		headlessService("db", "sql/TCP:5432"),
		endpoints("db", "db-1", "10.1.0.2 10.1.0.1 !10.1.0.3", "sql/TCP:5432"),
		endpoints("db", "db-2", "10.1.0.2 10.1.0.4", "sql/TCP:5432"), // one address is in both
		endpoints("db", "db-3", "fd00::1 fd00::1", "sql/TCP:5432"),   // twice in one
		headlessService("unready"), endpoints("unready", "unready-1", "!10.1.0.9"),
		headlessService("nothing"),
		headlessService("one"), endpoints("one", "one-1", "10.1.0.5"), endpoints("one", "one-2", ""),
	)
	check(t, v, []row{
		{"db.default.svc A", `NOERROR
db.default.svc.cluster.local. 30 A 10.1.0.1
db.default.svc.cluster.local. 30 A 10.1.0.2
db.default.svc.cluster.local. 30 A 10.1.0.4`},
		{"db.default.svc AAAA", "NOERROR\ndb.default.svc.cluster.local. 30 AAAA fd00::1"},
		{"one.default.svc A", "NOERROR\none.default.svc.cluster.local. 30 A 10.1.0.5"},
		{"unready.default.svc A", nxdomain},
		{"unready.default.svc SRV", nxdomain},
		{"nothing.default.svc A", nxdomain},
		{"nothing.default.svc TXT", nxdomain},
	})
}

func TestR7EndpointNames(t *testing.T) {
	v := load(Options{TTL: 30}, "default", headlessService("db"),
		endpoints("db", "db-1", "10.1.0.1=pod-0 10.1.0.2=pod-1 10.1.0.3=pod-0 10.1.0.4 172.0.0.2 10.1.0.5=10-1-0-4 10.1.0.6=10-1-0-6"),
		endpoints("db", "db-2", "fd00::1=pod-0 5678:abcd::1 fd00:1:: 1:2:3:4:5:6:7:8"),
		endpoints("db", "db-3", "10.1.0.9=pod-1"),
	)
	name := func(label, records string) row {
		qtype := "A"
		if strings.Contains(records, ":") {
			qtype = "AAAA"
		}
		want := "NOERROR"
		for r := range strings.FieldsSeq(records) {
			want += "\n" + label + ".db.default.svc.cluster.local. 30 " + qtype + " " + r
		}
		return row{label + ".db.default.svc " + qtype, want}
	}
	check(t, v, []row{
		name("pod-0", "10.1.0.1 10.1.0.3"),
		name("pod-0", "fd00::1"),
		name("pod-1", "10.1.0.2 10.1.0.9"), // in two slices
		name("172-0-0-2", "172.0.0.2"),
		name("10-1-0-4", "10.1.0.4 10.1.0.5"), // one by its address, one by its hostname
		name("10-1-0-6", "10.1.0.6"),
		name("5678-abcd--1", "5678:abcd::1"),
		name("fd00-1--0", "fd00:1::"),
		name("1-2-3-4-5-6-7-8", "1:2:3:4:5:6:7:8"),
		{"pod-1.db.default.svc AAAA", nodata},
		{"10-1-0-1.db.default.svc A", nxdomain}, // it has a hostname
		{"fd00-1--.db.default.svc AAAA", nxdomain},
		{"fd00-1-0-0-0-0-0-0.db.default.svc AAAA", nxdomain},
		{"pod-2.db.default.svc A", nxdomain},
		{"a.pod-0.db.default.svc A", nxdomain},
	})
}

func TestR8EndpointNamesUnderClusterIP(t *testing.T) {
	v := load(Options{TTL: 30}, "default", vip("web", "10.96.0.1", "http/TCP:80"),
		endpoints("web", "web-1", "10.1.0.1 10.1.0.2=first", "http/TCP:8080"))
	check(t, v, []row{
		{"10-1-0-1.web.default.svc A", "NOERROR\n10-1-0-1.web.default.svc.cluster.local. 30 A 10.1.0.1"},
		{"first.web.default.svc A", "NOERROR\nfirst.web.default.svc.cluster.local. 30 A 10.1.0.2"},
		{"first.web.default.svc SRV", `NOERROR
first.web.default.svc.cluster.local. 30 SRV 0 100 8080 first.web.default.svc.cluster.local.
+ first.web.default.svc.cluster.local. 30 A 10.1.0.2`},
		{"10-96-0-1.web.default.svc A", nxdomain},
	})
}

func TestR9SRVOfHeadless(t *testing.T) {
	v := load(Options{TTL: 30}, "default", headlessService("db", "sql/TCP:5432"),
		endpoints("db", "db-1", "10.1.0.1=a 10.1.0.2 !10.1.0.3", "sql/TCP:5432", "stats/TCP:8080"),
		endpoints("db", "db-2", "10.1.0.1=a", "web/TCP:80"))
	check(t, v, []row{
		{"_sql._tcp.db.default.svc SRV", `NOERROR
_sql._tcp.db.default.svc.cluster.local. 30 SRV 0 50 5432 10-1-0-2.db.default.svc.cluster.local.
_sql._tcp.db.default.svc.cluster.local. 30 SRV 0 50 5432 a.db.default.svc.cluster.local.
+ 10-1-0-2.db.default.svc.cluster.local. 30 A 10.1.0.2
+ a.db.default.svc.cluster.local. 30 A 10.1.0.1`},
		{"_web._tcp.db.default.svc SRV", `NOERROR
_web._tcp.db.default.svc.cluster.local. 30 SRV 0 100 80 a.db.default.svc.cluster.local.
+ a.db.default.svc.cluster.local. 30 A 10.1.0.1`},
		{"db.default.svc SRV", `NOERROR
db.default.svc.cluster.local. 30 SRV 0 20 5432 10-1-0-2.db.default.svc.cluster.local.
db.default.svc.cluster.local. 30 SRV 0 20 5432 a.db.default.svc.cluster.local.
db.default.svc.cluster.local. 30 SRV 0 20 80 a.db.default.svc.cluster.local.
db.default.svc.cluster.local. 30 SRV 0 20 8080 10-1-0-2.db.default.svc.cluster.local.
db.default.svc.cluster.local. 30 SRV 0 20 8080 a.db.default.svc.cluster.local.
+ 10-1-0-2.db.default.svc.cluster.local. 30 A 10.1.0.2
+ a.db.default.svc.cluster.local. 30 A 10.1.0.1`},
		{"_web._tcp.db.default.svc A", "NOERROR\n_web._tcp.db.default.svc.cluster.local. 30 A 10.1.0.1"},
		{"_web._tcp.db.default.svc AAAA", nodata},
		{"_http._tcp.db.default.svc SRV", nxdomain},
	})
}

func TestR10HeadlessWithoutPorts(t *testing.T) {
	v := load(Options{TTL: 30}, "default", headlessService("db"), endpoints("db", "db-1", "10.1.0.1"),
		headlessService("half"), endpoints("half", "half-1", "10.1.0.1"), endpoints("half", "half-2", "10.1.0.2", "x/TCP:1"),
		headlessService("any"), endpoints("any", "any-1", "10.1.0.1", "x/TCP"))
	check(t, v, []row{
		{"db.default.svc A", "NOERROR\ndb.default.svc.cluster.local. 30 A 10.1.0.1"},
		{"db.default.svc SRV", nodata},
		{"_x._tcp.db.default.svc SRV", nxdomain},
		// An endpoint without a port has its share of the weight all the same.
		{"half.default.svc SRV", `NOERROR
half.default.svc.cluster.local. 30 SRV 0 50 1 10-1-0-2.half.default.svc.cluster.local.
+ 10-1-0-2.half.default.svc.cluster.local. 30 A 10.1.0.2`},
		// A port that stands for all numbers has a name, and no record.
		{"_x._tcp.any.default.svc SRV", nodata},
		{"_x._tcp.any.default.svc A", "NOERROR\n_x._tcp.any.default.svc.cluster.local. 30 A 10.1.0.1"},
	})
}

func TestR11PointerOfClusterIP(t *testing.T) {
	v := load(Options{TTL: 30}, "default", vip("web", "10.96.0.1 fd96::1", "http/TCP:80"))
	reverse6, _ := dns.ReverseAddr("fd96::1")
	check(t, v, []row{
		{"1.0.96.10.in-addr.arpa. PTR", "NOERROR\n1.0.96.10.in-addr.arpa. 30 PTR web.default.svc.cluster.local."},
		{reverse6 + " PTR", "NOERROR\n" + reverse6 + " 30 PTR web.default.svc.cluster.local."},
		{"x." + reverse6 + " PTR", "NOERROR\nx." + reverse6 + " 30 PTR web.default.svc.cluster.local."},
		{"x.1.0.96.10.in-addr.arpa. PTR", "forward"},
		{"1.0.96.10.in-addr.arpa. A", "forward"},
		{"1.0.96.10.in-addr.arpa. SOA", nodata},
	})
}

func TestR12PointerOfEndpoint(t *testing.T) {
	v := load(Options{TTL: 30}, "default",
		headlessService("db"), endpoints("db", "db-1", "10.1.0.1=pod-0 10.1.0.2 10.96.0.1 fd00::1 !10.1.0.4"),
		vip("web", "10.96.0.1", "http/TCP:80"), endpoints("web", "web-1", "10.1.0.1", "http/TCP:80"),
		endpoints("web", "web-2", "10.1.0.1", "https/TCP:443"),
		endpoints("orphan", "orphan-1", "10.1.0.3"), // its service is gone, or being created
	)
	reverse6, _ := dns.ReverseAddr("fd00::1")
	check(t, v, []row{
		{"1.0.1.10.in-addr.arpa. PTR", `NOERROR
1.0.1.10.in-addr.arpa. 30 PTR 10-1-0-1.web.default.svc.cluster.local.
1.0.1.10.in-addr.arpa. 30 PTR pod-0.db.default.svc.cluster.local.`},
		{"2.0.1.10.in-addr.arpa. PTR", "NOERROR\n2.0.1.10.in-addr.arpa. 30 PTR 10-1-0-2.db.default.svc.cluster.local."},
		{"1.0.96.10.in-addr.arpa. PTR", "NOERROR\n1.0.96.10.in-addr.arpa. 30 PTR web.default.svc.cluster.local."},
		{reverse6 + " PTR", "NOERROR\n" + reverse6 + " 30 PTR fd00--1.db.default.svc.cluster.local."},
		{"3.0.1.10.in-addr.arpa. PTR", "NOERROR\n3.0.1.10.in-addr.arpa. 30 PTR 10-1-0-3.orphan.default.svc.cluster.local."},
		{"4.0.1.10.in-addr.arpa. PTR", "forward"},
		{"8.8.8.8.in-addr.arpa. PTR", "forward"},
	})
}
