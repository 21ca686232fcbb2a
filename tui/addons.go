package tui

// addonsPage is written in its own change.
type addonsPage struct {
	blankPage
	u *ui
}

func newAddonsPage(u *ui) *addonsPage { return &addonsPage{u: u} }

func (p *addonsPage) crumb() string { return p.u.T("addons") }

func (p *addonsPage) draw(w, h int) []string { return fill(nil, w, h) }
