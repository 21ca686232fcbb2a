package tui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"sync"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"bonsai/bootstrap/cluster"
	// Before Bubble Tea: see there.
	_ "bonsai/tui/background"
	"bonsai/tui/feed"
	"bonsai/tui/keymap"
	"bonsai/tui/paint"
	"bonsai/tui/words"
)

// Options is how the UI looks and behaves. The zero value of each but Depth is usable.
type Options struct {
	Theme string // "auto" if empty
	Depth paint.Depth
	// ASCII takes signs that every font has; Calm moves and flashes nothing; ReadOnly changes nothing.
	ASCII, Calm, ReadOnly bool
	// Lang is a language as in the environment's LANG.
	Lang string
	// Keys is the user's file of keys, empty for none.
	Keys []byte
	// Start is the screen to begin with ("dns"), empty for the overview.
	Start string
	// Kubernetes is the version that is built in ("v1.37.2"), Elsewhere the addons that are known but not in this version.
	Kubernetes string
	Elsewhere  []ElsewhereAddon
	// Detected says what was found out about the terminal, and how; the settings show it.
	Detected []string
	// Editor is the command line of the user's editor.
	Editor string
	// SaveDir is where logs are saved to.
	SaveDir string
	// Notice and notice are called before the UI runs; for tests that drive it.
	Notice func(*tea.Program)
	notice func(*ui)
	// Now is the clock; time.Now if nil.
	Now func() time.Time
}

// ElsewhereAddon is an addon that is not here: what became of it, in a word ("coming", "replaced") and in a sentence.
type ElsewhereAddon struct{ Name, Fate, Story string }

// Outcome is what the user wants after leaving.
type Outcome struct {
	// Message is a line for the terminal that is back.
	Message string
	// Cluster is another cluster whose UI is to be shown now; empty for none.
	Cluster string
}

// Crash is a panic of the UI, after the terminal was given back. The cluster is not touched by it.
type Crash struct {
	Reason any
	Stack  string
}

func (c *Crash) Error() string { return fmt.Sprintf("the terminal UI crashed: %v", c.Reason) }

// Run shows the UI on a terminal until the user leaves it or ctx ends. It returns when everything that it has begun has
// ended; the cluster and what Operate started for good go on. An error is about the terminal, or a Crash: those of the
// cluster are shown.
func Run(ctx context.Context, session Session, o Options, in io.Reader, out io.Writer) (outcome Outcome, err error) {
	// An end from outside ends the UI like any other: what Operate runs is left running, not interrupted.
	hubCtx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	defer context.AfterFunc(ctx, func() { cancel(cluster.ErrDetach) })()
	h := feed.NewHub(hubCtx, calmPace)
	u, err := newUI(session, o, h)
	if err != nil {
		return Outcome{}, err
	}
	u.display, u.in = newDisplay(out), in
	if err := u.display.enter(in); err != nil {
		return Outcome{}, err
	}
	var drawing sync.WaitGroup
	drawing.Go(u.display.run)
	defer func() {
		if r := recover(); r != nil {
			err = &Crash{r, string(debug.Stack())}
		}
		cancel(cluster.ErrDetach)
		h.Wait()
		u.display.leave(in)
		u.display.close()
		drawing.Wait()
		if c := h.Crash(); c != nil && err == nil {
			err = &Crash{c.Reason, c.Stack}
		}
	}()
	// Signals are the caller's: they end ctx. A panic has to get here, where the terminal is given back.
	p := tea.NewProgram(u, tea.WithContext(h.Context()), tea.WithInput(in), tea.WithOutput(out), tea.WithoutRenderer(),
		tea.WithoutSignalHandler(), tea.WithoutCatchPanics())
	if o.Notice != nil {
		o.Notice(p)
	}
	if o.notice != nil {
		o.notice(u)
	}
	h.Go(func() { h.Pump(func() { p.Send(frameMsg{}) }) })
	if u.display.file != nil {
		h.Go(func() { followSize(h.Context(), u.display.file, p.Send) })
	}
	u.state.Begin()
	_, err = p.Run()
	if errors.Is(err, tea.ErrProgramKilled) && h.Context().Err() != nil {
		err = nil // asked to end from outside, or a goroutine crashed
	}
	if err != nil {
		err = fmt.Errorf("show the terminal UI: %w", err)
	}
	return u.outcome, err
}

// newUI makes the UI without a program.
func newUI(session Session, o Options, h *feed.Hub) (*ui, error) {
	if o.Theme == "" {
		o.Theme = paint.Names()[0]
	}
	theme, err := paint.NewTheme(o.Theme, o.Depth, o.ASCII, o.Calm)
	if err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	keys := keymap.Default()
	var problems []string
	if len(o.Keys) > 0 {
		keys, problems = keymap.Parse(keys, o.Keys)
	}
	u := &ui{
		opts: o, session: session, hub: h, theme: theme, words: words.For(o.Lang), keys: keys, clock: clock{now: o.Now},
		mouse: true, stale: true, actions: &actionLog{}, typed: typed{}, switching: map[string]string{}, changing: map[string]string{}, diagnoses: map[string]string{}, display: newDisplay(io.Discard), exec: tea.Exec,
		restFor: restFor,
	}
	u.forwards = &forwards{u: u}
	u.state = newState(u)
	u.state.Listen(u.followFixes)
	u.screens = newScreens(u)
	for i, s := range u.screens {
		if s.id == o.Start {
			u.current = i
		}
	}
	if len(problems) > 0 {
		u.toast.say(paint.Warn, u.T("keys: %s", problems[0]))
		u.opts.Detected = append(u.opts.Detected, problems...)
	}
	return u, nil
}
