package tui

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/kube"
	"bonsai/tui/dnslog"
)

// dnsShop is the shop with the Service that its mistyped name means.
func dnsShop() *fakeSession {
	s := shop()
	s.services = append(s.services, kube.ServiceLine{
		UID: "s4", Namespace: "default", Name: "redis", Kind: "ClusterIP", ClusterIP: "10.96.71.4", Ports: []kube.ServicePort{{Port: 6379, Protocol: "TCP"}}, Ready: 1, Total: 1, Created: fakeNow,
	})
	return s
}

// asked adds questions to the live feed.
func (s *fakeSession) asked(pod, name, rcode string, times int, answers ...string) {
	s.update(func() {
		for range times {
			s.queries = append(s.queries, cluster.DNSQuery{
				Time: fakeNow, Node: "dev-1", Pod: pod, Proto: "udp", Type: "A", Name: name + ".", Rcode: rcode, Took: time.Millisecond,
				Source: cluster.DNSFromForward, Upstream: "1.1.1.1:53", Answers: answers, Count: len(answers),
			})
		}
	})
}

// cursorLine is the line that has the cursor.
func cursorLine(t *testing.T, r *rig) string {
	t.Helper()
	for line := range strings.SplitSeq(r.screen(), "\n") {
		if strings.HasPrefix(line, "▸") {
			return line
		}
	}
	t.Fatalf("no line has the cursor:\n%s", r.screen())
	return ""
}

func TestDNSExplainsWhatWasMeant(t *testing.T) {
	r := newRig(t, dnsShop(), 120, 30)
	r.keys("6")
	r.shows("redis.defualt.svc", "NXDOMAIN 33%", "upstream 127.0.0.11:53 ✓ 14ms", "cache 0%",
		"+ svc.cluster.local ✗", "as given ✗", "similar name: service redis is in namespace default → redis.default.svc", "4 tries",
		"FAILING  redis.defualt.svc 1 (cart)", "ASKING  web 67% · cart 33%")
	r.keys("C")
	r.shows("copied: redis.default.svc")
	r.keys("c")
	r.shows("copied: redis.defualt.svc")
	r.keys("enter")
	if s := r.screen(); strings.Contains(s, "similar name") {
		t.Errorf("enter does not close the explanation:\n%s", s)
	}
}

func TestDNSFilters(t *testing.T) {
	r := newRig(t, dnsShop(), 120, 30)
	r.keys("6")
	r.shows("redis.defualt.svc", "api.stripe.com")
	r.keys("f")
	r.shows("failures only / 1")
	if s := r.screen(); strings.Contains(s, "api.stripe.com") {
		t.Errorf("failures only shows an answer:\n%s", s)
	}
	r.keys("esc", "/", `"pod:web api"`, "enter")
	r.shows("/pod:web api 1")
	if s := r.screen(); strings.Contains(s, "10.96.71.4") {
		t.Errorf("the filter lets another name pass:\n%s", s)
	}
	r.keys("esc", "p", `"cart"`, "enter")
	r.shows("/pod:shop/cart-7d9f4-x2k 1")
	r.keys("p", "enter")
	r.keys("t", `"A"`, "down", "enter")
	r.keys("esc")
	r.shows("api.stripe.com")
	r.u.setNamespace("ingress")
	r.shows("nothing matches")
}

func TestDNSGroupsByName(t *testing.T) {
	s := dnsShop()
	r := newRig(t, s, 120, 30)
	r.keys("6")
	r.shows("similar name")
	r.keys("u")
	r.shows("LAST RESULT", "redis.default.svc.cluster.local")
	s.asked("shop/web-9cc6f-lm2", "api.stripe.com", "NOERROR", 5, "3.5.1.8")
	r.until("six of one name", func(s string) bool {
		return strings.Contains(s, "api.stripe.com") && strings.Contains(cursorLine(t, r), "6")
	})
	r.keys("f")
	r.until("only what fails", func(s string) bool {
		return strings.Contains(s, "redis.defualt.svc") && !strings.Contains(s, "▸✓") && strings.Contains(cursorLine(t, r), "redis.defualt")
	})
	r.shows("similar name: service redis is in namespace default")
	r.keys("C")
	r.shows("copied: redis.default.svc")
	r.keys("esc", "esc")
	r.shows("COST")
}

