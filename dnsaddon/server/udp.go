package server

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// socketPause is the pause after an error of a socket.
const socketPause = 50 * time.Millisecond

// reader reads the questions of one UDP socket.
type reader struct {
	quick
	conn   *net.UDPConn
	counts *counters
	batch  *batch
	// now is when the messages in batch were received.
	now time.Time
	// events are the answers in batch.
	events []event
}

func newReader(l *listener, conn *net.UDPConn, counts *counters) *reader {
	return &reader{
		quick: quick{listener: l}, conn: conn, counts: counts,
		batch: newBatch(), events: make([]event, 0, batchSize),
	}
}

// run answers until the socket's read deadline is set or it is closed. On return nothing of its own is left; questions
// that it passed to the slow path end with the pool.
func (r *reader) run(ctx context.Context) {
	raw, err := r.conn.SyscallConn()
	if err != nil {
		r.listener.server.opts.Log.Error("read from DNS socket", "address", r.listener.addr, "err", err)
		return
	}
	log := r.listener.server.opts.Log
	for failed := false; ; failed = true {
		err := r.readAll(ctx, raw)
		if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, net.ErrClosed) {
			return
		}
		// The kernel has reported an error of the socket, not of a datagram. The next datagram may well be read.
		if !failed {
			log.Warn("read from DNS socket; trying again", "address", r.listener.addr, "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(socketPause):
		}
	}
}

// readAll answers until the socket cannot be polled any more, and returns why.
func (r *reader) readAll(ctx context.Context, raw syscall.RawConn) error {
	// The callback returns false to wait for the next datagram. A receive that filled less than the batch has emptied
	// the socket, and datagrams that have arrived since wake us up again: polling is edge-triggered, and the edge is
	// not lost while the callback runs.
	return raw.Read(func(fd uintptr) bool {
		for {
			n, errno := r.batch.receive(fd)
			if errno != 0 && errno != unix.EAGAIN {
				n, errno = r.batch.receive(fd) // the kernel reports an error once, and may have datagrams all the same
			}
			if errno != 0 {
				return false
			}
			r.answerAll(ctx, n)
			r.listener.drops.add(dropFull, r.batch.send(fd))
			if len(r.events) > 0 {
				r.counts.add(time.Since(r.now), r.events...)
			}
			if n < batchSize {
				return false
			}
			// A socket that is never empty must not starve the other goroutines until the scheduler preempts this one.
			runtime.Gosched()
		}
	})
}

// answerAll answers the n received messages or passes them on.
func (r *reader) answerAll(ctx context.Context, n int) {
	r.now = time.Now()
	r.events = r.events[:0]
	for i := range n {
		r.answerOne(ctx, i)
	}
}

func (r *reader) answerOne(ctx context.Context, i int) {
	s := r.listener.server
	source := r.batch.source(i)
	if !s.allowed(source) {
		r.listener.drops.foreign.Add(1)
		return
	}
	msg, whole := r.batch.question(i)
	if !whole {
		r.listener.drops.malformed.Add(1)
		return
	}
	defer func() {
		if p := recover(); p != nil {
			s.panicked(p)
			if reply := failure(r.batch.replies[i][:0], msg); reply != nil {
				r.batch.reply(i, len(reply))
			}
		}
	}()
	if reply, from, ok := r.answer(r.batch.replies[i][:0], msg, false, r.now); ok {
		r.batch.reply(i, len(reply))
		r.events = append(r.events, event{
			ipv6: source.Is6(), do: r.q.DO, qtype: r.q.Type, rcode: int(reply[3] & 0xF),
			source: from, size: len(msg), reply: len(reply),
		})
		if r.listener.watched() {
			r.listener.publish(client{source, false, r.now}, reply, from, "")
		}
		return
	}
	if silent(msg) {
		r.listener.drops.malformed.Add(1)
		return
	}
	r.later(ctx, i, bytes.Clone(msg))
}

// later passes message i to the slow path.
func (r *reader) later(ctx context.Context, i int, msg []byte) {
	from := client{r.batch.source(i), false, r.now}
	to, conn, l := r.batch.returnAddress(i), r.conn, r.listener
	l.server.slow.submit(job{
		source: from.addr, arrived: r.now,
		run: func() {
			reply := l.handle(ctx, msg, from)
			if reply == nil {
				return
			}
			if _, err := conn.WriteToUDPAddrPort(reply, to); err != nil {
				l.drops.add(dropFull, 1)
			}
		},
		// No answer makes a resolver ask again, perhaps another server; any answer would end its search.
		refuse: func(why dropReason) { l.drops.add(why, 1) },
	})
}

// client is the sender of a question.
type client struct {
	addr    netip.Addr
	tcp     bool
	arrived time.Time
}

func (c client) proto() string {
	if c.tcp {
		return "tcp"
	}
	return "udp"
}
