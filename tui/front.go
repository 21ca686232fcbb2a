package tui

import (
	"bonsai/bootstrap/cluster"
	"bonsai/tui/keymap"
)

// frontPage is the first page of the overview's screen: the overview, or the start view in its place where there is
// nothing to look at but a start, or an operation to show.
type frontPage struct {
	u        *ui
	overview page
	start    *startPage
	shown    page
}

func newFrontPage(u *ui, overview page) *frontPage {
	f := &frontPage{u: u, overview: overview, start: newStartPage(u), shown: overview}
	u.state.Listen(f.choose)
	return f
}

func (f *frontPage) front() page            { return f.shown }
func (f *frontPage) show()                  { f.shown.show() }
func (f *frontPage) hide()                  { f.shown.hide() }
func (f *frontPage) crumb() string          { return f.shown.crumb() }
func (f *frontPage) act(id string) bool     { return f.shown.act(id) }
func (f *frontPage) hints() []hint          { return f.shown.hints() }
func (f *frontPage) draw(w, h int) []string { return f.shown.draw(w, h) }

func (f *frontPage) contexts() []keymap.Context { return f.shown.contexts() }

func (f *frontPage) sized() {
	if p, ok := f.shown.(sizer); ok {
		p.sized()
	}
}

func (f *frontPage) click(x, y int) {
	if p, ok := f.shown.(pointer); ok {
		p.click(x, y)
	}
}

func (f *frontPage) wheel(rows int) {
	if p, ok := f.shown.(pointer); ok {
		p.wheel(rows)
	}
}

func (f *frontPage) namespaceChanged() {
	if p, ok := f.overview.(interface{ namespaceChanged() }); ok {
		p.namespaceChanged()
	}
}

// choose decides again which of them is shown.
func (f *frontPage) choose() {
	u := f.u
	if o := u.operation; o != nil && u.settled(o) {
		u.operation = nil
	}
	var want page = f.overview
	if u.operation != nil || u.state.Absent() || u.state.Known && u.state.Snapshot.Phase == cluster.PhaseStarting {
		want = f.start
	}
	if want == f.shown {
		return
	}
	s := u.screens[u.current]
	visible := s.pages[len(s.pages)-1] == page(f)
	if visible {
		f.shown.hide()
	}
	f.shown = want
	if visible {
		want.show()
	}
	u.touch()
}

// frontChanged must be called when the newest operation began, ended or was seen.
func (u *ui) frontChanged() {
	for _, s := range u.screens {
		if f, ok := s.pages[0].(*frontPage); ok {
			f.choose()
		}
	}
	u.touch()
}
