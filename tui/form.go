package tui

import (
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"bonsai/tui/keymap"
	"bonsai/tui/paint"
)

// form asks for several values at once. A value that is not possible is explained at its field, and nothing is done until
// all of them are.
type form struct {
	u      *ui
	title  string
	text   []string // what is explained above the fields
	accept string   // the word for enter
	fields []*field
	at     int // the field that has the keys
	// whole, if set, says which field is wrong, and why, where values do not go together; -1 for none.
	whole func(values []string) (field int, why string)
	// done gets the values, in the order of the fields.
	done func(values []string)
}

// field is one value of a form: typed, or one of several.
type field struct {
	label string
	// value is what it begins with; of choices it is one of them.
	value   string
	choices []string
	// hint says what an empty field means, or what can be typed.
	hint string
	// only, if set, says which characters can be typed.
	only func(r rune) bool
	// check says why a value is not possible, "" if it is; nil accepts all.
	check func(text string) string

	input input
	wrong string // why the value was refused
}

func (u *ui) openForm(f *form) {
	f.u = u
	for _, d := range f.fields {
		d.input = newInput(u, d.value)
	}
	u.open(f)
}

// digit is a field.only of whole numbers.
func digit(r rune) bool { return r >= '0' && r <= '9' }

func (d *field) text() string {
	if d.choices != nil {
		return d.value
	}
	return strings.TrimSpace(d.input.text())
}

// turn takes another one of the choices.
func (d *field) turn(by int) {
	at := slices.Index(d.choices, d.value)
	d.value = d.choices[(at+by+len(d.choices))%len(d.choices)]
}

func (f *form) key(msg tea.KeyMsg) {
	d := f.fields[f.at]
	switch id := f.u.keys.Find(keymap.Chain(keymap.Dialog, keymap.Input), msg.String()); {
	case id == "dialog.cancel":
		f.u.closeDialog()
	case id == "dialog.next":
		f.move(1)
	case id == "dialog.prev":
		f.move(-1)
	case id == "dialog.accept":
		f.submit()
	case d.choices != nil:
		switch {
		case id == "input.left":
			d.turn(-1)
		case id == "input.right", msg.Type == tea.KeySpace:
			d.turn(1)
		}
	default:
		if d.input.keyOf(msg, d.only) && d.wrong != "" {
			d.wrong = f.refusal(d) // it goes as soon as the value is possible
		}
	}
}

func (f *form) move(by int) {
	f.at = (f.at + by + len(f.fields)) % len(f.fields)
}

func (f *form) refusal(d *field) string {
	if d.check == nil {
		return ""
	}
	return d.check(d.text())
}

// submit accepts the form, or goes to the first field that is wrong.
func (f *form) submit() {
	wrong := -1
	values := make([]string, len(f.fields))
	for i, d := range f.fields {
		values[i] = d.text()
		if d.wrong = f.refusal(d); d.wrong != "" && wrong < 0 {
			wrong = i
		}
	}
	if wrong < 0 && f.whole != nil {
		if at, why := f.whole(values); at >= 0 {
			wrong, f.fields[at].wrong = at, why
		}
	}
	if wrong >= 0 {
		f.at = wrong
		return
	}
	f.u.closeDialog()
	f.done(values)
}

func (f *form) mouse(tea.MouseEvent) {}

// valueWidth is the room for a value where hints and errors are beside it.
const valueWidth = 24

func (f *form) draw(w, h int) []string {
	t := f.u.theme
	width := min(72, w-6)
	label := 0
	for _, d := range f.fields {
		label = max(label, paint.Width(d.label))
	}
	label = min(label, width/2)
	beside := width >= 60 // there is room for hints and errors beside the fields
	var fields []string
	for i, d := range f.fields {
		l := t.Line(width)
		mark, role := " ", paint.Dim
		if i == f.at {
			mark, role = t.Glyphs.Cursor, paint.Strong
		}
		l.Add(paint.Key, mark+" ").Col(role, d.label, label).Add(paint.Plain, "  ")
		room := l.Room()
		if beside {
			room = valueWidth
		}
		end := width - l.Room() + room
		f.drawValue(l, d, i == f.at, room-1)
		l.To(end)
		switch {
		case beside && d.wrong != "":
			l.Add(paint.Fail, paint.Cut(t.Glyphs.Fail+" "+d.wrong, l.Room(), t.Glyphs.More))
		case beside && d.choices != nil && i == f.at:
			l.Add(paint.Dim, f.u.T("arrows choose"))
		case beside && d.text() == "":
			l.Add(paint.Dim, paint.Cut(d.hint, l.Room(), t.Glyphs.More))
		}
		fields = append(fields, l.String())
	}
	// What is too long for its place beside the field is repeated in full below.
	d := f.fields[f.at]
	note, role := d.hint, paint.Dim
	if d.wrong != "" {
		note, role = t.Glyphs.Fail+" "+d.wrong, paint.Fail
	}
	below := make([]string, 0, 2)
	for _, part := range paint.Wrap(note, width) {
		below = append(below, t.Line(width).Add(role, part).String())
	}
	below = fill(below, width, 2)
	last := t.Line(width).Hint("enter", f.accept).Hint("tab", f.u.T("next")).Hint("esc", f.u.T("cancel")).String()

	var lines []string
	if room := h - 2 - len(fields) - len(below) - 2; room > 0 {
		for _, text := range f.text {
			for _, part := range paint.Wrap(text, width) {
				lines = append(lines, t.Line(width).Add(paint.Plain, part).String())
			}
		}
		lines = lines[:min(len(lines), room-1)]
		if len(lines) > 0 {
			lines = append(lines, paint.Spaces(width))
		}
	}
	lines = append(append(lines, fields...), below...)
	return f.u.box(f.title, append(lines, last))
}

// drawValue draws the value of a field in at most w cells.
func (f *form) drawValue(l *paint.Line, d *field, current bool, w int) {
	switch {
	case d.choices != nil && current:
		l.Add(paint.Selected, paint.Cut(f.u.T(d.value), w, f.u.theme.Glyphs.More))
	case d.choices != nil:
		l.Add(paint.Plain, paint.Cut(f.u.T(d.value), w, f.u.theme.Glyphs.More))
	case current:
		d.input.draw(l, w, paint.Strong, "")
	default:
		l.Add(paint.Plain, paint.Cut(d.text(), w, f.u.theme.Glyphs.More))
	}
}
