package tui

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/bubbles/cursor"
	"github.com/charmbracelet/bubbles/key"
	"github.com/charmbracelet/bubbles/textinput"
	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"

	"bonsai/tui/keymap"
	"bonsai/tui/paint"
)

// input is a line of text that is being typed. Bubbles' textinput edits it, with the keys of the keymap; it is drawn
// here, as everything else is. What textinput does not know is here as well: characters of several code points, a text
// that was cut, pasted lines.
type input struct {
	u     *ui
	model textinput.Model
}

// mostTyped bounds a line, in code points: somebody may paste a whole file.
const mostTyped = 4096

func newInput(u *ui, text string) input {
	m := textinput.New()
	m.Cursor.SetMode(cursor.CursorStatic)
	m.Focus() // without it keys do nothing; its command is for a cursor that blinks
	m.CharLimit = mostTyped
	chain := keymap.Chain(keymap.Input)
	keys := func(id string) key.Binding { return key.NewBinding(key.WithKeys(u.keys.Keys(chain, id)...)) }
	m.KeyMap = textinput.KeyMap{
		CharacterBackward: keys("input.left"), CharacterForward: keys("input.right"),
		WordBackward: keys("input.word.left"), WordForward: keys("input.word.right"),
		LineStart: keys("input.home"), LineEnd: keys("input.end"),
		DeleteCharacterBackward: keys("input.delete.left"), DeleteCharacterForward: keys("input.delete.right"),
		DeleteWordBackward: keys("input.cut.word.left"),
		DeleteBeforeCursor: keys("input.cut.left"), DeleteAfterCursor: keys("input.cut.right"),
	}
	i := input{u, m}
	i.set(text)
	return i
}

func (i *input) text() string { return i.model.Value() }

// set replaces the text and puts the cursor at its end.
func (i *input) set(text string) {
	i.model.SetValue(text)
	i.model.CursorEnd()
}

// parts are the text before the cursor, and the text from it on.
func (i *input) parts() (before, after string) {
	text := []rune(i.text())
	return string(text[:i.model.Position()]), string(text[i.model.Position():])
}

// key takes what was typed, and says whether the text has changed.
func (i *input) key(msg tea.KeyMsg) bool {
	if msg.Type == tea.KeyCtrlH {
		msg.Type = tea.KeyBackspace // what some terminals send for it
	}
	text := i.text()
	before, after := i.parts()
	times := 1
	id := i.u.keys.Find(keymap.Chain(keymap.Input), msg.String())
	switch id {
	case "":
		if msg.Type != tea.KeyRunes && msg.Type != tea.KeySpace || msg.Alt {
			return false
		}
		i.insert(string(msg.Runes))
		return i.text() != text
	case "input.paste":
		i.insert(i.u.cut)
		return i.text() != text
	case "input.cut.word.right":
		// That of textinput panics on the last character: https://github.com/charmbracelet/bubbles/issues/1056
		times = 0
		rest := strings.TrimLeftFunc(after, unicode.IsSpace)
		rest = strings.TrimLeftFunc(rest, func(r rune) bool { return !unicode.IsSpace(r) })
		i.model.SetValue(before + rest)
		i.model.SetCursor(utf8.RuneCountInString(before))
	case "input.left", "input.delete.left":
		times = utf8.RuneCountInString(lastCharacter(before))
	case "input.right", "input.delete.right":
		times = utf8.RuneCountInString(character(after))
	}
	for range times {
		i.model, _ = i.model.Update(msg) // a cursor that stands still has no commands
	}
	if left, _ := i.parts(); strings.HasPrefix(id, "input.cut.") && i.text() != text {
		i.u.cut = text[len(left) : len(left)+len(text)-len(i.text())]
	}
	return i.text() != text
}

// keyOf is key, of characters that are allowed; all are if only is nil.
func (i *input) keyOf(msg tea.KeyMsg, only func(rune) bool) bool {
	if only != nil && (msg.Type == tea.KeyRunes || msg.Type == tea.KeySpace) {
		msg.Runes = slices.DeleteFunc(slices.Clone(msg.Runes), func(r rune) bool { return !only(r) })
		if len(msg.Runes) == 0 {
			return false
		}
		msg.Type = tea.KeyRunes
	}
	return i.key(msg)
}

// insert puts text in at the cursor; of several lines it makes one.
func (i *input) insert(text string) {
	text = strings.NewReplacer("\r\n", " ", "\r", " ", "\n", " ").Replace(strings.Trim(text, "\r\n"))
	i.model, _ = i.model.Update(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(paint.CleanTyped(text))})
}

// character is the first character of a text, which may be several code points; "" of an empty one.
func character(text string) string {
	cluster, _, _, _ := ansi.FirstGraphemeCluster(text, -1)
	return cluster
}

// lastCharacter is the last one.
func lastCharacter(text string) (last string) {
	for text != "" {
		last = character(text)
		text = text[len(last):]
	}
	return last
}

// draw adds the text to a line with the cursor in it, in at most w cells: what is around the cursor is always seen.
// ghost is what would come next, where the cursor is at the end.
func (i *input) draw(l *paint.Line, w int, role paint.Role, ghost string) {
	more := i.u.theme.Glyphs.More
	before, after := i.parts()
	rest := role
	if after == "" {
		after, rest = ghost, paint.Dim
	}
	under := cmp.Or(character(after), " ")
	after = strings.TrimPrefix(after, under)
	room := w - paint.Width(under)
	if paint.Width(before)+paint.Width(after) > room {
		before = paint.CutLeft(before, max(room-paint.Width(after), room*2/3), more)
		after = paint.Cut(after, room-paint.Width(before), more)
	}
	l.Add(role, before).Add(paint.Selected, under).Add(rest, after)
}
