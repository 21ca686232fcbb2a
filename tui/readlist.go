package tui

import (
	"fmt"

	"bonsai/tui/grid"
	"bonsai/tui/paint"
)

// readList is a page that is a heading, a list that is read as a whole, and a line below it.
type readList struct {
	grid  *grid.Grid
	known bool  // the list was read at least once
	err   error // of the last time
	// reading is said until it is known, and empty if it has nothing.
	reading, empty string
}

// draw draws it below a heading. below adds what is said about the list or the row under the cursor; if the last reading failed
// although an earlier one succeeded, that is said instead.
func (l readList) draw(u *ui, w, h int, heading string, below func(line *paint.Line)) []string {
	text := ""
	switch {
	case l.err != nil && !l.known:
		text = u.troubleText(l.err)
	case !l.known:
		u.spinning()
		text = u.glyph(paint.StateBusy) + " " + l.reading
	case l.grid.Total() == 0:
		text = l.empty
	case l.grid.Len() == 0:
		text = u.T("nothing matches %q; %s clears the filter", l.grid.Filter(), u.keys.Key("back"))
	}
	lines := []string{heading}
	if text != "" {
		return fill(append(lines, u.note(text, w, h-1)...), w, h)
	}
	lines = append(lines, l.grid.Draw(u.look(l.err != nil), w, h-1-strip)...)
	at, of := l.grid.Position()
	line := u.theme.Line(w).Add(paint.Plain, " ")
	if l.err != nil {
		line.Add(paint.Warn, u.troubleText(l.err))
	} else {
		below(line)
	}
	return append(lines, line.Right(paint.Dim, fmt.Sprintf("%d/%d ", at, of)).String())
}
