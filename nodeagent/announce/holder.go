package announce

import (
	"bytes"
	"net"
	"net/netip"
	"slices"
	"time"

	"bonsai/bootstrap/cluster"
)

const (
	// frozenAfter is how late a look may be before the agent must have been frozen. It is less than the daemon waits for a
	// sign of life before it gives addresses to another node.
	frozenAfter = 3 * beat
	// doubtTime is how long the node asks who has an address before it answers again, asking every askPause; others answer
	// within milliseconds.
	doubtTime = 400 * time.Millisecond
	askPause  = 150 * time.Millisecond
)

// announcePauses are between the gratuitous packets for an address that the node has just got: one may get lost, and a neighbour
// may have to hear it twice.
var announcePauses = []time.Duration{100 * time.Millisecond, 400 * time.Millisecond, time.Second, 2 * time.Second}

// holder decides what to answer and to send. It does no input or output, and its owner serialises the calls.
type holder struct {
	wanted cluster.Announcement
	held   map[netip.Addr]*hold
	// looked is when tick was called last; zero if nothing was held then.
	looked time.Time
	// version grows when report changes.
	version int
	notes   []note
}

// note is for the log.
type note struct {
	text    string
	address netip.Addr
}

// hold is an address that the node answers for, or may answer for.
type hold struct {
	// doubt says until when the node asks whether another machine has it; zero if it answers.
	doubt time.Time
	// sent is how many gratuitous packets, or questions, have been sent; due is when the next one is. Zero: none.
	sent int
	due  time.Time
}

func newHolder() holder { return holder{held: map[netip.Addr]*hold{}} }

func (h *holder) idle() bool { return len(h.held) == 0 }

func (h *holder) report() cluster.Announced {
	r := cluster.Announced{Sequence: h.wanted.Sequence, Addresses: []netip.Addr{}}
	for a, one := range h.held {
		if one.doubt.IsZero() {
			r.Addresses = append(r.Addresses, a)
		}
	}
	slices.SortFunc(r.Addresses, netip.Addr.Compare)
	return r
}

// set takes over what the daemon says. It knows best, so nothing is in doubt any more.
func (h *holder) set(a cluster.Announcement, now time.Time) {
	wanted := map[netip.Addr]bool{}
	for _, one := range a.Addresses {
		wanted[one.Address] = true
		if have := h.held[one.Address]; have == nil || !have.doubt.IsZero() {
			h.held[one.Address] = &hold{due: now}
			h.note("the node announces an address", one.Address)
		}
	}
	for addr := range h.held {
		if !wanted[addr] {
			delete(h.held, addr)
			h.note("the node announces an address no longer", addr)
		}
	}
	h.wanted = a
	h.look(now)
	h.version++
}

// adopt takes over what an agent before this one had, unless the daemon has said something already. Meanwhile another node may
// have got it.
func (h *holder) adopt(a cluster.Announcement, now time.Time) bool {
	if h.wanted.Sequence != 0 {
		return false
	}
	for _, one := range a.Addresses {
		h.held[one.Address] = &hold{doubt: now.Add(doubtTime), due: now}
	}
	h.wanted = a
	h.look(now)
	h.version++
	return true
}

func (h *holder) note(text string, a netip.Addr) { h.notes = append(h.notes, note{text, a}) }

// look remembers that the agent is running.
func (h *holder) look(now time.Time) {
	h.looked = now
	if h.idle() {
		h.looked = time.Time{}
	}
}

// thaw puts everything in doubt if the agent did not run for a while.
func (h *holder) thaw(now time.Time) {
	if !h.looked.IsZero() && now.Sub(h.looked) > frozenAfter {
		for a, one := range h.held {
			*one = hold{doubt: now.Add(doubtTime), due: now}
			h.note("the agent did not run for a while; it asks whether another node has the address", a)
		}
		h.version++
	}
	h.look(now)
}

// receive returns the answers to a packet.
func (h *holder) receive(p Packet, mac net.HardwareAddr, now time.Time) []Packet {
	h.thaw(now)
	if bytes.Equal(p.SenderMAC, mac) {
		return nil
	}
	if one := h.held[p.SenderIP]; one != nil {
		// Another machine announces the address, or answers the question who has it.
		if p.SenderIP == p.TargetIP || p.Reply && !one.doubt.IsZero() {
			delete(h.held, p.SenderIP)
			h.note("another node announces the address", p.SenderIP)
			h.look(now)
			h.version++
		}
		return nil
	}
	one := h.held[p.TargetIP]
	if p.Reply || one == nil || !one.doubt.IsZero() {
		return nil
	}
	return []Packet{{
		Reply: true, To: p.SenderMAC,
		SenderMAC: mac, SenderIP: p.TargetIP, TargetMAC: p.SenderMAC, TargetIP: p.SenderIP,
	}}
}

// tick returns the packets that are due.
func (h *holder) tick(mac net.HardwareAddr, now time.Time) (send []Packet) {
	h.thaw(now)
	for a, one := range h.held {
		if !one.doubt.IsZero() && !now.Before(one.doubt) {
			*one = hold{due: now} // nobody has answered
			h.note("the node announces the address again", a)
			h.version++
		}
		if one.due.IsZero() || now.Before(one.due) {
			continue
		}
		switch {
		case !one.doubt.IsZero():
			send = append(send, question(a, mac))
			one.due = now.Add(askPause)
			continue
		case one.sent < len(announcePauses):
			one.due = now.Add(announcePauses[one.sent])
		default:
			one.due = time.Time{}
		}
		one.sent++
		send = append(send, gratuitous(a, mac)...)
	}
	return send
}

// next is when tick has to be called again, at the latest.
func (h *holder) next(now time.Time) time.Duration {
	wait := beat
	for _, one := range h.held {
		for _, at := range []time.Time{one.due, one.doubt} {
			if !at.IsZero() {
				wait = min(wait, max(at.Sub(now), 0))
			}
		}
	}
	return wait
}

// question asks who has an address (the probe of RFC 5227).
func question(a netip.Addr, mac net.HardwareAddr) Packet {
	return Packet{To: broadcast, SenderMAC: mac, SenderIP: netip.IPv4Unspecified(), TargetMAC: make(net.HardwareAddr, 6), TargetIP: a}
}

// gratuitous informs all neighbours who has an address, in both forms: some believe only one of them.
func gratuitous(a netip.Addr, mac net.HardwareAddr) []Packet {
	return []Packet{
		{To: broadcast, SenderMAC: mac, SenderIP: a, TargetMAC: make(net.HardwareAddr, 6), TargetIP: a},
		{Reply: true, To: broadcast, SenderMAC: mac, SenderIP: a, TargetMAC: mac, TargetIP: a},
	}
}
