package flows

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"bonsai/bootstrap/cluster"
)

// Places says which connections this node reports, so that one between two nodes is reported once.
type Places struct {
	// Pods is the range of this node's pods, Node its address.
	Pods netip.Prefix
	Node netip.Addr
	// AllPods is the range of the pods of all nodes, Nodes that of their addresses.
	AllPods, Nodes netip.Prefix
	// Machine is an address in Nodes that is not a node's.
	Machine netip.Addr
}

// reports says whether this node reports a connection from src: it begins here, or enters the cluster here.
func (p Places) reports(src netip.Addr) bool {
	switch {
	case src.IsLoopback(), src.IsLinkLocalUnicast(), src.IsUnspecified():
		return false
	case src == p.Node, src == p.Machine, p.Pods.Contains(src):
		return true
	}
	return !p.AllPods.Contains(src) && !p.Nodes.Contains(src)
}

// id is what identifies a connection.
type id struct {
	tuple
	number uint32
}

// connection is what is known about one.
type connection struct {
	flow            flowKey
	sent, received  uint64
	open            bool
	seen            int // the number of the sample that had it last
	since           int // the number of the first sample that had it
	unansweredSaid  bool
	unanswered, tcp bool
}

// flowKey is what the connections of one flow have in common.
type flowKey struct {
	proto  uint8
	source netip.Addr
	dest   netip.AddrPort
	via    netip.AddrPort
}

// table turns dumps of the kernel's connections, and what it reports about those that end, into samples. It is pure, and
// not safe for concurrent use.
type table struct {
	places Places
	known  map[id]*connection
	flows  map[flowKey]*cluster.NodeFlow // of the sample that is being made
	sample int
	// uncounted is whether connections have no counters.
	uncounted bool
}

func newTable(p Places) *table {
	return &table{places: p, known: map[id]*connection{}, flows: map[flowKey]*cluster.NodeFlow{}}
}

// flow returns the sums of a flow in this sample.
func (t *table) flow(k flowKey) *cluster.NodeFlow {
	f := t.flows[k]
	if f == nil {
		f = &cluster.NodeFlow{Proto: protocol(k.proto), Source: k.source, Dest: k.dest, Via: k.via}
		t.flows[k] = f
	}
	return f
}

// update takes what is known about a connection, and returns it; nil if this node does not report it.
func (t *table) update(e entry) *connection {
	if !t.places.reports(e.orig.src.Addr()) {
		return nil
	}
	k := id{e.orig, e.id}
	c := t.known[k]
	if c == nil {
		c = &connection{
			flow: flowKey{e.orig.proto, e.orig.src.Addr(), e.orig.dst, e.reply.src}, since: t.sample, tcp: e.orig.proto == unix.IPPROTO_TCP,
		}
		t.known[k] = c
		if t.sample > 0 {
			t.flow(c.flow).Opened++
		} else {
			c.sent, c.received = e.bytes, e.replyBytes // from before
		}
	}
	// A counter that is lower than before is that of a later one; there is nothing to add.
	sent, received := e.bytes-min(c.sent, e.bytes), e.replyBytes-min(c.received, e.replyBytes)
	if sent > 0 || received > 0 {
		f := t.flow(c.flow)
		f.Sent += sent
		f.Received += received
	}
	c.sent, c.received, c.seen = e.bytes, e.replyBytes, t.sample
	c.open = !c.tcp || e.state != tcpLastAck && e.state != tcpTimeWait && e.state != tcpClose
	c.unanswered = c.tcp && e.status&statusSeenReply == 0 && e.state == tcpSynSent
	t.uncounted = t.uncounted || !e.counted
	return c
}

// ended takes the last state of a connection.
func (t *table) ended(e entry) {
	if t.sample == 0 { // before the first dump
		return
	}
	c := t.update(e)
	if c == nil {
		return
	}
	// A reset is the only answer after which the kernel forgets a connection that had none before
	// (nf_conntrack_tcp_packet in net/netfilter/nf_conntrack_proto_tcp.c).
	if c.tcp && e.status&statusSeenReply == 0 && !c.unansweredSaid {
		if e.replyPackets > 0 || !e.counted {
			t.flow(c.flow).Refused++
		} else {
			t.flow(c.flow).Unanswered++
		}
	}
	delete(t.known, id{e.orig, e.id})
}

// end ends a dump, and returns the sample; what has not been in it is over.
func (t *table) end(now time.Time, over time.Duration) cluster.NodeFlows {
	for k, c := range t.known {
		if c.seen != t.sample {
			// The report of its end may come after the dump that lacks it, and is not about a new one then.
			if c.seen < t.sample-1 {
				delete(t.known, k)
			}
			continue
		}
		if c.open {
			t.flow(c.flow).Open++
		}
		// It has been there for one whole interval at least.
		if c.unanswered && !c.unansweredSaid && t.sample > 0 && c.since < t.sample {
			c.unansweredSaid = true
			t.flow(c.flow).Unanswered++
		}
	}
	s := cluster.NodeFlows{Time: now, Over: over, Uncounted: t.uncounted, Flows: make([]cluster.NodeFlow, 0, len(t.flows))}
	for _, f := range t.flows {
		s.Flows = append(s.Flows, *f)
	}
	slices.SortFunc(s.Flows, func(a, b cluster.NodeFlow) int {
		return cmp.Or(a.Source.Compare(b.Source), a.Dest.Compare(b.Dest), a.Via.Compare(b.Via), cmp.Compare(a.Proto, b.Proto))
	})
	clear(t.flows)
	t.sample, t.uncounted = t.sample+1, false
	return s
}
