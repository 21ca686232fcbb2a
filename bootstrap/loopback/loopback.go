// Package loopback listens on the loopback addresses of this machine, of IPv4 and IPv6 at the same port. Browsers try both, and
// must not reach another program at one of them.
package loopback

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
)

// freeTries is how often a free port is looked for: one that is free for IPv4 may be taken for IPv6.
const freeTries = 5

// Ports returns ports to try, in order, for Listen; 0 is any. The ones wanted come first, each once and without those that are 0 or
// taken.
func Ports(wanted, taken []int) []int {
	var list []int
	for _, p := range wanted {
		if p != 0 && !slices.Contains(list, p) && !slices.Contains(taken, p) {
			list = append(list, p)
		}
	}
	return append(list, make([]int, freeTries)...)
}

// Reason is the last cause of an error of Listen, for a line.
func Reason(err error) string {
	lines := strings.Split(err.Error(), "\n")
	return lines[len(lines)-1]
}

// Listen listens at the first of the ports at which that is possible; 0 is any that is free. A free one may be taken for IPv6,
// so callers list 0 several times (Ports). The caller closes the listeners.
func Listen(ports []int) (_ []net.Listener, port int, err error) {
	var errs []error
	for _, p := range ports {
		list, port, err := listenAt(p)
		if err == nil {
			return list, port, nil
		}
		errs = append(errs, err)
	}
	return nil, 0, fmt.Errorf("no port is free: %w", errors.Join(errs...))
}

func listenAt(port int) (_ []net.Listener, _ int, err error) {
	four, err := listen("tcp4", netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)
	if err != nil {
		return nil, 0, err
	}
	port = four.Addr().(*net.TCPAddr).Port
	six, err := listen("tcp6", netip.IPv6Loopback(), port)
	switch {
	case err == nil:
		return []net.Listener{four, six}, port, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, 0, errors.Join(err, four.Close())
	}
	return []net.Listener{four}, port, nil // no IPv6 here
}

func listen(network string, addr netip.Addr, port int) (net.Listener, error) {
	return net.ListenTCP(network, net.TCPAddrFromAddrPort(netip.AddrPortFrom(addr, uint16(port))))
}
