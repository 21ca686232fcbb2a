package cli

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/termsafe"
	"bonsai/cmd/bonsai/internal/learn"
)

// learnWidth is how wide texts are at most: longer lines are hard to read.
const learnWidth = 100

// wait says what takes a few seconds.
func (c *class) wait(text string) {
	if !c.json() && styleFor(c.Stderr).terminal {
		fmt.Fprintln(c.Stderr, styleFor(c.Stderr).dim(text))
	}
}

func (c *class) columns() int {
	out := c.Stdout
	if o, ok := out.(*output); ok {
		out = o.Writer
	}
	if f, ok := out.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 20 {
			return min(width-1, learnWidth)
		}
	}
	return learnWidth
}

// prose prints a text, wrapped and with its code.
func (c *class) prose(t learn.Text) {
	s := styleFor(c.Stdout)
	for i, p := range t {
		if i > 0 && !(p.Item && t[i-1].Item) {
			fmt.Fprintln(c.Stdout)
		}
		switch {
		case p.Code:
			for line := range strings.SplitSeq(p.Text, "\n") {
				fmt.Fprintln(c.Stdout, strings.TrimRight("    "+s.paint("36", termsafe.LogLine(line)), " "))
			}
		case p.Item:
			c.wrapped(p.Text, "- ", "  ")
		default:
			c.wrapped(p.Text, "", "")
		}
	}
}

func (c *class) wrapped(text, first, then string) {
	for i, line := range learn.Wrap(termsafe.String(text), c.columns()-len(then)) {
		if i == 0 {
			fmt.Fprintln(c.Stdout, first+line)
		} else {
			fmt.Fprintln(c.Stdout, then+line)
		}
	}
}

func (c *class) typed(label, line string) {
	fmt.Fprintf(c.Stdout, "%s  %s\n", label, styleFor(c.Stdout).paint("36", line))
}

// alias is what k stands for.
func (c *class) alias(r room) string {
	return fmt.Sprintf("alias k='bonsai kubectl%s -- -n %s'", r.profile, r.namespace)
}

// lessonState is what -o json prints of a lesson.
type lessonState struct {
	Name      string          `json:"name"`
	Title     string          `json:"title"`
	Language  string          `json:"language"`
	Namespace string          `json:"namespace,omitempty"`
	Steps     int             `json:"steps"`
	Done      int             `json:"stepsDone"`
	Complete  bool            `json:"complete"`
	Minutes   int             `json:"minutes,omitempty"`
	Level     int             `json:"level,omitempty"`
	Points    int             `json:"points,omitempty"`
	Step      string          `json:"step,omitempty"`
	Text      string          `json:"text,omitempty"`
	Checks    []learn.Checked `json:"checks,omitempty"`
	Mistakes  []string        `json:"mistakes,omitempty"`
	Hint      string          `json:"hint,omitempty"`
	HintsLeft int             `json:"hintsLeft,omitempty"`
	Diagnosis []string        `json:"diagnosis,omitempty"`
}

func state(l learn.Lesson, r *learn.Record) lessonState {
	s := lessonState{Name: l.Name, Title: l.Title, Language: l.Language, Steps: len(l.Steps), Minutes: l.Minutes, Level: l.Level}
	if l.Fault {
		s.Minutes = 0
	}
	if r != nil {
		s.Done, s.Complete, s.Points = r.Step, r.Done(), r.Points
	}
	return s
}

func (r room) state() lessonState {
	s := state(r.Lesson, r.record)
	s.Namespace = r.namespace
	if r.record.Step < len(r.Steps) {
		step := r.Steps[r.record.Step]
		s.Step, s.Text, s.HintsLeft = step.Title, step.Text.String(), step.HintCount()-r.record.Hints
	}
	return s
}

// printStep prints the current step.
func (c *class) printStep(r room, intro bool) error {
	if c.json() {
		return writeJSON(c.Stdout, r.state())
	}
	s := styleFor(c.Stdout)
	if intro {
		fmt.Fprintf(c.Stdout, "%s\n\n", s.paint("1", termsafe.String(r.Title)))
		c.prose(r.Intro)
		fmt.Fprintf(c.Stdout, "\n%s\n\n    %s\n\n", c.words.alias, s.paint("36", c.alias(r)))
	}
	step := r.Steps[r.record.Step]
	head := termsafe.String(step.Title)
	if len(r.Steps) > 1 {
		head = fmt.Sprintf(c.words.step, r.record.Step+1, len(r.Steps), head)
	}
	fmt.Fprintln(c.Stdout, s.paint("1", head))
	if len(step.Text) > 0 {
		fmt.Fprintln(c.Stdout)
		c.prose(step.Text)
	}
	fmt.Fprintln(c.Stdout)
	if c.o.follow {
		fmt.Fprintln(c.Stdout, s.dim(c.words.follow))
		return nil
	}
	c.typed(c.words.check, c.line("check"))
	return nil
}

