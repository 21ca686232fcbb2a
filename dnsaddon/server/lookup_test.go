package server

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"bonsai/bootstrap/cluster"
)

func TestSearchNames(t *testing.T) {
	search := []string{"default.svc.cluster.local", "svc.cluster.local.", ".", "example"}
	for _, tt := range []struct {
		lookup cluster.DNSLookup
		want   string
	}{
		{cluster.DNSLookup{Name: "a"}, "a."},
		{cluster.DNSLookup{Name: "a.b.", Search: search, Ndots: 5}, "a.b."},
		{cluster.DNSLookup{Name: "a", Search: search}, "a.default.svc.cluster.local. a.svc.cluster.local. a. a.example. a."},
		{cluster.DNSLookup{Name: "a.b", Search: search[:1]}, "a.b. a.b.default.svc.cluster.local."},
		{cluster.DNSLookup{Name: "a.b", Search: search[:1], Ndots: 5}, "a.b.default.svc.cluster.local. a.b."},
		{cluster.DNSLookup{Name: "a.b.c.d.e", Search: search[:1], Ndots: 5}, "a.b.c.d.e.default.svc.cluster.local. a.b.c.d.e."},
		{cluster.DNSLookup{Name: "a.b.c.d.e.f", Search: search[:1], Ndots: 5}, "a.b.c.d.e.f. a.b.c.d.e.f.default.svc.cluster.local."},
		{cluster.DNSLookup{Name: "", Search: nil}, "."},
	} {
		if got := strings.Join(searchNames(tt.lookup), " "); got != tt.want {
			t.Errorf("%+v: %s, want %s", tt.lookup, got, tt.want)
		}
	}
	many := cluster.DNSLookup{Name: "a", Search: slices.Repeat([]string{"x"}, 1000)}
	if n := len(searchNames(many)); n != maxSearch {
		t.Errorf("1000 domains give %d names, want %d", n, maxSearch)
	}
}

// outline is a result in few words: name, type, rcode, source and data of each step.
func outline(r cluster.DNSLookupResult) (list []string) {
	for _, s := range r.Steps {
		text := fmt.Sprintf("%s %s %s %s", s.Name, s.Type, s.Rcode, s.Source)
		if s.Truncated {
			text += " TC"
		}
		for _, a := range s.Answers[:min(len(s.Answers), 3)] {
			fields := strings.Fields(a)
			text += " " + fields[len(fields)-1]
		}
		list = append(list, text)
	}
	return list
}

func TestLookup(t *testing.T) {
	f := start(t, nil)
	f.SetRules(rewriting, nil)
	search := []string{"default.svc.cluster.local", "svc.cluster.local", "cluster.local"}
	for name, tt := range map[string]struct {
		lookup cluster.DNSLookup
		want   []string
	}{
		"a service by its short name": {
			cluster.DNSLookup{Name: "kubernetes", Search: search, Ndots: 5},
			[]string{
				"kubernetes.default.svc.cluster.local. A NOERROR cluster 10.96.0.1",
				"kubernetes.default.svc.cluster.local. AAAA NOERROR cluster",
			},
		},
		"a name of the world": {
			cluster.DNSLookup{Name: "one.example.com", Search: search, Ndots: 5, Type: "a"},
			[]string{
				"one.example.com.default.svc.cluster.local. A NXDOMAIN cluster",
				"one.example.com.svc.cluster.local. A NXDOMAIN cluster",
				"one.example.com.cluster.local. A NXDOMAIN cluster",
				"one.example.com. A NOERROR forward 192.0.2.2",
			},
		},
		"many addresses": {
			cluster.DNSLookup{Name: "many.default.svc.cluster.local.", Type: "A"},
			[]string{
				"many.default.svc.cluster.local. A NOERROR cluster TC 10.244.60.0 10.244.60.1 10.244.60.2",
				"many.default.svc.cluster.local. A NOERROR cluster 10.244.60.0 10.244.60.1 10.244.60.2",
			},
		},
		"many addresses over TCP": {
			cluster.DNSLookup{Name: "many.default.svc.cluster.local.", Type: "A", TCP: true},
			[]string{"many.default.svc.cluster.local. A NOERROR cluster 10.244.60.0 10.244.60.1 10.244.60.2"},
		},
		"a local name":     {cluster.DNSLookup{Name: "localhost", Type: "AAAA"}, []string{"localhost. AAAA NOERROR local ::1"}},
		"a transfer":       {cluster.DNSLookup{Name: "cluster.local", Type: "AXFR"}, []string{"cluster.local. AXFR REFUSED refused"}},
		"a number as type": {cluster.DNSLookup{Name: "localhost", Type: "type1"}, []string{"localhost. TYPE1 NOERROR local 127.0.0.1"}},
		"no type":          {cluster.DNSLookup{Name: "localhost", Type: "TYPE"}, []string{"localhost. TYPE  refused"}},
		"a foreign source": {
			cluster.DNSLookup{Name: "localhost", Type: "A", Client: netip.MustParseAddr("192.0.2.1")},
			[]string{"localhost. A  refused"},
		},
		"no name": {cluster.DNSLookup{Name: strings.Repeat("a", 64) + ".b", Type: "A"},
			[]string{strings.Repeat("a", 64) + ".b. A  refused"}},
		"a rule": {cluster.DNSLookup{Name: "my.rule", Type: "A"}, []string{"my.rule. A NOERROR cluster 10.96.0.1"}},
		"an upstream that fails": {cluster.DNSLookup{Name: "broken.example.com", Type: "A"},
			[]string{"broken.example.com. A SERVFAIL forward"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := f.Lookup(t.Context(), tt.lookup)
			if got := outline(r); !slices.Equal(got, tt.want) {
				t.Errorf("steps:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
			for _, s := range r.Steps {
				if s.Rule == "" && s.Source != cluster.DNSFromForward {
					t.Errorf("step without a reason: %+v", s)
				}
				if (s.Upstream == "") == (s.Source == cluster.DNSFromForward) {
					t.Errorf("step with upstream %q from %s", s.Upstream, s.Source)
				}
			}
		})
	}
	if got := f.Lookup(t.Context(), cluster.DNSLookup{Name: "one.example.com", Type: "A"}); got.Steps[0].Source != cluster.DNSFromCache {
		t.Errorf("asked again: %+v, want it from the cache", got.Steps[0])
	}
	if n := f.Queries(); len(n) != 0 {
		t.Errorf("lookups are counted as questions: %v", n)
	}
}
