package tui

import (
	"context"
	"fmt"

	"bonsai/bootstrap/cluster"
	"bonsai/tui/grid"
	"bonsai/tui/keymap"
	"bonsai/tui/paint"
)

// doctorPage lists what "bonsai doctor" looks at on this machine, with what is wrong and what to type. It looks when it is
// opened and when it is asked to: that takes a moment, and hardly anything of it changes on its own.
type doctorPage struct {
	u      *ui
	grid   *grid.Grid
	asking refresher
	known  bool
	busy   bool
	err    error
}

func newDoctorPage(u *ui) *doctorPage {
	return &doctorPage{u: u, grid: grid.New([]grid.Column{
		{Title: "Check", Min: 14, Max: 20}, {Title: "State", Min: 7, Max: 10}, {Title: "", Min: 20},
	})}
}

func (p *doctorPage) place() string { return "doctor" }
func (p *doctorPage) crumb() string { return p.u.T("doctor") }
func (p *doctorPage) hide()         {}

func (p *doctorPage) show() {
	if !p.known {
		p.look()
	}
}

func (p *doctorPage) contexts() []keymap.Context { return []keymap.Context{keymap.Doctor} }
func (p *doctorPage) hints() []hint {
	return hintsOf("open", "doctor.fix", "doctor.repair", "doctor.copy", "doctor.again")
}

// look makes all checks.
func (p *doctorPage) look() {
	p.asking.run(func(done func()) {
		p.busy = true
		fetch(p.u, func(ctx context.Context) ([]cluster.Check, error) { return p.u.session.Doctor(ctx, false) }, func(list []cluster.Check, err error) {
			p.took(list, err)
			done()
		})
	})
}

func (p *doctorPage) took(list []cluster.Check, err error) {
	p.busy = false
	if p.err = err; err == nil {
		p.known = true
		for i, c := range list {
			for j := range c.Problems {
				cleanProblem(&c.Problems[j])
			}
			p.grid.Set(p.item(i, c))
		}
	}
	p.u.touch()
}

func checkState(s cluster.CheckState) paint.State {
	switch s {
	case cluster.CheckError:
		return paint.StateFail
	case cluster.CheckWarning:
		return paint.StateWarn
	case cluster.CheckOK:
		return paint.StateOK
	}
	return paint.StateOff
}

func (p *doctorPage) item(at int, c cluster.Check) grid.Item {
	u, state, text := p.u, checkState(c.State), paint.Clean(c.Detail)
	role := paint.Dim
	if len(c.Problems) > 0 {
		text, role = u.said(c.Problems[0].Summary), state.Role()
	}
	return grid.Item{
		ID: c.ID, Key: fmt.Sprintf("%02d", at), State: state, Data: c,
		Cells: []string{u.T(c.Title), u.T(string(c.State)), text}, Roles: []paint.Role{paint.Strong, state.Role(), role},
	}
}

func (p *doctorPage) current() (cluster.Check, bool) {
	it, ok := p.grid.Current()
	if !ok {
		return cluster.Check{}, false
	}
	return it.Data.(cluster.Check), true
}

func (p *doctorPage) filterText() string    { return p.grid.Filter() }
func (p *doctorPage) filterPrompt() string  { return "/" }
func (p *doctorPage) setFilter(text string) { p.grid.SetFilter(text); p.u.touch() }
func (p *doctorPage) click(x, y int)        { p.grid.Click(x, y-1) }
func (p *doctorPage) wheel(rows int)        { p.grid.Move(rows) }

func (p *doctorPage) act(id string) bool {
	u := p.u
	switch id {
	case "open":
		p.explain()
	case "doctor.fix":
		p.fix()
	case "doctor.repair":
		p.askRepair()
	case "doctor.again":
		p.look()
	case "doctor.copy":
		c, _ := p.current()
		for _, problem := range c.Problems {
			if line := u.toType(problem.Advice); line != "" {
				u.copy(line)
				return true
			}
		}
		u.toast.say(paint.Dim, u.T("there is nothing to type for it"))
	default:
		return gridAct(u, p.grid, id)
	}
	return true
}

