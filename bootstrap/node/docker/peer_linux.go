package docker

import "golang.org/x/sys/unix"

// peerPID is the process at the other end of a unix socket when it began to listen (unix(7), SO_PEERCRED); 0 if unknown.
func peerPID(fd int) int {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return 0
	}
	return int(cred.Pid)
}
