package tui

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"

	"bonsai/tui/feed"
	"bonsai/tui/paint"
)

// rig drives a UI by hand, without a terminal: messages go in, lines come out. The goroutines of the UI are real.
type rig struct {
	t       testing.TB
	u       *ui
	session *fakeSession
	frames  chan tea.Msg
	ended   bool
	where   string // for failure texts
	// lent is what other programs that had the terminal wrote to it; they are run at once.
	lent bytes.Buffer
}

func newRig(t testing.TB, s *fakeSession, w, h int, change ...func(*Options)) *rig {
	t.Helper()
	return newRigOn(t, s, s, w, h, change...)
}

// newRigOn is newRig with a session around the fake one.
func newRigOn(t testing.TB, session Session, s *fakeSession, w, h int, change ...func(*Options)) *rig {
	t.Helper()
	o := Options{Depth: paint.Mono, Now: func() time.Time { return fakeNow }, Editor: "true", SaveDir: t.TempDir(), Calm: true}
	for _, f := range change {
		f(&o)
	}
	ctx, cancel := context.WithCancel(t.Context())
	hub := feed.NewHub(ctx, calmPace)
	hub.SetPace(time.Millisecond)
	u, err := newUI(session, o, hub)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, u: u, session: s, frames: make(chan tea.Msg)}
	u.restFor = 0 // the clock stands still
	u.exec = func(c tea.ExecCommand, done tea.ExecCallback) tea.Cmd {
		c.SetStdin(strings.NewReader(""))
		c.SetStdout(&r.lent)
		c.SetStderr(&r.lent)
		err := c.Run()
		return func() tea.Msg { return done(err) }
	}
	hub.Go(func() {
		hub.Pump(func() {
			select {
			case r.frames <- frameMsg{}:
			case <-ctx.Done():
			}
		})
	})
	t.Cleanup(func() {
		cancel()
		hub.Wait()
		if c := hub.Crash(); c != nil {
			t.Errorf("a goroutine crashed: %v\n%s", c.Reason, c.Stack)
		}
	})
	u.state.Begin()
	r.run(u.Init())
	r.send(tea.WindowSizeMsg{Width: w, Height: h})
	if s.down == nil {
		// What is done to a cluster that is not known yet is another story; a test of that sets down.
		r.until("the cluster", func(string) bool {
			st := u.state
			return st.Known && (!st.Running() || st.Pods.Synced)
		})
	}
	return r
}

// send gives a message to the UI and carries out what it wants, but for timers.
func (r *rig) send(m tea.Msg) {
	_, cmd := r.u.Update(m)
	r.run(cmd)
}

func (r *rig) run(cmd tea.Cmd) {
	if cmd == nil {
		return
	}
	done := make(chan tea.Msg, 1)
	go func() { done <- cmd() }()
	select {
	case m := <-done:
		r.handle(m)
	case <-time.After(5 * time.Millisecond): // a timer, or a busy machine: its message comes while something else is awaited
		go func() {
			select {
			case m := <-done:
				select {
				case r.frames <- m:
				case <-r.t.Context().Done():
				}
			case <-r.t.Context().Done():
			}
		}()
	}
}

// handle does what Bubble Tea does with a message, but that the clock stands still.
func (r *rig) handle(m tea.Msg) {
	switch m := m.(type) {
	case tea.BatchMsg:
		for _, c := range m {
			r.run(c)
		}
	case tea.QuitMsg:
		r.ended = true
	case tickMsg, nil:
	default:
		r.send(m)
	}
}

// keys types keys, named as Bubble Tea names them; a word of several letters in quotes is typed letter by letter.
func (r *rig) keys(names ...string) {
	r.t.Helper()
	r.u.deaf = time.Time{} // the clock stands still
	for _, k := range names {
		if text, ok := strings.CutPrefix(k, `"`); ok {
			for _, c := range strings.TrimSuffix(text, `"`) {
				r.send(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune{c}})
			}
			continue
		}
		r.send(keyMsg(r.t, k))
	}
}

func keyMsg(t testing.TB, name string) tea.KeyMsg {
	t.Helper()
	if len([]rune(name)) == 1 && name != " " {
		return tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(name)}
	}
	for k := tea.KeyType(-200); k < 200; k++ {
		if m := (tea.KeyMsg{Type: k}); m.String() == name {
			if k == tea.KeySpace {
				m.Runes = []rune{' '}
			}
			return m
		}
	}
	t.Fatalf("there is no key %q", name)
	return tea.KeyMsg{}
}

// waitLimit is far more than anything in a test takes, also on a busy machine.
const waitLimit = 30 * time.Second

// until lets the UI work until its screen shows what is wanted.
func (r *rig) until(what string, ok func(screen string) bool) {
	r.t.Helper()
	limit := time.After(waitLimit)
	for !ok(r.screen()) {
		select {
		case m := <-r.frames:
			r.handle(m)
		case <-limit:
			r.t.Fatalf("%s did not come; the screen is\n%s", what, r.screen())
		}
	}
}

// shows waits for texts on the screen.
func (r *rig) shows(texts ...string) {
	r.t.Helper()
	for _, text := range texts {
		r.until(`"`+text+`"`, func(s string) bool { return strings.Contains(s, text) })
	}
}

// screen is what is visible, without codes.
func (r *rig) screen() string {
	r.u.touch()
	r.u.schedule()
	r.u.cmds = nil
	return ansi.Strip(strings.Join(r.u.view, "\n"))
}

// frame checks that the picture is exactly as large as the terminal.
func (r *rig) frame(w, h int) {
	r.t.Helper()
	r.u.touch()
	r.u.schedule()
	r.u.cmds = nil
	lines := r.u.view
	if len(lines) != h {
		r.t.Fatalf("%s: %d lines at %dx%d", r.where, len(lines), w, h)
	}
	for i, l := range lines {
		if got := ansi.StringWidth(l); got != w {
			r.t.Fatalf("%s: line %d at %dx%d is %d cells wide: %q", r.where, i, w, h, got, l)
		}
	}
}

func sizeMsg(w, h int) tea.Msg { return tea.WindowSizeMsg{Width: w, Height: h} }
