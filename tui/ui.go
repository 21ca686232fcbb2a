package tui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"bonsai/bootstrap/kube"
	"bonsai/tui/feed"
	"bonsai/tui/keymap"
	"bonsai/tui/paint"
	"bonsai/tui/words"
)

// ui is the whole interface and the only Bubble Tea model: it gets every message and gives it to the first that wants
// it, in this order: size and colours, the open dialog, the prompt, the page, the keys that work everywhere. All
// other parts are plain structs that share it. Only the program's own goroutine touches it.
type ui struct {
	opts    Options
	session Session
	hub     *feed.Hub
	theme   *paint.Theme
	words   words.W
	keys    *keymap.Map
	clock   clock
	state   *state

	width, height int
	screens       []*screen
	current       int
	before        int // the screen before this one
	history       []int
	future        []int
	dialogs       []dialog
	prompt        *prompt
	typed         typed
	cut           string // what was cut last out of a line that was typed
	toast         toast
	actions       *actionLog
	// drafts are edits that were refused, by object.
	drafts map[string]*editing
	undo   *undo // nil while there is nothing to take back
	tasks  []*task
	// operation is the newest start, stop or delete from here, until its end was seen; nil if there is none.
	operation *operation
	forwards  *forwards
	// switching are the addons that are being switched from here, changing the nodes that are being changed, with a word
	// for how.
	switching map[string]string
	changing  map[string]string
	diagnoses map[string]string // in the user's language, by what they are in English
	mendings  []*mending        // fixes that are being watched
	waiting   []dialog          // that open when nothing else is being answered or typed

	// view is what was drawn last; stale says that it has to be drawn again.
	view    []string
	stale   bool
	ticking time.Time // when the next tick is due; zero if none is
	tick    int       // moves what spins
	busy    bool      // something that spins was drawn
	mouse   bool
	blurred bool
	leaving bool
	cmds    []tea.Cmd // to be returned from the current Update
	display *display
	in      io.Reader // where keys come from
	deaf    time.Time // keys before that are left over from another program
	// exec has Bubble Tea run another program: tea.Exec, but in tests.
	exec    func(tea.ExecCommand, tea.ExecCallback) tea.Cmd
	outcome Outcome
	// restFor is how long a cursor rests before what it is on is read, for panes.
	restFor time.Duration
}

// screen is one of the numbered screens: a page, and what was opened from it.
type screen struct {
	id, title, short string
	pages            []page
}

// frame is the page that is visible when the screen is.
func (s *screen) frame() page { return s.pages[len(s.pages)-1] }

const (
	// calmPace is the least pause between two frames that data cause, livePace that while a log is followed.
	calmPace = 100 * time.Millisecond
	livePace = 33 * time.Millisecond
)

// frameMsg says that boxes have something.
type frameMsg struct{}

// tickMsg says that an age or a spinner has to be redrawn.
type tickMsg time.Time

// spin is the pause between two pictures of something that spins.
const spin = 120 * time.Millisecond

// doMsg runs a function in the program's goroutine.
type doMsg func()

func (u *ui) Init() tea.Cmd {
	u.frame().show()
	return u.flush()
}

// Update implements tea.Model.
func (u *ui) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		u.width, u.height = msg.Width, msg.Height
		if p, ok := u.frame().(sizer); ok {
			p.sized()
		}
		u.touch()
	case tea.KeyMsg:
		if u.clock.now().Before(u.deaf) {
			break
		}
		for _, k := range singleKeys(msg) {
			u.keyApart(k)
		}
		u.touch()
	case tea.MouseMsg:
		u.onMouse(tea.MouseEvent(msg))
	case frameMsg:
		u.hub.Drain()
	case tickMsg:
		u.ticking = time.Time{}
		u.tick++
		u.touch()
	case tea.BlurMsg:
		u.blurred = true
	case tea.FocusMsg:
		u.blurred = false
		u.touch()
	case doMsg:
		msg()
		u.touch()
	}
	u.openWaiting()
	return u, u.flush()
}

// touch says that something visible may have changed.
func (u *ui) touch() { u.stale = true }

// cmd has the program do something after this Update.
func (u *ui) cmd(c tea.Cmd) { u.cmds = append(u.cmds, c) }

func (u *ui) flush() tea.Cmd {
	u.schedule()
	cmds := u.cmds
	u.cmds = nil
	if len(cmds) == 0 {
		return nil
	}
	return tea.Batch(cmds...)
}

// schedule sets the one timer: for what spins, or for the age that changes next. It is set only for what is drawn.
func (u *ui) schedule() {
	if u.stale {
		if f, ok := u.frame().(follower); ok {
			f.follow()
		}
		u.view = u.compose()
		u.stale = false
		u.display.show(u.view)
	}
	next := u.clock.next
	if u.busy && !u.theme.Calm && !u.blurred {
		next = spin
	}
	if next == 0 {
		return
	}
	if u.blurred {
		next = max(next, time.Second)
	}
	due := u.clock.now().Add(next)
	if !u.ticking.IsZero() && !due.Before(u.ticking) {
		return
	}
	u.ticking = due
	u.cmd(tea.Tick(next, func(t time.Time) tea.Msg { return tickMsg(t) }))
}

