//go:build !linux

package docker

// peerPID is unknown elsewhere: the engine runs in a VM there, and no process of this machine has its limits.
func peerPID(int) int { return 0 }
