package paint

import (
	"math"
	"strings"
)

// Line is one line of a screen while it is made. It never gets wider than its width: what does not fit is cut off, and
// String fills it up. The zero value is not usable; make one with Theme.Line.
type Line struct {
	t        *Theme
	width    int
	used     int
	selected bool
	pale     bool
	cut      bool
	parts    []part
}

type part struct {
	role Role
	text string
}

// Line begins an empty line of a width.
func (t *Theme) Line(width int) *Line { return &Line{t: t, width: width} }

// Add appends clean text.
func (l *Line) Add(r Role, text string) *Line {
	if text == "" || l.cut {
		return l
	}
	w := Width(text)
	if left := l.width - l.used; w > left {
		text = Cut(text, left, l.t.Glyphs.More)
		w = Width(text)
		l.cut = true
	}
	if w > 0 {
		l.parts = append(l.parts, part{r, text})
		l.used += w
	}
	return l
}

// Col appends clean text as a column of exactly w cells, and a space.
func (l *Line) Col(r Role, text string, w int) *Line {
	text = Cut(text, w, l.t.Glyphs.More)
	return l.Add(r, text).Add(Plain, Spaces(w-Width(text)+1))
}

// ColRight is Col aligned to the right.
func (l *Line) ColRight(r Role, text string, w int) *Line {
	text = Cut(text, w, l.t.Glyphs.More)
	return l.Add(Plain, Spaces(w-Width(text))).Add(r, text).Add(Plain, " ")
}

// State appends the glyph of a state and a space.
func (l *Line) State(s State, tick int) *Line {
	return l.Add(s.Role(), l.t.Glyph(s, tick)).Add(Plain, " ")
}

// To pads with spaces up to a column; it does nothing where that is passed.
func (l *Line) To(column int) *Line { return l.Add(Plain, Spaces(min(column, l.width)-l.used)) }

// Right appends text so that it ends with the line, if at least one space is left before it; else nothing.
func (l *Line) Right(r Role, text string) *Line {
	w := Width(text)
	if l.used+w+1 > l.width {
		return l
	}
	return l.To(l.width-w).Add(r, text)
}

// Rule fills the rest with a rule.
func (l *Line) Rule() *Line {
	return l.Add(Dim, strings.Repeat(l.t.Glyphs.Rule, max(0, l.width-l.used)))
}

// Hint appends a key and what it does, and two spaces, or nothing if that does not fit.
func (l *Line) Hint(key, what string) *Line {
	if l.used+Width(key)+1+Width(what) > l.width {
		return l
	}
	return l.Add(Key, key).Add(Dim, " "+what).Add(Plain, Spaces(min(2, l.width-l.used)))
}

// Bar appends a bar of w cells that is filled to a share between 0 and 1.
func (l *Line) Bar(r Role, share float64, w int) *Line {
	if math.IsNaN(share) {
		share = 0
	}
	full := int(math.Round(min(1, max(0, share)) * float64(w)))
	g := &l.t.Glyphs
	return l.Add(r, strings.Repeat(g.Full, full)).Add(Dim, strings.Repeat(g.Empty, w-full))
}

// Spark appends the last w values as a little graph, from 0 to top.
func (l *Line) Spark(r Role, values []float64, top float64, w int) *Line {
	return l.Add(r, l.t.SparkText(values, top, w))
}

// SparkText is a little graph of the last w values, from 0 to top.
func (t *Theme) SparkText(values []float64, top float64, w int) string {
	if len(values) > w {
		values = values[len(values)-w:]
	}
	g := t.Glyphs.Spark
	var b strings.Builder
	b.WriteString(Spaces(w - len(values)))
	for _, v := range values {
		i := 0
		if top > 0 && v > 0 {
			i = min(len(g)-1, int(v/top*float64(len(g))))
		}
		b.WriteString(g[i])
	}
	return b.String()
}

// Select makes this the line under the cursor.
func (l *Line) Select() *Line { l.selected = true; return l }

// Pale draws everything dim, as old news.
func (l *Line) Pale(pale bool) *Line { l.pale = pale; return l }

// Room is the number of cells that are left.
func (l *Line) Room() int { return l.width - l.used }

// String returns the line, exactly as wide as it should be.
func (l *Line) String() string {
	var b strings.Builder
	pad := Spaces(l.width - l.used)
	if l.selected {
		b.WriteString(l.t.on[Selected])
		for _, p := range l.parts {
			b.WriteString(p.text)
		}
		b.WriteString(pad)
		if l.t.on[Selected] != "" {
			b.WriteString(off)
		}
		return b.String()
	}
	for _, p := range l.parts {
		on := l.t.on[p.role]
		if l.pale {
			on = l.t.on[Dim]
		}
		if on != "" {
			b.WriteString(on)
			b.WriteString(p.text)
			b.WriteString(off)
		} else {
			b.WriteString(p.text)
		}
	}
	b.WriteString(pad)
	return b.String()
}
