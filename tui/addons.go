package tui

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"bonsai/bootstrap/cluster"
	"bonsai/tui/grid"
	"bonsai/tui/keymap"
	"bonsai/tui/paint"
)

// addonsPage lists every addon: the enabled ones with their state, the disabled ones, and below them those that are
// known but not in this version. A key switches one on or off.
type addonsPage struct {
	u    *ui
	grid *grid.Grid
	// list is what the session has sent, with what newer snapshots say about it.
	list    []cluster.AddonStatus
	known   bool
	err     error
	asking  bool
	again   bool // something has changed since it was asked
	visible bool
}

func newAddonsPage(u *ui) *addonsPage {
	p := &addonsPage{u: u}
	p.grid = grid.New([]grid.Column{
		{Title: "Addon", Min: 14, Max: 28}, {Title: "State", Min: 10, Max: 14}, {Title: "Version", Drop: 2, Max: 12}, {Title: "Delivery", Drop: 4, Max: 10},
		{Title: "Since", Kind: grid.Age, Drop: 3}, {Title: "What it gives you", Drop: 1, Min: 20},
	})
	u.state.Listen(p.refreshed)
	return p
}

func (p *addonsPage) crumb() string              { return p.u.T("addons") }
func (p *addonsPage) contexts() []keymap.Context { return []keymap.Context{keymap.Addons} }

func (p *addonsPage) hints() []hint {
	a, ok := p.current()
	toggle := hint{"addon.toggle", p.u.T("enable it")}
	if ok && a.Enabled {
		toggle.word = p.u.T("disable it")
	}
	hints := []hint{toggle, {"open", p.u.T("details")}}
	if ok && len(a.Advice) > 0 {
		hints = append(hints, hint{id: "addon.fix"})
	}
	if ok && len(a.Settings) > 0 {
		hints = append(hints, hint{id: "addon.settings"})
	}
	return append(hints, hint{id: "addon.copy"})
}

func (p *addonsPage) show() { p.visible = true; p.reload() }
func (p *addonsPage) hide() { p.visible = false }

// reload asks again; while a request is running, once more after it.
func (p *addonsPage) reload() {
	if !p.visible {
		return // show does it
	}
	if p.asking {
		p.again = true
		return
	}
	p.asking = true
	fetch(p.u, p.u.session.Addons, func(list []cluster.AddonStatus, err error) {
		p.asking, p.err = false, err
		if err == nil {
			p.known = true
			p.list = list
			p.merge()
		}
		if p.again {
			p.again = false
			p.reload()
		}
	})
}

// refreshed takes in a new snapshot: states change at once, and what it does not explain is requested.
func (p *addonsPage) refreshed() {
	if !p.known {
		p.reload()
		return
	}
	p.merge()
	for _, a := range p.list {
		live := p.live(a.Name)
		// One that has gone from the snapshot, or come into it, was switched; a snapshot does not say which is wanted.
		if (live != nil) != a.Enabled && p.u.switching[a.Name] == "" {
			p.reload()
			return
		}
	}
}

// live is what the newest snapshot says of an addon, nil if nothing.
func (p *addonsPage) live(name string) *cluster.AddonStatus {
	list := p.u.state.Snapshot.Addons
	if i := slices.IndexFunc(list, func(a cluster.AddonStatus) bool { return a.Name == name }); i >= 0 {
		return &list[i]
	}
	return nil
}

// merge makes the rows.
func (p *addonsPage) merge() {
	var items []grid.Item
	for i := range p.list {
		a := &p.list[i]
		if live := p.live(a.Name); live != nil {
			a.Enabled, a.State, a.Reason, a.Advice, a.Since, a.Values = live.Enabled, live.State, live.Reason, live.Advice, live.Since, live.Values
		} else if !a.Enabled && a.State != "" && p.u.state.Running() { // it has gone
			a.State, a.Reason, a.Advice = cluster.AddonDisabled, "", nil
		}
		items = append(items, p.item(*a))
	}
	for _, e := range p.u.opts.Elsewhere {
		if slices.ContainsFunc(p.list, func(a cluster.AddonStatus) bool { return a.Name == e.Name }) {
			continue
		}
		items = append(items, grid.Item{
			ID: "elsewhere/" + e.Name, Key: "1/" + e.Name, State: paint.StateOff,
			Cells: []string{paint.Clean(e.Name), p.u.fateWord(e.Fate), "", "", "", paint.Clean(e.Story)},
			Roles: []paint.Role{paint.Dim, paint.Dim, paint.Dim, paint.Dim, paint.Dim, paint.Dim}, Data: e,
		})
	}
	var gone []string
	p.grid.All(func(it *grid.Item) {
		if !slices.ContainsFunc(items, func(n grid.Item) bool { return n.ID == it.ID }) {
			gone = append(gone, it.ID)
		}
	})
	p.grid.Set(items...)
	p.grid.Remove(gone...)
	p.u.touch()
}

