// Package learn is the school in bonsai: lessons and planted faults as text files, what of a step is done in a cluster, and
// how far a learner is.
//
// A file is read by Parse; its format is documented in docs/learn.md. In package condition are the lines that decide whether a
// step is done. Nothing here reads a cluster: that is World's matter, which package live implements. Begin reading at Lesson, and
// at Look, which judges a step.
package learn

import (
	"fmt"
	"slices"
	"strings"

	"bonsai/cmd/bonsai/internal/learn/condition"
)

// Lesson is a lesson, or a fault to find. Its texts have places in braces ("{ns}") until Fill replaces them.
type Lesson struct {
	// Name is that of the file without its ending.
	Name     string
	Language string
	Title    string
	// Order is where it is in the list; equal ones are sorted by name.
	Order   int
	Minutes int
	// Nodes is how many the cluster must have at least.
	Nodes int
	// Alone says that it changes nodes, so that a test does not run others meanwhile.
	Alone bool
	// Fault says that something is broken, and the learner is to fix it.
	Fault bool
	// Level is how hard a fault is: 1, 2 or 3.
	Level int
	// Problem is the kind that "bonsai status" reports while a fault is there; "" if it reports none.
	Problem string

	Intro Text
	// Setup is made before the first step. What is in a part has to work before the next one is made.
	Setup []Manifest
	Steps []Step
}

// Step is one task.
type Step struct {
	Title    string
	Text     Text
	Checks   []Check
	Hints    []Text
	Mistakes []Mistake
	Solution []Action
	// Done is shown when the step is done: of faults, why it was so.
	Done Text
}

// Check is a condition in words.
type Check struct {
	Text      string
	Condition condition.Condition
}

// Mistake is what learners often do, and what then helps to understand.
type Mistake struct {
	// When are the conditions that all hold if it was made.
	When []condition.Condition
	Text Text
	// Made is how it is made, for tests.
	Made []Action
}

// Manifest is YAML for the API.
type Manifest struct {
	Line int
	YAML string
}

// Action is a command line ("k run …", "bonsai node stop 2"), or a manifest to apply.
type Action struct {
	Line     int
	Command  string
	Manifest string
}

// Text is what people read, in paragraphs.
type Text []Paragraph

// Paragraph is a paragraph, an entry of a list, or code, which is shown line by line.
type Paragraph struct {
	Text string
	Code bool
	Item bool
}

// String is the text as one line per paragraph; tests and JSON use it.
func (t Text) String() string {
	var lines []string
	for _, p := range t {
		switch {
		case p.Code:
			lines = append(lines, "    "+strings.ReplaceAll(p.Text, "\n", "\n    "))
		case p.Item:
			lines = append(lines, "- "+p.Text)
		default:
			lines = append(lines, p.Text)
		}
	}
	return strings.Join(lines, "\n")
}

// Places are what the words in braces in a lesson stand for.
type Places struct {
	Namespace string // {ns}
	// Profile is what comes after a command of bonsai in this cluster: " -p NAME", or nothing; {profile}
	Profile string
	Nodes   []string // {node1} and so on
}

// NamespaceOf is where the objects of a lesson are.
func NamespaceOf(lesson string) string { return "learn-" + lesson }

func (p Places) replacer() *strings.Replacer {
	pairs := []string{"{ns}", p.Namespace, "{profile}", p.Profile}
	for i, n := range p.Nodes {
		pairs = append(pairs, fmt.Sprintf("{node%d}", i+1), n)
	}
	return strings.NewReplacer(pairs...)
}

// Fill returns the lesson for one cluster and namespace. Places that it does not know stay.
func (l Lesson) Fill(places Places) (Lesson, error) {
	r := places.replacer()
	var err error
	conditions := func(list []condition.Condition) []condition.Condition {
		list = slices.Clone(list)
		for i, c := range list {
			filled, e := condition.Parse(r.Replace(c.String()))
			if e != nil && err == nil {
				err = fmt.Errorf("lesson %s: condition %q in this cluster: %w", l.Name, c, e)
			}
			list[i] = filled
		}
		return list
	}
	actions := func(list []Action) []Action {
		list = slices.Clone(list)
		for i := range list {
			list[i].Command, list[i].Manifest = r.Replace(list[i].Command), r.Replace(list[i].Manifest)
		}
		return list
	}
	l.Intro = l.Intro.replace(r)
	l.Setup = slices.Clone(l.Setup)
	for i := range l.Setup {
		l.Setup[i].YAML = r.Replace(l.Setup[i].YAML)
	}
	l.Steps = slices.Clone(l.Steps)
	for i, s := range l.Steps {
		s.Text, s.Done = s.Text.replace(r), s.Done.replace(r)
		s.Checks, s.Hints, s.Mistakes, s.Solution = slices.Clone(s.Checks), slices.Clone(s.Hints), slices.Clone(s.Mistakes), actions(s.Solution)
		for k := range s.Checks {
			s.Checks[k].Text = r.Replace(s.Checks[k].Text)
			s.Checks[k].Condition = conditions([]condition.Condition{s.Checks[k].Condition})[0]
		}
		for k := range s.Hints {
			s.Hints[k] = s.Hints[k].replace(r)
		}
		for k, m := range s.Mistakes {
			s.Mistakes[k] = Mistake{conditions(m.When), m.Text.replace(r), actions(m.Made)}
		}
		l.Steps[i] = s
	}
	return l, err
}

func (t Text) replace(r *strings.Replacer) Text {
	t = slices.Clone(t)
	for i := range t {
		t[i].Text = r.Replace(t[i].Text)
	}
	return t
}

// HintCount is how many hints a step has: those in words, and the solution as the last one.
func (s Step) HintCount() int { return len(s.Hints) + 1 }

// Hint returns the n-th hint, from 0.
func (s Step) Hint(n int) Text {
	if n < len(s.Hints) {
		return s.Hints[n]
	}
	return s.SolutionText()
}

// SolutionText is the solution as it is typed.
func (s Step) SolutionText() Text {
	var t Text
	for _, a := range s.Solution {
		if a.Manifest != "" {
			t = append(t, Paragraph{Text: "k apply -f - <<'END'\n" + strings.TrimSuffix(a.Manifest, "\n") + "\nEND", Code: true})
			continue
		}
		if n := len(t); n > 0 && t[n-1].Code && !strings.HasPrefix(t[n-1].Text, "k apply -f - <<") {
			t[n-1].Text += "\n" + a.Command
			continue
		}
		t = append(t, Paragraph{Text: a.Command, Code: true})
	}
	return t
}