func TestDNSPauseLosesNothing(t *testing.T) {
	s := dnsShop()
	r := newRig(t, s, 120, 30)
	r.keys("6")
	r.shows("redis.defualt.svc")
	r.keys(" ")
	r.shows("paused, 0 wait")
	for i := range 3 {
		s.asked("shop/late", fmt.Sprintf("late-%d.example.com", i), "NOERROR", 1, "1.2.3.4")
	}
	r.shows("paused, 3 wait")
	if s := r.screen(); strings.Contains(strings.Split(s, "FAILING")[0], "late-") {
		t.Errorf("a paused list goes on:\n%s", s)
	}
	r.keys(" ")
	r.shows("late-0.example.com", "late-1.example.com", "late-2.example.com")
}

func TestDNSCursorStaysOnItsQuestion(t *testing.T) {
	s := dnsShop()
	r := newRig(t, s, 100, 20)
	r.keys("6")
	r.shows("api.stripe.com")
	r.keys("j", "j")
	for i := range 40 {
		s.asked("shop/web-9cc6f-lm2", fmt.Sprintf("name-%d.example.com", i), "NOERROR", 3, "1.2.3.4")
		want := fmt.Sprintf("name-%d.example.com", i)
		r.until(want, func(string) bool {
			return r.u.dnsPage().ring.NameOf(dnslog.Make(cluster.DNSQuery{Name: want}, fakeNow).Asked) != nil
		})
		if l := cursorLine(t, r); !strings.Contains(l, "api.stripe.com") {
			t.Fatalf("the cursor went to %s", l)
		}
	}
	r.keys("g")
	r.shows("name-39.example.com")
	if l := cursorLine(t, r); !strings.Contains(l, "name-39") {
		t.Errorf("the first is %s", l)
	}
}

func TestDNSTabWarnsOfWhatIsWrongOnly(t *testing.T) {
	s := dnsShop()
	r := newRig(t, s, 120, 30)
	r.keys("6")
	r.shows("redis.defualt.svc")
	s.asked("shop/web-9cc6f-lm2", "no.such.host.example", "NXDOMAIN", 50)
	r.shows("no.such.host.example 50")
	if s := r.screen(); strings.Contains(s, "[6 DNS⚠]") {
		t.Errorf("the tab warns of a name of the world:\n%s", s)
	}
	s.asked("shop/cart-7d9f4-x2k", "redis.defualt.svc", "NXDOMAIN", 2)
	r.shows("[6 DNS⚠]", "⚠")
	r.keys("1")
	r.shows("6 DNS⚠")
}

func TestDNSTabWarnsOfNamesThatPodsMissWithoutBeingOpen(t *testing.T) {
	s := dnsShop()
	s.snapshot.Problems[0].Kind = cluster.ProblemName
	r := newRig(t, s, 120, 30)
	r.shows("6 DNS⚠")
}

func TestDNSOfOnePod(t *testing.T) {
	r := newRig(t, dnsShop(), 120, 30)
	r.keys("3")
	r.shows("cart-7d9f4-x2k")
	r.keys("/", `"web-9cc6f-lm2"`, "enter", "a", `"its DNS questions"`, "enter")
	r.shows("[6 DNS]", "/pod:shop/web-9cc6f-lm2 2", "api.stripe.com")
	if s := r.screen(); strings.Contains(s, "▸✗") {
		t.Errorf("another pod's question is shown:\n%s", s)
	}
	// The keys of lists act on the pod that asked.
	got := r.u.page().(chooser).subjects()
	if len(got) != 1 || got[0].name() != "pod shop/web-9cc6f-lm2" || got[0].state != "Running" {
		t.Errorf("the pod is %+v", got)
	}
}

func TestDNSTraceAndResolve(t *testing.T) {
	r := newRig(t, dnsShop(), 120, 30)
	r.keys("6")
	r.shows("redis.defualt.svc")
	r.keys("x")
	r.shows("as shop/cart-7d9f4-x2k asks it, on dev-1", "there is no namespace defualt", "not found", "similar name", "bonsai dns query redis.defualt.svc -p dev --trace --from shop/cart-7d9f4-x2k")
	r.frame(120, 30)
	r.keys("esc", "R", `"web AAAA from shop/web-1"`, "enter")
	r.shows("web AAAA", "as shop/web-1 asks it")
	r.session.update(func() { r.session.down = errors.New("the daemon is gone") })
	r.keys("r")
	r.shows("the daemon is gone")
}

