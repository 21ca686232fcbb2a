//go:build !linux

package look

// synchronized is known on Linux only.
func synchronized() (yes, known bool) { return false, false }
