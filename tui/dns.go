package tui

// dnsPage is written in its own change.
type dnsPage struct {
	blankPage
	u *ui
}

func newDNSPage(u *ui) *dnsPage { return &dnsPage{u: u} }

func (p *dnsPage) crumb() string { return p.u.T("dns") }

func (p *dnsPage) draw(w, h int) []string { return fill(nil, w, h) }
