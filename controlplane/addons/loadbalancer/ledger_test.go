package loadbalancer

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"bonsai/bootstrap/cluster"
)

func ip(text string) netip.Addr { return netip.MustParseAddr(text) }

func pool(t *testing.T, list ...string) (ranges []cluster.AddressRange) {
	t.Helper()
	for _, text := range list {
		r, err := cluster.ParseAddressRange(text)
		if err != nil {
			t.Fatal(err)
		}
		ranges = append(ranges, r)
	}
	return ranges
}

// needs is a claim of a TCP port.
func needs(key string, port int32, change ...func(*claim)) claim {
	c := claim{key: key, ports: []cluster.AnnouncedPort{{Protocol: "TCP", Port: port}}}
	for _, f := range change {
		f(&c)
	}
	return c
}

func shared(c *claim)                { c.sharing = "x" }
func local(pods string) func(*claim) { return func(c *claim) { c.local, c.pods = true, pods } }
func has(a string) func(*claim)      { return func(c *claim) { c.has = ip(a) } }
func wanting(a string) func(*claim)  { return func(c *claim) { c.wanted = ip(a) } }

func TestLedger(t *testing.T) {
	l := newLedger(pool(t, "10.1.3.1-10.1.3.2", "10.1.3.9"))
	expect := func(c claim, want string) {
		t.Helper()
		got, err := l.give(c)
		switch {
		case err != nil && !strings.Contains(err.Error(), want), err == nil && got.String() != want:
			t.Errorf("%s got %s, %v; want %s", c.key, got, err, want)
		}
	}
	expect(needs("a", 80), "10.1.3.1")
	expect(needs("b", 80), "10.1.3.2")
	expect(needs("a", 81), "10.1.3.1")
	expect(needs("c", 80, wanting("10.1.4.1")), "is not one of the addresses of load balancers, 10.1.3.1-10.1.3.2, 10.1.3.9")
	expect(needs("c", 80, wanting("10.1.3.2")), "is in use by Service b")
	expect(needs("c", 80), "10.1.3.9")
	expect(needs("d", 80), "no address is free: all 3 of 10.1.3.1-10.1.3.2, 10.1.3.9 are in use")
	if _, err := l.give(needs("d", 80)); !errors.Is(err, errExhausted) {
		t.Errorf("got %v", err)
	}
	if !l.release("b") || l.release("b") || l.used() != 2 {
		t.Error("an address was not released once")
	}
	expect(needs("d", 80, has("10.9.9.9")), "10.1.3.2") // a cluster's fork has another subnet
	// One that asks for what it cannot have keeps what it has.
	expect(needs("d", 80, wanting("10.1.3.1")), "is in use")
	if l.of["d"] != ip("10.1.3.2") {
		t.Errorf("d has %s", l.of["d"])
	}
	l.release("a")
	expect(needs("d", 80, wanting("10.1.3.1")), "10.1.3.1")
	expect(needs("e", 80, has("10.1.3.9")), "10.1.3.2") // c has that
}

func TestSharing(t *testing.T) {
	l := newLedger(pool(t, "10.1.3.1-10.1.3.4"))
	give := func(c claim) string {
		a, err := l.give(c)
		if err != nil {
			return err.Error()
		}
		return a.String()
	}
	for _, step := range []struct {
		claim claim
		want  string
	}{
		{needs("a", 80, shared), "10.1.3.1"},
		{needs("b", 81, shared), "10.1.3.1"},
		{needs("c", 80, shared), "10.1.3.2"}, // a has that port
		{needs("d", 82), "10.1.3.3"},
		{needs("e", 83, shared, local("ns/app=web")), "10.1.3.4"},
		{needs("f", 84, shared, local("ns/app=web")), "10.1.3.4"},
		{needs("g", 84, shared, wanting("10.1.3.4"), local("ns/app=db")), "with Local the same selector"},
		{needs("g", 80, shared, wanting("10.1.3.1")), "by Service a, which has port 80/TCP, too"},
		{needs("g", 85, wanting("10.1.3.1")), "do not both have the annotation"},
		{needs("g", 85, func(c *claim) { c.sharing = "y" }, wanting("10.1.3.1")), "another value of the annotation"},
	} {
		if got := give(step.claim); !strings.Contains(got, step.want) {
			t.Errorf("%s got %s, want %s", step.claim.key, got, step.want)
		}
	}
	list := l.addresses()
	if len(list) != 4 || len(list[0].ports) != 2 || len(list[0].services) != 2 || list[0].local || !list[3].local {
		t.Errorf("in use are %+v", list)
	}
	// The port of b is changed to that of a: it has to move.
	if got := give(needs("b", 80, shared)); !strings.Contains(got, "no address is free") {
		t.Errorf("b got %s", got)
	}
}

func TestPlace(t *testing.T) {
	nodes := func(list ...string) (c []candidate) {
		for _, n := range list {
			name, unready := strings.CutSuffix(n, "!")
			c = append(c, candidate{name, !unready})
		}
		return c
	}
	addresses := []address{}
	for a := ip("10.1.3.1"); a.Compare(ip("10.1.3.9")) < 0; a = a.Next() {
		addresses = append(addresses, address{Addr: a})
	}
	none := func([]string) map[string]bool { return nil }
	first := place(addresses, nodes("a", "b"), nil, none)
	count := map[string]int{}
	for _, n := range first {
		count[n]++
	}
	if count["a"] != 4 || count["b"] != 4 {
		t.Errorf("spread as %v", count)
	}
	// A node comes: nothing moves. One goes: only its addresses do.
	if again := place(addresses, nodes("a", "b", "c"), first, none); len(again) != 8 || again[ip("10.1.3.1")] != first[ip("10.1.3.1")] {
		t.Errorf("moved to %v", again)
	}
	for a, n := range place(addresses, nodes("b", "c"), first, none) {
		if first[a] == "b" && n != "b" || n == "a" {
			t.Errorf("%s went from %s to %s", a, first[a], n)
		}
	}
	// Without any node they stay where they were.
	if then := place(addresses, nil, first, none); then[ip("10.1.3.1")] != first[ip("10.1.3.1")] {
		t.Errorf("without nodes they are at %v", then)
	}
	if then := place(addresses, nil, nil, none); len(then) != 0 {
		t.Errorf("without nodes they are at %v", then)
	}
	for a, n := range place(addresses, nodes("a!", "b"), nil, none) {
		if n != "b" {
			t.Errorf("%s is at %s, which is not ready", a, n)
		}
	}
	if then := place(addresses, nodes("a!"), nil, none); len(then) != 8 {
		t.Errorf("a node that is not ready announces only %v", then)
	}
	web := []address{{Addr: ip("10.1.3.1"), local: true, services: []string{"ns/web"}}}
	for _, tc := range []struct{ pods, now, want string }{
		{"c", "", "c"}, {"c", "a", "c"}, {"a,c", "a", "a"}, {"", "b", "b"}, {"gone", "b", "b"},
	} {
		pods := func(services []string) map[string]bool {
			on := map[string]bool{}
			for n := range strings.SplitSeq(tc.pods, ",") {
				on[n] = services[0] == "ns/web"
			}
			return on
		}
		if then := place(web, nodes("a", "b", "c"), map[netip.Addr]string{ip("10.1.3.1"): tc.now}, pods); then[ip("10.1.3.1")] != tc.want {
			t.Errorf("pods on %q, address at %q: it goes to %v", tc.pods, tc.now, then)
		}
	}
}
