// Package listening finds out on which ports the programs of a pod listen. It reads the kernel's tables of sockets in the
// pod's network namespace, on request only, and sends nothing.
package listening

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"bonsai/bootstrap/cluster"
)

const (
	// maxLines and maxPorts limit what is read of a table, and what is answered. The table of TCP begins with the sockets
	// that listen, so that busy pods do not reach the first of them.
	maxLines = 4096
	maxPorts = 256
	// maxProcesses is how many processes are tried: all of a pod share its network, but each may just be ending.
	maxProcesses = 16
)

// ErrUID reports that a text cannot be the UID of a pod.
var ErrUID = errors.New("not the UID of a pod")

// Pods of the API have such a UID, static pods a hash.
var uidFormat = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$|^[0-9a-f]{32}$`)

// Reader reads the tables. It keeps nothing and is safe for concurrent use.
type Reader struct {
	// Proc is the folder of processes ("/proc").
	Proc string
	// Processes returns processes of a pod, none if it is not on this node.
	Processes func(uid string) ([]int, error)
}

// Pod returns the ports on which the programs of a pod listen, in order. A pod in its node's network has those of the
// node. That a pod has no process is an error.
func (r Reader) Pod(uid string) ([]cluster.Listening, error) {
	if !uidFormat.MatchString(uid) {
		return nil, fmt.Errorf("%q: %w", uid, ErrUID)
	}
	pids, err := r.Processes(uid)
	if err != nil {
		return nil, err
	}
	for _, pid := range pids[:min(len(pids), maxProcesses)] {
		list, err := tables(filepath.Join(r.Proc, strconv.Itoa(pid), "net"))
		// A process that has ended, or is about to.
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) || errors.Is(err, syscall.EINVAL) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read the sockets of pod %s: %w", uid, err)
		}
		return list, nil
	}
	return nil, fmt.Errorf("pod %s has no process on this node", uid)
}

// tables reads all tables of a network namespace.
func tables(dir string) ([]cluster.Listening, error) {
	list := []cluster.Listening{}
	for _, t := range []struct {
		file, protocol string
		required       bool // a kernel may be without IPv6
	}{{"tcp", "TCP", true}, {"tcp6", "TCP", false}, {"udp", "UDP", true}, {"udp6", "UDP", false}} {
		f, err := os.Open(filepath.Join(dir, t.file))
		if err != nil {
			if !t.required && errors.Is(err, fs.ErrNotExist) {
				continue
			}
			return nil, err
		}
		list, err = read(f, t.protocol, list)
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(list, func(a, b cluster.Listening) int {
		return cmp.Or(cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Port, b.Port))
	})
	return list, nil
}

// The states of sockets in the tables (include/net/tcp_states.h). A UDP socket is closed until it has one peer.
const (
	listens = "0A"
	closed  = "07"
)

// read adds the ports of one table, whose lines begin like this (Documentation/networking/proc_net_tcp.rst):
//
//	sl  local_address rem_address   st ...
//	 0: 0100007F:1F90 00000000:0000 0A ...
func read(r io.Reader, protocol string, list []cluster.Listening) ([]cluster.Listening, error) {
	lines := bufio.NewScanner(r)
	for n := 0; lines.Scan() && n < maxLines && len(list) < maxPorts; n++ {
		fields := strings.Fields(lines.Text())
		if n == 0 || len(fields) < 4 {
			continue
		}
		switch state := fields[3]; {
		case protocol == "TCP" && state != listens:
			return list, nil // those that listen come first
		case protocol == "UDP" && state != closed:
			continue
		}
		address, port, ok := local(fields[1])
		if !ok || port == 0 {
			continue
		}
		one := cluster.Listening{Protocol: protocol, Port: port, Inside: address.IsLoopback()}
		i := slices.IndexFunc(list, func(l cluster.Listening) bool { return l.Protocol == protocol && l.Port == port })
		if i < 0 {
			list = append(list, one)
		} else if !one.Inside {
			list[i].Inside = false
		}
	}
	return list, lines.Err()
}

// local parses "0100007F:1F90". The kernel writes an address as numbers of 32 bits, each in the machine's byte order, and
// a port as a number.
func local(text string) (address netip.Addr, port uint16, ok bool) {
	words, digits, _ := strings.Cut(text, ":")
	var raw []byte
	for ; len(words) >= 8; words = words[8:] {
		word, err := strconv.ParseUint(words[:8], 16, 32)
		if err != nil {
			return address, 0, false
		}
		raw = binary.NativeEndian.AppendUint32(raw, uint32(word))
	}
	n, err := strconv.ParseUint(digits, 16, 16)
	address, ok = netip.AddrFromSlice(raw)
	return address.Unmap(), uint16(n), ok && err == nil && words == ""
}
