//go:build !linux

package server

import (
	"errors"
	"net/netip"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"bonsai/dnsaddon/wire"
)

// batchSize is one: other systems have no system call for several messages. What runs there is asked by one machine only.
const batchSize = 1

// batch is the memory for receiving and answering a message.
type batch struct {
	message [maxQuestion + 1]byte // one more, to see whether it was longer
	len     int
	from    syscall.Sockaddr
	replies [batchSize][wire.UDPSize]byte
	pending int // the length of the reply that has to be sent, 0 if there is none
}

func newBatch() *batch { return new(batch) }

// receive reads the message waiting in the socket, and never waits.
func (b *batch) receive(fd uintptr) (int, syscall.Errno) {
	for {
		n, from, err := syscall.Recvfrom(int(fd), b.message[:], unix.MSG_DONTWAIT)
		if err == nil {
			b.len, b.from = n, from
			return 1, 0
		}
		errno, ok := errors.AsType[syscall.Errno](err)
		if !ok {
			errno = syscall.EIO
		}
		if errno != syscall.EINTR {
			return 0, errno
		}
	}
}

// question is the received message. ok is false if it was longer than maxQuestion.
func (b *batch) question(int) (msg []byte, ok bool) {
	return b.message[:min(b.len, maxQuestion)], b.len <= maxQuestion
}

// source is where the message came from. IPv6 zones are dropped: rules about sources do not use them.
func (b *batch) source(i int) netip.Addr { return b.returnAddress(i).Addr().WithZone("").Unmap() }

// returnAddress is the destination of the reply, for one that is not sent with this batch.
func (b *batch) returnAddress(int) netip.AddrPort {
	switch from := b.from.(type) {
	case *syscall.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(from.Addr), uint16(from.Port))
	case *syscall.SockaddrInet6:
		addr := netip.AddrFrom16(from.Addr)
		if from.ZoneId != 0 {
			addr = addr.WithZone(strconv.Itoa(int(from.ZoneId)))
		}
		return netip.AddrPortFrom(addr, uint16(from.Port))
	}
	return netip.AddrPort{}
}

// reply queues the reply, which is n bytes of replies.
func (b *batch) reply(_, n int) { b.pending = n }

// send sends what is queued and returns how many messages could not be sent. It never waits.
func (b *batch) send(fd uintptr) (lost int) {
	if b.pending > 0 && syscall.Sendto(int(fd), b.replies[0][:b.pending], unix.MSG_DONTWAIT, b.from) != nil {
		lost = 1
	}
	b.pending = 0
	return lost
}