func TestReadLookup(t *testing.T) {
	for text, want := range map[string]string{
		"": "//", "web": "web//", "web aaaa": "web/AAAA/", "web from shop/a": "web//shop/a", "web SRV from shop/a": "web/SRV/shop/a", "web shop/a srv": "web/SRV/shop/a",
	} {
		name, kind, pod := readLookup(text)
		if got := name + "/" + kind + "/" + pod; got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func TestDNSFollowsForAWhileAfterItWasLeft(t *testing.T) {
	r := newRig(t, dnsShop(), 120, 30)
	r.keys("6")
	r.shows("redis.defualt.svc")
	p := r.u.dnsPage()
	r.keys("1")
	old := p.linger.leavings
	r.keys("6", "1")
	p.linger.end(old)
	if p.feed.Users() != 1 {
		t.Errorf("the timer of a time before ends the feed")
	}
	p.linger.end(p.linger.leavings)
	if p.feed.Users() != 0 || p.status.Users() != 0 || r.u.state.Services.Feed.Users() != 0 {
		t.Errorf("it is followed for ever: %d, %d, %d", p.feed.Users(), p.status.Users(), r.u.state.Services.Feed.Users())
	}
	r.keys("6")
	if p.feed.Users() != 1 {
		t.Errorf("it is not followed again")
	}
}

func TestDNSStates(t *testing.T) {
	s := dnsShop()
	s.queries = nil
	r := newRig(t, s, 80, 24)
	r.keys("6")
	r.shows("no questions since DNS was opened")
	s = dnsShop()
	s.down = fault.Newf(fault.Addon, "the addon dns is off").Advise("", cluster.Bonsai("addons", "enable").On("dns"))
	r = newRig(t, s, 80, 24)
	r.keys("6")
	r.shows("the addon dns is off", "bonsai addons enable dns")
	s = dnsShop()
	s.snapshot = cluster.Snapshot{Name: "dev", Phase: cluster.PhaseStopped}
	r = newRig(t, s, 80, 24)
	r.shows("stopped")
	r.keys("6")
	r.frame(80, 24)
}

// nastyFlows is a cluster whose questions, Events and Services try to break lines and columns.
func nastyFlows() *fakeSession {
	s := dnsShop()
	evil := "a\x1b[2J漢字購物\u202eabc\x00\r\n" + strings.Repeat("very-long-", 40)
	for _, name := range []string{evil, "", ".", strings.Repeat("x.", 120), "👨‍👩‍👧.shop.svc"} {
		s.queries = append(s.queries, cluster.DNSQuery{
			Time: fakeNow, Node: evil, Pod: evil, Type: evil, Name: name, Rcode: "NXDOMAIN", Took: 300 * time.Hour, Source: cluster.DNSSource(evil),
			Tries: []string{name + ".a", name + "." + evil}, Upstream: evil, Proto: "tcp", Dropped: 3,
		}, cluster.DNSQuery{Time: fakeNow, Name: name, Rcode: evil}, cluster.DNSQuery{Name: name, Rcode: "NOERROR", Answers: []string{evil, evil}, Count: 900, Pod: "node/dev-1"})
		s.events = append(s.events, kube.EventLine{UID: "e" + name, Time: fakeNow.Add(time.Hour), Reason: evil, Namespace: evil, Object: kube.Object{Kind: "Pod", Name: name}, Message: evil, Source: evil, Count: 1 << 30})
		s.services = append(s.services, kube.ServiceLine{
			UID: "n" + name, Namespace: evil, Name: name, Kind: evil, ClusterIP: evil, Ports: []kube.ServicePort{{Target: evil, Protocol: evil}}, Reachable: []kube.Address{{Address: evil}, {Address: evil, From: kube.ReachHost}, {Address: evil, Alias: evil}}, Total: 9,
		})
	}
	return s
}

// oddSizes are terminals of all shapes.
var oddSizes = [][2]int{{40, 8}, {41, 9}, {59, 12}, {60, 13}, {75, 17}, {76, 24}, {80, 24}, {99, 31}, {100, 33}, {120, 40}, {159, 50}, {160, 45}, {200, 60}, {300, 100}, {300, 8}, {40, 100}}

// frames draws a page at all sizes, after each of some keys.
func frames(t *testing.T, r *rig, scripts ...[]string) {
	t.Helper()
	for _, script := range append([][]string{nil}, scripts...) {
		r.keys(script...)
		for _, size := range oddSizes {
			r.send(sizeMsg(size[0], size[1]))
			r.frame(size[0], size[1])
			r.keys("j")
			r.frame(size[0], size[1])
		}
	}
}

func TestDNSFrames(t *testing.T) {
	r := newRig(t, nastyFlows(), 80, 24)
	r.keys("6")
	r.shows("NXDOMAIN")
	frames(t, r, []string{"G"}, []string{" "}, []string{"f"}, []string{"u"}, []string{"u", "esc", "g", "x"}, []string{"esc", "t"}, []string{"esc", "/", `"zzz"`, "enter"})
}

// busyDNS is a page with a full ring.
func busyDNS(b *testing.B, w, h int) (*rig, *dnsPage) {
	s := dnsShop()
	for i := range 500 {
		s.services = append(s.services, kube.ServiceLine{UID: fmt.Sprint("svc", i), Namespace: fmt.Sprintf("team-%d", i%20), Name: fmt.Sprintf("service-%d", i)})
	}
	r := newRig(b, s, w, h)
	r.keys("6")
	r.shows("redis.defualt.svc")
	p := r.u.dnsPage()
	p.take(manyQueries(dnslog.Size), 0)
	return r, p
}

func manyQueries(n int) []dnslog.Query {
	list := make([]dnslog.Query, n)
	for i := range list {
		name := fmt.Sprintf("service-%d.team-%d.svc", i%5000, i%31)
		rcode := "NOERROR"
		if i%7 == 0 {
			rcode = "NXDOMAIN"
		}
		list[i] = dnslog.Make(cluster.DNSQuery{
			Time: fakeNow, Node: "dev-1", Pod: fmt.Sprintf("team-%d/pod-%d", i%31, i%113), Type: "A", Name: name + ".cluster.local.", Rcode: rcode, Took: time.Duration(i) * time.Microsecond,
			Tries: []string{name + ".team.svc.cluster.local.", name + ".svc.cluster.local."}, Answers: []string{"10.96.0.1"}, Count: 1, Source: cluster.DNSFromCluster,
		}, fakeNow)
	}
	return list
}

func BenchmarkDNSDraw50k(b *testing.B) {
	for _, size := range [][2]int{{80, 24}, {120, 40}, {200, 60}} {
		b.Run(fmt.Sprintf("%dx%d", size[0], size[1]), func(b *testing.B) {
			r, _ := busyDNS(b, size[0], size[1])
			r.keys("j", "j", "j")
			b.ReportAllocs()
			for b.Loop() {
				r.u.page().draw(size[0], size[1]-3)
			}
		})
	}
}

func BenchmarkDNSTake1000(b *testing.B) {
	_, p := busyDNS(b, 120, 40)
	more := manyQueries(1000)
	for b.Loop() {
		p.take(more, 0)
	}
}

func BenchmarkDNSFilter50k(b *testing.B) {
	_, p := busyDNS(b, 120, 40)
	for i := 0; b.Loop(); i++ {
		p.setFilter([]string{"service-7", "pod-3", "!team-3 nx"}[i%3])
	}
}

// TestNamesWithoutIPv6AreNormal: that a name has an address of one family is nothing to warn of, also on the page of a pod.
func TestNamesWithoutIPv6AreNormal(t *testing.T) {
	s := shop()
	for _, kind := range []string{"AAAA", "SRV"} {
		q := s.queries[2]
		q.Name, q.Type, q.Rcode, q.Answers, q.Tries = kind+".example.", kind, "NOERROR", nil, nil
		s.queries = append(s.queries, q)
	}
	for lang, want := range map[string][]string{
		"en": {"– AAAA", "no such record", "⚠ SRV", "4 tries"}, "zh": {"– AAAA", "无此记录", "⚠ SRV", "4 次"},
	} {
		r := newRig(t, s, 120, 40, func(o *Options) { o.Lang = lang })
		r.settled()
		r.u.openSubject(&subject{ref: kube.Ref{Type: kube.PodType(), Namespace: "shop", Name: "cart-7d9f4-x2k"}}, "dns")
		r.shows(append(want, "redis.defualt.svc")...)
	}
}
