// Package background keeps every command of bonsai from asking the terminal for its colours.
//
// Bubble Tea v1 asks for the background when it is initialised (its tea_init.go), in every program that links it:
// "bonsai version" would write an escape sequence, and wait for up to five seconds where no terminal answers it. The
// question is not asked once lipgloss has been given an answer. Packages that depend on nothing uninitialised are
// initialised in the order of their import paths (Go 1.21), so this one, which needs lipgloss only, comes before
// github.com/charmbracelet/bubbletea. A test of the executable in a terminal that never answers proves it.
//
// The answer does not matter: themes of bonsai do not depend on it.
package background

import "github.com/charmbracelet/lipgloss"

// This variable is initialised for the side effect, which has to happen before main.
var _ = answer()

func answer() bool {
	lipgloss.SetHasDarkBackground(true)
	return true
}
