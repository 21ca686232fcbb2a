package textview

import (
	"fmt"
	"strings"
	"time"

	"bonsai/bootstrap/kube"
	"bonsai/tui/paint"
)

// Look is what drawing needs to know beside the text.
type Look struct {
	Theme *paint.Theme
	// Age writes the age of a time.
	Age func(time.Time) string
	// Zone is that of the clock; nil leaves times in theirs.
	Zone *time.Location
	// Dropped says how many lines had to go.
	Dropped func(n int64) string
	// Pale draws everything as old news.
	Pale bool
}

func (l *Look) local(t time.Time) time.Time {
	if l.Zone == nil {
		return t
	}
	return t.In(l.Zone)
}

// The widths from which there is room for times, and for times with their thousandths.
const (
	timesFrom = 56
	milliFrom = 96
)

// Draw returns exactly h lines of w cells.
func (v *View) Draw(look Look, w, h int) []string {
	if h <= 0 {
		return nil
	}
	timeWidth, nameWidth := v.columns(w)
	width := w - 1
	if timeWidth > 0 {
		width -= timeWidth + 1
	}
	if nameWidth > 0 {
		width -= nameWidth + 1
	}
	v.place(max(1, width), h)
	lines := make([]string, 0, h)
	v.drawn, v.widest = v.drawn[:0], 0
	n := v.count()
	if n == 0 {
		return pad(lines, w, h)
	}
	i, row := v.index(v.top.no), v.top.row
	if !v.follow && v.ring.first > 0 && i == 0 && row == 0 && h > 4 {
		l := look.Theme.Line(w).Add(paint.Plain, " ").Add(paint.Dim, strings.Repeat(look.Theme.Glyphs.Rule, 11)+" ").Add(paint.Warn, look.Dropped(v.ring.first)).Add(paint.Plain, " ")
		lines = append(lines, l.Rule().String())
		v.drawn = append(v.drawn, pos{-1, 0})
	}
	for ; i < n && len(lines) < h; i, row = i+1, 0 {
		no := v.number(i)
		for rows := v.rowsOf(no); row < rows && len(lines) < h; row++ {
			lines = append(lines, v.drawRow(look, w, timeWidth, nameWidth, pos{no, row}))
			v.drawn = append(v.drawn, pos{no, row})
		}
	}
	return pad(lines, w, h)
}

func pad(lines []string, w, h int) []string {
	blank := paint.Spaces(w)
	for len(lines) < h {
		lines = append(lines, blank)
	}
	return lines
}

// columns are the widths of times and names, 0 for those that have no room.
func (v *View) columns(w int) (timeWidth, nameWidth int) {
	if w >= timesFrom && v.Times != None {
		timeWidth = 8
		switch {
		case v.Times == Age:
			timeWidth = 4
		case w >= milliFrom:
			timeWidth = 12
		}
	}
	if v.Name != nil && w >= 30 {
		nameWidth = min(v.NameWidth, max(8, w/5))
	}
	return timeWidth, nameWidth
}

// place puts the top where it belongs for this many rows of this width.
func (v *View) place(width, h int) {
	if width != v.textWidth {
		clear(v.breaks)
	}
	v.textWidth, v.rows = width, h
	if v.count() == 0 {
		return
	}
	if v.follow {
		v.top = v.step(v.lastRow(), 1-h)
		return
	}
	v.top, v.cursor = v.normal(v.top), v.normal(v.cursor)
	v.reveal(0)
}

func (v *View) drawRow(look Look, w, timeWidth, nameWidth int, p pos) string {
	l, line := v.ring.at(p.no), look.Theme.Line(w)
	if !v.follow && p == v.cursor {
		line.Add(paint.Strong, look.Theme.Glyphs.Cursor)
	} else {
		line.Add(paint.Plain, " ")
	}
	if l.Marker {
		return v.drawMarker(look, line, l, nameWidth)
	}
	if timeWidth > 0 {
		switch {
		case p.row > 0 || l.Time.IsZero():
			line.Add(paint.Plain, paint.Spaces(timeWidth+1))
		case v.Times == Age:
			line.ColRight(paint.Dim, look.Age(l.Time), timeWidth)
		case timeWidth > 8:
			line.Add(paint.Dim, look.local(l.Time).Format("15:04:05.000 "))
		default:
			line.Add(paint.Dim, look.local(l.Time).Format("15:04:05 "))
		}
	}
	if nameWidth > 0 {
		name, role := "", paint.Plain
		if p.row == 0 {
			name, role = v.Name(l)
		}
		line.Col(role, paint.CutLeft(name, nameWidth, look.Theme.Glyphs.More), nameWidth)
	}
	text, cells := l.shown(v.raw)
	v.widest = max(v.widest, cells)
	from, to, half, more := 0, 0, 0, false
	if v.wrap {
		from, to = v.rowAt(p.no, p.row)
	} else {
		room := v.textWidth
		if more = cells > v.column+room; more {
			room--
		}
		from, to, half = cut(text, cells, v.column, room)
	}
	line.Add(paint.Plain, paint.Spaces(half))
	v.paint(look, line, l, text, from, to)
	if more {
		line.To(w-1).Add(paint.Dim, look.Theme.Glyphs.More)
	}
	return line.String()
}

// paint adds the part of a text, with the looks of its parts and of what was found.
func (v *View) paint(look Look, line *paint.Line, l *Line, text string, from, to int) {
	spans, found := l.spans(v.raw, text), v.search.all(text, from, to)
	base := paint.Plain
	if look.Pale {
		base, spans = paint.Dim, nil
	}
	for from < to {
		for len(spans) > 0 && spans[0].To <= from {
			spans = spans[1:]
		}
		for len(found) > 0 && found[0].To <= from {
			found = found[1:]
		}
		end, role := to, base
		if len(spans) > 0 {
			if s := spans[0]; s.From <= from {
				end, role = min(end, s.To), s.Role
			} else {
				end = min(end, s.From)
			}
		}
		if len(found) > 0 {
			if s := found[0]; s.From <= from {
				end, role = min(to, s.To), paint.Match
			} else {
				end = min(end, s.From)
			}
		}
		line.Add(role, text[from:end])
		from = end
	}
}

// drawMarker draws a rule with its text: a restart, lines that were dropped.
func (v *View) drawMarker(look Look, line *paint.Line, l *Line, nameWidth int) string {
	rule := look.Theme.Glyphs.Rule
	line.Add(paint.Dim, strings.Repeat(rule, 11)+" ")
	if nameWidth > 0 {
		if name, role := v.Name(l); name != "" {
			line.Add(role, name).Add(paint.Plain, " ")
		}
	}
	v.paint(look, line, l, l.Text, 0, len(l.Text))
	return line.Add(paint.Plain, " ").Rule().String()
}

// Export is a line as it is saved: its time, where it comes from, its text.
func (l *Line) Export() string {
	if l.Marker {
		return "--- " + strings.TrimSpace(l.Source.Place()+" "+l.Source.Container+" "+l.Text) + " ---"
	}
	text := l.Text
	if l.Source != (kube.LogSource{}) {
		text = fmt.Sprintf("%s/%s %s", l.Source.Place(), l.Source.Container, text)
	}
	if !l.Time.IsZero() {
		text = l.Time.Format(time.RFC3339Nano) + " " + text
	}
	return text
}
