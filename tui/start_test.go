package tui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

// halted is the shop, not running.
func halted() *fakeSession {
	s := shop()
	s.snapshot = cluster.Snapshot{Name: "dev", Phase: cluster.PhaseStopped, APIServer: cluster.PhaseStopped, Time: fakeNow, Nodes: s.snapshot.Nodes}
	for i := range s.snapshot.Nodes {
		n := &s.snapshot.Nodes[i]
		n.Ready, n.Host, n.Kubelet, n.Components = false, cluster.PhaseStopped, cluster.PhaseStopped, nil
	}
	return s
}

func absent() *fakeSession {
	s := halted()
	s.snapshot = cluster.Snapshot{Name: "dev", Phase: cluster.PhaseAbsent, APIServer: cluster.PhaseAbsent, Time: fakeNow}
	return s
}

// script is an operation of the fake session that sends events one by one, as a test lets it.
type script struct {
	events chan cluster.Event
	end    chan error
	cause  chan error // why its context ended, if it did
}

func scripted(s *fakeSession) *script {
	c := &script{events: make(chan cluster.Event), end: make(chan error), cause: make(chan error, 1)}
	s.operation = func(ctx context.Context, _ []string, f func(cluster.Event)) error {
		for {
			select {
			case e := <-c.events:
				f(e)
			case err := <-c.end:
				return err
			case <-ctx.Done():
				c.cause <- context.Cause(ctx)
				if errors.Is(context.Cause(ctx), cluster.ErrDetach) {
					return context.Cause(ctx)
				}
				// It cleans up.
				f(cluster.Event{Kind: cluster.StepStarted, Step: "cleanup", Title: "Removing what this start made", Time: fakeNow.Add(3 * time.Second)})
				f(cluster.Event{Kind: cluster.StepDone, Step: "cleanup", Time: fakeNow.Add(4 * time.Second)})
				return fault.Newf(fault.Canceled, "start was cancelled")
			}
		}
	}
	return c
}

func (c *script) tell(events ...cluster.Event) {
	for _, e := range events {
		c.events <- e
	}
}

func event(at time.Duration, kind cluster.EventKind, step, title, detail string) cluster.Event {
	return cluster.Event{Kind: kind, Step: step, Title: title, Detail: detail, Time: fakeNow.Add(at)}
}

// halfWay is the first half of a start.
func halfWay() []cluster.Event {
	return []cluster.Event{
		event(0, cluster.StepStarted, "engine", "Container engine", ""),
		event(20*milli, cluster.StepWarning, "engine", "", "cgroup v1 is old\x1b[2J"),
		event(30*milli, cluster.StepDone, "engine", "", "docker 28.5"),
		event(30*milli, cluster.StepStarted, "controlplane", "Control plane", ""),
		event(40*milli, cluster.StepStarted, "payload", "Node payload", ""),
		event(300*milli, cluster.StepProgress, "payload", "", "copying into the engine: 214 of 268 MB"),
		event(900*milli, cluster.StepProgress, "controlplane", "", "kube-apiserver: waits for etcd"),
	}
}

func TestStartViewOffers(t *testing.T) {
	s := absent()
	r := newRig(t, s, 80, 24, version137)
	r.shows(`cluster "dev" does not exist yet`, "start a new cluster", "OTHER CLUSTERS", "ci")
	r.keys("n", `"101"`, "enter")
	r.shows(`"101" is not a number of nodes`)
	r.keys("n", `"5"`, "enter")
	r.shows("nodes                5")
	r.keys("v")
	r.shows("v1.37.2", "1.34")
	r.keys("down", "enter")
	r.shows("1.36")
	r.keys("enter")
	r.operated("start --nodes 5 --kubernetes-version 1.36")
}

// TestFastKeys types faster than the UI reads.
func TestFastKeys(t *testing.T) {
	r := newRig(t, absent(), 80, 24)
	r.shows("start a new cluster")
	r.send(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("n7")})
	r.keys("enter")
	r.shows("nodes                7")
}

// TestStartViewKeepsWhatCannotChange offers a stopped cluster as it is.
func TestStartViewKeepsWhatCannotChange(t *testing.T) {
	s := halted()
	r := newRig(t, s, 80, 24, version137)
	r.shows("dev is stopped", "THE LAST START", "(last time: 2.9)")
	r.keys("v")
	r.shows("a cluster keeps its Kubernetes version")
	r.keys("n", `"2"`, "enter")
	r.shows("the cluster has 3 nodes")
	r.keys("n", `"4"`, "enter")
	r.shows("start it with 4 nodes")
	r.keys("enter")
	r.operated("start --nodes 4")
}

func TestStartViewGoesToAnotherCluster(t *testing.T) {
	r := newRig(t, halted(), 80, 24)
	r.shows("OTHER CLUSTERS", "ci", "1 node")
	r.keys("down", "down", "down", "enter")
	r.until("the end", func(string) bool { return r.ended })
	if r.u.outcome.Cluster != "ci" {
		t.Errorf("ended with %+v", r.u.outcome)
	}
}

