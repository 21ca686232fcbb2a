package announce

import (
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"bonsai/bootstrap/cluster"
)

var (
	own     = net.HardwareAddr{2, 0, 0, 0, 0, 1}
	other   = net.HardwareAddr{2, 0, 0, 0, 0, 2}
	machine = net.HardwareAddr{2, 0, 0, 0, 0, 9}
	vip     = netip.MustParseAddr("10.201.3.1")
	gateway = netip.MustParseAddr("10.201.0.1")
	start   = time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)
)

// asks is the machine's question for an address.
func asks(a netip.Addr) Packet {
	return Packet{To: broadcast, SenderMAC: machine, SenderIP: gateway, TargetMAC: make(net.HardwareAddr, 6), TargetIP: a}
}

func announcement(sequence int64, list ...netip.Addr) cluster.Announcement {
	a := cluster.Announcement{Sequence: sequence, Addresses: []cluster.AnnouncedAddress{}}
	for _, one := range list {
		a.Addresses = append(a.Addresses, cluster.AnnouncedAddress{Address: one, Ports: []cluster.AnnouncedPort{{Protocol: "TCP", Port: 80}}})
	}
	return a
}

// running looks at the holder as often as the part does, and returns all that is sent in that time.
func running(h *holder, from time.Time, d time.Duration) (sent []Packet) {
	for now := from; now.Before(from.Add(d)); now = now.Add(max(h.next(now), time.Millisecond)) {
		sent = append(sent, h.tick(own, now)...)
	}
	return sent
}

func answers(h *holder, a netip.Addr, at time.Time) bool {
	got := h.receive(asks(a), own, at)
	return len(got) == 1 && got[0].Reply && got[0].SenderIP == a && got[0].TargetIP == gateway && slices.Equal(got[0].SenderMAC, own) && slices.Equal(got[0].To, machine)
}

func TestAnAddressIsAnnouncedAndAnswered(t *testing.T) {
	h := newHolder()
	if answers(&h, vip, start) {
		t.Error("it answers for an address that nobody has given it")
	}
	h.set(announcement(1, vip), start)
	sent := running(&h, start, 10*time.Second)
	if len(sent) != 2*(len(announcePauses)+1) {
		t.Errorf("%d packets were sent", len(sent))
	}
	for _, p := range sent {
		if p.SenderIP != vip || p.TargetIP != vip || !slices.Equal(p.To, broadcast) || !slices.Equal(p.SenderMAC, own) {
			t.Errorf("sent %+v", p)
		}
	}
	now := start.Add(10 * time.Second)
	if !answers(&h, vip, now) || answers(&h, vip.Next(), now) {
		t.Error("it does not answer exactly for its address")
	}
	if got := h.receive(Packet{Reply: true, SenderMAC: machine, SenderIP: gateway, TargetIP: vip}, own, now); got != nil {
		t.Errorf("it answers an answer: %v", got)
	}
	h.set(announcement(2), now)
	if answers(&h, vip, now) || !h.idle() || h.report().Sequence != 2 {
		t.Error("it still answers for an address that was taken back")
	}
}

func TestWhoeverAnnouncesLastHasTheAddress(t *testing.T) {
	for _, p := range gratuitous(vip, other) {
		h := newHolder()
		h.set(announcement(1, vip), start)
		running(&h, start, time.Second)
		now := start.Add(time.Second)
		if h.receive(p, own, now); answers(&h, vip, now) || len(h.report().Addresses) != 0 {
			t.Errorf("it answers although another node announces the address by %+v", p)
		}
		// The daemon insists.
		h.set(announcement(2, vip), now)
		if !answers(&h, vip, now) || len(running(&h, now, time.Second)) == 0 {
			t.Error("the daemon cannot give it the address again")
		}
	}
	h := newHolder()
	h.set(announcement(1, vip), start)
	for _, p := range gratuitous(vip, own) {
		h.receive(p, own, start)
	}
	for _, p := range []Packet{{Reply: true, SenderMAC: other, SenderIP: vip, TargetMAC: machine, TargetIP: gateway}, question(vip, other)} {
		h.receive(p, own, start) // of a node that does not know yet
	}
	if !answers(&h, vip, start) {
		t.Error("it has lost its address without an announcement of another node")
	}
}

