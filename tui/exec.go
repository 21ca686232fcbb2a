package tui

// openShell gives the terminal to a shell in a pod or node.
func (u *ui) openShell(s *subject) {}

// edit gives the terminal to the user's editor with an object's YAML, and replaces the object by what comes back.
func (u *ui) edit(s *subject) {}
