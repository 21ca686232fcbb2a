// Package background keeps every command of bonsai from asking the terminal for its colours.
//
// Bubble Tea v1 asks for the background when it is initialised (its tea_init.go), in whatever program it is linked into:
// "bonsai version" would write an escape sequence, and wait for up to five seconds where no terminal answers it. The
// question is not asked once lipgloss has been told the answer. Packages that depend on nothing uninitialised are
// initialised in the order of their import paths (Go 1.21), so this one, which needs lipgloss only, comes before
// github.com/charmbracelet/bubbletea. A test of the executable in a terminal that never answers proves it.
//
// The answer does not matter: themes of bonsai do not depend on it.
package background

import "github.com/charmbracelet/lipgloss"

// told is initialised for what that does; it has to happen before main.
var told = tell()

func tell() bool {
	lipgloss.SetHasDarkBackground(true)
	return true
}

// Told says that it was done.
func Told() bool { return told }
