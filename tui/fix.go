package tui

import "bonsai/bootstrap/cluster"

// fixOf is the command that mends a problem; "" if none is known.
func fixOf(p cluster.Problem) string { return "" }

func runFix(u *ui, list []subject) {}