// mark is a check's result.
func mark(s style, ok bool) string {
	switch {
	case ok && s.utf8:
		return s.green("✓")
	case ok:
		return s.green("ok")
	case s.utf8:
		return s.dim("·")
	}
	return s.dim("- ")
}

func (c *class) printChecked(one learn.Checked) {
	s := styleFor(c.Stdout)
	line := fmt.Sprintf("%s %s", mark(s, one.OK), termsafe.String(one.Text))
	if one.Seen != "" {
		line += s.dim(" (" + fmt.Sprintf(c.words.seen, termsafe.String(one.Seen)) + ")")
	}
	fmt.Fprintln(c.Stdout, line)
}

func (c *class) printMistake(step learn.Step, i int) {
	fmt.Fprintf(c.Stdout, "\n%s\n", styleFor(c.Stdout).yellow(c.words.mistake))
	c.prose(step.Mistakes[i].Text)
}

// printVerdict prints what became of the checks of a step.
func (c *class) printVerdict(r room, at int, v learn.Verdict) error {
	step := r.Steps[at]
	if c.json() {
		s := r.state()
		s.Checks = v.Checks
		for _, i := range v.Mistakes {
			s.Mistakes = append(s.Mistakes, step.Mistakes[i].Text.String())
		}
		if r.Fault && v.Green {
			s.Diagnosis, s.Text = r.record.Diagnosis, step.Done.String()
		}
		return writeJSON(c.Stdout, s)
	}
	for _, one := range v.Checks {
		c.printChecked(one)
	}
	for _, i := range v.Mistakes {
		c.printMistake(step, i)
	}
	if !v.Green {
		return nil
	}
	return c.printGreen(r, at)
}

// printGreen prints what follows a step that is done.
func (c *class) printGreen(r room, at int) error {
	if c.json() {
		return nil
	}
	if done := r.Steps[at].Done; len(done) > 0 {
		fmt.Fprintln(c.Stdout)
		c.prose(done)
	}
	if r.Fault {
		c.printFixed(r, r.Steps[at])
	}
	fmt.Fprintln(c.Stdout)
	switch {
	case c.o.follow && r.record.Step < len(r.Steps):
	case r.record.Step < len(r.Steps):
		c.typed(c.words.next, c.line("next"))
	case !c.o.follow:
		return c.printOver(r)
	}
	return nil
}

// printFixed prints what is only said once a fault is fixed.
func (c *class) printFixed(r room, step learn.Step) {
	took := r.record.Finished.Sub(r.record.Started)
	fmt.Fprintf(c.Stdout, "\n%s:\n\n", c.words.solution)
	c.prose(step.SolutionText())
	fmt.Fprintln(c.Stdout)
	switch {
	case len(r.record.Diagnosis) > 0:
		fmt.Fprintln(c.Stdout, c.words.diagnosis)
		for _, line := range r.record.Diagnosis {
			c.wrapped(line, "- ", "  ")
		}
	case r.Problem != "":
		c.wrapped(fmt.Sprintf(c.words.noDiagnosis, r.Problem), "", "")
	}
	fmt.Fprintf(c.Stdout, "\n%s, %s\n", fmt.Sprintf(c.words.points, learn.Points(r.record.AllHints, took), learn.MostPoints, r.record.AllHints, r.record.Looks),
		fmt.Sprintf(c.words.time, took.Round(time.Second)))
}

// printChange prints what a watched step has become: what is new, not everything again.
func (c *class) printChange(r room, at int, last, v learn.Verdict, first bool) error {
	if c.json() {
		s := r.state()
		s.Checks = v.Checks
		for _, i := range v.Mistakes {
			s.Mistakes = append(s.Mistakes, r.Steps[at].Mistakes[i].Text.String())
		}
		return writeJSONLine(c.Stdout, s)
	}
	for i, one := range v.Checks {
		if first || one.OK != last.Checks[i].OK {
			c.printChecked(one)
		}
	}
	for _, i := range v.Mistakes {
		if !slices.Contains(last.Mistakes, i) {
			c.printMistake(r.Steps[at], i)
			fmt.Fprintln(c.Stdout)
		}
	}
	return nil
}

// printOver prints that there is no step any more.
func (c *class) printOver(r room) error {
	if c.json() {
		if c.o.follow {
			return nil
		}
		return writeJSON(c.Stdout, r.state())
	}
	fmt.Fprintf(c.Stdout, c.words.over+"\n", r.Title)
	if c.o.faults {
		c.typed(c.words.another, c.line("next"))
	} else if list := c.school.All(false, c.o.lang); true {
		if i := slices.IndexFunc(list, func(l learn.Lesson) bool { return l.Name == r.Name }); i >= 0 && i+1 < len(list) {
			c.typed(c.words.when, c.line("start", list[i+1].Name))
		}
	}
	c.typed(c.words.reset, c.line("reset"))
	return nil
}

