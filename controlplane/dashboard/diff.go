package dashboard

import (
	"bonsai/bootstrap/yamldiff"
)

// mostDifference is how many lines of a difference are shown.
const mostDifference = 500

// diffLine is one line of a difference. Kind is that of its element: "h4" for a path, "ins" or "del".
type diffLine struct{ Kind, Text string }

// difference is what a change does to an object, for the template of the same name.
type difference struct {
	Lines []diffLine
	// Rest is how many lines are not shown.
	Rest int
}

func differenceOf(lines []yamldiff.Line) difference {
	var d difference
	for i, l := range lines {
		if i == mostDifference {
			d.Rest = len(lines) - i
			break
		}
		kind := map[yamldiff.Kind]string{yamldiff.Added: "ins", yamldiff.Removed: "del", yamldiff.Path: "path"}[l.Kind]
		if l.Text != "" || kind != "path" {
			d.Lines = append(d.Lines, diffLine{kind, l.Text})
		}
	}
	return d
}
