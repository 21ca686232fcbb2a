package tui

// portsPage is written in its own change.
type portsPage struct {
	blankPage
	u *ui
}

func newPortsPage(u *ui) *portsPage { return &portsPage{u: u} }

func (p *portsPage) crumb() string { return p.u.T("ports") }

func (p *portsPage) draw(w, h int) []string { return fill(nil, w, h) }
