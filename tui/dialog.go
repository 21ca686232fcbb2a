package tui

import (
	"cmp"
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/lipgloss"
	"github.com/charmbracelet/x/ansi"

	"bonsai/bootstrap/yamldiff"
	"bonsai/tui/keymap"
	"bonsai/tui/paint"
)

// dialog is a box on top of everything. It gets all keys until it is closed.
type dialog interface {
	key(tea.KeyMsg)
	mouse(tea.MouseEvent)
	// draw returns the box for a terminal of w by h.
	draw(w, h int) []string
}

func (u *ui) open(d dialog) { u.dialogs = append(u.dialogs, d); u.touch() }

func (u *ui) closeDialog() {
	if n := len(u.dialogs); n > 0 {
		u.dialogs = u.dialogs[:n-1]
	}
	u.touch()
}

// middle puts b, which may have codes, over the middle of a line of w cells, and drops wide characters on the edges.
func middle(line, b string, w int) string {
	bw := ansi.StringWidth(b)
	if bw > w {
		b = ansi.Truncate(b, w, "")
		bw = ansi.StringWidth(b)
	}
	at := (w - bw) / 2
	left := ansi.Truncate(line, at, "")
	left += "\x1b[0m" + paint.Spaces(at-ansi.StringWidth(left))
	right := ansi.TruncateLeft(line, at+bw, "")
	if ansi.StringWidth(right) > w-at-bw {
		right = ansi.TruncateLeft(line, at+bw+1, "")
	}
	return left + b + "\x1b[0m" + paint.Spaces(w-at-bw-ansi.StringWidth(right)) + right
}

// box draws a border around lines of equal width.
func (u *ui) box(title string, lines []string) []string {
	border := lipgloss.RoundedBorder()
	if u.theme.Glyphs.Full == "#" {
		border = lipgloss.ASCIIBorder()
	}
	width := 0
	for _, l := range lines {
		width = max(width, ansi.StringWidth(l))
	}
	title = paint.Cut(title, width-2, u.theme.Glyphs.More)
	if title != "" {
		title = " " + title + " "
	}
	rest := max(0, width+1-paint.Width(title))
	out := []string{u.theme.Paint(paint.Dim, border.TopLeft+border.Top) + u.theme.Paint(paint.Title, title) + u.theme.Paint(paint.Dim, strings.Repeat(border.Top, rest)+border.TopRight)}
	side := u.theme.Paint(paint.Dim, border.Left)
	for _, l := range lines {
		out = append(out, side+" "+l+paint.Spaces(width-ansi.StringWidth(l))+" "+side)
	}
	return append(out, u.theme.Paint(paint.Dim, border.BottomLeft+strings.Repeat(border.Bottom, width+2)+border.BottomRight))
}

// question asks before something that cannot be undone. The cursor is on Cancel, and no key but the arrows takes it
// away from there. Some questions want a name to be typed.
type question struct {
	u     *ui
	title string
	text  []string
	// diff is what would change, above the text.
	diff   []yamldiff.Line
	accept string // the word on the button
	// typed is what has to be typed first; empty for nothing.
	typed  string
	input  input
	onYes  bool
	answer func()
	top    int // the first line of the text that is seen, where not all have room
	rows   int
}

func (u *ui) ask(title string, text []string, accept, typed string, answer func()) {
	u.open(u.newQuestion(title, text, accept, typed, answer))
}

// askLater is ask of what is asked on its own: it waits until nothing else is being answered or typed.
func (u *ui) askLater(title string, text []string, accept string, answer func()) {
	u.openLater(u.newQuestion(title, text, accept, "", answer))
}

func (u *ui) newQuestion(title string, text []string, accept, typed string, answer func()) *question {
	return &question{u: u, title: title, text: text, accept: accept, typed: typed, input: newInput(u, ""), answer: answer}
}

func (q *question) key(msg tea.KeyMsg) {
	chain := keymap.Chain(keymap.Question)
	if q.typed != "" {
		chain = keymap.Chain(keymap.Dialog, keymap.Input)
	}
	switch q.u.keys.Find(chain, msg.String()) {
	case "dialog.cancel", "question.no":
		q.u.closeDialog()
	case "dialog.accept":
		text := q.input.text()
		switch {
		case q.typed != "" && text == q.typed, q.typed == "" && q.onYes:
			q.u.closeDialog()
			q.answer()
		case q.typed == "" || text == "":
			q.u.closeDialog()
		}
	case "dialog.next", "dialog.prev", "question.other":
		q.onYes = !q.onYes
	case "dialog.page.down":
		q.top += max(1, q.rows-1)
	case "dialog.page.up":
		q.top -= max(1, q.rows-1)
	default:
		if q.typed != "" {
			q.input.key(msg)
		}
	}
}

