package tui

// controlPage is written in its own change.
type controlPage struct {
	blankPage
	u *ui
}

func newControlPage(u *ui) *controlPage { return &controlPage{u: u} }

func (p *controlPage) crumb() string { return p.u.T("control") }

func (p *controlPage) draw(w, h int) []string { return fill(nil, w, h) }
