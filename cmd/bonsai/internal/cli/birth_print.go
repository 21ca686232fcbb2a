package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/termsafe"
)

const (
	// barWidth is the width of the waterfall.
	barWidth = 32
	// maxColumns is how many nodes are shown side by side in the table of scores.
	maxColumns = 6
)

// printBirth writes the whole birth; steps that have not ended last until now.
func (a *app) printBirth(b cluster.Birth, now time.Time) error {
	look := styleFor(a.Stdout)
	ends := time.Duration(0)
	lasts := false
	for _, s := range b.Steps {
		ends = max(ends, s.End, s.Begin)
		lasts = lasts || s.End == 0
	}
	if lasts {
		ends = max(ends, now.Sub(b.Started))
	}
	state := "not Ready yet"
	if i := slices.IndexFunc(b.Steps, func(s cluster.BirthStep) bool { return s.Step == "ready" }); b.Ready && i >= 0 {
		state = "Ready after " + stepTime(b.Steps[i].End, b.Steps[i].Exact)
	} else if b.Ready {
		state = "ended"
	}
	fmt.Fprintf(a.Stdout, "%s/%s: %s, created %s\n\n", termsafe.String(b.Namespace), termsafe.String(b.Name), state, b.Started.Local().Format("2006-01-02 15:04:05.000"))
	axis := "0" + fmt.Sprintf("%*s", barWidth-1, stepTime(ends, true))
	rows := [][]string{{"STEP", "BEGIN", "TOOK", axis, "WHO", "WHAT"}}
	for _, s := range b.Steps {
		took := "lasts"
		if s.End > 0 {
			took = stepTime(s.End-s.Begin, s.Exact)
		}
		if s.End == s.Begin+1 {
			took = "" // only one moment is known
		}
		rows = append(rows, []string{s.Step, stepTime(s.Begin, s.Exact), took, bar(s, ends, look.utf8), s.Who, stepDetail(s)})
	}
	if err := table(a.Stdout, rows); err != nil {
		return err
	}
	if b.Scheduling != nil {
		fmt.Fprintln(a.Stdout)
		if err := a.printDecision(*b.Scheduling); err != nil {
			return err
		}
	}
	if b.Note != "" {
		fmt.Fprintf(a.Stdout, "\nnote: %s\n", safeLines(b.Note, "  "))
	}
	return nil
}

func stepDetail(s cluster.BirthStep) string {
	if s.Failed {
		return "FAILED: " + s.Detail
	}
	return s.Detail
}

// stepTime is a time with three digits or so, marked if it is not exact.
func stepTime(d time.Duration, exact bool) string {
	text := ""
	switch {
	case d < 10*time.Millisecond:
		text = fmt.Sprintf("%.2fms", float64(d)/float64(time.Millisecond))
	case d < 100*time.Millisecond:
		text = fmt.Sprintf("%.1fms", float64(d)/float64(time.Millisecond))
	case d < time.Second:
		text = fmt.Sprintf("%dms", d.Round(time.Millisecond).Milliseconds())
	case d < time.Hour:
		text = fmt.Sprintf("%.2fs", d.Seconds())
	default:
		text = age(d)
	}
	if !exact {
		return "~" + text
	}
	return text
}

// bar is a step's position in the waterfall.
func bar(s cluster.BirthStep, total time.Duration, utf8 bool) string {
	full, open := "#", "."
	if utf8 {
		full, open = "█", "░"
	}
	at := func(d time.Duration) int { return int(float64(barWidth) * float64(d) / float64(max(total, 1))) }
	begin := min(at(s.Begin), barWidth-1)
	end, fill := at(s.End), full
	if s.End == 0 {
		end, fill = barWidth, open
	}
	length := max(1, min(end, barWidth)-begin)
	return strings.Repeat(" ", begin) + strings.Repeat(fill, length) + strings.Repeat(" ", barWidth-begin-length)
}

// printDecision writes the scheduler's verdict on each node.
func (a *app) printDecision(d cluster.Decision) error {
	decided := "found no node"
	if d.Node != "" {
		decided = "chose " + termsafe.String(d.Node)
	}
	fmt.Fprintf(a.Stdout, "The scheduler %s, which took %s", decided, stepTime(d.Took, true))
	if d.Attempts > 1 {
		fmt.Fprintf(a.Stdout, ", at attempt %d", d.Attempts)
	}
	fmt.Fprintln(a.Stdout, ".")
	scored := slices.DeleteFunc(slices.Clone(d.Verdicts), func(v cluster.NodeVerdict) bool { return len(v.Scores) == 0 })
	slices.SortStableFunc(scored, func(x, y cluster.NodeVerdict) int {
		if c := cmp.Compare(y.Total, x.Total); c != 0 {
			return c
		}
		if x.Node == d.Node || y.Node == d.Node {
			return map[bool]int{true: -1, false: 1}[x.Node == d.Node]
		}
		return cmp.Compare(x.Node, y.Node)
	})
	if err := a.printScores(d, scored); err != nil {
		return err
	}
	if d.Note != "" {
		fmt.Fprintln(a.Stdout, safeLines(d.Note, "  "))
	}
	for _, v := range d.Verdicts {
		switch {
		case len(v.Rejected) > 0:
			fmt.Fprintf(a.Stdout, "%s is not possible: %s (%s)\n", termsafe.String(v.Node), termsafe.String(strings.Join(v.Rejected, "; ")), termsafe.String(v.Plugin))
		case len(v.Scores) == 0 && v.Node != d.Node:
			fmt.Fprintf(a.Stdout, "%s would have been possible\n", termsafe.String(v.Node))
		}
	}
	return nil
}

// printScores writes a table with a row per plugin and a column per node, the best first.
func (a *app) printScores(d cluster.Decision, scored []cluster.NodeVerdict) error {
	if len(scored) == 0 {
		return nil
	}
	shown := scored[:min(len(scored), maxColumns)]
	plugins := map[string]bool{}
	head, total := []string{"SCORE", "WEIGHT"}, []string{"total", ""}
	for _, v := range shown {
		head, total = append(head, v.Node), append(total, strconv.FormatInt(v.Total, 10))
		for p := range v.Scores {
			plugins[p] = true
		}
	}
	rows := [][]string{head}
	for _, p := range sortedKeys(plugins) {
		row := []string{p, ""}
		if w, ok := d.Weights[p]; ok {
			row[1] = strconv.Itoa(w)
		}
		for _, v := range shown {
			row = append(row, strconv.FormatInt(v.Scores[p], 10))
		}
		rows = append(rows, row)
	}
	if err := table(a.Stdout, append(rows, total)); err != nil {
		return err
	}
	if more := len(scored) - len(shown); more > 0 {
		fmt.Fprintf(a.Stdout, "%d more nodes with lower scores are in -o json\n", more)
	}
	if len(scored) > 1 && scored[0].Total == scored[1].Total {
		fmt.Fprintln(a.Stdout, "Several nodes have the highest total; the scheduler chooses one of them at random.")
	}
	return nil
}
