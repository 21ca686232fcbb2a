package flows

import (
	"net/netip"
	"reflect"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bonsai/bootstrap/cluster"
)

var places = Places{
	Pods: netip.MustParsePrefix("10.244.1.0/24"), Node: netip.MustParseAddr("10.201.0.11"),
	AllPods: netip.MustParsePrefix("10.244.0.0/16"), Nodes: netip.MustParsePrefix("10.201.0.0/22"), Machine: netip.MustParseAddr("10.201.0.1"),
}

// conn is a connection of a pod of this node through Service 10.96.0.7:80 to a pod of another one.
func conn(port uint16, state uint8, sent, received uint64) entry {
	e := entry{
		orig:  tuple{unix.IPPROTO_TCP, netip.AddrPortFrom(netip.MustParseAddr("10.244.1.5"), port), netip.MustParseAddrPort("10.96.0.7:80")},
		reply: tuple{unix.IPPROTO_TCP, netip.MustParseAddrPort("10.244.2.9:8080"), netip.AddrPortFrom(netip.MustParseAddr("10.244.1.5"), port)},
		id:    uint32(port), state: state, counted: true, packets: 1, bytes: sent, replyBytes: received,
	}
	if received > 0 {
		e.status, e.replyPackets = statusSeenReply, 1
	}
	return e
}

const (
	established = 3
	tick        = time.Second
)

// web is the flow of these connections.
func web(f cluster.NodeFlow) cluster.NodeFlow {
	f.Proto, f.Source = "TCP", netip.MustParseAddr("10.244.1.5")
	f.Dest, f.Via = netip.MustParseAddrPort("10.96.0.7:80"), netip.MustParseAddrPort("10.244.2.9:8080")
	return f
}

func TestSamples(t *testing.T) {
	type step struct {
		ended []entry // before the dump
		dump  []entry
		want  []cluster.NodeFlow
	}
	refused := conn(9, tcpSynSent, 60, 0)
	refused.replyPackets, refused.replyBytes = 1, 40
	for name, steps := range map[string][]step{
		"what was there before": {
			{dump: []entry{conn(1, established, 5000, 9000), conn(2, established, 1, 1)}, want: []cluster.NodeFlow{web(cluster.NodeFlow{Open: 2})}},
			{dump: []entry{conn(1, established, 5100, 9300), conn(2, established, 1, 1)}, want: []cluster.NodeFlow{web(cluster.NodeFlow{Open: 2, Sent: 100, Received: 300})}},
			{dump: []entry{conn(2, established, 1, 1)}, want: []cluster.NodeFlow{web(cluster.NodeFlow{Open: 1})}},
			{want: []cluster.NodeFlow{}},
		},
		"new": {
			{want: []cluster.NodeFlow{}},
			{dump: []entry{conn(1, established, 100, 200)}, want: []cluster.NodeFlow{web(cluster.NodeFlow{Open: 1, Opened: 1, Sent: 100, Received: 200})}},
			{dump: []entry{conn(1, tcpTimeWait, 150, 200)}, want: []cluster.NodeFlow{web(cluster.NodeFlow{Sent: 50})}},
			{dump: []entry{conn(1, tcpTimeWait, 150, 200)}, want: []cluster.NodeFlow{}},
		},
		"between two dumps": {
			{want: []cluster.NodeFlow{}},
			{ended: []entry{conn(1, tcpClose, 100, 200), conn(2, tcpClose, 1, 2)}, want: []cluster.NodeFlow{web(cluster.NodeFlow{Opened: 2, Sent: 101, Received: 202})}},
		},
		"the report of the end comes late": {
			{dump: []entry{conn(1, established, 100, 200)}, want: []cluster.NodeFlow{web(cluster.NodeFlow{Open: 1})}},
			{want: []cluster.NodeFlow{}},
			{ended: []entry{conn(1, tcpClose, 150, 200)}, want: []cluster.NodeFlow{web(cluster.NodeFlow{Sent: 50})}},
		},
		"refused": {
			{want: []cluster.NodeFlow{}},
			{ended: []entry{refused}, want: []cluster.NodeFlow{web(cluster.NodeFlow{Opened: 1, Refused: 1, Sent: 60, Received: 40})}},
		},
		"unanswered": {
			{dump: []entry{conn(1, tcpSynSent, 60, 0)}, want: []cluster.NodeFlow{web(cluster.NodeFlow{Open: 1})}},
			{dump: []entry{conn(1, tcpSynSent, 60, 0)}, want: []cluster.NodeFlow{web(cluster.NodeFlow{Open: 1, Unanswered: 1})}},
			{dump: []entry{conn(1, tcpSynSent, 120, 0)}, want: []cluster.NodeFlow{web(cluster.NodeFlow{Open: 1, Sent: 60})}}, // said once
			{ended: []entry{conn(1, tcpSynSent, 120, 0)}, want: []cluster.NodeFlow{}},
		},
		"unanswered for a moment": {
			{want: []cluster.NodeFlow{}},
			{dump: []entry{conn(1, tcpSynSent, 60, 0)}, want: []cluster.NodeFlow{web(cluster.NodeFlow{Open: 1, Opened: 1, Sent: 60})}},
			{dump: []entry{conn(1, established, 100, 100)}, want: []cluster.NodeFlow{web(cluster.NodeFlow{Open: 1, Sent: 40, Received: 100})}},
		},
		"the port is used again": {
			{dump: []entry{conn(1, tcpTimeWait, 500, 500)}, want: []cluster.NodeFlow{}},
			{dump: []entry{func() entry { e := conn(1, established, 10, 10); e.id = 77; return e }()}, want: []cluster.NodeFlow{web(cluster.NodeFlow{Open: 1, Opened: 1, Sent: 10, Received: 10})}},
		},
		"ended before the first dump": {
			{ended: []entry{refused}, want: []cluster.NodeFlow{}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			table := newTable(places)
			for i, s := range steps {
				for _, e := range s.ended {
					table.ended(e)
				}
				for _, e := range s.dump {
					table.update(e)
				}
				if got := table.end(time.Time{}, tick); !reflect.DeepEqual(got.Flows, s.want) {
					t.Errorf("sample %d:\ngot  %+v\nwant %+v", i, got.Flows, s.want)
				}
			}
		})
	}
}

func TestEachConnectionIsReportedByOneNode(t *testing.T) {
	for addr, want := range map[string]bool{
		"10.244.1.5": true, "10.244.2.9": false, // pods here, and elsewhere
		"10.201.0.11": true, "10.201.0.12": false, "10.201.0.1": true, // nodes and the machine
		"192.168.1.9": true, "127.0.0.1": false, "169.254.20.10": false, "0.0.0.0": false,
	} {
		if got := places.reports(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %t", addr, got)
		}
	}
}

func TestKernelsThatDoNotCountSayIt(t *testing.T) {
	e := conn(1, established, 0, 0)
	e.counted = false
	table := newTable(places)
	table.update(e)
	if !table.end(time.Time{}, 0).Uncounted {
		t.Error("it is not said")
	}
}

func TestPauses(t *testing.T) {
	for took, want := range map[time.Duration]time.Duration{
		0: cluster.FlowInterval, 5 * time.Millisecond: cluster.FlowInterval, 25 * time.Millisecond: 2500 * time.Millisecond, time.Second: longestPause,
	} {
		if got := pauseAfter(took); got != want {
			t.Errorf("after %s: %s, want %s", took, got, want)
		}
	}
}
