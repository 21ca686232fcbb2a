package server

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxQuestion is the longest question that is read, over UDP or TCP. Real ones, with a full name and every EDNS option in use, stay
// below a thousand bytes.
const maxQuestion = 4096

// reusePort lets several sockets of this process share an address; the kernel distributes the clients among them.
func reusePort(_, _ string, c syscall.RawConn) error {
	var err error
	if e := c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	}); e != nil {
		return e
	}
	return err
}

// growBuffers requests socket buffers that bridge a pause of the scheduler. Whatever the system allows is good enough.
func growBuffers(conn *net.UDPConn) {
	const size = 4 << 20
	_ = conn.SetReadBuffer(size)
	_ = conn.SetWriteBuffer(size)
}
