package feed

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"bonsai/bootstrap/cluster"
)

// asked is a question in a table: from an address, of a type, with an answer code, at some millisecond.
type asked struct {
	at    int
	from  string
	qtype string
	name  string
	rcode string
}

func (a asked) query() cluster.DNSQuery {
	return cluster.DNSQuery{Client: netip.MustParseAddr("10.244.1." + a.from), Type: a.qtype, Name: a.name, Rcode: a.rcode}
}

// published is a question as the folder returned it: "MS FROM TYPE NAME RCODE < TRIES".
func published(at int, q cluster.DNSQuery) string {
	client := q.Client.As4()
	text := fmt.Sprintf("%d %d %s %s %s", at, client[3], q.Type, q.Name, q.Rcode)
	if len(q.Tries) > 0 {
		text += " < " + strings.Join(q.Tries, " ")
	}
	return text
}

const (
	no  = "NXDOMAIN"
	yes = "NOERROR"
)

func TestFolder(t *testing.T) {
	for _, c := range []struct {
		what string
		in   []asked
		want []string
	}{
		{"what is not a search is published at once", []asked{
			{0, "5", "A", "web.default.svc.cluster.local.", yes},
			{0, "5", "AAAA", "web.default.svc.cluster.local.", yes},
			{1, "5", "A", "nope.example.com.", no},
			{2, "5", "PTR", "1.0.0.10.in-addr.arpa.", no},
			{3, "5", "A", "web.default.svc.cluster.local.", "SERVFAIL"},
		}, []string{
			"0 5 A web.default.svc.cluster.local. NOERROR", "0 5 AAAA web.default.svc.cluster.local. NOERROR",
			"1 5 A nope.example.com. NXDOMAIN", "2 5 PTR 1.0.0.10.in-addr.arpa. NXDOMAIN",
			"3 5 A web.default.svc.cluster.local. SERVFAIL",
		}},
		{"glibc looks for an outside name, A and AAAA in turn", []asked{
			{0, "5", "A", "example.com.shop.svc.cluster.local.", no},
			{0, "5", "AAAA", "example.com.shop.svc.cluster.local.", no},
			{1, "5", "A", "example.com.svc.cluster.local.", no},
			{1, "5", "AAAA", "example.com.svc.cluster.local.", no},
			{2, "5", "A", "example.com.cluster.local.", no},
			{2, "5", "AAAA", "example.com.cluster.local.", no},
			{3, "5", "A", "example.com.corp.test.", no},
			{3, "5", "AAAA", "example.com.corp.test.", no},
			{9, "5", "A", "example.com.", yes},
			{30, "5", "AAAA", "example.com.", yes},
		}, []string{
			"9 5 A example.com. NOERROR < example.com.shop.svc.cluster.local. example.com.svc.cluster.local. example.com.cluster.local. example.com.corp.test.",
			"30 5 AAAA example.com. NOERROR < example.com.shop.svc.cluster.local. example.com.svc.cluster.local. example.com.cluster.local. example.com.corp.test.",
		}},
		{"a Service of another namespace is found by the second domain", []asked{
			{0, "5", "A", "db.prod.shop.svc.cluster.local", no},
			{1, "5", "A", "db.prod.svc.cluster.local", yes},
		}, []string{"1 5 A db.prod.svc.cluster.local NOERROR < db.prod.shop.svc.cluster.local"}},
		{"NODATA ends a search too", []asked{
			{0, "5", "AAAA", "db.prod.shop.svc.cluster.local.", no},
			{1, "5", "AAAA", "db.prod.svc.cluster.local.", yes},
		}, []string{"1 5 AAAA db.prod.svc.cluster.local. NOERROR < db.prod.shop.svc.cluster.local."}},
		{"the last name of a search that fails", []asked{
			{0, "5", "A", "nope.shop.svc.cluster.local.", no},
			{1, "5", "A", "nope.svc.cluster.local.", no},
			{2, "5", "A", "nope.cluster.local.", no},
			{3, "5", "A", "nope.", no},
		}, []string{"3 5 A nope. NXDOMAIN < nope.shop.svc.cluster.local. nope.svc.cluster.local. nope.cluster.local."}},
		{"a search that is broken off is published after a while", []asked{
			{0, "5", "A", "nope.shop.svc.cluster.local.", no},
			{100, "5", "A", "nope.svc.cluster.local.", no},
		}, []string{"250 5 A nope.svc.cluster.local. NXDOMAIN < nope.shop.svc.cluster.local."}},
		{"a name in full that does not exist has no tries", []asked{
			{0, "5", "A", "nope.shop.svc.cluster.local.", no},
		}, []string{"150 5 A nope.shop.svc.cluster.local. NXDOMAIN"}},
		{"what comes too late is another search", []asked{
			{0, "5", "A", "db.prod.shop.svc.cluster.local.", no},
			{151, "5", "A", "db.prod.svc.cluster.local.", yes},
		}, []string{"150 5 A db.prod.shop.svc.cluster.local. NXDOMAIN", "151 5 A db.prod.svc.cluster.local. NOERROR"}},
		{"clients do not mix", []asked{
			{0, "5", "A", "db.prod.shop.svc.cluster.local.", no},
			{1, "6", "A", "db.prod.svc.cluster.local.", yes},
			{2, "5", "A", "db.prod.svc.cluster.local.", yes},
		}, []string{"1 6 A db.prod.svc.cluster.local. NOERROR", "2 5 A db.prod.svc.cluster.local. NOERROR < db.prod.shop.svc.cluster.local."}},
		{"two programs of a pod look for the same name", []asked{
			{0, "5", "A", "db.prod.shop.svc.cluster.local.", no},
			{0, "5", "A", "db.prod.shop.svc.cluster.local.", no},
			{1, "5", "A", "db.prod.svc.cluster.local.", yes},
			{1, "5", "A", "db.prod.svc.cluster.local.", yes},
		}, []string{
			"1 5 A db.prod.svc.cluster.local. NOERROR < db.prod.shop.svc.cluster.local.",
			"1 5 A db.prod.svc.cluster.local. NOERROR < db.prod.shop.svc.cluster.local.",
		}},
		{"names that begin alike do not mix", []asked{
			{0, "5", "A", "web.shop.svc.cluster.local.", no},
			{1, "5", "A", "web.example.com.shop.svc.cluster.local.", no},
			{2, "5", "A", "web.example.com.", yes}, // the end of the second; the first has not left the cluster
			{3, "5", "A", "web.other.svc.cluster.local.", yes},
			{4, "5", "A", "website.svc.cluster.local.", yes},
		}, []string{
			"2 5 A web.example.com. NOERROR < web.example.com.shop.svc.cluster.local.",
			"3 5 A web.other.svc.cluster.local. NOERROR", "4 5 A website.svc.cluster.local. NOERROR",
			"150 5 A web.shop.svc.cluster.local. NXDOMAIN",
		}},
		{"a pod's own search domains may be of the cluster", []asked{
			{0, "5", "A", "web.shop.svc.cluster.local.", no},
			{1, "5", "A", "web.svc.cluster.local.", no},
			{2, "5", "A", "web.cluster.local.", no},
			{3, "5", "A", "web.prod.svc.cluster.local.", yes},
		}, []string{"3 5 A web.prod.svc.cluster.local. NOERROR < web.shop.svc.cluster.local. web.svc.cluster.local. web.cluster.local."}},
		{"all names at once, in any order", []asked{
			{0, "5", "A", "nope.svc.cluster.local.", no},
			{0, "5", "A", "nope.cluster.local.", no},
			{0, "5", "A", "nope.shop.svc.cluster.local.", no},
			{1, "5", "A", "nope.", no},
		}, []string{"1 5 A nope. NXDOMAIN < nope.svc.cluster.local. nope.cluster.local. nope.shop.svc.cluster.local."}},
		{"letter case is up to the client", []asked{
			{0, "5", "A", "dB.pRod.shop.svc.cLuster.local.", no},
			{1, "5", "A", "Db.prod.Svc.cluster.locaL.", yes},
		}, []string{"1 5 A Db.prod.Svc.cluster.locaL. NOERROR < dB.pRod.shop.svc.cLuster.local."}},
		{"odd names", []asked{
			{0, "5", "A", ".", no}, {0, "5", "A", "", no}, {0, "5", "A", "cluster.local.", no}, {0, "5", "A", "svc.cluster.local.", no},
			{1, "5", "A", ".cluster.local.", no},
		}, []string{"0 5 A . NXDOMAIN", "0 5 A  NXDOMAIN", "0 5 A cluster.local. NXDOMAIN",
			"1 5 A .cluster.local. NXDOMAIN", "150 5 A svc.cluster.local. NXDOMAIN"}},
	} {
		var f Folder
		if got := play(&f, c.in); !slices.Equal(got, c.want) {
			t.Errorf("%s:\n got %s\nwant %s", c.what, strings.Join(got, "\n     "), strings.Join(c.want, "\n     "))
		}
		if len(f.searches) > 0 {
			t.Errorf("%s: %d searches are left", c.what, len(f.searches))
		}
	}
}