func TestStartReadOnly(t *testing.T) {
	s := halted()
	r := newRig(t, s, 80, 24, func(o *Options) { o.ReadOnly = true })
	r.shows("dev is stopped")
	r.keys("enter")
	r.shows("--readonly")
	if len(s.operated) > 0 {
		t.Errorf("it ran %q", s.operated)
	}
}

// TestStart follows a start to its end and beyond: the overview comes when the cluster is there.
func TestStart(t *testing.T) {
	s := halted()
	c := scripted(s)
	now := fakeNow
	r := newRig(t, s, 80, 24, func(o *Options) { o.Now = func() time.Time { return now } })
	r.shows("dev is stopped")
	r.keys("enter")
	r.shows("starting", "0.0 s of ~2.9 s", "Node dev-1")
	c.tell(halfWay()...)
	now = fakeNow.Add(1200 * milli)
	r.shows("1.2 s of ~2.9 s", "(last time: 2.9)", "copying into the engine", "waits for etcd", "⚠ cgroup v1 is old", "▒", "leave it running")
	if strings.Contains(r.screen(), "\x1b[2J") {
		t.Error("text of the cluster reached the terminal as it was")
	}
	// The rest of the UI works meanwhile, and what is in progress is visible.
	r.keys("3")
	r.shows("start dev")
	r.keys("ctrl+k", `"stop the cluster"`)
	r.shows("stop the cluster")
	r.keys("esc", "1")
	r.shows("1.2 s of ~2.9 s")

	now = fakeNow.Add(3100 * milli)
	c.tell(event(3000*milli, cluster.StepDone, "controlplane", "", ""), event(3000*milli, cluster.StepDone, "payload", "", ""), event(3050*milli, cluster.StepDone, "start", "", ""))
	c.end <- nil
	r.shows("dev is ready in 3.1 s", "to the overview")
	r.keys("enter")
	r.shows("step 3 of 3") // the cluster has not reported yet that it is running
	s.update(func() { s.snapshot = shop().snapshot })
	r.until("the overview", func(string) bool { _, ok := r.u.page().(*overviewPage); return ok })
	if e := r.u.actions.entries; len(e) != 1 || e[0].command != "bonsai start -p dev" || e[0].ended.IsZero() || e[0].err != nil {
		t.Errorf("log of actions: %+v", e)
	}
}

func TestStartFails(t *testing.T) {
	s := halted()
	c := scripted(s)
	now := fakeNow
	r := newRig(t, s, 100, 30, version137, func(o *Options) { o.Now = func() time.Time { return now } })
	r.shows("dev is stopped")
	r.keys("enter")
	c.tell(halfWay()...)
	now = fakeNow.Add(2 * time.Second)
	c.tell(event(2*time.Second, cluster.StepFailed, "controlplane", "", "etcd: disk full"))
	c.end <- errors.Join(
		fault.New(fault.ControlPlane, "start the control plane", errors.New("etcd: disk full")).Advise("make room", cluster.Program("df", "-h")).WithEvidence("E1 no space left on device\x1b]0;x\x07"),
		fault.Newf(fault.Engine, "the cleanup failed too"))
	r.shows("✗ start dev  failed after 2.0 s", "start the control plane", "why  etcd: disk full", "│ E1 no space left on device", "→  make room:  df -h",
		"the cleanup failed too", "✗ Control plane", "r again", "⚠ cgroup v1 is old")
	for _, size := range [][2]int{{40, 8}, {41, 9}, {80, 24}, {120, 40}, {200, 60}} {
		r.send(tea.WindowSizeMsg{Width: size[0], Height: size[1]})
		r.frame(size[0], size[1])
	}
	report := r.u.screens[0].pages[0].(*frontPage).start.report()
	for _, want := range []string{"cluster dev, Kubernetes v1.37.2", "bonsai start -p dev", "FAILED        0.03s +  1.97s  Control plane  etcd: disk full", "broken off", "warning: cgroup v1", "cause: etcd: disk full", "| E1 no space left on device\n", "hint: make room"} {
		if !strings.Contains(report, want) {
			t.Errorf("the report lacks %q:\n%s", want, report)
		}
	}
	r.keys("c")
	r.shows("copied: the report")
	r.keys("r")
	r.shows("starting")
	c.tell(event(0, cluster.StepStarted, "engine", "Container engine", ""))
	c.end <- fault.Newf(fault.EngineDown, "Docker does not answer")
	r.shows("Docker does not answer")
	r.keys("esc")
	r.shows("dev is stopped")
	if len(s.operated) != 2 {
		t.Errorf("it ran %q", s.operated)
	}
}

