package learn

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"bonsai/cmd/bonsai/internal/learn/condition"
)

// Mistaken is a mistake in a lesson's file.
type Mistaken struct {
	File string
	Line int
	Text string
}

func (m *Mistaken) Error() string { return fmt.Sprintf("%s:%d: %s", m.File, m.Line, m.Text) }

// nameRule is what names of lessons look like: they are in names of namespaces.
var nameRule = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)

// languageRule is what languages look like, as in LANG.
var languageRule = regexp.MustCompile(`^[a-z]{2,3}$`)

// SplitName takes the name of a file apart: "pod.md" is a lesson, "pod.zh.md" its translation.
func SplitName(file string) (lesson, language string, err error) {
	base, isLesson := strings.CutSuffix(file, ".md")
	lesson, language, translated := strings.Cut(base, ".")
	switch {
	case !isLesson:
		return "", "", fmt.Errorf("%s is not a lesson: its name ends in .md", file)
	case !nameRule.MatchString(lesson) || len(lesson) > 40:
		return "", "", fmt.Errorf("%q is not a name for a lesson: use up to 40 small letters, digits and single hyphens", lesson)
	case translated && !languageRule.MatchString(language):
		return "", "", fmt.Errorf("%q is not a language: use zh, en and so on", language)
	}
	return lesson, language, nil
}

// Parse reads a lesson, or a translation of one: that has the same parts in the same order, but no conditions, manifests and
// commands, which are those of the lesson. The error joins all mistakes, each a *Mistaken.
func Parse(file, text string) (Lesson, error) {
	p := &parser{file: file}
	name, language, err := SplitName(file)
	if err != nil {
		p.fail(1, "%v", err)
	}
	p.lesson = Lesson{Name: name, Language: language, Nodes: 1, Minutes: 10}
	p.translation = language != ""
	if language == "" {
		p.lesson.Language = "en"
	}
	lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	p.body(lines, p.front(lines))
	return p.lesson, errors.Join(p.mistakes...)
}

type parser struct {
	file        string
	translation bool
	lesson      Lesson
	mistakes    []error
}

func (p *parser) fail(line int, format string, args ...any) {
	p.mistakes = append(p.mistakes, &Mistaken{p.file, line, fmt.Sprintf(format, args...)})
}

// front reads what is between the first two lines "---", and returns the index of the line after them.
func (p *parser) front(lines []string) int {
	if strings.TrimSpace(lines[0]) != "---" {
		p.fail(1, "the first line is ---, and then come title: and others, up to the next ---")
		return 0
	}
	for i := 1; i < len(lines); i++ {
		line := strings.TrimSpace(lines[i])
		if line == "---" {
			if p.lesson.Title == "" {
				p.fail(1, "there is no title:")
			}
			return i + 1
		}
		key, value, ok := strings.Cut(line, ":")
		if !ok {
			p.fail(i+1, "%q is not a setting: use name: value", line)
			continue
		}
		p.setting(i+1, strings.TrimSpace(key), strings.TrimSpace(value))
	}
	p.fail(len(lines), "the settings of the beginning do not end: a line --- is missing")
	return len(lines)
}

func (p *parser) setting(line int, key, value string) {
	number := func(to *int, least, most int) {
		n, err := strconv.Atoi(value)
		if err != nil || n < least || n > most {
			p.fail(line, "%s: %q is not a number from %d to %d", key, value, least, most)
			return
		}
		*to = n
	}
	yes := func(to *bool) {
		b, err := strconv.ParseBool(value)
		if err != nil {
			p.fail(line, "%s: %q is neither true nor false", key, value)
		}
		*to = b
	}
	if p.translation && key != "title" {
		p.fail(line, "%s: a translation has a title only; the rest is that of the lesson", key)
		return
	}
	switch key {
	case "title":
		p.lesson.Title = value
	case "lang":
		if !languageRule.MatchString(value) {
			p.fail(line, "lang: %q is not a language: use en, zh and so on", value)
		}
		p.lesson.Language = value
	case "order":
		number(&p.lesson.Order, 0, 9999)
	case "minutes":
		number(&p.lesson.Minutes, 1, 240)
	case "nodes":
		number(&p.lesson.Nodes, 1, 9)
	case "level":
		number(&p.lesson.Level, 1, 3)
	case "alone":
		yes(&p.lesson.Alone)
	case "fault":
		yes(&p.lesson.Fault)
	case "problem":
		p.lesson.Problem = value
	default:
		p.fail(line, "%q is not a setting: use title, lang, order, minutes, nodes, alone, fault, level or problem", key)
	}
}

