package dnslog

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"bonsai/bootstrap/cluster"
)

var start = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

func question(pod, name, rcode string, source cluster.DNSSource, tries []string, answers ...string) cluster.DNSQuery {
	return cluster.DNSQuery{
		Time: start, Node: "dev-1", Pod: pod, Proto: "udp", Type: "A", Name: name, Rcode: rcode, Took: time.Millisecond, Source: source, Tries: tries,
		Answers: answers, Count: len(answers),
	}
}

func TestMake(t *testing.T) {
	path := func(name, ns string) []string {
		return []string{name + "." + ns + ".svc.cluster.local.", name + ".svc.cluster.local.", name + ".cluster.local."}
	}
	for _, c := range []struct {
		name    string
		q       cluster.DNSQuery
		asked   string
		result  string
		tries   []string
		rest    string
		verdict Verdict
		waste   bool
	}{
		{"a search for nothing", question("shop/cart", "redis.defualt.svc.", "NXDOMAIN", "cluster", path("redis.defualt.svc", "shop")),
			"redis.defualt.svc", "NXDOMAIN", []string{"shop.svc.cluster.local", "svc.cluster.local", "cluster.local"}, "", Missing, false},
		{"found on the way", question("shop/web", "redis.default.svc.cluster.local.", "NOERROR", "cluster", path("redis.default", "shop")[:1], "10.96.0.9"),
			"redis.default", "10.96.0.9", []string{"shop.svc.cluster.local"}, "svc.cluster.local", Found, false},
		{"of the world", question("shop/web", "api.stripe.com.", "NOERROR", "forward", path("api.stripe.com", "shop"), "edge.stripe.com.", "3.5.1.8"),
			"api.stripe.com", "3.5.1.8 +1", []string{"shop.svc.cluster.local", "svc.cluster.local", "cluster.local"}, "", Found, true},
		{"no data", question("shop/web", "web.shop.svc.cluster.local.", "NOERROR", "cluster", nil), "web.shop.svc.cluster.local", "no A", nil, "", NoData, false},
		{"broken", question("", "a.", "SERVFAIL", "forward", nil), "a", "SERVFAIL", nil, "", Broken, false},
		{"the root", question("", ".", "NOERROR", "forward", nil), ".", "no A", nil, "", NoData, false},
		{"tries of another name", question("", "b.", "NXDOMAIN", "cluster", []string{"a."}), "b", "NXDOMAIN", []string{"a"}, "", Missing, false},
		{"evil", question("shop/web", "a\x1b[2J.b.", "NOERROR", "cluster", nil, "\x1b]0;x\x07"), `a\x1b[2J.b`, `\x1b]0;x\x07`, nil, "", Found, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := Make(c.q, start)
			if q.Asked.Value() != c.asked || q.Result.Value() != c.result || !slices.Equal(q.Tries(), c.tries) || q.Rest() != c.rest && c.name != "the root" ||
				q.Verdict != c.verdict || q.Wasteful() != c.waste {
				t.Errorf("asked %q, result %q, tries %q, rest %q, verdict %d, wasteful %v", q.Asked.Value(), q.Result.Value(), q.Tries(), q.Rest(), q.Verdict, q.Wasteful())
			}
		})
	}
}

// naive counts as the Ring does, from a list of all questions.
type naive struct{ all []Query }

func (n *naive) figures(size int, now time.Time) (count int, fails map[string]int, asks map[string]int) {
	fails, asks = map[string]int{}, map[string]int{}
	for i, q := range n.all {
		if len(n.all)-i > size || q.at < now.Add(-Window).UnixNano() {
			continue
		}
		count++
		asks[q.Client.Value()]++
		if q.Verdict.Failed() {
			fails[q.Asked.Value()]++
		}
	}
	return count, fails, asks
}

func TestRingFiguresAreThoseOfTheWindow(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	const size = 64
	r, n, now := New(size), &naive{}, start
	for range 3000 {
		now = now.Add(time.Duration(rnd.IntN(12)) * time.Second)
		rcode := []string{"NOERROR", "NXDOMAIN", "SERVFAIL"}[rnd.IntN(3)]
		q := Make(question(fmt.Sprintf("ns/pod-%d", rnd.IntN(5)), fmt.Sprintf("name-%d.", rnd.IntN(9)), rcode, "cluster", nil), now)
		if got, want := r.Add(q), uint64(len(n.all)+1); got != want {
			t.Fatalf("number %d, want %d", got, want)
		}
		n.all = append(n.all, q)
		r.Advance(now)
		count, fails, asks := n.figures(size, now)
		if r.Count() != count {
			t.Fatalf("%d count, want %d", r.Count(), count)
		}
		gotFails := map[string]int{}
		for _, f := range r.Failing(99) {
			gotFails[f.Asked.Value()] = f.Fails
		}
		gotAsks := map[string]int{}
		for _, a := range r.Asking(99) {
			gotAsks[a.Who.Value()] = a.Count
		}
		if fmt.Sprint(gotFails) != fmt.Sprint(fails) || fmt.Sprint(gotAsks) != fmt.Sprint(asks) {
			t.Fatalf("fails %v and asks %v, want %v and %v", gotFails, gotAsks, fails, asks)
		}
		if kept := r.Next() - r.Oldest(); kept > size || r.Get(r.Oldest()) == nil || r.Get(r.Next()) != nil || r.Get(r.Oldest()-1) != nil {
			t.Fatalf("%d are kept", kept)
		}
	}
}

