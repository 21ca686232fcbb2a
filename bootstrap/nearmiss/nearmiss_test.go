package nearmiss

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

var shop = []Service{
	{"default", "kubernetes"}, {"default", "redis"}, {"shop", "web"}, {"shop", "cart"}, {"shop", "db"}, {"payments", "gateway"},
	{"kube-system", "kube-dns"}, {"staging", "web"}, {"monitoring", "prometheus"},
}

func TestFind(t *testing.T) {
	for _, c := range []struct {
		asked, own string
		want       string // right names, comma-separated
		reason     Reason
	}{
		{"redis.defualt.svc", "shop", "redis.default.svc", Namespace},
		{"redis.defualt.svc.cluster.local.", "shop", "redis.default.svc.cluster.local", Namespace},
		{"redis.defualt", "shop", "redis.default", Namespace},
		{"redis", "shop", "redis.default", Elsewhere},
		{"REDIS", "shop", "redis.default", Elsewhere},
		{"redis.shop.svc", "shop", "redis.default.svc", Elsewhere},
		{"redsi.default.svc", "shop", "redis.default.svc", Name},
		{"wbe", "shop", "web", Name},
		{"wbe", "default", "", 0},                             // near a Service of another namespace only
		{"web", "default", "web.shop,web.staging", Elsewhere}, // two are equally good
		{"gatewy.paymens.svc", "shop", "gateway.payments.svc", Both},
		{"db-0.db.shpo.svc", "shop", "db-0.db.shop.svc", Namespace},
		{"redis.default.scv", "shop", "redis.default.svc", Domain},
		{"redis.default.cluster.local", "shop", "redis.default.svc.cluster.local", Domain},
		{"redis.default.svc.cluster.locla", "shop", "redis.default.svc.cluster.local", Domain},
		{"redis.default.svc", "shop", "", 0}, // exists
		{"web", "shop", "", 0},               // exists
		{"api.stripe.com", "shop", "", 0},
		{"redis.com", "shop", "", 0}, // a host of the world that has a Service's name
		{"example", "shop", "", 0},
		{"", "shop", "", 0},
		{"a..b", "shop", "", 0},
		{".", "shop", "", 0},
	} {
		t.Run(c.asked+" from "+c.own, func(t *testing.T) {
			found := Find(c.asked, c.own, shop)
			var names []string
			for _, m := range found {
				names = append(names, m.Right)
				if m.Reason != c.reason {
					t.Errorf("the reason is %d, want %d", m.Reason, c.reason)
				}
			}
			if got := strings.Join(names, ","); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestFull(t *testing.T) {
	for _, c := range []struct{ asked, own, want string }{
		{"redis.default.svc", "shop", "redis.default.svc.cluster.local"},
		{"redis.default", "shop", "redis.default.svc.cluster.local"},
		{"web", "shop", "web.shop.svc.cluster.local"},
		{"web", "default", ""},
		{"redis.defualt", "shop", ""},
		{"", "shop", ""},
	} {
		if m, _ := Full(c.asked, c.own, shop); m.Right != c.want {
			t.Errorf("%q from %s: %q, want %q", c.asked, c.own, m.Right, c.want)
		}
	}
}

// TestFindAnySlip makes one slip in any name of any Service: it must be found again, or the slip has made the name of
// another, or several are equally near.
func TestFindAnySlip(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	word := func() string {
		b := make([]byte, 4+r.IntN(10))
		for i := range b {
			b[i] = byte('a' + r.IntN(26))
		}
		return string(b)
	}
	slip := func(w string) string {
		b := []byte(w)
		i := r.IntN(len(b) - 1)
		switch r.IntN(4) {
		case 0:
			b[i], b[i+1] = b[i+1], b[i]
		case 1:
			b = slices.Delete(b, i, i+1)
		case 2:
			b = slices.Insert(b, i, byte('a'+r.IntN(26)))
		case 3:
			b[i] = byte('a' + r.IntN(26))
		}
		return string(b)
	}
	for range 3000 {
		var services []Service
		for range 1 + r.IntN(12) {
			services = append(services, Service{word(), word()})
		}
		s := services[r.IntN(len(services))]
		tail := []string{"", ".svc", ".svc.cluster.local", ".svc.cluster.local."}[r.IntN(4)]
		asked := s.Name + "." + slip(s.Namespace) + tail
		if r.IntN(2) == 0 {
			asked = slip(s.Name) + "." + s.Namespace + tail
		}
		right := s.Name + "." + s.Namespace + strings.TrimSuffix(tail, ".")
		found := Find(asked, services[0].Namespace, services)
		if strings.TrimSuffix(asked, ".") == right {
			if len(found) != 0 {
				t.Fatalf("%q exists, and %v was found for it", asked, found)
			}
			continue
		}
		if !slices.ContainsFunc(found, func(m Meant) bool { return m.Right == right && m.Service == s }) {
			t.Fatalf("%q: found %v, want %q", asked, found, right)
		}
	}
}

// TestFindIsSafe: whatever is asked, what comes back exists and is something else.
func FuzzFind(f *testing.F) {
	for _, s := range []string{"redis.defualt.svc", "a.b.c.d.e", "....", "漢字.shop", strings.Repeat("x", 300) + ".shop.svc", "_http._tcp.web.shpo.svc"} {
		f.Add(s, "shop")
	}
	f.Fuzz(func(t *testing.T, asked, own string) {
		found := Find(asked, own, shop)
		if len(found) > most {
			t.Fatalf("%d guesses", len(found))
		}
		for _, m := range found {
			if !slices.Contains(shop, m.Service) {
				t.Fatalf("%v does not exist", m.Service)
			}
			if m.Right == strings.ToLower(strings.TrimSuffix(asked, ".")) {
				t.Fatalf("%q was meant by %q", m.Right, asked)
			}
			if again := Find(m.Right, own, shop); len(again) != 0 {
				t.Fatalf("%q, which exists, leads on to %v", m.Right, again)
			}
		}
	})
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"default", "defualt", 1}, {"kitten", "sitting", 3}, {"ca", "abc", 3}, {"abc", "abc", 0}} {
		if got := distance(c.a, c.b, 9); got != c.want {
			t.Errorf("from %q to %q: %d, want %d", c.a, c.b, got, c.want)
		}
		if a, b := distance(c.a, c.b, 9), distance(c.b, c.a, 9); a != b {
			t.Errorf("from %q to %q: %d there, %d back", c.a, c.b, a, b)
		}
	}
}

func TestNearest(t *testing.T) {
	for word, want := range map[string]string{
		"standart": "standard", "fast": "", "x": "", "": "", "standard": "", "web-3": "", "slwo": "slow", "Slow": "slow", "SLWO": "slow", strings.Repeat("standard", 50): "",
	} {
		if got := Nearest(word, []string{"standard", "standard", "slow", "web-1", "web-2"}); got != want {
			t.Errorf("%q: got %q, want %q", word, got, want)
		}
	}
}

func BenchmarkFind(b *testing.B) {
	var services []Service
	for i := range 2000 {
		services = append(services, Service{fmt.Sprintf("team-%d", i%50), fmt.Sprintf("service-%d", i)})
	}
	for b.Loop() {
		Find("sevrice-77.team-27.svc", "default", services)
	}
}