// body cuts the rest into parts, each from a heading to the next one.
func (p *parser) body(lines []string, from int) {
	part, begin := "", from
	var code string
	flush := func(end int) {
		if begin < end || part != "" {
			p.part(part, begin, lines[begin:end])
		}
	}
	for i := from; i < len(lines); i++ {
		line := lines[i]
		if fence, ok := strings.CutPrefix(strings.TrimSpace(line), "```"); ok {
			if code == "" {
				code = "```" + fence
			} else {
				code = ""
			}
			continue
		}
		if code != "" {
			continue
		}
		if title, ok := strings.CutPrefix(line, "# "); ok {
			flush(i)
			p.lesson.Steps = append(p.lesson.Steps, Step{Title: strings.TrimSpace(title)})
			part, begin = "step", i+1
		} else if title, ok := strings.CutPrefix(line, "## "); ok {
			flush(i)
			part, begin = strings.TrimSpace(title), i+1
			if part == "step" {
				p.fail(i+1, "a step begins with # and its title")
				part = "skip"
			}
		}
	}
	if code != "" {
		p.fail(len(lines), "a block that begins with ``` does not end")
	}
	flush(len(lines))
}

// part reads one part; begin is the index of its first line.
func (p *parser) part(name string, begin int, lines []string) {
	if name == "" || name == "setup" || name == "skip" {
		switch c := p.content(begin, lines); {
		case name == "":
			p.lesson.Intro = c.text
		case name == "setup":
			if len(p.lesson.Steps) > 0 {
				p.fail(begin, "setup comes before the first step")
			}
			for _, a := range c.actions {
				if a.Manifest == "" {
					p.fail(a.Line, "setup has blocks ```yaml only")
					continue
				}
				p.lesson.Setup = append(p.lesson.Setup, Manifest{a.Line, a.Manifest})
			}
			if p.translation || len(p.lesson.Setup) == 0 || len(c.text) > 0 {
				p.fail(begin, "setup is a block ```yaml, in the lesson and not in its translations")
			}
		}
		return
	}
	if len(p.lesson.Steps) == 0 {
		p.fail(begin, "%q comes before the first step, which begins with # and its title", "## "+name)
		return
	}
	s := &p.lesson.Steps[len(p.lesson.Steps)-1]
	c := p.content(begin, lines)
	if p.translation && len(c.actions) > 0 && name != "step" && name != "done" && name != "hint" {
		p.fail(c.actions[0].Line, "a translation has no commands and manifests here; they are those of the lesson")
	}
	if len(c.checks) > 0 && name != "check" && name != "mistake" {
		p.fail(begin+1, "conditions belong into check or mistake")
	}
	switch name {
	case "step":
		s.Text = c.shown()
	case "done":
		s.Done = c.shown()
	case "hint":
		s.Hints = append(s.Hints, c.shown())
		if len(c.shown()) == 0 {
			p.fail(begin, "a hint has a text")
		}
	case "check":
		p.checks(s, c, begin)
	case "mistake":
		p.mistake(s, c, begin)
	case "solution":
		s.Solution = append(s.Solution, c.actions...)
		if len(c.text) > 0 || len(c.actions) == 0 {
			p.fail(begin, "a solution is blocks ```sh and ```yaml")
		}
	default:
		p.fail(begin, "%q is not a part: use setup, check, hint, mistake, solution or done", name)
	}
}

func (p *parser) checks(s *Step, c content, begin int) {
	if p.translation {
		for _, t := range c.text {
			s.Checks = append(s.Checks, Check{Text: t.Text})
			if !t.Item {
				p.fail(begin, "in a translation each check is a line that begins with -")
			}
		}
		return
	}
	s.Checks = append(s.Checks, c.checks...)
	if len(c.checks) == 0 || len(c.text) > 0 || len(c.actions) > 0 {
		p.fail(begin, "each check is a line that begins with -, with a text, a colon, and the condition between backticks")
	}
	for _, check := range c.checks {
		if check.Text == "" {
			p.fail(begin, "the check %q has no text before it", check.Condition)
		}
	}
}