func (p *addonsPage) item(a cluster.AddonStatus) grid.Item {
	state, word := p.u.addonState(a)
	text, role := paint.Clean(firstLineOf(a.Description)), paint.Plain
	if a.Reason != "" {
		text, role = paint.Clean(firstLineOf(a.Reason)), state.Role()
		if advice := p.u.firstAdvice(a.Advice); advice != "" {
			text += "  " + p.u.theme.Glyphs.Right + " " + advice
		}
	}
	if state == paint.StateOff {
		role = paint.Dim
	}
	name := paint.Strong
	if state == paint.StateOff {
		name = paint.Plain
	}
	return grid.Item{
		ID: a.Name, Key: "0/" + a.Name, State: state, Time: a.Since,
		Cells: []string{paint.Clean(a.Name), word, paint.Clean(a.Version), p.u.deliveryWord(a.Delivery), "", text},
		Roles: []paint.Role{name, state.Role(), paint.Dim, paint.Dim, paint.Dim, role}, Data: a,
	}
}

// addonState is how an addon looks.
func (u *ui) addonState(a cluster.AddonStatus) (paint.State, string) {
	if doing := u.switching[a.Name]; doing != "" {
		return paint.StateBusy, doing
	}
	switch a.State {
	case cluster.AddonRunning:
		return paint.StateOK, u.T("enabled")
	case cluster.AddonInstalling:
		return paint.StateBusy, u.T("installing")
	case cluster.AddonRemoving:
		return paint.StateBusy, u.T("removing")
	case cluster.AddonDegraded:
		return paint.StateWarn, u.T("degraded")
	case cluster.AddonBlocked:
		return paint.StateFail, u.T("blocked")
	case cluster.AddonFailed:
		return paint.StateFail, u.T("failed")
	case cluster.AddonStopped:
		return paint.StateOff, u.T("stopped")
	}
	return paint.StateOff, u.T("disabled")
}

func (u *ui) fateWord(fate string) string {
	switch fate {
	case "coming":
		return u.T("coming")
	case "replaced":
		return u.T("replaced")
	case "retired":
		return u.T("retired")
	}
	return paint.Clean(fate)
}

func (u *ui) deliveryWord(d cluster.AddonDelivery) string {
	switch d {
	case cluster.DeliveryBuiltin:
		return u.T("built in")
	case cluster.DeliveryPod:
		return u.T("pod")
	case cluster.DeliveryManifest:
		return u.T("manifest")
	}
	return paint.Clean(string(d))
}

// current is the addon under the cursor, if it is one of this version.
func (p *addonsPage) current() (cluster.AddonStatus, bool) {
	it, ok := p.grid.Current()
	if !ok {
		return cluster.AddonStatus{}, false
	}
	a, ok := it.Data.(cluster.AddonStatus)
	return a, ok
}

func (p *addonsPage) act(id string) bool {
	u := p.u
	a, here := p.current()
	switch id {
	case "addon.toggle":
		p.toggle()
	case "open":
		p.details()
	case "addon.fix":
		if here && len(a.Advice) > 0 {
			u.copy(cmp.Or(u.toType(a.Advice), u.firstAdvice(a.Advice)))
		} else {
			u.toast.say(paint.Dim, u.T("nothing has to be fixed"))
		}
	case "addon.copy":
		if it, ok := p.grid.Current(); ok {
			u.copy(it.Cells[0])
		}
	case "addon.settings":
		if here {
			p.askSettings(a)
		} else {
			u.toast.say(paint.Dim, u.T("it has no settings"))
		}
	case "addon.off":
		if here && a.Enabled {
			p.toggle()
		}
	default:
		return gridAct(u, p.grid, id)
	}
	return true
}

// toggle switches the addon under the cursor.
func (p *addonsPage) toggle() {
	u := p.u
	if p.grid.Lost() {
		u.toast.say(paint.Warn, u.T("the object under the cursor has just been removed"))
		return
	}
	it, ok := p.grid.Current()
	if !ok {
		return
	}
	switch a := it.Data.(type) {
	case ElsewhereAddon:
		u.toast.say(paint.Warn, u.T("%s is not in this version: %s", paint.Clean(a.Name), paint.Clean(a.Story)))
	case cluster.AddonStatus:
		switch {
		case !u.state.Known:
			u.toast.say(paint.Warn, u.T("looking"))
		case u.state.Snapshot.Phase == cluster.PhaseAbsent:
			u.toast.say(paint.Warn, u.T("no cluster exists yet; %s opens the start view", u.keys.Key("screen.overview")))
		case u.switching[a.Name] != "":
			u.toast.say(paint.Warn, u.T("it is being enabled or disabled"))
		default:
			u.switchAddon(a, p.list)
		}
	}
}