func (q *question) mouse(tea.MouseEvent) {}

func (q *question) draw(w, h int) []string {
	width := min(72, w-6)
	lines := q.diffLines(width)
	for _, t := range q.text {
		for _, part := range paint.Wrap(t, width) {
			lines = append(lines, q.u.theme.Line(width).Add(paint.Plain, part).String())
		}
	}
	// The answers are always seen; text that has no room above them is scrolled.
	rest := 3 // the answers and the borders
	if q.typed != "" {
		rest++
	}
	if q.rows = max(1, h-rest); len(lines) < q.rows {
		q.top = 0
		lines = append(lines, paint.Spaces(width))
	} else if all := len(lines); all > q.rows {
		q.rows--
		q.top = max(0, min(q.top, all-q.rows))
		lines = append(lines[q.top:q.top+q.rows:q.top+q.rows], q.u.theme.Line(width).
			Hint(q.u.keyIn(keymap.Chain(keymap.Dialog), "dialog.page.down"), q.u.T("lines %d-%d of %d", q.top+1, q.top+q.rows, all)).String())
	}
	l := q.u.theme.Line(width)
	if q.typed != "" {
		l.Add(paint.Plain, paint.Cut(q.u.T("type %s to continue: ", q.typed), width-10, q.u.theme.Glyphs.More))
		q.input.draw(l, l.Room(), paint.Strong, "")
		lines = append(lines, l.String(), q.u.theme.Line(width).Hint("enter", q.accept).Hint("esc", q.u.T("cancel")).String())
		return q.u.box(q.title, lines)
	}
	yes, no := paint.Plain, paint.Selected
	if q.onYes {
		yes, no = no, yes
	}
	l.Add(no, " "+q.u.T("Cancel")+" ").Add(paint.Plain, "   ").Add(yes, " "+q.accept+" ").Add(paint.Plain, "   ").Add(paint.Dim, q.u.T("arrows choose, enter"))
	return q.u.box(q.title, append(lines, l.String()))
}

// diffLines is what would change, with an empty line below it.
func (q *question) diffLines(w int) []string {
	var lines []string
	for _, d := range q.diff {
		text, role := diffText(d)
		if text == "" {
			continue
		}
		for i, part := range chunks(text, w) {
			if i > 0 {
				part = "  " + part
			}
			lines = append(lines, q.u.theme.Line(w).Add(role, part).String())
		}
	}
	if len(lines) > 0 {
		lines = append(lines, paint.Spaces(w))
	}
	return lines
}

// chunks cuts a line where it has no more room, so that all of it is seen; what is continued gets two cells less.
func chunks(text string, w int) []string {
	var list []string
	for room := max(4, w); paint.Width(text) > room; room = max(4, w-2) {
		part := paint.Cut(text, room, "")
		if part == "" {
			break
		}
		list = append(list, part)
		text = strings.TrimPrefix(text, part)
	}
	return append(list, text)
}

// choice is one line of a menu.
type choice struct {
	title string
	// hint is dim and to the right: a key, a kind.
	hint string
	// off says why it cannot be chosen; it is shown nevertheless.
	off string
	// words are searched beside the title.
	words string
	run   func()
}

// menu is a list to choose from, which narrows while one types.
type menu struct {
	u       *ui
	title   string
	choices []choice
	shown   []int
	input   input
	cursor  int
	top     int
	rows    int
	// free, if set, takes what was typed when nothing matches or nothing is chosen.
	free func(text string)
	// more gives further choices for what was typed: objects, commands.
	more func(text string) []choice
	base int // choices before those of more
}

func (u *ui) choose(title string, choices []choice) *menu {
	m := &menu{u: u, title: title, choices: choices, base: len(choices), input: newInput(u, "")}
	m.narrow()
	u.open(m)
	return m
}

func (m *menu) narrow() {
	text := lower(strings.TrimSpace(m.input.text()))
	m.choices = m.choices[:m.base]
	if m.more != nil && text != "" {
		m.choices = append(m.choices, m.more(m.input.text())...)
	}
	type hit struct{ at, rank int }
	var hits []hit
	for i, c := range m.choices {
		if r := rank(c, text); r >= 0 {
			hits = append(hits, hit{i, r})
		}
	}
	// What cannot be done now comes behind what can.
	off := func(h hit) int { return min(1, len(m.choices[h.at].off)) }
	slices.SortStableFunc(hits, func(a, b hit) int { return cmp.Or(a.rank-b.rank, off(a)-off(b)) })
	m.shown = m.shown[:0]
	for _, h := range hits {
		m.shown = append(m.shown, h.at)
	}
	m.cursor, m.top = 0, 0
}