func (p *parser) mistake(s *Step, c content, begin int) {
	m := Mistake{Text: c.text, Made: c.actions}
	for _, check := range c.checks {
		m.When = append(m.When, check.Condition)
	}
	switch {
	case len(c.text) == 0:
		p.fail(begin, "a mistake has a text that explains it")
	case !p.translation && len(m.When) == 0:
		p.fail(begin, "a mistake has a line that begins with - and a condition between backticks")
	case !p.translation && len(m.Made) == 0:
		p.fail(begin, "a mistake has a block ```sh or ```yaml that shows how it is made, for the test")
	}
	s.Mistakes = append(s.Mistakes, m)
}

// content is what a part has, sorted. Lines of a list that end in a condition are checks; blocks of sh and yaml are actions.
type content struct {
	text    Text
	checks  []Check
	actions []Action
	// all is text with its blocks of code where they are.
	all Text
}

// shown is the text with its blocks.
func (c content) shown() Text { return c.all }

func (p *parser) content(begin int, lines []string) (c content) {
	var paragraph []string
	item := false
	flush := func() {
		if len(paragraph) > 0 {
			t := Paragraph{Text: join(paragraph), Item: item}
			c.text, c.all = append(c.text, t), append(c.all, t)
		}
		paragraph, item = nil, false
	}
	for i := 0; i < len(lines); i++ {
		line := strings.TrimSpace(lines[i])
		switch {
		case line == "":
			flush()
		case strings.HasPrefix(line, "```"):
			flush()
			end := i + 1
			for end < len(lines) && strings.TrimSpace(lines[end]) != "```" {
				end++
			}
			p.block(&c, strings.TrimPrefix(line, "```"), begin+i+1, lines[i+1:min(end, len(lines))])
			i = end
		case strings.HasPrefix(line, "- "):
			flush()
			if check, ok := p.check(begin+i+1, line[2:]); ok {
				c.checks = append(c.checks, check)
				continue
			}
			paragraph, item = []string{strings.TrimSpace(line[2:])}, true
		default:
			paragraph = append(paragraph, line)
		}
	}
	flush()
	return c
}

// check reads "TEXT: `CONDITION`"; false if the line does not end so.
func (p *parser) check(line int, text string) (Check, bool) {
	text = strings.TrimSpace(text)
	inner, ok := strings.CutSuffix(text, "`")
	begin := strings.LastIndexByte(inner, '`')
	if !ok || begin < 0 || p.translation {
		return Check{}, false
	}
	before := strings.TrimSpace(inner[:begin])
	if before != "" && !strings.HasSuffix(before, ":") && !strings.HasSuffix(before, "：") {
		return Check{}, false // prose
	}
	c, err := condition.Parse(inner[begin+1:])
	if err != nil {
		p.fail(line, "the condition %q is not valid: %v", inner[begin+1:], err)
	}
	return Check{strings.TrimSpace(strings.TrimRight(before, ":：")), c}, true
}

// block takes a fenced block.
func (p *parser) block(c *content, language string, line int, lines []string) {
	text := strings.Join(lines, "\n")
	if strings.TrimSpace(text) == "" {
		p.fail(line, "a block between ``` is empty")
		return
	}
	c.all = append(c.all, Paragraph{Text: text, Code: true})
	switch language {
	case "yaml":
		c.actions = append(c.actions, Action{Line: line, Manifest: text + "\n"})
	case "sh":
		for i, command := range lines {
			if command = strings.TrimSpace(command); command != "" {
				c.actions = append(c.actions, Action{Line: line + 1 + i, Command: command})
			}
		}
	case "", "text":
	default:
		p.fail(line, "%q is not a language of blocks: use sh, yaml or text", language)
	}
}

// join makes one line of several: with a space between them, but not between two Chinese characters.
func join(lines []string) string {
	var b strings.Builder
	for i, line := range lines {
		if i > 0 && !(wide(lastRune(lines[i-1])) && wide(firstRune(line))) {
			b.WriteByte(' ')
		}
		b.WriteString(line)
	}
	return b.String()
}