// A frozen node finds old questions first when it thaws, or its own clock: it must answer none of them.
func TestAThawedNodeAsksFirst(t *testing.T) {
	for name, first := range map[string]func(h *holder, now time.Time) []Packet{
		"a packet": func(h *holder, now time.Time) []Packet { return h.receive(asks(vip), own, now) },
		"a look":   func(h *holder, now time.Time) []Packet { return h.tick(own, now) },
	} {
		t.Run(name, func(t *testing.T) {
			frozen := func() (*holder, time.Time) {
				h := newHolder()
				h.set(announcement(1, vip), start)
				running(&h, start, 10*time.Second)
				thawed := start.Add(time.Minute)
				for _, p := range first(&h, thawed) {
					if p.Reply || p.SenderIP != netip.IPv4Unspecified() {
						t.Errorf("it begins with %+v", p)
					}
				}
				if answers(&h, vip, thawed) || len(h.report().Addresses) != 0 {
					t.Error("it answers at once")
				}
				return &h, thawed
			}
			h, thawed := frozen()
			sent := running(h, thawed, doubtTime/2)
			if len(sent) == 0 || sent[0].Reply || sent[0].TargetIP != vip || sent[0].SenderIP != netip.IPv4Unspecified() {
				t.Errorf("it does not ask who has the address: %+v", sent)
			}
			h.receive(Packet{Reply: true, SenderMAC: other, SenderIP: vip, TargetMAC: own, TargetIP: netip.IPv4Unspecified()}, own, thawed.Add(doubtTime/2))
			running(h, thawed.Add(doubtTime/2), time.Second)
			if answers(h, vip, thawed.Add(2*time.Second)) {
				t.Error("it takes the address back from the node that has it")
			}

			h, thawed = frozen()
			running(h, thawed, 2*doubtTime)
			if !answers(h, vip, thawed.Add(2*doubtTime)) {
				t.Error("nobody has the address, and it does not answer again")
			}

			h, thawed = frozen()
			h.set(announcement(2, vip), thawed)
			if !answers(h, vip, thawed) {
				t.Error("it does not believe the daemon")
			}
		})
	}
}

func TestANewAgentTakesOverWithDoubt(t *testing.T) {
	h := newHolder()
	if !h.adopt(announcement(7, vip), start) || answers(&h, vip, start) || h.report().Sequence != 7 {
		t.Error("it answers at once")
	}
	running(&h, start, time.Second)
	if !answers(&h, vip, start.Add(time.Second)) {
		t.Error("it does not answer although nobody has the address")
	}
	h = newHolder()
	h.set(announcement(8), start)
	if h.adopt(announcement(7, vip), start) || !h.idle() {
		t.Error("what was before replaces what the daemon says")
	}
}

func TestPackets(t *testing.T) {
	for _, p := range append(gratuitous(vip, own), question(vip, own), asks(vip)) {
		got, err := parse(p.frame())
		if err != nil || got.Reply != p.Reply || got.SenderIP != p.SenderIP || got.TargetIP != p.TargetIP || !slices.Equal(got.SenderMAC, p.SenderMAC) {
			t.Errorf("%+v was read as %+v, %v", p, got, err)
		}
	}
	whole := asks(vip).frame()
	for n := range whole {
		if _, err := parse(whole[:n]); err == nil {
			t.Errorf("%d bytes are a packet", n)
		}
	}
	for _, at := range []int{12, 14, 18, 21} {
		bad := slices.Clone(whole)
		bad[at] ^= 0x40
		if p, err := parse(bad); err == nil {
			t.Errorf("with byte %d changed it is %+v", at, p)
		}
	}
}
