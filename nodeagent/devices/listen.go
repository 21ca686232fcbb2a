package devices

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// kernelEvents is the multicast group of the kernel's own announcements; the other is udev's.
const kernelEvents = 1

// eventSize is the largest event: the kernel's buffer for one, and its header.
const eventSize = 8 << 10

// listener receives the kernel's announcements of devices.
type listener struct {
	file   *os.File
	buffer [eventSize]byte
}

func listen() (*listener, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return nil, fmt.Errorf("open a socket: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: kernelEvents}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("subscribe: %w", err)
	}
	return &listener{file: os.NewFile(uintptr(fd), "uevents")}, nil // non-blocking: Close ends a waiting next
}

func (l *listener) Close() { l.file.Close() }

// next blocks until the kernel announces something.
func (l *listener) next() (event, error) {
	conn, err := l.file.SyscallConn()
	if err != nil {
		return nil, err
	}
	for {
		var n int
		var from unix.Sockaddr
		var failed error
		if err := conn.Read(func(fd uintptr) bool {
			n, from, failed = unix.Recvfrom(int(fd), l.buffer[:], 0)
			return failed != unix.EAGAIN && failed != unix.EINTR
		}); err != nil {
			return nil, err
		}
		if failed != nil {
			return nil, failed
		}
		// A process of the same network, such as a pod with hostNetwork, may send messages too.
		if sender, ok := from.(*unix.SockaddrNetlink); !ok || sender.Pid != 0 {
			continue
		}
		return parse(string(l.buffer[:n]), "\x00"), nil
	}
}
