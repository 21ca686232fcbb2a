// Package peer says which user of this machine is at the other end of a connection over loopback. A listener on loopback is open
// to all of them; by this it serves only those that it is meant for.
package peer

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
)

// errNoSocket is why nobody is known at the other end: it has closed its socket, or is not on this machine.
var errNoSocket = errors.New("no process has the socket at the other end")

// MayUse returns nil if the process at the other end of a TCP connection runs as the same user as this one, or as root. The
// error says what it is instead. It takes no time to speak of, and does not block.
func MayUse(c net.Conn) error {
	theirs, err := addrPort(c.RemoteAddr())
	if err != nil {
		return err
	}
	ours, err := addrPort(c.LocalAddr())
	if err != nil {
		return err
	}
	if !theirs.Addr().IsLoopback() {
		return fmt.Errorf("%s is not this machine", theirs.Addr())
	}
	uid, err := userOf(theirs, ours)
	if err != nil {
		return fmt.Errorf("find out who has the connection from %s: %w", theirs, err)
	}
	if uid != 0 && uid != uint32(os.Geteuid()) {
		return fmt.Errorf("it belongs to the user with ID %d, and this request comes from the one with ID %d", os.Geteuid(), uid)
	}
	return nil
}

func addrPort(a net.Addr) (netip.AddrPort, error) {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}, fmt.Errorf("%s is not an address of TCP", a)
	}
	p := tcp.AddrPort()
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port()), nil
}
