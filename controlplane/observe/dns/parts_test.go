package dns

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"bonsai/bootstrap/cluster"
)

func TestClientOf(t *testing.T) {
	ndots := func(v string) []corev1.PodDNSConfigOption {
		return []corev1.PodDNSConfigOption{{Name: "ndots", Value: &v}, {Name: "single-request"}}
	}
	own := []string{"shop.svc.cluster.local", "svc.cluster.local", "cluster.local"}
	for _, c := range []struct {
		what   string
		edit   func(*corev1.Pod)
		search []string
		ndots  int
		notes  string
	}{
		{"as most are", func(*corev1.Pod) {}, append(slices.Clone(own), "corp.test"), 5, ""},
		{"ClusterFirst on the node's network", func(p *corev1.Pod) { p.Spec.HostNetwork = true }, []string{"corp.test"}, 1, "169.254.102.71"},
		{"ClusterFirstWithHostNet", func(p *corev1.Pod) {
			p.Spec.HostNetwork, p.Spec.DNSPolicy = true, corev1.DNSClusterFirstWithHostNet
		}, append(slices.Clone(own), "corp.test"), 5, ""},
		{"Default", func(p *corev1.Pod) { p.Spec.DNSPolicy = corev1.DNSDefault }, []string{"corp.test"}, 1, "169.254.102.71"},
		{"more search domains and fewer dots", func(p *corev1.Pod) {
			p.Spec.DNSConfig = &corev1.PodDNSConfig{Searches: []string{"a.test", "corp.test", "."}, Options: ndots("2"), Nameservers: []string{"1.1.1.1"}}
		}, append(slices.Clone(own), "corp.test", "a.test", "."), 2, ""},
		{"None", func(p *corev1.Pod) {
			p.Spec.DNSPolicy, p.Spec.DNSConfig = corev1.DNSNone, &corev1.PodDNSConfig{Nameservers: []string{"1.1.1.1"}, Searches: []string{"a.test"}}
		}, []string{"a.test"}, 1, "1.1.1.1"},
		{"None, asking the cluster's DNS all the same", func(p *corev1.Pod) {
			p.Spec.DNSPolicy, p.Spec.DNSConfig = corev1.DNSNone, &corev1.PodDNSConfig{Nameservers: []string{"10.96.0.10"}, Options: ndots("99")}
		}, nil, 15, ""},
		{"ndots that is no number", func(p *corev1.Pod) { p.Spec.DNSConfig = &corev1.PodDNSConfig{Options: ndots("many")} }, append(slices.Clone(own), "corp.test"), 5, ""},
		{"no address", func(p *corev1.Pod) { p.Status.PodIP = "" }, append(slices.Clone(own), "corp.test"), 5, "no address yet"},
		{"too many search domains", func(p *corev1.Pod) {
			p.Spec.DNSPolicy, p.Spec.DNSConfig = corev1.DNSNone, &corev1.PodDNSConfig{Nameservers: []string{"10.96.0.10"}}
			for i := range 40 {
				p.Spec.DNSConfig.Searches = append(p.Spec.DNSConfig.Searches, fmt.Sprintf("d%02d.test", i))
			}
		}, func() (all []string) {
			for i := range 32 {
				all = append(all, fmt.Sprintf("d%02d.test", i))
			}
			return all
		}(), 1, ""},
		{"too long a search path", func(p *corev1.Pod) {
			p.Spec.DNSPolicy, p.Spec.DNSConfig = corev1.DNSNone, &corev1.PodDNSConfig{Nameservers: []string{"10.96.0.10"}}
			for i := range 30 {
				p.Spec.DNSConfig.Searches = append(p.Spec.DNSConfig.Searches, strings.Repeat("x", 98)+fmt.Sprint(10+i))
			}
		}, func() (all []string) {
			for i := range 20 { // 20 of 100 characters, and 19 spaces
				all = append(all, strings.Repeat("x", 98)+fmt.Sprint(10+i))
			}
			return all
		}(), 1, ""},
	} {
		p := pod("shop", "cart", "dev-2", "10.244.2.5")
		c.edit(p)
		a := clientOf(p, "10.96.0.10")
		if got := a.search([]string{"corp.test"}); !slices.Equal(got, c.search) || a.ndots != c.ndots {
			t.Errorf("%s: search %q ndots %d", c.what, got, a.ndots)
		}
		if notes := strings.Join(a.notes, "; "); !strings.Contains(notes, c.notes) || (notes == "") != (c.notes == "") {
			t.Errorf("%s: notes %q, want %q", c.what, notes, c.notes)
		}
		if a.node != "dev-2" || a.address.IsValid() != (p.Status.PodIP != "") {
			t.Errorf("%s: node %s, address %s", c.what, a.node, a.address)
		}
	}
}

