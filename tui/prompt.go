package tui

import (
	"maps"
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"bonsai/bootstrap/kube"
	"bonsai/tui/keymap"
	"bonsai/tui/paint"
)

// prompt is a line that is typed into at the bottom.
type prompt struct {
	label string
	// kind is what the history is kept by: prompts of one kind recall what was typed into each other.
	kind  string
	input input
	// changed is called after every change, done on enter, canceled on esc.
	changed  func(text string)
	done     func(text string)
	canceled func()
	// only, if set, says which characters can be typed.
	only func(r rune) bool
	// complete offers endings of what was typed; tab takes the first.
	complete func(text string) []string
	// back is how far back in the history it is; 0 is what is being typed, which draft keeps meanwhile.
	back  int
	draft string
}

// openPrompt shows a prompt with a text to begin with.
func (u *ui) openPrompt(p *prompt, text string) {
	p.input = newInput(u, text)
	u.prompt = p
}

func (p *prompt) line(u *ui, w int) string {
	// What is typed is always visible, the part around the cursor at least.
	text := p.input.text()
	label := paint.Cut(p.label, max(1, w-paint.Width(text)-2, w/3), u.theme.Glyphs.More)
	l := u.theme.Line(w).Add(paint.Key, label)
	ghost, others := "", ""
	if _, after := p.input.parts(); p.complete != nil && text != "" && after == "" {
		if list := p.complete(text); len(list) > 0 {
			ghost = strings.TrimPrefix(list[0], text)
			if len(list) > 1 {
				others = "   " + strings.Join(list[1:min(len(list), 6)], "  ")
			}
		}
	}
	p.input.draw(l, l.Room(), paint.Plain, ghost)
	keys := u.T("enter accepts it, esc cancels")
	if p.changed != nil { // a filter counts while it is typed
		keys = u.T("enter keeps it, esc clears it")
	}
	return l.Add(paint.Dim, others).Right(paint.Dim, keys).String()
}

func (u *ui) promptKey(msg tea.KeyMsg) {
	p := u.prompt
	before := p.input.text()
	switch u.keys.Find(keymap.Chain(keymap.Prompt), msg.String()) {
	case "dialog.accept":
		u.prompt = nil
		u.typed.add(p.kind, before)
		if p.done != nil {
			p.done(before)
		}
		return
	case "dialog.cancel":
		u.prompt = nil
		if p.canceled != nil {
			p.canceled()
		}
		return
	case "prompt.older":
		p.recall(u.typed[p.kind], 1)
	case "prompt.newer":
		p.recall(u.typed[p.kind], -1)
	case "prompt.complete":
		if p.complete == nil {
			return
		}
		if list := p.complete(before); len(list) > 0 {
			p.input.set(list[0])
		}
	default:
		if p.input.keyOf(msg, p.only) {
			p.back = 0
		}
	}
	if text := p.input.text(); text != before && p.changed != nil {
		p.changed(text)
	}
}

// recall goes by steps back in a history, or forward again.
func (p *prompt) recall(history []string, by int) {
	to := p.back + by
	if to < 0 || to > len(history) {
		return
	}
	if p.back == 0 {
		p.draft = p.input.text()
	}
	if p.back = to; to == 0 {
		p.input.set(p.draft)
	} else {
		p.input.set(history[len(history)-to])
	}
}

// typed is what was typed into prompts, by their kind, the newest last.
type typed map[string][]string

// mostRecalled bounds the history of a kind.
const mostRecalled = 100

// add takes a text to the end of the history of a kind.
func (t typed) add(kind, text string) {
	if kind == "" || strings.TrimSpace(text) == "" {
		return
	}
	list := append(slices.DeleteFunc(t[kind], func(o string) bool { return o == text }), text)
	t[kind] = list[max(0, len(list)-mostRecalled):]
}

// beginFilter opens the prompt of the page's filter, or search.
func (u *ui) beginFilter() {
	f, ok := u.page().(filterer)
	if !ok {
		u.toast.say(paint.Dim, u.T("there is nothing to filter here"))
		return
	}
	kind := "filter"
	if inText(u.chain()) {
		kind = "find"
	}
	u.openPrompt(&prompt{
		label: f.filterPrompt(), kind: kind, changed: f.setFilter, done: f.setFilter, canceled: func() { f.setFilter("") },
	}, f.filterText())
}

// inText says that contexts are those of a text, which is searched; other pages are filtered.
func inText(chain []keymap.Context) bool { return slices.Contains(chain, keymap.Scroll) }

// beginCommand opens the prompt that goes to any resource type.
func (u *ui) beginCommand() {
	u.loadTypes(nil)
	u.openPrompt(&prompt{label: ":", kind: "command", complete: u.completeCommand, done: u.command}, "")
}

// loadTypes asks what types there are; the answer may come while one types. then, if it is not nil, is called.
func (u *ui) loadTypes(then func(error)) {
	fetch(u, u.session.Types, func(types []kube.ResourceType, err error) {
		if err == nil {
			if u.state.types = types; types == nil {
				u.state.types = []kube.ResourceType{} // none is an answer, too
			}
		}
		if then != nil {
			then(err)
		}
	})
}

// typeNames are the names by which a type is called, the plural first.
func typeNames(t kube.ResourceType) []string {
	names := append([]string{t.Resource}, t.Short...)
	if one := singular(t); one != "" {
		names = append(names, one)
	}
	if t.Group != "" {
		names = append(names, t.Resource+"."+t.Group)
	}
	return append(names, nicknames[t.Resource]...)
}

