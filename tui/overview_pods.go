package tui

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"bonsai/tui/model"
	"bonsai/tui/paint"
)

// dotOrder is the order in which pods are counted.
var dotOrder = []model.Health{model.OK, model.Busy, model.Warn, model.Fail, model.Ending, model.Off}

func (p *overviewPage) podsPart() *part {
	u := p.u
	spaces := u.state.Summary.Spaces
	part := &part{least: 1, want: max(1, min(len(spaces), 12))}
	part.draw = func(w, rows int) []string {
		var lines []string
		if !part.bare {
			lines = append(lines, u.heading(w, u.T("PODS"), p.podsNote(w)))
		}
		switch {
		case !u.state.Pods.Synced && len(spaces) == 0 && u.state.Pods.Err != nil:
			return append(lines, u.line(w).Add(paint.Plain, " ").Add(paint.Warn, u.troubleText(u.state.Pods.Err)).String())
		case !u.state.Pods.Synced && len(spaces) == 0:
			u.spinning()
			return append(lines, u.line(w).Add(paint.Plain, " ").Add(paint.Dim, u.glyph(paint.StateBusy)+" "+u.T("reading pods")).String())
		case len(spaces) == 0:
			return append(lines, u.line(w).Add(paint.Plain, " ").Add(paint.Dim, u.T("no pods yet")).String())
		case rows < len(spaces) && rows <= 2:
			return append(lines, p.podsFlow(w, rows)...)
		}
		shown := slices.Clone(spaces)
		if rows < len(shown) {
			slices.SortStableFunc(shown, func(a, b *model.Namespace) int {
				return calmness(paintState(a.Worst())) - calmness(paintState(b.Worst()))
			})
		}
		name := 6
		for i := range shown {
			name = max(name, paint.Width(shown[i].Name))
		}
		name = min(name, max(10, w/4))
		for i := range shown {
			if i == rows-1 && len(shown) > rows {
				lines = append(lines, u.line(w).Add(paint.Plain, " ").Add(paint.Dim, u.T("and %d more", len(shown)-i)).String())
				break
			}
			l := u.line(w).Add(paint.Plain, " ").Col(paint.Plain, shown[i].Name, name).Add(paint.Plain, " ")
			u.dots(l, shown[i], l.Room()-1)
			lines = append(lines, l.String())
		}
		return lines
	}
	return part
}

// podsNote is how many pods there are, and what the signs mean where there is room for that.
func (p *overviewPage) podsNote(w int) string {
	u := p.u
	s := &u.state.Summary
	note := u.T("%d of %d ready", s.Ready, s.Total)
	g := &u.theme.Glyphs
	legend := fmt.Sprintf("%s %s  %s %s  %s %s  %s %s  %s %s", g.OK, u.T("ready"), g.Warn, u.T("waiting"), g.Fail, u.T("failing"), g.Ending, u.T("ending"), g.Off, u.T("done"))
	if paint.Width(note)+paint.Width(legend)+20 < w {
		return note + "   " + legend
	}
	return note
}

// dots are the pods of a namespace, one sign each; where there is no room, how many there are of each state.
func (u *ui) dots(l *paint.Line, s *model.Namespace, room int) {
	if len(s.Pods) <= min(room, model.MostMarks) {
		for i := 0; i < len(s.Marks); {
			j := i
			for j < len(s.Marks) && s.Marks[j].Health == s.Marks[i].Health {
				j++
			}
			state := paintState(s.Marks[i].Health)
			l.Add(state.Role(), strings.Repeat(u.dot(state), j-i))
			i = j
		}
		return
	}
	for _, health := range dotOrder {
		n := s.Counts[health]
		if health == model.Off {
			n += s.Counts[model.Unclear]
		}
		if n > 0 {
			state := paintState(health)
			l.Add(state.Role(), u.dot(state)+" "+strconv.Itoa(n)).Add(paint.Plain, "  ")
		}
	}
}

// dot is the sign of one pod. What spins elsewhere stands still here: a hundred spinners do not inform.
func (u *ui) dot(s paint.State) string {
	switch s {
	case paint.StateNone:
		return u.theme.Glyphs.Off
	case paint.StateBusy:
		return u.theme.Glyphs.Spinner[2%len(u.theme.Glyphs.Spinner)]
	}
	return u.theme.Glyph(s, 0)
}

// podsFlow is namespaces one after another, those with trouble first.
func (p *overviewPage) podsFlow(w, rows int) []string {
	u := p.u
	spaces := slices.Clone(u.state.Summary.Spaces)
	slices.SortStableFunc(spaces, func(a, b *model.Namespace) int {
		return calmness(paintState(a.Worst())) - calmness(paintState(b.Worst()))
	})
	var lines []string
	l := u.line(w).Add(paint.Plain, " ")
	for i := range spaces {
		s := spaces[i]
		name := paint.Cut(s.Name, 20, u.theme.Glyphs.More)
		need := paint.Width(name) + 1 + min(len(s.Pods), 24)
		more := u.T("and %d more", len(spaces)-i)
		keep := paint.Width(more) + 4
		if i == len(spaces)-1 {
			keep = 0
		}
		if w-l.Room() > 1 && l.Room() < need+keep {
			if len(lines) == rows-1 {
				l.Add(paint.Dim, more)
				break
			}
			lines = append(lines, l.String())
			l = u.line(w).Add(paint.Plain, " ")
		}
		l.Add(paint.Plain, name+" ")
		u.dots(l, s, min(24, l.Room()))
		l.Add(paint.Plain, "   ")
	}
	return append(lines, l.String())
}
