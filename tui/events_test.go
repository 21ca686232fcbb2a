package tui

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/kube"
)

func TestEventsAreFolded(t *testing.T) {
	s := shop()
	r := newRig(t, s, 120, 30)
	r.keys("5")
	r.shows("BackOff", "FailedScheduling", "Warning", "x9", "12:04:29  Back-off restarting failed container cart")
	back := kube.EventLine{UID: "e3", Time: fakeNow, Warning: true, Reason: "BackOff", Namespace: "shop", Object: kube.Object{Kind: "Pod", Name: "cart-7d9f4-x2k"}, Message: "Back-off restarting failed container cart", Count: 6, Source: "kubelet"}
	again := back
	again.UID, again.Count = "e4", 1
	s.update(func() { s.events = append(s.events, back, again) })
	r.shows("x7") // the same Event has become 6, and another says the same
	if n := strings.Count(r.screen(), "BackOff"); n != 1 {
		t.Errorf("%d rows say the same:\n%s", n, r.screen())
	}
	// An Event that says something new leaves its old row.
	again.Message, again.Time = "Back-off pulling image", fakeNow
	s.update(func() { s.events = append(s.events, again) })
	r.shows("Back-off pulling image", "x6")
}

func TestEventsNewestFirst(t *testing.T) {
	r := newRig(t, shop(), 120, 30)
	r.keys("5")
	r.shows("Pulled")
	screen := r.screen()
	if !(strings.Index(screen, "BackOff") < strings.Index(screen, "FailedScheduling") && strings.Index(screen, "FailedScheduling") < strings.Index(screen, "Pulled")) {
		t.Errorf("the newest is not first:\n%s", screen)
	}
}

func TestEventsWarningsOnly(t *testing.T) {
	r := newRig(t, shop(), 120, 30)
	r.keys("5")
	r.shows("Pulled")
	r.keys("f")
	r.shows("warnings only  1/2")
	if s := r.screen(); strings.Contains(s, "Pulled") {
		t.Errorf("what is normal is shown:\n%s", s)
	}
	r.keys("/", `"reason:failed"`, "enter")
	r.shows("/reason:failed")
	if l := cursorLine(t, r); !strings.Contains(l, "db-0") {
		t.Errorf("the filter shows %s", l)
	}
	r.keys("esc", "esc")
	r.shows("Pulled")
	r.u.setNamespace("ingress")
	r.shows(`no events in "ingress"`)
}

func TestEventsLeadToTheirObject(t *testing.T) {
	r := newRig(t, shop(), 120, 30)
	r.keys("5")
	r.shows("BackOff")
	got := r.u.page().(chooser).subjects()
	if len(got) != 1 || got[0].name() != "pod shop/cart-7d9f4-x2k" || got[0].ref.UID == "" || got[0].owner.Name == "" {
		t.Errorf("the object is %+v", got)
	}
	r.keys("C")
	r.shows("copied: Back-off restarting")
}

func TestEventsAreBounded(t *testing.T) {
	s := shop()
	r := newRig(t, s, 120, 30)
	p := newEventsPage(r.u)
	for round := range 20 {
		var lines []kube.EventLine
		for i := range 1000 {
			n := round*1000 + i
			lines = append(lines, kube.EventLine{UID: fmt.Sprint(n), Time: fakeNow.Add(time.Duration(n) * time.Second), Reason: "Created", Namespace: "load", Object: kube.Object{Kind: "Pod", Name: fmt.Sprintf("p-%d", n)}, Count: 1})
		}
		p.take(lines)
	}
	if n := len(p.folds); n > mostFolds || n < mostFolds*8/10 || p.grid.Total() != n || len(p.byUID) != n {
		t.Fatalf("%d rows, %d in the grid, %d UIDs", n, p.grid.Total(), len(p.byUID))
	}
	if it, _ := p.grid.Current(); it.Data.(*eventFold).object.Name != "p-19999" {
		t.Errorf("the newest is %s", it.Data.(*eventFold).object)
	}
}

func TestEventsStates(t *testing.T) {
	s := shop()
	s.events = nil
	r := newRig(t, s, 80, 24)
	r.keys("5")
	r.shows("nothing has happened in the last hour")
	s = shop()
	s.snapshot = cluster.Snapshot{Name: "dev", Phase: cluster.PhaseStopped}
	s.events = nil
	r = newRig(t, s, 80, 24)
	r.shows("stopped")
	r.keys("5")
	r.shows("the cluster is not running")
}

func TestEventsFrames(t *testing.T) {
	r := newRig(t, nastyFlows(), 80, 24)
	r.keys("5")
	r.shows("BackOff")
	frames(t, r, []string{"G"}, []string{"f"}, []string{"w"}, []string{"/", `"zzz"`, "enter"})
}

func TestEventsHaveRoomForNineteenRows(t *testing.T) {
	s := shop()
	for i := range 60 {
		s.events = append(s.events, kube.EventLine{UID: fmt.Sprint("r", i), Time: fakeNow, Reason: "Row", Namespace: "shop", Object: kube.Object{Kind: "Pod", Name: fmt.Sprintf("row-%d", i)}, Count: 1})
	}
	r := newRig(t, s, 80, 24)
	r.keys("5")
	r.shows("Row")
	if n := strings.Count(r.screen(), "pod/row-"); n < 19 {
		t.Errorf("%d rows:\n%s", n, r.screen())
	}
}
