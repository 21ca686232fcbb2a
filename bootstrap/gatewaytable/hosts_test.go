package gatewaytable

import (
	"reflect"
	"testing"
)

// group has one listener with one host.
func group(listener, host, from string, backends ...int) Group {
	rule := Rule{From: from}
	for _, b := range backends {
		rule.Backends = append(rule.Backends, Weighted{Weight: 1, Backend: b})
	}
	return Group{Listeners: []Listener{{Hostname: listener, Hosts: []Host{{Name: host, Rules: []Rule{rule, rule}}}}}}
}

func TestHostsBelow(t *testing.T) {
	table := Table{
		Backends: []Backend{{Name: "shop/web:80"}, {Name: "blog/site:http"}},
		Ports: []Port{
			{Number: 80, Groups: []Group{
				group("", "shop.localhost", "ingress/shop/web", 0, -1),
				group("", "shop.localhost", "httproute/blog/site", 1),
				group("", "blog.localhost", "ingress/blog/old", 0),
				group("blog.localhost", "blog.localhost", "httproute/blog/site", 1),
				group("", "shop.test", "ingress/shop/web", 0),
				group("", "", "ingress/shop/all", 0),
			}},
			{Number: 443, TLS: true, Groups: []Group{group("", "shop.localhost", "ingress/shop/web", 0)}},
			{Number: 8000, Groups: []Group{group("", "api.localhost", "httproute/api/a"), group("*.apps.localhost", "", "httproute/api/wild")}},
			{Number: 8080, Groups: []Group{group("", "api.localhost", "httproute/api/b"), group("", "shop.localhost", "httproute/api/shop")}},
			{Number: 61000, Public: 80, Groups: []Group{group("", "shop.localhost", "ingress/shop/web", 0), group("", "inner.localhost", "httproute/api/i")}},
			{Number: 61001, Public: 443, TLS: true, Clients: &Clients{}, Groups: []Group{group("", "mutual.localhost", "httproute/api/m")}},
			{Number: 9443, TLS: true, Groups: []Group{group("", "only.localhost", "grpcroute/api/g")}},
		},
	}
	want := []NamedHost{
		{Name: "inner.localhost", From: []string{"httproute/api/i"}, Plain: 61000},
		{Name: "blog.localhost", From: []string{"httproute/blog/site"}, Also: []string{"ingress/blog/old"}, Services: []string{"blog/site"}, Plain: 80},
		{Name: "only.localhost", From: []string{"grpcroute/api/g"}, TLS: 9443},
		{Name: "shop.localhost", From: []string{"ingress/shop/web"}, Also: []string{"httproute/api/shop", "httproute/blog/site"}, Services: []string{"shop/web"}, Plain: 80, TLS: 443},
		{Name: "api.localhost", From: []string{"httproute/api/a"}, Also: []string{"httproute/api/b"}, Plain: 8000},
		{Name: "*.apps.localhost", From: []string{"httproute/api/wild"}, Plain: 8000},
	}
	if got := table.HostsBelow(".localhost"); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestHostsCover(t *testing.T) {
	for _, test := range []struct {
		pattern, name string
		oneLabel      bool
		want          bool
	}{
		{"a.localhost", "a.localhost", false, true}, {"a.localhost", "b.a.localhost", false, false},
		{"*.a.localhost", "b.a.localhost", true, true}, {"*.a.localhost", "c.b.a.localhost", true, false}, {"*.a.localhost", "c.b.a.localhost", false, true},
		{"*.a.localhost", "a.localhost", false, false}, {"*.a.localhost", ".a.localhost", false, false},
	} {
		if got := (&NamedHost{Name: test.pattern, OneLabel: test.oneLabel}).Covers(test.name); got != test.want {
			t.Errorf("%s, %s, %t: %t", test.pattern, test.name, test.oneLabel, got)
		}
	}
}
