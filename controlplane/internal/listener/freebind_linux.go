package listener

import "golang.org/x/sys/unix"

// freebind lets a socket be bound to an address that no interface has yet.
func freebind(fd int) error { return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_FREEBIND, 1) }