// View implements tea.Model. The display draws.
func (u *ui) View() string { return "" }

// frame is the page that is visible.
func (u *ui) frame() page { return u.screens[u.current].frame() }

// page is the one that has the keys: the one that is visible, or a part of it.
func (u *ui) page() page {
	p := u.frame()
	if f, ok := p.(facade); ok {
		return f.front()
	}
	return p
}

// singleKeys are the keys of a message: those that arrive together, because somebody types fast or the line is slow,
// come as one. What was pasted stays whole.
func singleKeys(msg tea.KeyMsg) []tea.KeyMsg {
	if msg.Type != tea.KeyRunes || len(msg.Runes) < 2 || msg.Paste {
		return []tea.KeyMsg{msg}
	}
	keys := make([]tea.KeyMsg, len(msg.Runes))
	for i, r := range msg.Runes {
		keys[i] = tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune{r}, Alt: msg.Alt}
		if r == ' ' {
			keys[i].Type = tea.KeySpace
		}
	}
	return keys
}

// keyApart is key. Terminals send the same for Alt with a key and for escape and that key typed fast. Where nothing is bound
// to it with Alt, it was escape, and the key; but nobody ends the program like that.
func (u *ui) keyApart(msg tea.KeyMsg) {
	chain := u.chain()
	if u.prompt != nil || len(u.dialogs) > 0 {
		chain = keymap.Chain(keymap.Question, keymap.Prompt)
	}
	if !msg.Alt || msg.Paste || u.keys.Find(chain, msg.String()) != "" {
		u.key(msg)
		return
	}
	u.key(tea.KeyMsg{Type: tea.KeyEscape})
	msg.Alt = false
	if len(u.dialogs) > 0 || u.prompt != nil || u.keys.Find(u.chain(), msg.String()) != "quit" {
		u.key(msg)
	}
}

// key gives a key to the page or dialog that wants it.
func (u *ui) key(msg tea.KeyMsg) {
	u.toast.clear()
	if len(u.dialogs) > 0 {
		u.dialogs[len(u.dialogs)-1].key(msg)
		return
	}
	if u.prompt != nil {
		u.promptKey(msg)
		return
	}
	key := msg.String()
	if k, ok := u.page().(keyTaker); ok && k.takeKey(key) {
		return
	}
	if !u.perform(u.keys.Find(u.chain(), key)) {
		u.toast.say(paint.Dim, u.words.T("%s does nothing here; %s shows the keys", keymap.Name(key), u.keys.Key("help")))
	}
}

// chain is where a key is looked up now: in the contexts of the current page, and then everywhere.
func (u *ui) chain() []keymap.Context {
	return keymap.Chain(append(u.frame().contexts(), keymap.Global)...)
}

// keyIn is the key of an action where the contexts of a chain count, as people write it; "" if it has none there.
func (u *ui) keyIn(chain []keymap.Context, id string) string {
	if keys := u.keys.Keys(chain, id); len(keys) > 0 {
		return keymap.Name(keys[0])
	}
	return ""
}

// perform does an action that was looked up for the current page: one of the page, one that works everywhere, or a
// verb for what is chosen on the page. It returns false if there is none.
func (u *ui) perform(id string) bool {
	if u.frame().act(id) || u.act(id) {
		return true
	}
	if id == "actions" {
		u.openActions()
		return true
	}
	v := verbNamed(id)
	if v != nil {
		u.runVerb(v)
	}
	return v != nil
}

// act carries out an action that works everywhere; of others it does nothing and returns false.
func (u *ui) act(id string) bool {
	if name, ok := strings.CutPrefix(id, "screen."); ok {
		i := slices.IndexFunc(u.screens, func(s *screen) bool { return s.id == name })
		if i >= 0 {
			u.goTo(i)
		}
		return i >= 0
	}
	switch id {
	case "next.screen":
		u.goTo((u.current + 1) % len(u.screens))
	case "prev.screen":
		u.goTo((u.current + len(u.screens) - 1) % len(u.screens))
	case "last":
		u.visit(u.before)
	case "history.back":
		u.goBack()
	case "history.forward":
		if n := len(u.future); n > 0 {
			to := u.future[n-1]
			u.future = u.future[:n-1]
			u.history = append(u.history, u.current)
			u.switchTo(to)
		}
	case "back":
		u.back()
	case "filter":
		u.beginFilter()
	case "command":
		u.beginCommand()
	case "palette":
		u.openPalette()
	case "namespace":
		u.chooseNamespace()
	case "all":
		u.setNamespace("")
	case "help":
		u.openHelp()
	case "theme":
		u.nextTheme()
	case "mouse":
		u.toggleMouse()
	case "log":
		u.push(newActionPage(u))
	case "quit":
		u.quit()
	case "cluster.pause":
		u.togglePause()
	case "cluster.stop":
		u.confirmStop()
	case "images":
		u.push(newImagesPage(u, ""))
	case "traffic":
		u.push(newTrafficPage(u))
	case "clusters":
		u.push(newClustersPage(u))
	case "checkpoints":
		u.push(newCheckpointsPage(u))
	case "doctor":
		u.push(newDoctorPage(u))
	case "resources":
		u.push(newResourcesPage(u))
	case "access":
		u.askAccess(kube.AccessQuery{})
	case "file":
		u.openFile()
	case "node.add":
		u.askAddNodes()
	default:
		return false
	}
	return true
}

