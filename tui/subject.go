package tui

// openSubject opens an object: its summary, or the tab of that name ("describe", "yaml", "birth", "events").
func (u *ui) openSubject(s *subject, tab string) {}

// openOwner goes to what controls an object.
func (u *ui) openOwner(s *subject) {}

// openLogs shows the logs of objects, merged.
func (u *ui) openLogs(list []subject, previous bool) {}
