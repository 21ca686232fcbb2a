package tui

import (
	"strings"
	"testing"

	"bonsai/bootstrap/kube"
)

// openCart opens the page of the crash looping pod.
func openCart(t *testing.T, s *fakeSession, w, h int) *rig {
	t.Helper()
	r := newRig(t, s, w, h)
	r.keys("3", "/", `"cart-7"`, "enter")
	r.shows("cart-7d9f4-x2k")
	r.keys("enter")
	r.shows("[Summary]", "waiting: CrashLoopBackOff")
	return r
}

func TestPodPage(t *testing.T) {
	r := openCart(t, shop(), 120, 40)
	r.shows("shop/cart-7d9f4-x2k   ✗ CrashLoopBackOff x4", "dev-2", "Deployment/cart → ReplicaSet/cart-7d9f4")
	r.shows("why        crash loop, 4 restarts: asks DNS for redis.defualt.svc", "exited 1 (Error) at 2026-03-14 12:03:51", "memory 128Mi", "Ready False ContainersNotReady", "BackOff")
	// Tabs go both ways and around.
	r.keys("right")
	r.shows("[Logs]", "why: crash loop", "starting cart")
	r.keys("tab")
	r.shows("[Events 1]", "x4 Back-off restarting failed container cart")
	r.keys("tab")
	r.shows("[YAML]", "kind: Pod")
	r.keys("tab")
	r.shows("[Env]", "REDIS_HOST  redis.defualt.svc", "from Secret cart, key password")
	r.keys("tab")
	r.shows("[Traffic]", "shop/web-9cc6f-lm2")
	r.keys("tab")
	r.shows("[DNS 1]", "redis.defualt.svc", "NXDOMAIN", "4 tries")
	r.keys("shift+tab", "left", "left", "left")
	r.shows("[Events 1]")
	// The keys of lists work on the object; digits stay global.
	r.keys("y")
	r.shows("[YAML]")
	r.keys("l")
	r.shows("[Logs]")
	r.keys("d")
	r.shows("[Describe", "Name:  cart-7d9f4-x2k")
	r.keys("b")
	r.shows("[Birth]")
	r.keys("y")
	r.shows("[YAML]")
	r.keys("a")
	r.shows("delete")
	r.keys("esc", "esc")
	r.shows("[3 Pods]", "RESTARTS", "1/1")
}

func TestPodPageFollowsItsPod(t *testing.T) {
	s := shop()
	r := openCart(t, s, 120, 40)
	s.update(func() { s.rows["pods"][0].Cells[2], s.rows["pods"][0].Cells[1] = "Running", "1/1" })
	r.shows("✓ Running x4   1/1")
	s.update(func() { s.rows["pods"] = s.rows["pods"][1:] })
	r.shows("it has been deleted")
	r.frame(120, 40)
}

func TestSearchInYAML(t *testing.T) {
	s := shop()
	var b strings.Builder
	for range 100 {
		b.WriteString("field: value\n")
	}
	s.yaml["shop/cart-7d9f4-x2k"] = b.String() + "needle: here\nlast: line\n"
	r := openCart(t, s, 100, 24)
	r.keys("y")
	r.shows("field: value")
	r.keys("/", `"needle"`, "enter")
	r.shows("▸needle: here", "last: line", "1 of 1")
	r.keys("esc")
	r.shows("▸needle: here")
}

func TestOwnerLeadsUp(t *testing.T) {
	s := shop()
	rs := kube.ResourceType{Group: "apps", Version: "v1", Resource: "replicasets", Kind: "ReplicaSet", Namespaced: true, Short: []string{"rs"}}
	s.types = append(s.types, rs)
	s.columns["replicasets"] = []kube.Column{{Name: "Name"}, {Name: "Ready"}}
	s.rows["replicasets"] = []kube.Row{{UID: "rs1", Namespace: "shop", Name: "cart-7d9f4", Owner: kube.Object{Kind: "Deployment", Name: "cart"}, Cells: []string{"cart-7d9f4", "0"}}}
	r := openCart(t, s, 120, 40)
	r.keys("J")
	r.shows("replicaset shop/cart-7d9f4", "Kind:  ReplicaSet", "Deployment/cart")
	r.keys("J")
	r.shows("deployment shop/cart", "Kind:  Deployment")
	r.keys("tab")
	r.shows("[Logs]")
	r.keys("esc", "esc")
	r.shows("[Summary]", "waiting: CrashLoopBackOff")
}

func TestObjectOfAnyType(t *testing.T) {
	r := newRig(t, shop(), 100, 24)
	r.command("carts")
	r.shows("alice")
	r.keys("enter")
	r.shows("cart shop/alice", "[Summary]", "Kind:  Cart")
	r.keys("l")
	r.shows("it has no logs")
	r.keys("tab", "tab")
	r.shows("[YAML]", "kind: Cart")
	r.keys("2")
	r.shows("dev-1")
	r.keys("d")
	r.shows("node dev-1", "[Summary]", "Kind:  Node")
}

func TestObjectFrames(t *testing.T) {
	s := shop()
	s.rows["pods"][0].Labels["漢字"] = strings.Repeat("長い", 100)
	s.snapshot.Problems[0].Evidence = []string{strings.Repeat("証拠", 200), "\x1b[31m\u202e"}
	for _, c := range [][2]int{{40, 8}, {41, 11}, {80, 24}, {97, 31}, {120, 40}, {200, 60}, {300, 100}} {
		r := newRig(t, s, c[0], c[1])
		r.keys("3", "/", `"cart-7"`, "enter")
		r.until("the pod", func(string) bool { return len(r.u.page().(*listPage).subjects()) == 1 })
		r.keys("enter")
		r.until("its detail", func(string) bool { return r.u.page().(*subjectPage).detail != nil })
		for range 9 {
			r.frame(c[0], c[1])
			r.keys("down", "/", "e", "enter")
			r.frame(c[0], c[1])
			r.keys("tab")
		}
	}
}
