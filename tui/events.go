package tui

// eventsPage is written in its own change.
type eventsPage struct {
	blankPage
	u *ui
}

func newEventsPage(u *ui) *eventsPage { return &eventsPage{u: u} }

func (p *eventsPage) crumb() string { return p.u.T("events") }

func (p *eventsPage) draw(w, h int) []string { return fill(nil, w, h) }