// rank says how well a choice answers what was typed: 0 best, -1 not at all. Every word has to be found; letters in
// order are enough for one word.
func rank(c choice, text string) int {
	if text == "" {
		return 0
	}
	title := lower(c.title)
	if strings.HasPrefix(title, text) {
		return 0
	}
	all := title + " " + lower(c.words)
	r := 1
	for word := range strings.FieldsSeq(text) {
		switch {
		case strings.Contains(title, word):
		case strings.Contains(all, word):
			r = max(r, 2)
		default:
			rest := title
			for _, x := range word {
				i := strings.IndexRune(rest, x)
				if i < 0 {
					return -1
				}
				rest = rest[i+len(string(x)):]
			}
			r = 3
		}
	}
	return r
}

func (m *menu) key(msg tea.KeyMsg) {
	switch m.u.keys.Find(keymap.Chain(keymap.Dialog, keymap.Input), msg.String()) {
	case "dialog.cancel":
		m.u.closeDialog()
		return
	case "dialog.next":
		m.move(1)
		return
	case "dialog.prev":
		m.move(-1)
		return
	case "dialog.page.down":
		m.move(max(1, m.rows-1))
		return
	case "dialog.page.up":
		m.move(-max(1, m.rows-1))
		return
	case "dialog.accept":
		m.pick(m.cursor)
		return
	}
	if m.input.key(msg) {
		m.narrow()
	}
}

func (m *menu) move(by int) { m.cursor = max(0, min(m.cursor+by, len(m.shown)-1)) }

func (m *menu) pick(at int) {
	if at >= 0 && at < len(m.shown) {
		c := m.choices[m.shown[at]]
		if c.off != "" {
			m.u.toast.say(paint.Warn, c.off)
			return
		}
		m.u.closeDialog()
		c.run()
		return
	}
	if text := m.input.text(); m.free != nil && text != "" {
		m.u.closeDialog()
		m.free(text)
	}
}

func (m *menu) mouse(e tea.MouseEvent) {
	switch e.Button {
	case tea.MouseButtonWheelDown:
		m.move(1)
	case tea.MouseButtonWheelUp:
		m.move(-1)
	case tea.MouseButtonLeft:
		height := m.rows + 4
		top := max(0, (m.u.height-height)/2) + 2
		if row := e.Y - top; row >= 0 && row < m.rows {
			m.pick(m.top + row)
		}
	}
}

func (m *menu) draw(w, h int) []string {
	width := min(76, w-6)
	m.rows = max(1, min(len(m.choices), h-8))
	m.top = max(min(m.top, m.cursor), m.cursor-m.rows+1)
	t := m.u.theme
	found := m.u.T("%d of %d", len(m.shown), len(m.choices))
	query := t.Line(width).Add(paint.Key, "> ")
	m.input.draw(query, query.Room()-paint.Width(found)-1, paint.Plain, "")
	lines := []string{query.Right(paint.Dim, found).String()}
	for i := m.top; i < m.top+m.rows; i++ {
		l := t.Line(width)
		if i < len(m.shown) {
			c := m.choices[m.shown[i]]
			role := paint.Plain
			if c.off != "" {
				role = paint.Off
			}
			hint := c.hint
			if c.off != "" {
				hint = c.off
			}
			room := width - paint.Width(c.title) - 4
			l.Add(paint.Plain, " ").Add(role, paint.Cut(c.title, width-2, t.Glyphs.More)).
				Right(paint.Dim, paint.Cut(hint, max(0, room), t.Glyphs.More))
			if i == m.cursor {
				l.Select()
			}
		}
		lines = append(lines, l.String())
	}
	return m.u.box(m.title, lines)
}

// textBox shows text until a key closes it: help.
type textBox struct {
	u     *ui
	title string
	lines []string
	top   int
	rows  int
}

func (t *textBox) key(msg tea.KeyMsg) {
	switch t.u.keys.Find(keymap.Chain(keymap.Scroll), msg.String()) {
	case "text.down":
		t.top++
	case "text.up":
		t.top--
	case "text.page.down":
		t.top += t.rows
	case "text.page.up":
		t.top -= t.rows
	case "text.top":
		t.top = 0
	case "text.bottom":
		t.top = len(t.lines)
	default:
		t.u.closeDialog()
	}
}

func (t *textBox) mouse(e tea.MouseEvent) {
	switch e.Button {
	case tea.MouseButtonWheelDown:
		t.top += 3
	case tea.MouseButtonWheelUp:
		t.top -= 3
	}
}

func (t *textBox) draw(_, h int) []string {
	t.rows = max(1, min(len(t.lines), h-6))
	t.top = max(0, min(t.top, len(t.lines)-t.rows))
	return t.u.box(t.title, t.lines[t.top:t.top+t.rows])
}