func TestPodNames(t *testing.T) {
	begin := time.Unix(2000, 0)
	n := newPodNames()
	addr := netip.MustParseAddr("10.244.1.5")
	set := func(uid, phase string, created int64, deleted bool) bool {
		before := n.news()
		p := pod("shop", uid, "dev-1", addr.String())
		p.UID, p.CreationTimestamp, p.Status.Phase = types.UID(uid), metav1.Unix(created, 0), corev1.PodPhase(phase)
		n.set(p, deleted, begin)
		select {
		case <-before:
			return true
		default:
			return false
		}
	}
	want := func(step, name string, after time.Duration) {
		t.Helper()
		if got := n.name(addr, begin.Add(after)); got != name {
			t.Errorf("%s: after %v it is %q, want %q", step, after, got, name)
		}
	}
	want("unknown", "", 0)
	if !set("a", "Pending", 100, false) {
		t.Error("a new name is not reported as a change")
	}
	want("pending", "shop/a", time.Hour)
	if set("a", "Pending", 100, false) {
		t.Error("the same again is news")
	}
	set("a", "Succeeded", 100, false)
	want("ended", "shop/a", afterlife)
	want("ended", "", afterlife+1)
	set("b", "Running", 50, false) // made earlier, but it waited for its turn
	want("the next", "shop/b", time.Hour)
	set("a", "Succeeded", 100, true)
	want("the old one is deleted", "shop/b", time.Hour)
	set("c", "Running", 200, false)
	set("b", "Running", 50, false)
	want("a late word of the old one", "shop/c", time.Hour)
	set("c", "Running", 200, true)
	want("deleted", "shop/c", afterlife)
	want("deleted", "", afterlife+1)

	host := pod("shop", "host", "dev-1", "10.201.0.10")
	host.Spec.HostNetwork = true
	n.set(host, false, begin)
	odd := pod("shop", "odd", "dev-1", "not an address")
	n.set(odd, false, begin)
	if len(n.byIP) != 1 {
		t.Errorf("%d addresses are known", len(n.byIP))
	}
}

func TestNaming(t *testing.T) {
	known := map[string]string{}
	n := naming{limit: time.Second, name: func(q cluster.DNSQuery, _ time.Time) (string, bool) {
		name, ok := known[q.Client.String()]
		return name, ok
	}}
	begin := time.Unix(1000, 0)
	at := func(ms int) time.Time { return begin.Add(time.Duration(ms) * time.Millisecond) }
	question := func(client, name string) cluster.DNSQuery {
		return cluster.DNSQuery{Client: netip.MustParseAddr(client), Name: name, Pod: "forged/by-a-node"}
	}
	want := func(step string, got []cluster.DNSQuery, want ...string) {
		t.Helper()
		var texts []string
		for _, q := range got {
			texts = append(texts, q.Pod+" "+q.Name)
		}
		if !slices.Equal(texts, want) {
			t.Errorf("%s: %q, want %q", step, texts, want)
		}
	}
	const a, b = "10.244.1.5", "10.244.1.6"
	want("unknown", n.add(at(0), question(a, "a1")))
	want("another", n.add(at(100), question(b, "b1")))
	want("unknown still", n.add(at(200), question(a, "a2")))
	want("nothing yet", n.ready(at(300)))
	if next, ok := n.next(); !ok || next != at(1000) {
		t.Errorf("next is %v, %v", next, ok)
	}
	known[b] = "shop/b"
	want("b is known", n.ready(at(400)), "shop/b b1")
	want("b has no more to wait", n.add(at(401), question(b, "b2")), "shop/b b2")
	want("a is out of patience", n.ready(at(1000)), " a1", " a2")
	want("and gets none again", n.add(at(1100), question(a, "a3")), " a3")
	if _, ok := n.next(); ok {
		t.Error("something waits")
	}
	known[a] = "shop/a"
	want("late is better than never", n.add(at(1200), question(a, "a4")), "shop/a a4")

	// A name that comes between two questions: they stay in order.
	delete(known, b)
	want("unknown again", n.add(at(2000), question(b, "b3")))
	known[b] = "shop/b"
	want("in order", n.add(at(2001), question(b, "b4")), "shop/b b3", "shop/b b4")
	if len(n.clients) != 0 {
		t.Errorf("%d clients are stored", len(n.clients))
	}

	// It is bounded.
	delete(known, a)
	sent := 0
	for range maxQuestions {
		sent += len(n.add(at(3000), question(a, "x")))
	}
	if sent != maxQuestions {
		t.Errorf("%d of %d questions are sent", sent, maxQuestions)
	}
	for i := range 2 * maxUnnamed {
		n.add(at(3000), question(netip.AddrFrom4([4]byte{10, 244, byte(i >> 8), byte(i)}).String(), "x"))
	}
	if len(n.clients) != maxUnnamed {
		t.Errorf("%d clients are stored", len(n.clients))
	}
}