func (c *class) printHint(r room, step learn.Step, n int) error {
	if c.json() {
		s := r.state()
		s.Hint = step.Hint(n).String()
		return writeJSON(c.Stdout, s)
	}
	head := fmt.Sprintf(c.words.hint, n+1, step.HintCount())
	if n == step.HintCount()-1 {
		head += ": " + c.words.solution
	}
	fmt.Fprintf(c.Stdout, "%s\n\n", styleFor(c.Stdout).paint("1", head))
	c.prose(step.Hint(n))
	return nil
}

func (c *class) printReset(l learn.Lesson) error {
	if c.json() {
		return writeJSON(c.Stdout, state(l, c.progress.Lessons[l.Name]))
	}
	fmt.Fprintf(c.Stdout, c.words.resetDone+"\n", l.Title)
	return nil
}

func (c *class) printAllFixed() error {
	if c.json() {
		return writeJSON(c.Stdout, struct{}{})
	}
	fmt.Fprintln(c.Stdout, c.words.allFixed)
	return nil
}

func (c *class) printExamHead(e *learn.Exam) {
	left := e.Started.Add(e.Limit).Sub(now())
	fmt.Fprintln(c.Stdout, fmt.Sprintf(c.words.exam, e.At+1, len(e.Faults), left.Round(time.Second)))
	c.typed(c.words.examNext, c.line("next"))
	fmt.Fprintln(c.Stdout)
}

func (c *class) printExam(e *learn.Exam) error {
	if c.json() {
		return writeJSON(c.Stdout, e)
	}
	if e.Running(now()) {
		c.printExamHead(e)
		return nil
	}
	points, of := e.Total()
	fmt.Fprintf(c.Stdout, c.words.examOver+"\n\n", points, of)
	rows := [][]string{}
	for i, name := range e.Faults {
		got := "0"
		if i < len(e.Points) {
			got = fmt.Sprint(e.Points[i])
		}
		rows = append(rows, []string{name, got})
	}
	return table(c.Stdout, rows)
}

// learnList lists lessons or faults.
func (a *app) learnList(o learnOptions) error {
	c, err := a.class(o)
	if err != nil {
		return err
	}
	list := c.school.All(o.faults, c.o.lang)
	if c.json() {
		states := []lessonState{}
		for _, l := range list {
			states = append(states, state(l, c.progress.Lessons[l.Name]))
		}
		return writeJSON(c.Stdout, states)
	}
	if len(list) == 0 {
		return fault.Newf(fault.Usage, "there is no %s", c.thing())
	}
	return c.printList(c.Stdout, list)
}

func (c *class) printList(w io.Writer, list []learn.Lesson) error {
	third := c.words.length
	if c.o.faults {
		third = c.words.level
	}
	rows := [][]string{{c.words.name, c.words.state, third, c.words.title}}
	for _, l := range list {
		r := c.progress.Lessons[l.Name]
		progress := ""
		switch {
		case r.Done():
			progress = c.words.done
			if l.Fault {
				progress = fmt.Sprintf("%s %d", c.words.done, r.Points)
			}
		case r != nil:
			progress = fmt.Sprintf(c.words.begun, r.Step+1, len(l.Steps))
		}
		length := fmt.Sprintf(c.words.minutes, l.Minutes)
		if l.Fault {
			length = fmt.Sprint(l.Level)
		}
		rows = append(rows, []string{l.Name, progress, length, l.Title})
	}
	return columns(w, rows)
}

// columns prints a table whose cells may be Chinese, which takes two columns per character.
func columns(w io.Writer, rows [][]string) error {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], learn.Width(termsafe.String(cell)))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			cell = termsafe.String(cell)
			line.WriteString(cell)
			if i < len(row)-1 {
				line.WriteString(strings.Repeat(" ", widths[i]-learn.Width(cell)+3))
			}
		}
		if _, err := fmt.Fprintln(w, strings.TrimRight(line.String(), " ")); err != nil {
			return err
		}
	}
	return nil
}

// learnLint prints the mistakes in the files of lessons.
func (a *app) learnLint(o learnOptions) error {
	var mistakes []string
	school, err := o.read()
	if school == nil && err != nil {
		return err
	}
	for _, e := range parts(err) {
		if e != nil {
			mistakes = append(mistakes, e.Error())
		}
	}
	count := 0
	if err == nil {
		count = len(school.All(false, "")) + len(school.All(true, ""))
	}
	switch {
	case a.json():
		err = writeJSON(a.Stdout, struct {
			Lessons  int      `json:"lessons"`
			Mistakes []string `json:"mistakes"`
		}{count, append([]string{}, mistakes...)})
	case len(mistakes) == 0:
		_, err = fmt.Fprintf(a.Stdout, "%d lessons and faults: no mistake found.\n", count)
	default:
		_, err = fmt.Fprintln(a.Stdout, safeLines(strings.Join(mistakes, "\n"), ""))
	}
	if err == nil && len(mistakes) > 0 {
		return fault.Newf(fault.Usage, "%d mistakes in the lessons", len(mistakes))
	}
	return err
}
