package textview

import "bonsai/tui/paint"

// mostBreaks bounds how many lines are remembered as to where they break.
const mostBreaks = 512

// rowsOf is the number of rows that a line takes.
func (v *View) rowsOf(no int64) int {
	l := v.ring.at(no)
	if !v.wrap || l.Marker {
		return 1
	}
	text, width := l.shown(v.raw)
	if width <= v.textWidth {
		return 1
	}
	if width == len(text) { // one byte a cell
		return (width + v.textWidth - 1) / v.textWidth
	}
	return len(v.breaksOf(no, text)) + 1
}

// rowAt is the part of a line, in bytes, that is in one of its rows.
func (v *View) rowAt(no int64, row int) (from, to int) {
	l := v.ring.at(no)
	text, width := l.shown(v.raw)
	if width <= v.textWidth || l.Marker {
		return 0, len(text)
	}
	if width == len(text) {
		from = min(row*v.textWidth, len(text))
		return from, min(from+v.textWidth, len(text))
	}
	at := v.breaksOf(no, text)
	if row > 0 {
		from = int(at[row-1])
	}
	to = len(text)
	if row < len(at) {
		to = int(at[row])
	}
	return from, to
}

// breaksOf are the bytes at which the second row of a line begins, and those after it.
func (v *View) breaksOf(no int64, text string) []int32 {
	if at, ok := v.breaks[no]; ok {
		return at
	}
	if len(v.breaks) >= mostBreaks {
		clear(v.breaks)
	}
	var at []int32
	cells := 0
	for i := 0; i < len(text); {
		n, w := paint.Character(text[i:])
		if cells+w > v.textWidth && cells > 0 {
			at = append(at, int32(i))
			cells = 0
		}
		cells += w
		i += n
	}
	v.breaks[no] = at
	return at
}

// cut is the part of a text, in bytes, that is in the cells from column to column+width; pad is the number of cells at
// its begin that half of a wide character leaves empty.
func cut(text string, cells, column, width int) (from, to, pad int) {
	if cells == len(text) {
		from = min(column, len(text))
		return from, min(from+width, len(text)), 0
	}
	at := 0
	for from < len(text) && at < column {
		n, w := paint.Character(text[from:])
		from += n
		at += w
	}
	pad = max(0, at-column)
	at = pad
	for to = from; to < len(text); {
		n, w := paint.Character(text[to:])
		if at+w > width {
			break
		}
		to += n
		at += w
	}
	return from, to, pad
}