// nicknames are short names that the API server does not have and users of k9s type.
var nicknames = map[string][]string{
	"deployments": {"dp"}, "secrets": {"sec"}, "jobs": {"jo"}, "roles": {"ro"}, "rolebindings": {"rb"}, "clusterroles": {"cr"}, "clusterrolebindings": {"crb"},
}

func (u *ui) findType(name string) (kube.ResourceType, bool) {
	name = lower(name)
	for _, t := range u.state.types {
		if slices.Contains(typeNames(t), name) {
			return t, true
		}
	}
	for _, t := range []kube.ResourceType{kube.PodType(), kube.NodeType()} {
		if slices.Contains(typeNames(t), name) {
			return t, true
		}
	}
	return kube.ResourceType{}, false
}

func (u *ui) completeCommand(text string) []string {
	var list []string
	for _, s := range u.screens {
		if strings.HasPrefix(s.id, lower(text)) {
			list = append(list, s.id)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(placeNames)) {
		if strings.HasPrefix(name, lower(text)) {
			list = append(list, name)
		}
	}
	for _, t := range u.state.types {
		for _, n := range typeNames(t)[:1+len(t.Short)] {
			if strings.HasPrefix(n, lower(text)) && !slices.Contains(list, n) {
				list = append(list, n)
			}
		}
	}
	slices.SortStableFunc(list, func(a, b string) int { return len(a) - len(b) })
	return list
}

// placeNames are what pages that are no screens are called after a colon, with their actions.
var placeNames = map[string]string{"images": "images", "traffic": "traffic", "flow": "traffic", "flows": "traffic", "clusters": "clusters", "checkpoints": "checkpoints", "doctor": "doctor", "profiles": "clusters", "ctx": "clusters", "file": "file", "config": "file", "resources": "resources", "use": "resources", "requests": "resources", "can-i": "access", "who-can": "access", "auth": "access"}

// command goes to what was typed: a screen, or a type with an optional namespace ("deploy shop").
func (u *ui) command(text string) {
	words := strings.Fields(text)
	if len(words) == 0 {
		return
	}
	switch words[0] {
	case "q", "quit", "exit":
		u.quit()
		return
	case "ns", "namespace", "namespaces":
		if len(words) > 1 {
			u.setNamespace(words[1])
			return
		}
	}
	if i := slices.IndexFunc(u.screens, func(s *screen) bool { return s.id == lower(words[0]) }); i >= 0 {
		if len(words) > 1 {
			u.setNamespace(words[1])
		}
		u.home(i)
		return
	}
	if id, ok := placeNames[lower(words[0])]; ok {
		u.act(id)
		return
	}
	if t, ok := u.findType(words[0]); ok {
		if len(words) > 1 {
			u.setNamespace(words[1])
		}
		u.openType(t)
		return
	}
	if list := u.completeCommand(words[0]); len(list) > 0 {
		u.command(strings.Join(append([]string{list[0]}, words[1:]...), " "))
		return
	}
	if u.state.types == nil && u.state.Running() {
		// Typed faster than the API server sends its types: it is tried again after that.
		u.toast.say(paint.Dim, u.T("reading the types of the API server"))
		u.loadTypes(func(err error) {
			if err != nil {
				u.fail(err)
				return
			}
			u.toast.clear()
			u.command(text)
		})
		return
	}
	u.toast.say(paint.Fail, u.T("unknown type or screen %q", words[0]))
}

// openType shows the objects of a type on the screen where it is at home: that of pods for all without one of their own.
func (u *ui) openType(t kube.ResourceType) {
	home := "pods"
	if t.Resource == "nodes" && t.Group == "" {
		home = "nodes"
	}
	u.home(slices.IndexFunc(u.screens, func(s *screen) bool { return s.id == home }))
	if t.Resource != home || t.Group != "" {
		list := newListPage(u, u.state.NewRows(kube.RowQuery{Type: t}))
		list.titled = true
		u.push(newPanes(u, list))
	}
}

// setNamespace narrows all lists to a namespace; empty is all.
func (u *ui) setNamespace(name string) {
	u.state.namespace = name
	for _, s := range u.screens {
		for _, p := range s.pages {
			if n, ok := p.(interface{ namespaceChanged() }); ok {
				n.namespaceChanged()
			}
		}
	}
}

func (u *ui) chooseNamespace() {
	t := kube.ResourceType{Version: "v1", Resource: "namespaces", Kind: "Namespace"}
	choices := []choice{{title: u.T("all namespaces"), run: func() { u.setNamespace("") }}}
	u.state.Summary.Refresh()
	seen := map[string]bool{}
	for _, s := range u.state.Summary.Spaces {
		seen[s.Name] = true
		choices = append(choices, choice{title: s.Name, hint: u.T("%d pods", len(s.Pods)), run: func() { u.setNamespace(s.Name) }})
	}
	m := u.choose(u.T("namespace"), choices)
	// Those without pods come when the API server has sent them.
	fetchRows(u, kube.RowQuery{Type: t}, func(rows []kube.Row) {
		for _, r := range rows {
			if !seen[r.Name] {
				m.choices = append(m.choices, choice{title: paint.Clean(r.Name), run: func() { u.setNamespace(r.Name) }})
			}
		}
		m.base = len(m.choices)
		at := m.cursor
		m.narrow()
		m.cursor = min(at, max(0, len(m.shown)-1))
	})
}
