package announce

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// socket is a Wire: a packet socket of one interface that gets ARP packets only.
type socket struct {
	file *os.File // whose reads end when it is closed: the descriptor does not block
	mac  net.HardwareAddr
	buf  []byte
}

// OpenInterface opens the interface that has an address. The kernel gives such sockets to who has CAP_NET_RAW, as an agent does.
func OpenInterface(address netip.Addr) (Wire, error) {
	i, err := interfaceOf(address)
	if err != nil {
		return nil, err
	}
	const protocol = etherTypeARP>>8 | etherTypeARP&0xff<<8 // in network order
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return nil, fmt.Errorf("open a packet socket: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: protocol, Ifindex: i.Index}); err != nil {
		return nil, errors.Join(fmt.Errorf("use interface %s: %w", i.Name, err), unix.Close(fd))
	}
	return &socket{file: os.NewFile(uintptr(fd), "arp "+i.Name), mac: i.HardwareAddr, buf: make([]byte, 128)}, nil
}

func interfaceOf(address netip.Addr) (*net.Interface, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	for _, i := range all {
		addresses, err := i.Addrs()
		if err != nil {
			continue // it has just gone
		}
		for _, a := range addresses {
			if n, ok := a.(*net.IPNet); ok && n.IP.Equal(address.AsSlice()) && len(i.HardwareAddr) == 6 {
				return &i, nil
			}
		}
	}
	return nil, fmt.Errorf("no interface has the address %s", address)
}

func (s *socket) MAC() net.HardwareAddr { return s.mac }
func (s *socket) Close() error          { return s.file.Close() }

func (s *socket) Receive() (Packet, error) {
	for {
		n, err := s.file.Read(s.buf)
		if err != nil {
			return Packet{}, err
		}
		if p, err := parse(s.buf[:n]); err == nil {
			return p, nil
		}
	}
}

func (s *socket) Send(p Packet) error {
	_, err := s.file.Write(p.frame())
	return err
}
