package tui

import (
	"strings"
	"testing"

	"bonsai/bootstrap/cluster"
)

func TestTraffic(t *testing.T) {
	s := shop()
	r := newRig(t, s, 160, 30)
	r.shows("shop")
	r.keys("W")
	r.shows("TRAFFIC", "traffic of pods", "shop/web-9cc6f-x4v", "shop/db-0", "5432", "kube-system/kube-dns", "3M", "41 refused", "cart.shop.svc.cluster.local")
	r.until("no traffic of nodes", func(s string) bool { return !strings.Contains(s, "this machine") })
	r.keys("t")
	r.shows("all traffic", "node/dev-2", "this machine", "6443")
	r.keys("t", "/", `"db-0"`, "enter", "enter")
	r.shows("db-0", "CONTAINERS")
	r.keys("esc")
	r.shows("TRAFFIC", "shop/db-0")
	r.keys("esc") // the filter
	r.shows("41 refused")
	// What is over goes.
	s.update(func() { s.flows.Flows = []cluster.Flow{} })
	r.shows("no traffic is seen")
	s.update(func() {
		s.flows.Nodes = map[string]string{"dev-2": "its agent does not answer"}
		s.flows.Flows = shop().flows.Flows
	})
	r.shows("not measured: dev-2: its agent does not answer")
	// The same page again, by its name.
	r.keys("esc", ":", `"flows"`, "enter")
	r.shows("TRAFFIC")
}

func TestTrafficFrames(t *testing.T) {
	s := nasty()
	s.flows = shop().flows
	s.flows.Flows[0].From.Name = "\x1b[2Jnasty\n購物車"
	r := newRig(t, s, 80, 24)
	r.keys("W")
	r.shows("TRAFFIC")
	frames(t, r, []string{"G"}, []string{"w"}, []string{"t"}, []string{"S"})
}

// TestTheMapOfTraffic adds up the pods of a workload, and says what fails.
func TestTheMapOfTraffic(t *testing.T) {
	s := shop()
	s.flows.Flows[1].From.Workload, s.flows.Flows[0].From.Workload = "deployment/web", "deployment/web"
	s.flows.Flows[1].Denied, s.flows.Flows[1].Denial = 12, &cluster.Denial{Policies: []cluster.PolicyWords{{Namespace: "shop", Name: "db-only-api"}}, Still: true}
	r := newRig(t, s, 120, 30)
	r.keys("W")
	r.shows("shop/db-0")
	r.keys("m")
	r.shows("map of workloads", "deployment/web", "pod/db-0", "pod/cart-7d9f4-x2k", "41 refused", "12 denied")
	r.until("one line for the workload", func(s string) bool { return strings.Count(s, "deployment/web") == 1 })
	r.keys("t")
	r.shows("nodes, this machine and outside", "this machine")
	r.keys("G", "g", "m")
	r.shows("all traffic", "shop/db-0")
	r.keys("/", `"db-0"`, "enter")
	r.shows("12 denied by shop/db-only-api (ingress)")
}

// TestTheTrafficOfAnObject shows that of a pod only.
func TestTheTrafficOfAnObject(t *testing.T) {
	r := newRig(t, shop(), 120, 30)
	r.keys("3", "/", `"db-0"`, "enter", "enter")
	r.shows("CONTAINERS", "Traffic")
	for range 5 {
		r.keys("tab")
	}
	r.until("its traffic", func(s string) bool {
		return strings.Contains(s, "db-0") && strings.Contains(s, "5432") && !strings.Contains(s, "41 refused")
	})
}

// TestWhyAPodDoesNotReachSomething walks from what is under the cursor, and from any pod.
func TestWhyAPodDoesNotReachSomething(t *testing.T) {
	s := shop()
	r := newRig(t, s, 120, 30)
	r.keys("W")
	r.shows("shop/web-9cc6f-lm2", "41 refused")
	r.keys("Y")
	r.shows("shop/web-9cc6f-lm2", "policies in", "NetworkPolicy shop/cart-only-api does not let it in", "allows ingress from pods app=api", "edit networkpolicy cart-only-api", "the way ends at: policies in", "bonsai flow why")
	r.keys("Y")
	r.shows("from shop/web-9cc6f-lm2 to which")
	r.keys("ctrl+u", `"shop/db 5432"`, "enter")
	r.shows("shop/db 5432")
	s.update(func() {
		s.way.Reaches, s.way.Ends = true, ""
		s.way.Steps = s.way.Steps[:6]
	})
	r.keys("r")
	r.shows("it is reached")
	s.update(func() {
		want := cluster.WhyQuestion{From: "shop/web-9cc6f-lm2", To: "shop/db", Port: "5432"}
		if got := s.walked[len(s.walked)-1]; got != want {
			t.Errorf("it asks %+v", got)
		}
		if first := s.walked[0]; first.To != "cart.shop.svc.cluster.local." || first.Port != "80" {
			t.Errorf("of the flow it asks %+v", first)
		}
	})
}

func TestWayFrames(t *testing.T) {
	s := nasty()
	s.flows, s.way = shop().flows, shop().way
	s.way.Steps[1].Saw = "\x1b[2Jnasty\n購物車 " + strings.Repeat("long ", 60)
	s.way.Steps[6].More = append(s.way.Steps[6].More, "\x1b]0;x\x07")
	r := newRig(t, s, 80, 24)
	r.keys("W")
	r.shows("41 refused")
	r.keys("Y")
	r.shows("policies in")
	frames(t, r, []string{"G"}, []string{"g"})
}