// fix runs what cures a problem of the check under the cursor, after a question.
func (p *doctorPage) fix() {
	u := p.u
	c, _ := p.current()
	for i := range c.Problems {
		f, ok := u.fixOf(&c.Problems[i])
		if !ok {
			continue
		}
		if !u.refuseChange() {
			f.run(func(*undo) {})
		}
		return
	}
	u.toast.say(paint.Warn, u.T("no fix is known for it that can be run from here; %s shows what to type", u.keyIn(u.chain(), "open")))
}

// askRepair repairs what needs no other rights than this process has.
func (p *doctorPage) askRepair() {
	u := p.u
	if u.refuseChange() {
		return
	}
	u.ask(u.T("repair what this user has the rights for?"), []string{
		u.T("folders of clusters that others may look into become private; entries of the kubeconfig that are missing are written; as root, limits of the kernel are raised until this machine restarts"),
		u.T("nothing is installed, started or stopped; then everything is looked at again"),
	}, u.T("Repair"), "", func() {
		title := u.T("repair what this user has the rights for")
		entry := u.record(cluster.Bonsai("doctor").With("--fix").OfNone().Change())
		var list []cluster.Check
		p.busy = true
		u.work(title, func(ctx context.Context, _ func(string)) (err error) {
			list, err = u.session.Doctor(ctx, true)
			return err
		}, func(err error) {
			entry.end(u, err)
			p.took(list, err)
			if err != nil {
				u.explainFailure(title, err)
				return
			}
			fixed := 0
			for _, c := range list {
				fixed += len(c.Fixed)
			}
			if fixed == 0 {
				u.toast.say(paint.Dim, u.T("there was nothing that this user can repair"))
				return
			}
			u.toast.say(paint.OK, u.theme.Glyphs.OK+" "+u.T("%d repaired", fixed))
		})
	})
}

// explain shows the check under the cursor: what was seen, and each problem with its cause and what to type.
func (p *doctorPage) explain() {
	u := p.u
	c, ok := p.current()
	if !ok {
		return
	}
	width := max(20, min(76, u.width-6))
	t := &textBox{u: u, title: u.T(c.Title)}
	add := func(role paint.Role, head, text string) {
		for _, part := range paint.Wrap(paint.Clean(text), width-paint.Width(head)) {
			t.lines = append(t.lines, u.theme.Line(width).Add(paint.Dim, head).Add(role, part).String())
			head = paint.Spaces(paint.Width(head))
		}
	}
	if c.Detail != "" {
		add(paint.Dim, "", c.Detail)
	}
	for _, f := range c.Fixed {
		add(paint.OK, u.theme.Glyphs.OK+" ", f)
	}
	for _, problem := range c.Problems {
		state := paint.StateWarn
		if problem.Severity == cluster.SeverityError {
			state = paint.StateFail
		}
		add(state.Role(), u.theme.Glyph(state, 0)+" ", u.said(problem.Summary))
		if problem.Cause != "" {
			add(paint.Plain, u.T("why")+"  ", u.said(problem.Cause))
		}
		for _, e := range problem.Evidence {
			add(paint.Dim, "   ", paint.CleanLog(e))
		}
		for _, a := range problem.Advice {
			add(paint.Accent, u.theme.Glyphs.Right+" ", u.advice(a))
		}
	}
	if len(t.lines) == 0 {
		add(paint.OK, u.theme.Glyphs.OK+" ", u.T("nothing is wrong"))
	}
	u.open(t)
}

func (p *doctorPage) draw(w, h int) []string {
	u := p.u
	note := u.T("whether this machine is fit for clusters")
	if p.busy {
		u.spinning()
		note = u.glyph(paint.StateBusy) + " " + u.T("looking at this machine")
	}
	l := readList{grid: p.grid, known: p.known, err: p.err, reading: u.T("looking at this machine")}
	return l.draw(u, w, h, u.heading(w, u.T("DOCTOR"), note), func(line *paint.Line) {
		c, _ := p.current()
		for i := range c.Problems {
			if do := u.toType(c.Problems[i].Advice); do != "" {
				line.Add(paint.Dim, u.T("what to do")+"  ").Add(paint.Accent, paint.Clean(do))
				break
			}
		}
	})
}
