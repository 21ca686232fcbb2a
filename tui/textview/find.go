package textview

import (
	"slices"

	"bonsai/tui/paint"
)

// filtering says that not all lines are shown.
func (v *View) filtering() bool { return !v.filter.empty() || v.only != nil }

// passes says whether a line is shown. Markers are wherever their log is.
func (v *View) passes(l *Line) bool {
	if v.only != nil && !v.only(l) {
		return false
	}
	if l.Marker {
		return true
	}
	text, _ := l.shown(v.raw)
	return v.filter.passes(text)
}

func (v *View) matching(l *Line) bool {
	if v.search.empty() {
		return false
	}
	text, _ := l.shown(v.raw)
	return v.search.index(text) >= 0
}

// refilter finds out again what is shown and what matches. narrower says that nothing new can be shown.
func (v *View) refilter(narrower bool) {
	old := v.shown
	v.shown = nil
	if v.filtering() {
		if narrower && old != nil {
			for _, no := range old {
				if v.passes(v.ring.at(no)) {
					v.shown = append(v.shown, no)
				}
			}
		} else {
			for no := v.ring.first; no < v.ring.end(); no++ {
				if v.passes(v.ring.at(no)) {
					v.shown = append(v.shown, no)
				}
			}
		}
	}
	v.research(false)
}

// research finds the matches again.
func (v *View) research(narrower bool) {
	old := v.matches
	v.matches = nil
	if v.search.empty() {
		return
	}
	if narrower {
		for _, no := range old {
			if v.matching(v.ring.at(no)) {
				v.matches = append(v.matches, no)
			}
		}
		return
	}
	for i := range v.count() {
		if no := v.number(i); v.matching(v.ring.at(no)) {
			v.matches = append(v.matches, no)
		}
	}
}

// SetFilter shows only the lines that have a text, or with "!" before it only those without; "" shows all.
func (v *View) SetFilter(text string) {
	p := newPattern(text, true)
	narrower := p.narrows(v.filter)
	v.filterText, v.filter = text, p
	v.refilter(narrower)
	v.stay()
}

// SetOnly shows only lines that f wants; nil shows all.
func (v *View) SetOnly(f func(*Line) bool) {
	v.only = f
	v.refilter(false)
	v.stay()
}

// SetSearch looks for a text and goes to a line that has it: the next one from where the search began, the newest one
// if the end was followed. With "" it goes back there, unless somebody has moved meanwhile.
// The same text again says that the search is done.
func (v *View) SetSearch(text string) {
	if text == v.searchText {
		v.origin = nil
		return
	}
	p := newPattern(text, false)
	narrower := p.narrows(v.search)
	v.searchText, v.search = text, p
	v.research(narrower)
	if v.origin == nil && text != "" {
		v.origin = &origin{v.top, v.cursor, v.column, v.follow, v.waiting}
	}
	o := v.origin
	if o == nil {
		return
	}
	if len(v.matches) == 0 {
		if v.follow != o.follow {
			v.follow, v.waiting = o.follow, 0
		}
		v.top, v.cursor, v.column = o.top, o.cursor, o.column
		if text == "" {
			v.origin = nil
		}
		return
	}
	at := len(v.matches) - 1
	if !o.follow {
		if i, _ := slices.BinarySearch(v.matches, o.cursor.no); i <= at {
			at = i
		}
	}
	v.jump(v.matches[at])
}

// NextMatch goes to the next line that matches, or with -1 to the one before; behind the last comes the first. It says
// whether there is one.
func (v *View) NextMatch(by int) bool {
	n := len(v.matches)
	if n == 0 {
		return false
	}
	at := n - 1
	if !v.follow {
		i, found := slices.BinarySearch(v.matches, v.cursor.no)
		switch {
		case by > 0 && found:
			at = (i + 1) % n
		case by > 0:
			at = i % n
		default:
			at = (i + n - 1) % n
		}
	}
	v.origin = nil
	v.jump(v.matches[at])
	return true
}

// jump puts the cursor on the first match of a line and makes that visible.
func (v *View) jump(no int64) {
	v.leaveEnd()
	l := v.ring.at(no)
	text, _ := l.shown(v.raw)
	v.cursor = pos{no, 0}
	defer func() { v.reveal(v.margin()) }()
	i := max(0, v.search.index(text))
	cells := paint.Width(text[:i])
	if v.wrap {
		for row := range v.rowsOf(no) {
			if from, to := v.rowAt(no, row); i >= from && i < to {
				v.cursor.row = row
			}
		}
		return
	}
	if found := paint.Width(v.search.text); cells < v.column || cells+found > v.column+v.textWidth-1 {
		v.column = max(0, cells-v.textWidth/3)
		if cells+found < v.textWidth {
			v.column = 0
		}
	}
}

// Match says which match the cursor is on, from 1, or 0 if it is on none, and how many there are.
func (v *View) Match() (at, of int) {
	if i, found := slices.BinarySearch(v.matches, v.cursor.no); found && !v.follow {
		at = i + 1
	}
	return at, len(v.matches)
}