// leave ends the UI.
func (u *ui) leave(o Outcome) {
	u.outcome = o
	u.leaving = true
	u.cmd(tea.Quit)
}

// toast is a short word in place of the hints.
type toast struct {
	role paint.Role
	text string
}

func (t *toast) say(role paint.Role, text string) { t.role, t.text = role, text }
func (t *toast) clear()                           { t.text = "" }

// isEnd says that an error is only that somebody wanted an end.
func isEnd(err error) bool { return errors.Is(err, context.Canceled) }

// fail shows an error, with what to do about it.
func (u *ui) fail(err error) {
	if err == nil || isEnd(err) {
		return
	}
	u.toast.say(paint.Fail, u.errorText(err))
	u.touch()
}

// lend gives the terminal to another program, and takes it back when that has ended: the mouse too, which Bubble Tea v1
// forgets. Keys that were typed into the other program and arrive late are dropped.
func (u *ui) lend(c tea.ExecCommand, done func(error)) {
	u.cmd(u.exec(&lent{ExecCommand: c, u: u}, func(err error) tea.Msg {
		return doMsg(func() {
			u.deaf = u.clock.now().Add(lateKeys)
			done(err)
		})
	}))
}

// lateKeys is how long after another program keys are dropped.
const lateKeys = 50 * time.Millisecond

// lent is a program that has the terminal. It runs in the program's own goroutine.
type lent struct {
	tea.ExecCommand
	u *ui
}

func (l *lent) Run() error {
	l.u.display.leave(l.u.in)
	err := l.ExecCommand.Run()
	return errors.Join(err, l.u.display.enter(l.u.in))
}

// T is words.T.
func (u *ui) T(english string, args ...any) string { return u.words.T(english, args...) }

func (u *ui) nextTheme() {
	names := paint.Names()
	name := names[(slices.Index(names, u.theme.Name)+1)%len(names)]
	u.setTheme(name)
}

func (u *ui) setTheme(name string) {
	t, err := paint.NewTheme(name, u.opts.Depth, u.opts.ASCII, u.opts.Calm)
	if err != nil {
		u.fail(err)
		return
	}
	u.theme = t
	u.toast.say(paint.Plain, u.T("theme %s; --theme %s keeps it", name, name))
}

func (u *ui) toggleMouse() {
	u.mouse = !u.mouse
	u.display.setMouse(u.mouse)
	if u.mouse {
		u.toast.say(paint.Plain, u.T("bonsai uses the mouse again"))
	} else {
		u.toast.say(paint.Plain, u.T("the terminal has the mouse: select and copy; %s takes it back", u.keys.Key("mouse")))
	}
}

// onMouse gives a click or a turn of the wheel to what is under it.
func (u *ui) onMouse(e tea.MouseEvent) {
	if e.Action != tea.MouseActionPress {
		return
	}
	u.touch()
	if len(u.dialogs) > 0 {
		u.dialogs[len(u.dialogs)-1].mouse(e)
		return
	}
	p, ok := u.frame().(pointer)
	switch {
	case e.Button == tea.MouseButtonWheelDown && ok:
		p.wheel(3)
	case e.Button == tea.MouseButtonWheelUp && ok:
		p.wheel(-3)
	case e.Button == tea.MouseButtonLeft && e.Y == tabRow && u.height >= leastHeight:
		if i := u.tabAt(e.X); i >= 0 {
			u.goTo(i)
		}
	case e.Button == tea.MouseButtonLeft && ok && e.Y >= bodyTop:
		p.click(e.X, e.Y-bodyTop)
	}
}

// errorText is an error in one line, with what to do next.
func (u *ui) errorText(err error) string {
	p := u.problemOf(err)
	text := u.whatAndWhy(&p)
	if len(p.Advice) > 0 {
		text += fmt.Sprintf("  %s %s", u.theme.Glyphs.Right, u.adviceText(p.Advice))
	}
	return paint.Clean(text)
}