// details shows everything about the addon under the cursor.
func (p *addonsPage) details() {
	it, ok := p.grid.Current()
	if !ok {
		return
	}
	u, t := p.u, p.u.theme
	width := min(76, u.width-6)
	box := &textBox{u: u, title: it.Cells[0]}
	add := func(head, text string, role paint.Role) {
		text = strings.TrimRight(text, "\n")
		if text == "" {
			return
		}
		for line := range strings.SplitSeq(text, "\n") {
			for _, part := range paint.Wrap(paint.Clean(line), max(1, width-15)) {
				box.lines = append(box.lines, t.Line(width).Col(paint.Dim, head, 14).Add(role, part).String())
				head = ""
			}
		}
	}
	switch a := it.Data.(type) {
	case ElsewhereAddon:
		add(u.T("state"), u.fateWord(a.Fate), paint.Off)
		add(u.T("story"), a.Story, paint.Plain)
	case cluster.AddonStatus:
		state, word := u.addonState(a)
		if !a.Since.IsZero() {
			word += "  " + u.T("for %s", u.clock.age(a.Since))
		}
		add(u.T("state"), u.glyph(state)+" "+word, state.Role())
		add(u.T("why"), a.Reason, paint.Plain)
		add(u.T("command to run"), u.adviceText(a.Advice), paint.Accent)
		add(u.T("gives you"), a.Description, paint.Plain)
		add(u.T("version"), a.Version, paint.Plain)
		add(u.T("delivery"), u.deliveryWord(a.Delivery), paint.Plain)
		offline := u.T("needs the network: its images are pulled")
		if a.Offline {
			offline = u.T("works without any download")
		}
		add(u.T("network"), offline, paint.Plain)
		if a.Default {
			add(u.T("default"), u.T("every cluster has it by default"), paint.Plain)
		}
		add(u.T("needs"), strings.Join(a.Needs, ", "), paint.Plain)
		add(u.T("needed by"), strings.Join(needers(p.list, a.Name), ", "), paint.Plain)
		add(u.T("settings"), settingLines(a), paint.Plain)
		add(u.T("maintainer"), a.Maintainer, paint.Plain)
		add(u.T("docs"), a.Docs, paint.Accent)
	}
	u.open(box)
}

func (p *addonsPage) filterText() string    { return p.grid.Filter() }
func (p *addonsPage) filterPrompt() string  { return "/" }
func (p *addonsPage) setFilter(text string) { p.grid.SetFilter(text); p.u.touch() }

func (p *addonsPage) click(x, y int) { p.grid.Click(x, y) }
func (p *addonsPage) wheel(rows int) { p.grid.Move(rows) }

func (p *addonsPage) draw(w, h int) []string {
	u := p.u
	switch {
	case p.err != nil && !p.known:
		return fill(u.note(u.troubleText(p.err), w, h), w, h)
	case !p.known:
		u.spinning()
		return fill(u.note(u.glyph(paint.StateBusy)+" "+u.T("reading the addons"), w, h), w, h)
	case p.grid.Len() == 0 && p.grid.Filter() != "":
		return fill(u.note(u.T("nothing matches %q; %s clears the filter", p.grid.Filter(), u.keys.Key("back")), w, h), w, h)
	case p.grid.Len() == 0:
		return fill(u.note(u.T("this version of bonsai has no addons"), w, h), w, h)
	}
	lines := p.grid.Draw(u.look(!u.state.Stale().IsZero()), w, h-2)
	return append(lines, p.strip(w)...)
}

// strip explains the row under the cursor in two lines: why and what to do, or what space does.
func (p *addonsPage) strip(w int) []string {
	u, t := p.u, p.u.theme
	at, of := p.grid.Position()
	first, second := t.Line(w).Add(paint.Plain, " "), t.Line(w).Add(paint.Plain, " ")
	if it, ok := p.grid.Current(); ok {
		switch a := it.Data.(type) {
		case ElsewhereAddon:
			first.Add(paint.Dim, u.fateWord(a.Fate)+": "+paint.Clean(a.Story))
		case cluster.AddonStatus:
			state, _ := u.addonState(a)
			switch {
			case a.Reason != "":
				first.Add(state.Role(), u.glyph(state)+" "+paint.Clean(firstLineOf(a.Reason)))
				if advice := u.firstAdvice(a.Advice); advice != "" {
					second.Add(paint.Accent, t.Glyphs.Right+" "+advice)
				}
			default:
				first.Add(paint.Plain, paint.Clean(firstLineOf(a.Description)))
				second.Add(paint.Dim, p.effect(a))
			}
		}
	}
	if p.err != nil {
		second = t.Line(w).Add(paint.Plain, " ").Add(paint.Warn, u.troubleText(p.err))
	}
	return []string{first.String(), second.Right(paint.Dim, fmt.Sprintf("%d/%d ", at, of)).String()}
}

// effect says what switching does.
func (p *addonsPage) effect(a cluster.AddonStatus) string {
	u := p.u
	key := u.keys.Key("addon.toggle")
	switch {
	case a.Enabled:
		if users := needers(p.list, a.Name); len(users) > 0 {
			return u.T("%s disables it, and %s with it", key, paint.Clean(strings.Join(users, ", ")))
		}
		return u.T("%s disables it; data stays", key)
	case a.Offline:
		return u.T("%s enables it; nothing is downloaded", key)
	}
	return u.T("%s enables it; its images are pulled", key)
}