// TestStartIsEnded interrupts a start, after a question, and shows that it cleans up.
func TestStartIsEnded(t *testing.T) {
	s := absent()
	c := scripted(s)
	r := newRig(t, s, 80, 24)
	r.shows("start a new cluster")
	r.keys("enter")
	r.shows("starting")
	r.keys("Q")
	r.shows("abort it: start dev?", "what it has created so far")
	r.keys("enter") // Cancel is the default
	r.shows("starting")
	r.keys("Q", "right", "enter")
	r.shows("was aborted after", "Removing what this start", "what this start created has been removed")
	if cause := <-c.cause; errors.Is(cause, cluster.ErrDetach) {
		t.Error("it was left running")
	}
	r.keys("Q")
	r.shows("the cluster is not running")
}

// TestRunLeavesTheStartRunning leaves the UI during a start, by a key and from outside.
func TestRunLeavesTheStartRunning(t *testing.T) {
	for _, by := range []string{"key", "context"} {
		t.Run(by, func(t *testing.T) {
			s := absent()
			c := scripted(s)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			in, keys := io.Pipe()
			defer keys.Close()
			o := Options{Notice: func(p *tea.Program) {
				go func() {
					p.Send(tea.WindowSizeMsg{Width: 80, Height: 24})
					for !errors.Is(t.Context().Err(), context.Canceled) {
						p.Send(keyMsg(t, "enter")) // counts once the cluster is known to be absent
						select {
						case c.events <- halfWay()[0]:
							if by == "key" {
								p.Send(keyMsg(t, "q"))
							} else {
								cancel()
							}
							return
						case <-time.After(5 * milli):
						}
					}
				}()
			}}
			out, err := Run(ctx, s, o, in, io.Discard)
			if err != nil {
				t.Fatal(err)
			}
			if cause := <-c.cause; !errors.Is(cause, cluster.ErrDetach) {
				t.Errorf("it was ended: %v", cause)
			}
			if by == "key" && !strings.Contains(out.Message, "bonsai ui -p dev") {
				t.Errorf("the message is %q", out.Message)
			}
		})
	}
}

// TestStartOfAnother shows the start that another process runs.
func TestStartOfAnother(t *testing.T) {
	s := shop()
	s.snapshot.Phase = cluster.PhaseStarting
	s.snapshot.Components[1].Phase, s.snapshot.Components[1].Reason = cluster.PhaseStarting, "waits for etcd"
	for i := range s.snapshot.Components {
		s.snapshot.Components[i].Since = fakeNow.Add(-time.Duration(i) * time.Second)
	}
	s.snapshot.Nodes[1].Ready = false
	r := newRig(t, s, 80, 24)
	r.shows("is being started by another bonsai", "✓ etcd", "⠹ kube-apiserver", "waits for etcd", "⠹ node dev-2", "✓ node dev-1")
	r.frame(80, 24)
	s.update(func() { s.snapshot.Phase = cluster.PhaseRunning })
	r.until("the overview", func(string) bool { _, ok := r.u.page().(*overviewPage); return ok })
}

// TestStartFrames draws every state at every size, with text of every kind.
func TestStartFrames(t *testing.T) {
	for _, asian := range []string{"", "zh"} {
		s := halted()
		c := scripted(s)
		r := newRig(t, s, 80, 24, version137, func(o *Options) { o.Lang = asian })
		r.until("clusters", func(s string) bool { return strings.Contains(s, "ci") })
		sizes := func() {
			t.Helper()
			for w := 40; w < 210; w += 7 {
				for _, h := range []int{8, 9, 12, 24, 61} {
					r.send(tea.WindowSizeMsg{Width: w, Height: h})
					r.frame(w, h)
				}
			}
			r.send(tea.WindowSizeMsg{Width: 80, Height: 24})
		}
		sizes()
		r.keys("enter")
		c.tell(halfWay()...)
		for i := range 40 {
			c.tell(event(time.Duration(i)*100*milli, cluster.StepStarted, fmt.Sprintf("node/%d", i), fmt.Sprintf("节点 %d 漢字漢字漢字漢字漢字漢字漢字", i), "等待 "+strings.Repeat("漢", i)+"\x1b[31m"))
		}
		r.until("the last node", func(string) bool { return len(r.u.operation.fall.steps) > 40 })
		sizes()
		c.end <- fault.New(fault.Node, strings.Repeat("漢字 ", 80), errors.New(strings.Repeat("x", 500))).WithEvidence(strings.Repeat("e", 300), "", "漢")
		r.until("the failure", func(string) bool { return r.u.operation.done })
		sizes()
	}
}

func version137(o *Options) { o.Kubernetes = "v1.37.2" }

// operated waits until a verb was run.
func (r *rig) operated(line string) {
	r.t.Helper()
	r.until(line, func(string) bool {
		r.session.mu.Lock()
		defer r.session.mu.Unlock()
		return slices.ContainsFunc(r.session.operated, func(args []string) bool { return strings.Join(args, " ") == line })
	})
}
