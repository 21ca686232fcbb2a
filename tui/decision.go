package tui

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"bonsai/bootstrap/cluster"
	"bonsai/tui/paint"
)

// pluginNames are short words for the scheduler's scoring plugins; others keep their names.
var pluginNames = map[string]string{
	"NodeResourcesFit": "Resources", "NodeResourcesBalancedAllocation": "Balance", "ImageLocality": "Image", "TaintToleration": "Taints",
	"NodeAffinity": "Affinity", "PodTopologySpread": "Spread", "InterPodAffinity": "PodAffinity", "VolumeBinding": "Volumes", "DynamicResources": "Devices",
}

func pluginName(name string) string {
	if short, ok := pluginNames[name]; ok {
		return short
	}
	return paint.Clean(name)
}

// decision shows what the scheduler thought of each node: those that were possible with their scores, the best first,
// then those that were not, with the reason.
func (u *ui) decision(d *cluster.Decision, w int) []string {
	var scored, open, rejected []cluster.NodeVerdict
	for _, v := range d.Verdicts {
		switch {
		case len(v.Rejected) > 0 || v.Plugin != "":
			rejected = append(rejected, v)
		case len(v.Scores) > 0:
			scored = append(scored, v)
		default:
			open = append(open, v)
		}
	}
	best := func(a, b cluster.NodeVerdict) int {
		switch {
		case a.Node == d.Node && b.Node != d.Node:
			return -1
		case b.Node == d.Node && a.Node != d.Node:
			return 1
		}
		return cmp.Or(cmp.Compare(b.Total, a.Total), strings.Compare(a.Node, b.Node))
	}
	slices.SortFunc(scored, best)
	slices.SortFunc(open, best)
	slices.SortFunc(rejected, best)

	title, note := u.T("WHY %s", d.Node), u.T("one of %d possible nodes of %d, chosen in %s", len(scored)+len(open), len(d.Verdicts), span(d.Took))
	if d.Node == "" {
		title, note = u.T("NO NODE"), u.T("none of %d is possible, decided in %s", len(d.Verdicts), span(d.Took))
	}
	if d.Attempts > 1 {
		note += ", " + u.T("attempt %d", d.Attempts)
	}
	lines := []string{u.heading(w, title, note)}
	name := 4
	for _, v := range d.Verdicts {
		name = max(name, paint.Width(v.Node))
	}
	name = min(name, max(8, w/4))
	if len(scored) > 0 {
		lines = append(lines, u.scores(d, scored, name, w)...)
	}
	for _, v := range open {
		l := u.line(w).Add(paint.Plain, " ")
		if v.Node == d.Node {
			lines = append(lines, l.State(paint.StateOK, 0).Col(paint.Strong, v.Node, name).Add(paint.Dim, "  "+u.T("chosen; there was nothing to compare")).String())
			continue
		}
		lines = append(lines, l.Add(paint.Plain, "  ").Col(paint.Plain, v.Node, name).Add(paint.Dim, "  "+u.T("would have been possible")).String())
	}
	for _, v := range rejected {
		l := u.line(w).Add(paint.Plain, " ").State(paint.StateFail, 0).Col(paint.Plain, v.Node, name).Add(paint.Plain, "  ").
			Add(paint.Fail, strings.Join(v.Rejected, "; "))
		if v.Plugin != "" {
			l.Add(paint.Dim, "  "+v.Plugin)
		}
		lines = append(lines, l.String())
	}
	if d.Note != "" {
		for _, part := range paint.Wrap(paint.Clean(d.Note), max(20, min(100, w-4))) {
			lines = append(lines, u.line(w).Add(paint.Plain, "   ").Add(paint.Dim, part).String())
		}
	}
	return lines
}

// scores is the table of nodes and plugins. Plugins that distinguished the nodes come first.
func (u *ui) scores(d *cluster.Decision, nodes []cluster.NodeVerdict, name, w int) []string {
	type plugin struct {
		id, title string
		spread    int64
	}
	seen := map[string]bool{}
	var plugins []plugin
	var most int64 = 1
	for _, v := range nodes {
		most = max(most, v.Total)
		for id := range v.Scores {
			if seen[id] {
				continue
			}
			seen[id] = true
			low, high := nodes[0].Scores[id], nodes[0].Scores[id]
			for _, o := range nodes {
				low, high = min(low, o.Scores[id]), max(high, o.Scores[id])
			}
			title := pluginName(id)
			if weight := d.Weights[id]; weight > 1 {
				title += fmt.Sprintf(" x%d", weight)
			}
			plugins = append(plugins, plugin{id, title, high - low})
		}
	}
	slices.SortFunc(plugins, func(a, b plugin) int {
		return cmp.Or(cmp.Compare(b.spread, a.spread), strings.Compare(a.title, b.title))
	})
	const bar = 10
	head := u.line(w).Add(paint.Plain, "   ").Col(paint.Dim, u.T("NODE"), name).ColRight(paint.Dim, u.T("TOTAL"), 6)
	bars := w >= 70
	if bars {
		head.Add(paint.Plain, paint.Spaces(bar+1))
	}
	shown := 0
	for _, p := range plugins {
		if head.Room() < max(4, paint.Width(p.title))+2 {
			break
		}
		head.Add(paint.Plain, " ").ColRight(paint.Dim, p.title, max(4, paint.Width(p.title)))
		shown++
	}
	lines := []string{head.String()}
	for _, v := range nodes {
		l := u.line(w).Add(paint.Plain, " ")
		role := paint.Plain
		if v.Node == d.Node {
			l.State(paint.StateOK, 0)
			role = paint.Strong
		} else {
			l.Add(paint.Plain, "  ")
		}
		l.Col(role, v.Node, name).ColRight(role, strconv.FormatInt(v.Total, 10), 6)
		if bars {
			l.Bar(paint.Accent, float64(v.Total)/float64(most), bar).Add(paint.Plain, " ")
		}
		for _, p := range plugins[:shown] {
			score, ok := v.Scores[p.id]
			text, role := strconv.FormatInt(score, 10), paint.Dim
			if !ok {
				text = u.theme.Glyphs.Off
			}
			if p.spread > 0 {
				role = paint.Plain
			}
			l.Add(paint.Plain, " ").ColRight(role, text, max(4, paint.Width(p.title)))
		}
		lines = append(lines, l.String())
	}
	if text := u.margin(nodes); text != "" {
		lines = append(lines, u.line(w).Add(paint.Plain, "   ").Add(paint.Dim, text).String())
	}
	return lines
}

// margin says by what the first node won over the second.
func (u *ui) margin(nodes []cluster.NodeVerdict) string {
	if len(nodes) < 2 {
		return ""
	}
	first, second := nodes[0], nodes[1]
	lead := first.Total - second.Total
	if lead == 0 {
		return u.T("%s has the same total: ties are broken at random", second.Node)
	}
	type gain struct {
		id string
		by int64
	}
	var gains []gain
	for id, score := range first.Scores {
		if by := score - second.Scores[id]; by != 0 {
			gains = append(gains, gain{id, by})
		}
	}
	slices.SortFunc(gains, func(a, b gain) int { return cmp.Or(cmp.Compare(b.by, a.by), strings.Compare(a.id, b.id)) })
	var parts []string
	for _, g := range gains {
		parts = append(parts, fmt.Sprintf("%s %+d", pluginName(g.id), g.by))
	}
	return u.T("%+d points over %s: %s", lead, second.Node, strings.Join(parts, ", "))
}
