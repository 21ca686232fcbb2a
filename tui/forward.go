package tui

// askForward asks which port, and forwards it.
func (u *ui) askForward(s *subject) {}