// play lets each millisecond pass until nothing is held back any more.
func play(f *Folder, in []asked) (got []string) {
	begin := time.Unix(1000, 0)
	for ms := 0; ; ms++ {
		now := begin.Add(time.Duration(ms) * time.Millisecond)
		for _, q := range f.Due(now) {
			got = append(got, published(ms, q))
		}
		for len(in) > 0 && in[0].at == ms {
			for _, q := range f.Add(now, in[0].query()) {
				got = append(got, published(ms, q))
			}
			in = in[1:]
		}
		if _, waiting := f.Next(); !waiting && len(in) == 0 {
			return got
		}
	}
}

func TestFolderIsBounded(t *testing.T) {
	var f Folder
	now := time.Unix(1000, 0)
	for i := range maxSearches {
		q := cluster.DNSQuery{Name: fmt.Sprintf("n%d.shop.svc.cluster.local.", i), Rcode: no, Type: "A"}
		if out := f.Add(now, q); out != nil {
			t.Fatalf("miss %d is published at once: %v", i, out)
		}
	}
	q := cluster.DNSQuery{Name: "more.shop.svc.cluster.local.", Rcode: no, Type: "A"}
	if out := f.Add(now, q); len(out) != 1 {
		t.Errorf("one more is held back: %v", out)
	}
	// A search that was known before goes on all the same.
	if out := f.Add(now, cluster.DNSQuery{Name: "n7.", Rcode: no, Type: "A"}); len(out) != 1 || len(out[0].Tries) != 1 {
		t.Errorf("got %v", out)
	}
	if out := f.Due(now.Add(Hold)); len(out) != maxSearches-1 {
		t.Errorf("%d are due", len(out))
	}

	// A resolver that never stops is published in pieces.
	pieces := 0
	for i := range 3 * maxTries {
		name := fmt.Sprintf("web.d%d.example.", i)
		if i < 2 {
			name = []string{"web.svc.cluster.local.", "web.cluster.local."}[i]
		}
		for _, q := range f.Add(now, cluster.DNSQuery{Name: name, Rcode: no, Type: "A"}) {
			if pieces++; len(q.Tries) > maxTries {
				t.Errorf("%d tries in one", len(q.Tries))
			}
		}
	}
	if pieces == 0 {
		t.Error("it is held back for ever")
	}
}
