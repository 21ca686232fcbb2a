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
	chain := u.chain()
	var choices []choice
	if c, ok := u.chooser(); ok {
		if list := c.subjects(); len(list) > 0 {
			for _, v := range verbs() {
				choices = append(choices, choice{
					title: u.T(v.title), words: v.id + " " + v.title, hint: strings.TrimSpace(list[0].ref.Name + "  " + u.keyIn(chain, v.id)),
					off: u.whyNot(v, list), run: func() { v.run(u, list) },
				})
			}
		}
	}
	for _, a := range u.actionsHere() {
		if moves(a) || verbNamed(a.ID) != nil || a.ID == "actions" || a.ID == "palette" {
			continue // verbs are above, with what they act on
		}
		choices = append(choices, choice{title: u.T(a.Help), words: a.ID + " " + a.Help, hint: u.keyIn(chain, a.ID), run: func() { u.perform(a.ID) }})
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
			run: func() {
				u.words = words.For(lang)
				clear(u.diagnoses)
			},
		})
	}
	choices = append(choices, choice{title: u.T("what was detected about this terminal"), words: "settings colour depth", hint: u.T("setting"), run: u.openSettings})
	m := u.choose(u.T("find"), choices)
	others := map[string][]kube.Row{}
	m.more = func(text string) []choice { return append(u.findObjects(text), u.findWorkloads(text, others)...) }
	for _, t := range foundTypes() {
		fetchRows(u, kube.RowQuery{Type: t}, func(rows []kube.Row) {
			others[t.Resource] = rows
			at := m.cursor
			m.narrow()
			m.cursor = max(0, min(at, len(m.shown)-1))
		})
	}
}

// foundTypes are types whose objects are found by name, beside pods and nodes.
func foundTypes() []kube.ResourceType {
	return []kube.ResourceType{
		{Group: "apps", Version: "v1", Resource: "deployments", Kind: "Deployment", Namespaced: true},
		{Group: "apps", Version: "v1", Resource: "statefulsets", Kind: "StatefulSet", Namespaced: true},
		{Group: "apps", Version: "v1", Resource: "daemonsets", Kind: "DaemonSet", Namespaced: true},
		kube.ServiceType(),
	}
}

// findWorkloads are the objects of foundTypes whose names have every word of text.
func (u *ui) findWorkloads(text string, rows map[string][]kube.Row) []choice {
	var list []choice
	for _, t := range foundTypes() {
		for _, r := range rows[t.Resource] {
			if len(list) < mostFound && hasWords(lower(r.Namespace+"/"+r.Name), text) {
				s := subject{ref: kube.Ref{Type: t, Namespace: r.Namespace, Name: r.Name, UID: r.UID}}
				list = append(list, choice{title: paint.Clean(r.Namespace + "/" + r.Name), hint: t.Kind, run: func() { u.openSubject(&s, "") }})
			}
		}
	}
	return list
}

// hasWords says that a name has every word of a text; none has nothing.
func hasWords(name, text string) bool {
	parts := strings.Fields(lower(text))
	return len(parts) > 0 && !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(name, p) })
}

// mostFound bounds what a search for objects offers.
const mostFound = 40

// findObjects are the types, pods and nodes whose names have every word of text.
func (u *ui) findObjects(text string) []choice {
	match := func(name string) bool { return hasWords(name, text) }
	var list []choice
	for _, t := range u.state.types {
		if slices.ContainsFunc(typeNames(t), match) {
			list = append(list, choice{title: t.Resource, words: strings.Join(typeNames(t), " "), hint: t.Kind, run: func() { u.openType(t) }})
		}
	}
	for _, n := range u.state.Snapshot.Nodes {
		if match(lower(n.Name)) {
			list = append(list, choice{title: n.Name, hint: "Node", run: func() {
				u.openSubject(&subject{ref: kube.Ref{Type: kube.NodeType(), Name: n.Name}}, "")
			}})
		}
	}
	for _, r := range u.state.Pods.All {
		if len(list) >= mostFound {
			break
		}
		if match(lower(r.Namespace + "/" + r.Name)) {
			s := subjectOf(kube.PodType(), u.state.Pods.Columns, &r)
			list = append(list, choice{title: r.Namespace + "/" + r.Name, hint: "Pod", run: func() { u.openSubject(&s, "") }})
		}
	}
	slices.SortStableFunc(list, func(a, b choice) int { return strings.Compare(a.hint+a.title, b.hint+b.title) })
	return list
}

// actionsHere are those of all contexts of the current page, each once.
func (u *ui) actionsHere() []keymap.Action {
	var list []keymap.Action
	for _, c := range u.chain() {
		for _, a := range u.keys.Actions(c) {
			if !slices.ContainsFunc(list, func(b keymap.Action) bool { return a.ID == b.ID }) {
				list = append(list, a)
			}
		}
	}
	return list
}

// moves says that an action only moves what is shown: nobody searches for that.
func moves(a keymap.Action) bool {
	return slices.ContainsFunc(a.In, func(c keymap.Context) bool { return c == keymap.List || c == keymap.Scroll || c == keymap.Panes })
}

// openHelp lists the keys that count on the current page.
func (u *ui) openHelp() {
	t := &textBox{u: u, title: u.T("keys")}
	width := min(76, u.width-6)
	chain := u.chain()
	section := func(title string, in func(keymap.Action) bool) {
		t.lines = append(t.lines, u.theme.Line(width).Add(paint.Title, title).String())
		for _, a := range u.actionsHere() {
			keys := u.keys.Keys(chain, a.ID)
			if len(keys) == 0 || !in(a) {
				continue
			}
			var names []string
			for _, k := range keys {
				names = append(names, keymap.Name(k))
			}
			l := u.theme.Line(width).Add(paint.Plain, "  ").Col(paint.Key, strings.Join(names, " "), 16).Add(paint.Plain, u.T(a.Help))
			if v := verbNamed(a.ID); v != nil {
				if reason := u.whyHere(v); reason != "" {
					l.Add(paint.Dim, "  ("+reason+")")
				}
			}
			t.lines = append(t.lines, l.String())
		}
		t.lines = append(t.lines, paint.Spaces(width))
	}
	is := func(c keymap.Context) func(keymap.Action) bool {
		return func(a keymap.Action) bool { return slices.Contains(a.In, c) }
	}
	section(u.T("here"), func(a keymap.Action) bool { return !is(keymap.Panes)(a) && !is(keymap.Global)(a) })
	if slices.Contains(chain, keymap.Panes) {
		section(u.T("panes side by side"), is(keymap.Panes))
	}
	section(u.T("everywhere"), is(keymap.Global))
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