func TestRate(t *testing.T) {
	r, now := New(1000), start
	for range 20 {
		for range 5 {
			r.Add(Make(question("a/b", "x.", "NOERROR", "cluster", nil), now))
		}
		now = now.Add(time.Second)
	}
	r.Advance(now)
	if got := r.Rate(now); got != 5 {
		t.Errorf("%v a second, want 5", got)
	}
	if past := r.Past(now, 4, 5); past[0] != 5 || past[1] != 5 || past[2] != 5 || past[3] != 4 { // the last second is not over
		t.Errorf("the past is %v", past)
	}
	now = now.Add(time.Minute)
	r.Advance(now)
	if got := r.Rate(now); got != 0 {
		t.Errorf("%v a second a minute later", got)
	}
	now = now.Add(time.Hour)
	if !r.Advance(now) || r.Count() != 0 || r.Percentile(0.99) != 0 || r.Share(Found) != 0 {
		t.Errorf("an hour later %d still count", r.Count())
	}
}

func TestPercentile(t *testing.T) {
	r := New(2000)
	for i := range 1000 {
		q := question("a/b", "x.", "NOERROR", "cluster", nil)
		q.Took = time.Duration(i+1) * 10 * time.Microsecond
		r.Add(Make(q, start))
	}
	for p, want := range map[float64]time.Duration{0.5: 5 * time.Millisecond, 0.99: 9900 * time.Microsecond} {
		if got := r.Percentile(p); got < want || got > want*5/4 {
			t.Errorf("%v: %v, want %v or up to a quarter more", p, got, want)
		}
	}
}

func TestBuckets(t *testing.T) {
	for us := range 3_000_000 {
		d := time.Duration(us) * time.Microsecond
		if top := bucketTop(bucketOf(d)); top < d || float64(top) > float64(d)*1.25+1000 {
			t.Fatalf("%v is in a bucket up to %v", d, top)
		}
	}
	if got := bucketOf(time.Hour * 1e5); got != buckets-1 {
		t.Errorf("a long time is in bucket %d", got)
	}
	if got := bucketOf(-time.Second); got != 0 {
		t.Errorf("a negative time is in bucket %d", got)
	}
}

func TestFilter(t *testing.T) {
	ring := New(10)
	ring.Add(Make(question("shop/cart-1", "redis.defualt.svc.", "NXDOMAIN", "cluster", nil), start))
	ring.Add(Make(question("shop/web-1", "redis.default.svc.", "NOERROR", "cluster", nil, "10.96.0.9"), start))
	aaaa := question("ingress/proxy", "api.stripe.com.", "NOERROR", "forward", nil, "2001:db8::1")
	aaaa.Type = "AAAA"
	ring.Add(Make(aaaa, start))
	q := question("", "x.", "NOERROR", "cluster", nil)
	q.Client = netip.MustParseAddr("10.244.0.7")
	ring.Add(Make(q, start))
	for _, c := range []struct {
		text     string
		failures bool
		space    string
		want     string
	}{
		{"", false, "", "1234"}, {"redis", false, "", "12"}, {"REDIS", false, "", "12"}, {"!redis", false, "", "34"}, {"redis !cart", false, "", "2"},
		{"pod:cart", false, "", "1"}, {"type:a", false, "", "124"}, {"type:AAAA", false, "", "3"}, {"via:forward", false, "", "3"}, {"result:nx", false, "", "1"},
		{"pod:", false, "", "1234"}, {"", true, "", "1"}, {"", false, "shop", "12"}, {"web", true, "shop", ""}, {"10.244.0.7", false, "", "4"}, {"2001:db8", false, "", "3"},
	} {
		f := NewFilter(c.text, c.failures, c.space)
		got := ""
		for n := ring.Oldest(); n < ring.Next(); n++ {
			if f.Match(ring.Get(n)) {
				got += fmt.Sprint(n)
			}
		}
		if got != c.want {
			t.Errorf("%q, failures %v, namespace %q: %s, want %s", c.text, c.failures, c.space, got, c.want)
		}
	}
}

func fullRing(n int) *Ring {
	r := New(n)
	for i := range n {
		name := fmt.Sprintf("service-%d.team-%d.svc", i%997, i%31)
		r.Add(Make(question(fmt.Sprintf("team-%d/pod-%d", i%31, i%113), name+".cluster.local.", "NOERROR", "cluster", []string{name + ".team.svc.cluster.local."}, "10.96.0.1"), start))
	}
	return r
}

func BenchmarkAdd(b *testing.B) {
	r := fullRing(Size)
	q := question("a/b", "redis.default.svc.cluster.local.", "NOERROR", "cluster", []string{"redis.default.a.svc.cluster.local."}, "10.96.0.1")
	b.ReportAllocs()
	for b.Loop() {
		r.Add(Make(q, start))
	}
}

func BenchmarkFilter50k(b *testing.B) {
	r := fullRing(Size)
	for b.Loop() {
		f, n := NewFilter("service-7 !team-3", false, ""), 0
		for i := r.Oldest(); i < r.Next(); i++ {
			if f.Match(r.Get(i)) {
				n++
			}
		}
		if n == 0 || strings.TrimSpace(f.Text()) == "" {
			b.Fatal("nothing matches")
		}
	}
}
