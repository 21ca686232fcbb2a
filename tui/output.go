package tui

import (
	"fmt"
	"slices"
	"strings"

	"bonsai/tui/keymap"
	"bonsai/tui/paint"
)

// outputPage is the answer of a verb of the command line, while it comes and afterwards.
type outputPage struct {
	blankPage
	u     *ui
	title string
	lines []string
	task  *task
	done  bool
	err   error

	top, left, rows int
	search          string
	// seek are lines at the first of which the answer is shown once it is complete.
	seek []string
	// ended, if set, is called when the answer is complete, or the verb has failed.
	ended func()
}

// keptLines bounds what is kept of an answer; the oldest lines go.
const keptLines = 20000

func newOutputPage(u *ui, title string) *outputPage {
	return &outputPage{u: u, title: paint.Clean(title)}
}

func (p *outputPage) crumb() string { return p.title }
func (p *outputPage) hints() []hint { return hintsOf("back", "text.copy", "text.next") }

func (p *outputPage) contexts() []keymap.Context {
	if p.search != "" {
		return []keymap.Context{keymap.Search, keymap.Text}
	}
	return []keymap.Context{keymap.Text}
}

func (p *outputPage) empty() bool { return len(p.lines) == 0 }

// add appends text. The view stays where it is, but at the end it follows.
func (p *outputPage) add(text string) {
	follows := p.top+p.rows >= len(p.lines) && p.top > 0
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		p.lines = append(p.lines, paint.CleanLog(line))
	}
	if n := len(p.lines) - keptLines; n > 0 {
		p.lines = p.lines[n:]
		p.top = max(0, p.top-n)
	}
	if follows {
		p.top = len(p.lines) - p.rows
	}
}

func (p *outputPage) end(err error) {
	p.done, p.err = true, err
	for _, line := range p.seek {
		if at := slices.Index(p.lines, paint.CleanLog(line)); at >= 0 {
			p.top = max(0, at-1)
			break
		}
	}
	if err != nil {
		for _, e := range p.u.problemOf(err).Evidence {
			if !slices.Contains(p.lines, paint.CleanLog(e)) { // often it is the answer itself
				p.add(e)
			}
		}
	}
	if p.ended != nil {
		p.ended()
	}
}

func (p *outputPage) filterText() string   { return p.search }
func (p *outputPage) filterPrompt() string { return "/" }
func (p *outputPage) setFilter(text string) {
	p.search = text
	if text != "" && !p.matches(p.top) {
		p.jump(1)
	}
}

func (p *outputPage) matches(i int) bool {
	return i >= 0 && i < len(p.lines) && p.search != "" && strings.Contains(lower(p.lines[i]), lower(p.search))
}

// jump goes to the next line that matches, around the end.
func (p *outputPage) jump(step int) {
	for i := 1; i <= len(p.lines); i++ {
		at := (p.top + step*i + len(p.lines)*2) % len(p.lines)
		if p.matches(at) {
			p.top = at
			return
		}
	}
}

func (p *outputPage) wheel(rows int) { p.top += rows }
func (p *outputPage) click(int, int) {}

func (p *outputPage) act(id string) bool {
	switch id {
	case "text.down":
		p.top++
	case "text.up":
		p.top--
	case "text.page.down":
		p.top += p.rows
	case "text.page.up":
		p.top -= p.rows
	case "text.top":
		p.top, p.left = 0, 0
	case "text.bottom":
		p.top = len(p.lines)
	case "text.left":
		p.left = max(0, p.left-8)
	case "text.right":
		p.left += 8
	case "text.next", "text.prev":
		if p.search == "" {
			return false
		}
		by := 1
		if id == "text.prev" {
			by = -1
		}
		p.jump(by)
	case "text.copy":
		p.u.copy(strings.Join(p.lines, "\n"))
	default:
		return false
	}
	return true
}

func (p *outputPage) hide() {
	if !p.done && p.task != nil {
		p.task.cancel(errEnded) // nobody watches the answer any more
	}
}

func (p *outputPage) draw(w, h int) []string {
	t := p.u.theme
	p.rows = max(1, h-1)
	p.top = max(0, min(p.top, len(p.lines)-p.rows))
	head := t.Line(w).Add(paint.Plain, " ").Add(paint.Title, p.title)
	switch {
	case !p.done:
		head.Add(paint.Busy, "  "+p.u.glyph(paint.StateBusy))
	case p.err != nil:
		head.Add(paint.Fail, "  "+t.Glyphs.Fail+" "+p.u.errorText(p.err))
	}
	where := fmt.Sprintf("%d-%d/%d", min(p.top+1, len(p.lines)), min(p.top+p.rows, len(p.lines)), len(p.lines))
	if p.search != "" {
		where = "/" + p.search + "  " + where
	}
	lines := []string{head.Right(paint.Dim, where+" ").String()}
	for i := p.top; i < min(len(p.lines), p.top+p.rows); i++ {
		l := t.Line(w)
		text := p.lines[i]
		if p.left > 0 {
			text = paint.CutLeft(text, max(0, paint.Width(text)-p.left), "")
		}
		role := paint.Plain
		if p.matches(i) {
			role = paint.Match
		}
		lines = append(lines, l.Add(paint.Plain, " ").Add(role, text).String())
	}
	return fill(lines, w, h)
}
