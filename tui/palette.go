package tui

import (
	"slices"
	"strings"

	"bonsai/bootstrap/kube"
	"bonsai/tui/keymap"
	"bonsai/tui/paint"
	"bonsai/tui/words"
)

// openPalette finds anything by its words: verbs for what is chosen, screens, types, verbs of the command line, settings,
// pods and nodes by name.
func (u *ui) openPalette() {
	u.loadTypes(nil)
	var choices []choice
	if c, ok := u.chooser(); ok {
		if list := c.subjects(); len(list) > 0 {
			for _, v := range verbs() {
				choices = append(choices, choice{
					title: u.T(v.title), words: v.id + " " + v.title, hint: strings.TrimSpace(list[0].ref.Name + "  " + u.keys.Key(v.id)),
					off: u.whyNot(v, list), run: func() { v.run(u, list) },
				})
			}
		}
	}
	for _, b := range u.keys.Bindings() {
		if b.Context == keymap.Global && b.ID != "palette" {
			choices = append(choices, choice{title: u.T(b.Help), words: b.ID + " " + b.Help, hint: u.keys.Key(b.ID), run: func() { u.act(b.ID) }})
		}
	}
	if u.undo != nil {
		choices = append(choices, choice{title: u.undo.title, words: "undo edit revert back", run: u.undo.run})
	}
	choices = append(choices, u.operations()...)
	for _, name := range paint.Names() {
		choices = append(choices, choice{title: u.T("theme %s", name), words: "theme colour color " + name, hint: u.T("setting"), run: func() { u.setTheme(name) }})
	}
	for _, lang := range words.Languages() {
		choices = append(choices, choice{
			title: map[string]string{"en": "English", "zh": "简体中文"}[lang], words: "language lang " + lang, hint: u.T("setting"),
			run: func() { u.words = words.For(lang) },
		})
	}
	choices = append(choices, choice{title: u.T("what was found out about this terminal"), words: "settings colour depth", hint: u.T("setting"), run: u.openSettings})
	m := u.choose(u.T("find"), choices)
	m.more = u.findObjects
}

// mostFound bounds what a search for objects offers.
const mostFound = 40

// findObjects are the types, pods and nodes whose names have every word of text.
func (u *ui) findObjects(text string) []choice {
	parts := strings.Fields(lower(text))
	match := func(name string) bool {
		for _, p := range parts {
			if !strings.Contains(name, p) {
				return false
			}
		}
		return len(parts) > 0
	}
	var list []choice
	for _, t := range u.state.types {
		if slices.ContainsFunc(typeNames(t), match) {
			list = append(list, choice{title: t.Resource, words: strings.Join(typeNames(t), " "), hint: t.Kind, run: func() { u.openType(t) }})
		}
	}
	for _, n := range u.state.snapshot.Nodes {
		if match(lower(n.Name)) {
			list = append(list, choice{title: n.Name, hint: "Node", run: func() {
				u.openSubject(&subject{ref: kube.Ref{Type: nodeType, Name: n.Name}}, "")
			}})
		}
	}
	for _, r := range u.state.pods.rows {
		if len(list) >= mostFound {
			break
		}
		if match(lower(r.Namespace + "/" + r.Name)) {
			s := subjectOf(podType, u.state.pods.columns, &r)
			list = append(list, choice{title: r.Namespace + "/" + r.Name, hint: "Pod", run: func() { u.openSubject(&s, "") }})
		}
	}
	slices.SortStableFunc(list, func(a, b choice) int { return strings.Compare(a.hint+a.title, b.hint+b.title) })
	return list
}

// openHelp lists the keys that count on the page in front.
func (u *ui) openHelp() {
	t := &textBox{u: u, title: u.T("keys")}
	width := min(76, u.width-6)
	section := func(c keymap.Context, title string) {
		t.lines = append(t.lines, u.theme.Line(width).Add(paint.Title, title).String())
		for _, b := range u.keys.Bindings() {
			if b.Context != c || len(b.Keys) == 0 {
				continue
			}
			help, own := b.Help, false
			if m, ok := u.page().(meaner); ok && c == u.page().context() {
				switch text := m.meaning(b.ID); text {
				case "":
				case "-":
					continue
				default:
					help, own = text, true
				}
			}
			var names []string
			for _, k := range b.Keys {
				names = append(names, keymap.Name(k))
			}
			l := u.theme.Line(width).Add(paint.Plain, "  ").Col(paint.Key, strings.Join(names, " "), 16).Add(paint.Plain, u.T(help))
			if v := verbNamed(b.ID); v != nil && !own {
				if reason := u.whyHere(v); reason != "" {
					l.Add(paint.Dim, "  ("+reason+")")
				}
			}
			t.lines = append(t.lines, l.String())
		}
		t.lines = append(t.lines, paint.Spaces(width))
	}
	if c := u.page().context(); c != keymap.Global {
		section(c, u.T("here"))
	}
	if p, ok := u.frame().(*panes); ok && len(p.sides) > 0 {
		section(keymap.Panes, u.T("panes beside each other"))
	}
	section(keymap.Global, u.T("everywhere"))
	u.open(t)
}

// whyHere says why a verb is of no use for what is chosen now.
func (u *ui) whyHere(v *verb) string {
	c, ok := u.chooser()
	if !ok {
		return ""
	}
	list := c.subjects()
	if len(list) == 0 {
		return ""
	}
	return u.whyNot(v, list)
}

func (u *ui) openSettings() {
	t := &textBox{u: u, title: u.T("this terminal")}
	width := min(76, u.width-6)
	add := func(text string) {
		for _, l := range paint.Wrap(paint.Clean(text), width) {
			t.lines = append(t.lines, u.theme.Line(width).Add(paint.Plain, l).String())
		}
	}
	for _, d := range u.opts.Detected {
		add(d)
	}
	add(u.T("theme %s, %d by %d cells, language %s", u.theme.Name, u.width, u.height, u.words.Lang()))
	u.open(t)
}
