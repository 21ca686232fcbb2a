package tui

import (
	tea "github.com/charmbracelet/bubbletea"
	"slices"
	"strings"
	"testing"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/kube"
)

// TestKeysThatArriveTogether: a terminal sends what is typed fast in one piece.
func TestKeysThatArriveTogether(t *testing.T) {
	r := newRig(t, shop(), 120, 30)
	r.send(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("3jj/web x")})
	r.shows("[3 Pods]", "/web x")
	r.keys("esc")
	r.send(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("9Q"), Paste: true})
	r.shows("[3 Pods]")
}

func TestPodsScreen(t *testing.T) {
	r := newRig(t, shop(), 120, 30)
	r.keys("3")
	r.shows("cart-7d9f4-x2k", "CrashLoopBackOff", "购物车-漢字", "38m", "84M")
	r.keys("/", `"web"`)
	r.shows("/web", "1/2 (8)")
	r.frame(120, 30)
}

func TestScreensHaveTheirNames(t *testing.T) {
	r := newRig(t, healthy(), 80, 24)
	var names []string
	for _, s := range r.u.screens {
		names = append(names, s.id)
	}
	if !slices.Equal(names, ScreenNames()) {
		t.Errorf("the screens are %q", names)
	}
}

func TestPodsUnderTheirOwners(t *testing.T) {
	r := newRig(t, shop(), 120, 30)
	r.keys("3", "t")
	r.shows("ReplicaSet/web-9cc6f", "  web-9cc6f-lm2")
	// The owner's line stands before its pods, once.
	screen := r.screen()
	if strings.Count(screen, "ReplicaSet/web-9cc6f") != 1 || strings.Index(screen, "ReplicaSet/web-9cc6f") > strings.Index(screen, "  web-9cc6f-lm2") {
		t.Errorf("the screen is\n%s", screen)
	}
	r.session.update(func() {
		r.session.rows["pods"] = slices.DeleteFunc(r.session.rows["pods"], func(row kube.Row) bool { return strings.HasPrefix(row.Name, "web-") })
	})
	r.until("the owner is gone", func(s string) bool { return !strings.Contains(s, "web-9cc6f") })
	r.keys("t")
	r.until("no owners", func(s string) bool { return !strings.Contains(s, "StatefulSet/db ") && strings.Contains(s, "db-0") })
	r.frame(120, 30)
}

func TestSilentClusterSaysWhyAndWhatHelps(t *testing.T) {
	s := healthy()
	now := fakeNow
	r := newRig(t, s, 120, 30, func(o *Options) { o.Now = func() time.Time { return now } })
	r.shows("nothing is wrong")
	s.update(func() {
		s.down = fault.Newf(fault.NotRunning, "the daemon has ended").Advise("start the cluster", cluster.Bonsai("start"))
		s.snapshot.Phase, s.snapshot.APIServer = cluster.PhaseDegraded, cluster.PhaseStopped
	})
	r.shows("degraded", "the daemon has ended", "bonsai start", "silent")
	// It stays silent, although others are asked about it again and again.
	now = now.Add(20 * time.Second)
	// What needs the cluster is off; what brings it back is not.
	s.update(func() {
		s.snapshot.Problems = []cluster.Problem{{Severity: cluster.SeverityError, Object: "daemon", Summary: "the control plane is gone", Advice: []cluster.Advice{cluster.Advise("start it again", cluster.Bonsai("start").Of("dev").Cure())}}}
	})
	r.shows("the control plane is gone", "f runs it", "silent 20s")
	r.keys("f")
	r.shows("run this?")
	r.keys("esc", "3", "delete")
	r.shows("the cluster does not answer")
	r.keys("1")
	s.update(func() {
		s.snapshot.Problems = nil
		s.down = nil
		s.snapshot.Phase, s.snapshot.APIServer = cluster.PhaseRunning, cluster.PhaseRunning
	})
	r.shows("nothing is wrong", "live")
}
