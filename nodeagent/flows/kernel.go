package flows

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// eventBuffer is what the kernel may keep of reports that were not read yet: about 5,000.
	eventBuffer = 2 << 20
	// readBuffer is the most that the kernel puts into one read of a dump (netlink_dump in net/netlink/af_netlink.c). With less,
	// a dump needs more of them.
	readBuffer = 32 << 10
	// dumpLimit bounds the reading of all connections.
	dumpLimit = 20 * time.Second
)

// kernel reads the connections that the kernel tracks in this network namespace. Its sockets are used with a buffer each that
// is kept: what a library does for every message costs more than the rest of a dump.
type kernel struct {
	dumps, events *os.File
	buffer        []byte // of dumps
	sequence      uint32 // of the last dump
}

// accounting has the kernel count bytes, of connections that begin afterwards. The node's preparation sets it; here it is set
// again for a kernel that has loaded connection tracking since.
const accounting = "/proc/sys/net/netfilter/nf_conntrack_acct"

// open connects. From then on the kernel reports connections that end; it does not otherwise. The caller closes it.
func open() (*kernel, error) {
	dumps, err := socket(0)
	if err != nil {
		return nil, err
	}
	_ = os.WriteFile(accounting, []byte("1"), 0) // without it a sample says that nothing is counted
	events, err := socket(1 << (unix.NFNLGRP_CONNTRACK_DESTROY - 1))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("ask the kernel to report connections that end: %w", err), dumps.Close())
	}
	return &kernel{dumps: dumps, events: events, buffer: make([]byte, readBuffer)}, nil
}

// socket returns a netlink socket of netfilter that gets what the kernel sends to groups, a set of bits.
func socket(groups uint32) (_ *os.File, err error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	if groups != 0 && unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, eventBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, eventBuffer) // less is enough for most
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		return nil, errors.Join(fmt.Errorf("open netlink: %w", err), unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), "netlink"), nil
}

func (k *kernel) close() error { return errors.Join(k.dumps.Close(), k.events.Close()) }

// dump calls each with all connections over IPv4, which is what clusters have. After an error it is of no use any more.
func (k *kernel) dump(each func(entry)) error {
	if err := k.dumps.SetDeadline(time.Now().Add(dumpLimit)); err != nil {
		return err
	}
	k.sequence++
	request := binary.NativeEndian.AppendUint32(nil, unix.NLMSG_HDRLEN+headerLength)
	request = binary.NativeEndian.AppendUint16(request, msgGet)
	request = binary.NativeEndian.AppendUint16(request, unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	request = binary.NativeEndian.AppendUint32(request, k.sequence)
	request = append(request, 0, 0, 0, 0)                            // to the kernel
	request = append(request, unix.AF_INET, unix.NFNETLINK_V0, 0, 0) // nfgenmsg
	if _, err := k.dumps.Write(request); err != nil {
		return fmt.Errorf("ask for the kernel's connections: %w", err)
	}
	for done := false; !done; {
		n, err := k.dumps.Read(k.buffer)
		if err != nil {
			return fmt.Errorf("read the kernel's connections: %w", err)
		}
		done, err = messages(k.buffer[:n], func(kind uint16, data []byte) {
			if kind == msgNew {
				if e, ok := decode(data); ok {
					each(e)
				}
			}
		})
		if err != nil {
			return fmt.Errorf("read the kernel's connections: %w", err)
		}
	}
	return nil
}

// ended calls each with every connection that ends, and lost when some were missed, until ctx ends.
func (k *kernel) ended(ctx context.Context, each func(entry), lost func()) error {
	stop := context.AfterFunc(ctx, func() { _ = k.events.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	buffer := make([]byte, readBuffer)
	for {
		n, err := k.events.Read(buffer)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.ENOBUFS):
			lost()
			continue
		case err != nil:
			return fmt.Errorf("read which connections end: %w", err)
		}
		if _, err := messages(buffer[:n], func(kind uint16, data []byte) {
			if kind == msgDelete {
				if e, ok := decode(data); ok {
					each(e)
				}
			}
		}); err != nil {
			return fmt.Errorf("read which connections end: %w", err)
		}
	}
}
