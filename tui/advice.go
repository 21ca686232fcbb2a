package tui

import (
	"strings"

	"bonsai/bootstrap/cluster"
	"bonsai/tui/paint"
)

// mostSaid bounds how many diagnoses are kept in the user's language.
const mostSaid = 2000

// said is a diagnosis in the user's language.
func (u *ui) said(english string) string {
	if u.words.Lang() == "en" {
		return english
	}
	text, ok := u.diagnoses[english]
	if !ok {
		if len(u.diagnoses) >= mostSaid {
			clear(u.diagnoses)
		}
		text = u.words.Diagnosis(english)
		u.diagnoses[english] = text
	}
	return text
}

// whatAndWhy is a problem in one line.
func (u *ui) whatAndWhy(p *cluster.Problem) string {
	text := u.said(p.Summary)
	if p.Cause != "" {
		text += ": " + u.said(p.Cause)
	}
	return text
}

// advice is a piece of advice in one line, in the user's language.
func (u *ui) advice(a cluster.Advice) string {
	a = a.For(u.session.Name())
	return paint.Clean(a.In(func(english string) string { return u.T(english) }))
}

// firstAdvice is the best piece of advice, "" if there is none.
func (u *ui) firstAdvice(list []cluster.Advice) string {
	if len(list) == 0 {
		return ""
	}
	return u.advice(list[0])
}

// adviceText is all advice, a line for each piece.
func (u *ui) adviceText(list []cluster.Advice) string {
	lines := make([]string, len(list))
	for i, a := range list {
		lines[i] = u.advice(a)
	}
	return strings.Join(lines, "\n")
}

// toType is the first command of some advice, as a shell takes it; "" if no command helps.
func (u *ui) toType(list []cluster.Advice) string {
	for _, a := range list {
		if line := a.For(u.session.Name()).Line(); line != "" {
			return line
		}
	}
	return ""
}
