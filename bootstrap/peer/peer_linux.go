package peer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// sockID is struct inet_diag_sockid of linux/inet_diag.h; ports and addresses are in the order of the network.
type sockID struct {
	sport, dport uint16
	src, dst     netip.Addr
}

const (
	requestSize = 56 // struct inet_diag_req_v2
	answerSize  = 72 // struct inet_diag_msg
	noCookie    = ^uint32(0)
)

// request is struct inet_diag_req_v2 of one socket.
type request struct {
	family uint8
	id     sockID
}

// Len implements nl.NetlinkRequestData.
func (request) Len() int { return requestSize }

// Serialize implements nl.NetlinkRequestData.
func (r request) Serialize() []byte {
	b := make([]byte, 0, requestSize)
	b = append(b, r.family, unix.IPPROTO_TCP, 0, 0)
	b = binary.NativeEndian.AppendUint32(b, ^uint32(0)) // any state
	b = binary.BigEndian.AppendUint16(b, r.id.sport)
	b = binary.BigEndian.AppendUint16(b, r.id.dport)
	for _, a := range []netip.Addr{r.id.src, r.id.dst} {
		var raw [16]byte
		copy(raw[:], a.AsSlice())
		b = append(b, raw[:]...)
	}
	b = binary.NativeEndian.AppendUint32(b, 0) // any interface
	b = binary.NativeEndian.AppendUint32(b, noCookie)
	return binary.NativeEndian.AppendUint32(b, noCookie)
}

// userOf asks the kernel for the socket that is bound to local and connected to remote, and returns its user. It asks for this
// one, by both addresses: netlink.SocketGet compares ports only.
func userOf(local, remote netip.AddrPort) (uid uint32, err error) {
	r := request{family: unix.AF_INET, id: sockID{sport: local.Port(), dport: remote.Port(), src: local.Addr(), dst: remote.Addr()}}
	if local.Addr().Is6() {
		r.family = unix.AF_INET6
	}
	req := nl.NewNetlinkRequest(nl.SOCK_DIAG_BY_FAMILY, 0)
	req.AddData(r)
	answers, err := req.Execute(unix.NETLINK_INET_DIAG, nl.SOCK_DIAG_BY_FAMILY)
	if errors.Is(err, syscall.ENOENT) && !diagnoses(r.family) {
		err = errors.New("this kernel has no tcp_diag")
	}
	if errors.Is(err, fs.ErrNotExist) {
		return 0, errNoSocket
	}
	if err != nil {
		return 0, err
	}
	if len(answers) != 1 || len(answers[0]) < answerSize {
		return 0, fmt.Errorf("the kernel gives %d answers of an unknown form", len(answers))
	}
	return readAnswer(answers[0], r.id)
}

// diagnoses says whether the kernel can list sockets at all: if it cannot, the error is that of a socket that does not exist.
func diagnoses(family uint8) bool {
	req := nl.NewNetlinkRequest(nl.SOCK_DIAG_BY_FAMILY, unix.NLM_F_DUMP)
	req.AddData(request{family: family, id: sockID{sport: 1, dport: 1}}) // of these ports there is none
	_, err := req.Execute(unix.NETLINK_INET_DIAG, nl.SOCK_DIAG_BY_FAMILY)
	return err == nil
}

// readAnswer is the user in a struct inet_diag_msg, if that is of the socket id, and a process has it.
func readAnswer(b []byte, id sockID) (uid uint32, err error) {
	family, size := b[0], 4
	if family == unix.AF_INET6 {
		size = 16
	}
	addr := func(at int) netip.Addr {
		a, _ := netip.AddrFromSlice(b[at : at+size])
		return a.Unmap() // a socket of IPv6 may be connected by IPv4
	}
	got := sockID{sport: binary.BigEndian.Uint16(b[4:]), dport: binary.BigEndian.Uint16(b[6:]), src: addr(8), dst: addr(24)}
	if got != id { // a listener, for example: no socket is connected any more
		return 0, errNoSocket
	}
	// A socket that its process has closed has no inode. Older kernels say that it is root's.
	if inode := binary.NativeEndian.Uint32(b[68:]); inode == 0 {
		return 0, errNoSocket
	}
	return binary.NativeEndian.Uint32(b[64:]), nil
}
