package tui

// logsPage is written in its own change.
type logsPage struct {
	blankPage
	u *ui
}

func newLogsPage(u *ui) *logsPage { return &logsPage{u: u} }

func (p *logsPage) crumb() string { return p.u.T("logs") }

func (p *logsPage) draw(w, h int) []string { return fill(nil, w, h) }
