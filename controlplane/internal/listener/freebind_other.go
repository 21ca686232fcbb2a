//go:build !linux

package listener

// freebind does nothing elsewhere: the engine runs in a VM there, and no bridge address is on this host.
func freebind(int) error { return nil }
