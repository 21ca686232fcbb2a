package tui

// overviewPage is written in its own change.
type overviewPage struct {
	blankPage
	u *ui
}

func newOverviewPage(u *ui) *overviewPage { return &overviewPage{u: u} }

func (p *overviewPage) crumb() string { return p.u.T("overview") }

func (p *overviewPage) draw(w, h int) []string { return fill(nil, w, h) }
