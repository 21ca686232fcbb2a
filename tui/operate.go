package tui

// operations are the verbs of the command line that change the cluster, for the palette.
func (u *ui) operations() []choice { return nil }

// confirmStop asks, and stops the cluster.
func (u *ui) confirmStop() {}
