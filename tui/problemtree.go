package tui

import (
	"slices"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fixes"
	"bonsai/tui/paint"
)

// problemRow is a problem in the tree of causes.
type problemRow struct {
	cluster.Problem
	// depth is 0 for what follows from nothing that is known, how why this one follows from the one above.
	depth int
	how   cluster.BecauseKind
	// below is how many problems follow from it, and from these.
	below int
}

// problemTree puts problems below those that they follow from. The order stays, but that a cause is as severe as the worst of what
// follows from it. Of several causes the first one that is in the list counts; one that would be its own cause does not.
func problemTree(list []cluster.Problem) []problemRow {
	parent, how := make([]int, len(list)), make([]cluster.BecauseKind, len(list))
	for i := range parent {
		parent[i] = -1
	}
	above := func(i, of int) bool { // i is above of, or is it
		for ; of >= 0; of = parent[of] {
			if of == i {
				return true
			}
		}
		return false
	}
	for i := range list {
		for _, b := range list[i].Because {
			at := slices.IndexFunc(list, func(p cluster.Problem) bool { return p.Object == b.Object })
			if at >= 0 && !above(i, at) {
				parent[i], how[i] = at, b.How
				break
			}
		}
	}
	rows := make([]problemRow, 0, len(list))
	worst := func(i int) int {
		w := severityRank(list[i].Severity)
		for j := range list {
			if above(i, j) {
				w = min(w, severityRank(list[j].Severity))
			}
		}
		return w
	}
	var add func(i, depth int)
	add = func(i, depth int) {
		at := len(rows)
		rows = append(rows, problemRow{Problem: list[i], depth: depth, how: how[i]})
		for j := range list {
			if parent[j] == i {
				add(j, depth+1)
			}
		}
		rows[at].below = len(rows) - at - 1
	}
	var roots []int
	for i := range list {
		if parent[i] < 0 {
			roots = append(roots, i)
		}
	}
	slices.SortStableFunc(roots, func(a, b int) int { return worst(a) - worst(b) })
	for _, i := range roots {
		add(i, 0)
	}
	return rows
}

// severityRank orders severities, the worst first.
func severityRank(s cluster.Severity) int {
	order := []cluster.Severity{cluster.SeverityError, cluster.SeverityWarning}
	if i := slices.Index(order, s); i >= 0 {
		return i
	}
	return len(order)
}

// visibleRows are those of a tree that are not folded: below a problem whose key is open, or below none.
func visibleRows(rows []problemRow, open map[string]bool) []problemRow {
	list := make([]problemRow, 0, len(rows))
	for i := 0; i < len(rows); i++ {
		list = append(list, rows[i])
		if rows[i].below > 0 && !open[fixes.Key(&rows[i].Problem)] {
			i += rows[i].below
		}
	}
	return list
}

// becauseText is what shows that a problem follows from that of another object.
func (u *ui) becauseText(how cluster.BecauseKind) string {
	switch how {
	case cluster.BecauseRuns:
		return u.T("its pods are on that node")
	case cluster.BecauseVolume:
		return u.T("its volume is on that node and nowhere else")
	case cluster.BecauseRoom:
		return u.T("that node would have room for it")
	case cluster.BecauseTaint:
		return u.T("that node gets no pods meanwhile")
	case cluster.BecauseComponent:
		return u.T("it needs that component")
	}
	return string(how)
}

// consequences are the problems that follow from one, as far as there are any now.
func (u *ui) consequences(p *cluster.Problem) []problemRow {
	list := slices.Clone(u.state.Snapshot.Problems)
	for i := range list {
		cleanProblem(&list[i])
	}
	rows, key := problemTree(list), fixes.Key(p)
	for i := range rows {
		if fixes.Key(&rows[i].Problem) == key {
			return rows[i+1 : i+1+rows[i].below]
		}
	}
	return nil
}

// mostConsequences is how many a page lists.
const mostConsequences = 50

// consequenceLines lists what follows from a problem; no lines if nothing does.
func (p *problemPage) consequenceLines(w int) []string {
	u := p.u
	rows := u.consequences(&p.problem)
	if len(rows) == 0 {
		return nil
	}
	lines := []string{u.heading(w, u.T("FOLLOWS FROM IT"), itoa(len(rows)))}
	for i, r := range rows {
		if i == mostConsequences {
			lines = append(lines, u.line(w).Add(paint.Dim, "   "+u.T("and %d more", len(rows)-i)).String())
			break
		}
		lines = append(lines, u.line(w).Add(paint.Plain, "   ").State(severityState(r.Severity), u.tick).
			Add(paint.Strong, shortObject(&r.Problem)).Add(paint.Plain, "  "+u.said(r.Summary)).Add(paint.Dim, "  "+u.becauseText(r.how)).String())
	}
	return append(lines, paint.Spaces(w))
}
