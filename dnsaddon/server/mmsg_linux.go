package server

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"bonsai/dnsaddon/wire"
)

const (
	// batchSize is the maximum number of messages per system call. Eight would already save half of the cost.
	batchSize = 32
)

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
	_   [unsafe.Sizeof(uintptr(0)) - 4]byte
}

// batch is the memory for receiving and answering up to batchSize messages at once. The arrays contain pointers into
// each other, so a batch must not be copied.
type batch struct {
	in, out       [batchSize]mmsghdr
	inVec, outVec [batchSize]unix.Iovec
	names         [batchSize]unix.RawSockaddrInet6 // large enough for both families
	questions     [batchSize][maxQuestion]byte
	replies       [batchSize][wire.UDPSize]byte
	// queued is how many of out have to be sent.
	queued int
}

func newBatch() *batch {
	b := new(batch)
	for i := range batchSize {
		b.inVec[i].Base = &b.questions[i][0]
		b.inVec[i].SetLen(maxQuestion)
		b.in[i].hdr.Name = (*byte)(unsafe.Pointer(&b.names[i]))
		b.in[i].hdr.Iov = &b.inVec[i]
		b.in[i].hdr.SetIovlen(1)
		b.out[i].hdr.Iov = &b.outVec[i]
		b.out[i].hdr.SetIovlen(1)
	}
	return b
}

// receive reads the messages waiting in the socket; fewer than batchSize means that it read all of them. It never
// waits.
//
// It uses a raw system call, which the Go scheduler does not see. That is correct for calls that do not block: this one
// copies at most 128 KiB. Measured on two cores, the scheduler's bookkeeping costs a fifth of the throughput, and half
// of the processor's time at 20,000 questions a second.
func (b *batch) receive(fd uintptr) (int, syscall.Errno) {
	for i := range batchSize {
		b.in[i].hdr.Namelen = uint32(unsafe.Sizeof(b.names[i]))
	}
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&b.in)), batchSize,
			unix.MSG_DONTWAIT, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		return int(n), errno
	}
}

// question is received message i. ok is false if it was longer than maxQuestion.
func (b *batch) question(i int) (msg []byte, ok bool) {
	return b.questions[i][:b.in[i].len], b.in[i].hdr.Flags&unix.MSG_TRUNC == 0
}

// source is where message i came from. IPv6 zones are dropped: rules about sources do not use them.
func (b *batch) source(i int) netip.Addr {
	if b.names[i].Family == unix.AF_INET {
		return netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(&b.names[i])).Addr)
	}
	return netip.AddrFrom16(b.names[i].Addr).Unmap()
}

// returnAddress is the destination of the reply to message i, for replies that are not sent with this batch.
func (b *batch) returnAddress(i int) netip.AddrPort {
	// The port is in the same place in both families, in network order.
	port := binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&b.names[i].Port))[:])
	if b.names[i].Family == unix.AF_INET {
		return netip.AddrPortFrom(b.source(i), port)
	}
	addr := netip.AddrFrom16(b.names[i].Addr)
	if scope := b.names[i].Scope_id; scope != 0 {
		addr = addr.WithZone(strconv.Itoa(int(scope)))
	}
	return netip.AddrPortFrom(addr, port)
}

// reply queues the reply to message i, which is n bytes of replies[i].
func (b *batch) reply(i, n int) {
	out := &b.out[b.queued]
	out.hdr.Name, out.hdr.Namelen = b.in[i].hdr.Name, b.in[i].hdr.Namelen
	b.outVec[b.queued].Base = &b.replies[i][0]
	b.outVec[b.queued].SetLen(n)
	b.queued++
}

// send sends what is queued and returns how many messages could not be sent. It never waits: a reply that finds the
// send buffer full is lost, as any datagram may be.
func (b *batch) send(fd uintptr) (lost int) {
	for next := 0; next < b.queued; {
		n, _, errno := syscall.RawSyscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&b.out[next])),
			uintptr(b.queued-next), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			next += int(n)
		case unix.EINTR:
		default: // about the first message only
			lost++
			next++
		}
	}
	b.queued = 0
	return lost
}
