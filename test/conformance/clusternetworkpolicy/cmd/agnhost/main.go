// Command agnhost stands in front of upstream's agnhost in the image of this suite, as /agnhost and as /bin/bash, so that the image needs
// nothing else. Upstream's program is /agnhost-upstream.
//
// Where the kernel has no SCTP, it exchanges the first two packets of an association by raw sockets: an INIT and its INIT ACK. That is all
// that policies judge, and it passes the same way through the kernels of nodes.
package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const upstream = "/agnhost-upstream"

func main() {
	if err := run(filepath.Base(os.Args[0]), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run is what is asked for: "bash -c COMMAND" without any quotes, or a command of agnhost.
func run(name string, args []string) error {
	if name == "bash" {
		if len(args) != 2 || args[0] != "-c" {
			return fmt.Errorf("this is not a shell: it understands only -c COMMAND, not %q", args)
		}
		if args = strings.Fields(args[1]); len(args) == 0 || args[0] != "/agnhost" {
			return fmt.Errorf("this is not a shell: it runs only /agnhost, not %q", args)
		}
		args = args[1:]
	}
	if len(args) > 0 && !hasSCTP() {
		switch {
		case args[0] == "porter":
			for _, variable := range os.Environ() {
				if port, ok := strings.CutPrefix(variable, "SERVE_SCTP_PORT_"); ok {
					port, _, _ = strings.Cut(port, "=")
					return serve(port)
				}
			}
		case args[0] == "connect" && strings.Contains(strings.Join(args, " "), "--protocol=sctp"):
			limit := 3 * time.Second
			for _, a := range args {
				if text, ok := strings.CutPrefix(a, "--timeout="); ok {
					if d, err := time.ParseDuration(text); err == nil {
						limit = d
					}
				}
			}
			return connect(args[len(args)-1], limit)
		}
	}
	return unix.Exec(upstream, append([]string{upstream}, args...), os.Environ())
}

func hasSCTP() bool {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_SCTP)
	if err != nil {
		return false
	}
	_ = unix.Close(fd)
	return true
}

const (
	ipHeader, header = 20, 12 // bytes; the header of IP has no options
	chunkInit        = 1
	chunkInitAck     = 2
)

// packet is an INIT or INIT ACK; tag is that of the other end, 0 if it is not known yet.
func packet(from, to uint16, tag uint32, chunk byte, own uint32) []byte {
	b := binary.BigEndian.AppendUint16(nil, from)
	b = binary.BigEndian.AppendUint16(b, to)
	b = binary.BigEndian.AppendUint32(b, tag)
	b = append(b, 0, 0, 0, 0) // checksum
	b = append(b, chunk, 0, 0, 20)
	b = binary.BigEndian.AppendUint32(b, own)
	b = append(b, 0, 1, 0, 0 /* window */, 0, 1, 0, 1 /* streams */, 0, 0, 0, 1 /* number */)
	binary.LittleEndian.PutUint32(b[8:], crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// parsed is what is read of a packet that begins with its header of IP.
func parsed(b []byte) (from [4]byte, source, dest uint16, chunk byte, own uint32, ok bool) {
	if len(b) < ipHeader+header+8 {
		return from, 0, 0, 0, 0, false
	}
	copy(from[:], b[12:16])
	s := b[ipHeader:]
	return from, binary.BigEndian.Uint16(s), binary.BigEndian.Uint16(s[2:]), s[header], binary.BigEndian.Uint32(s[header+4:]), true
}

func raw() (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_SCTP)
	if err != nil {
		return -1, fmt.Errorf("OTHER: open a raw socket: %w", err)
	}
	return fd, nil
}

// serve answers each INIT for a port.
func serve(port string) error {
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return fmt.Errorf("%q is not a port: %w", port, err)
	}
	fd, err := raw()
	if err != nil {
		return err
	}
	for b := make([]byte, 2048); ; {
		n, _, err := unix.Recvfrom(fd, b, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("receive: %w", err)
		}
		from, source, dest, chunk, own, ok := parsed(b[:n])
		if !ok || dest != uint16(number) || chunk != chunkInit {
			continue
		}
		_ = unix.Sendto(fd, packet(dest, source, own, chunkInitAck, rand.Uint32()), 0, &unix.SockaddrInet4{Addr: from})
	}
}

// connect sends an INIT until it is answered. The errors are in agnhost's words.
func connect(to string, limit time.Duration) error {
	host, port, err := net.SplitHostPort(to)
	if err != nil {
		return fmt.Errorf("UNKNOWN: %w", err)
	}
	address := net.ParseIP(host).To4()
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || address == nil {
		return fmt.Errorf("UNKNOWN: %s is not an IPv4 address with a port", to)
	}
	fd, err := raw()
	if err != nil {
		return err
	}
	again := unix.NsecToTimeval((500 * time.Millisecond).Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &again); err != nil {
		return fmt.Errorf("OTHER: %w", err)
	}
	own := uint16(32768 + rand.IntN(28000))
	first := packet(own, uint16(number), 0, chunkInit, rand.Uint32())
	send := func() { _ = unix.Sendto(fd, first, 0, &unix.SockaddrInet4{Addr: [4]byte(address)}) }
	send()
	for b, end := make([]byte, 2048), time.Now().Add(limit); time.Now().Before(end); {
		n, _, err := unix.Recvfrom(fd, b, 0)
		if err != nil { // nothing for a while
			send()
			continue
		}
		if _, source, dest, chunk, _, ok := parsed(b[:n]); ok && source == uint16(number) && dest == own && chunk == chunkInitAck {
			return nil
		}
	}
	return errors.New("TIMEOUT")
}
