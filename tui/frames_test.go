package tui

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/kube"
)

// nasty is a cluster whose every text is one that breaks columns: very long, wide, reordering, with control characters.
func nasty() *fakeSession {
	s := shop()
	texts := []string{
		strings.Repeat("x", 400), "漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字", "👩‍👩‍👧‍👦 family 🇩🇪", "rtl \u202e drowssap \u202c", "bell\x07 \x1b[2J \x1b]0;t\x07",
		"", " ", "e\u0301\u0301\u0301", "tab\tnew\nline", "\xff\xfe invalid", "ｆｕｌｌｗｉｄｔｈ", "שלום עולם",
	}
	n := 0
	next := func() string { n++; return texts[n%len(texts)] }
	for kind, rows := range s.rows {
		for i := range rows {
			rows[i].Name, rows[i].Namespace, rows[i].Owner = next(), next(), kube.Object{Kind: next(), Name: next()}
			for j := range rows[i].Cells {
				rows[i].Cells[j] = next()
			}
		}
		s.rows[kind] = rows
	}
	for i := range s.snapshot.Problems {
		p := &s.snapshot.Problems[i]
		p.Summary, p.Cause, p.Evidence = next(), next(), []string{next(), next()}
		p.Advice = []cluster.Advice{cluster.Advise(next(), cluster.Bonsai("image", "load").On(next()))}
	}
	for i := range s.snapshot.Nodes {
		s.snapshot.Nodes[i].Components[0].Reason = next()
	}
	s.snapshot.Addons[1].Reason, s.snapshot.Addons[1].Description, s.snapshot.Addons[1].Name = next(), next(), next()
	for i := range s.events {
		e := &s.events[i]
		e.Reason, e.Object, e.Message, e.Source, e.Node = next(), kube.Object{Kind: next(), Name: next()}, next(), next(), next()
	}
	for i := range s.services {
		v := &s.services[i]
		v.Name, v.Ports, v.Reachable = next(), []kube.ServicePort{{Target: next(), Protocol: next()}}, []kube.Address{{Address: next(), Alias: next()}}
	}
	for i := range s.logs {
		s.logs[i].Text, s.logs[i].Source = next(), kube.LogSource{Namespace: next(), Pod: next(), Container: next()}
	}
	for i := range s.queries {
		q := &s.queries[i]
		q.Name, q.Pod, q.Answers, q.Tries = next(), next(), []string{next()}, []string{next(), next()}
	}
	return s
}

// nothing is a cluster that runs and has nothing at all.
func nothing() *fakeSession {
	s := healthy()
	s.snapshot.Nodes, s.snapshot.Addons, s.snapshot.Components, s.snapshot.LastStart = nil, nil, nil, nil
	clear(s.rows)
	s.events, s.services, s.logs, s.queries, s.load = nil, nil, nil, nil, cluster.Load{}
	return s
}

// stopped is a cluster that is not running.
func stopped() *fakeSession {
	s := nothing()
	s.snapshot = cluster.Snapshot{Name: "dev", Phase: cluster.PhaseStopped, APIServer: cluster.PhaseStopped, Kubeconfig: "Configured"}
	return s
}

var worlds = map[string]func() *fakeSession{"shop": shop, "healthy": healthy, "nasty": nasty, "nothing": nothing, "stopped": stopped}

// TestEveryFrameIsExact draws every screen of every world at many sizes, with what can be opened from it: each picture
// has as many lines as the terminal and each line as many cells.
func TestEveryFrameIsExact(t *testing.T) {
	sizes := [][2]int{{1, 1}, {10, 3}, {39, 7}, {40, 8}, {41, 9}, {60, 15}, {79, 23}, {80, 24}, {99, 30}, {100, 30}, {120, 40}, {159, 44}, {160, 45}, {200, 60}, {300, 100}}
	rnd := rand.New(rand.NewPCG(5, 6))
	for range 5 {
		sizes = append(sizes, [2]int{1 + rnd.IntN(300), 1 + rnd.IntN(100)})
	}
	for name, world := range worlds {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, world(), 120, 40)
			r.settle()
			for n := range len(r.u.screens) {
				for _, open := range []string{"", "enter", "d", "y", "l", "b", "w", "a", "?", "ctrl+k", ":", "/"} {
					r.keys(fmt.Sprint(n + 1))
					r.settle()
					if open != "" {
						r.keys(open)
						r.settle()
					}
					for i, s := range sizes {
						if open != "" && i%3 != n%3 {
							continue // every size meets every screen, and a third of what is opened from it
						}
						r.send(tea.WindowSizeMsg{Width: s[0], Height: s[1]})
						r.where = fmt.Sprintf("screen %d, key %q", n+1, open)
						r.frame(s[0], s[1])
					}
					r.send(tea.WindowSizeMsg{Width: 120, Height: 40})
					for range 6 {
						r.keys("esc")
					}
				}
			}
		})
	}
}

// TestNoControlByteReachesTheTerminal: no matter what a cluster says, only codes of themes are drawn.
func TestNoControlByteReachesTheTerminal(t *testing.T) {
	r := newRig(t, nasty(), 200, 60)
	r.settle()
	for n := range len(r.u.screens) {
		r.keys(fmt.Sprint(n + 1))
		r.settle()
		screen := r.screen() // without the codes of the theme
		for _, bad := range []string{"\x1b", "\x07", "\u202e", "\u200d", "\x00", "\t", "\r"} {
			if strings.Contains(screen, bad) {
				t.Errorf("screen %d has %q:\n%q", n+1, bad, screen)
			}
		}
	}
}

// settle lets the UI take in what has come, until nothing comes for a moment.
func (r *rig) settle() {
	for {
		select {
		case m := <-r.frames:
			r.handle(m)
		case <-time.After(5 * time.Millisecond):
			return
		}
	}
}
