package flows

import (
	"net/netip"

	"bonsai/bootstrap/cluster"
)

// stopped is what the policies of a node have stopped, with how much of it is new per second.
type stopped struct {
	cluster.Denied
	rate float64
}

// same identifies what is counted together.
type same struct {
	egress, dns bool
	proto       string
	source      netip.Addr
	dest, asked netip.AddrPort
}

func (s stopped) same() same { return same{s.Egress, s.DNS, s.Proto, s.Source, s.Dest, s.Asked} }

// stops takes what a node says, after what it said before.
func stops(before []stopped, s cluster.NodeFlows) (now []stopped) {
	was := make(map[same]uint64, len(before))
	for _, b := range before {
		was[b.same()] = b.Packets
	}
	for _, d := range s.Denied {
		one := stopped{Denied: d}
		// In the first sample everything is from before.
		if old := was[one.same()]; s.Over > 0 && d.Packets > old {
			one.rate = float64(d.Packets-old) / s.Over.Seconds()
		}
		now = append(now, one)
	}
	return now
}

// withDenied adds what policies have stopped. The node of the source has a connection that was stopped on that of the destination in
// its table, as one without answer: that is the same flow.
func (j *joiner) withDenied(flows []cluster.Flow, o objects) []cluster.Flow {
	type ends struct {
		proto    string
		from, to netip.Addr
		port     uint16
	}
	of := func(f cluster.Flow) ends {
		port := f.EndpointPort
		if port == 0 {
			port = f.Port
		}
		return ends{f.Proto, f.From.Address, f.To.Address, port}
	}
	known := make(map[ends]int, len(flows))
	for i, f := range flows {
		known[of(f)] = i
	}
	for node, list := range j.denied {
		for _, d := range list {
			f := j.flow(key{node, d.Proto, d.Source, d.Asked, d.Dest}, o)
			i, ok := known[of(f)]
			if !ok {
				i = len(flows)
				known[of(f)] = i
				flows = append(flows, f)
			}
			f = flows[i]
			f.Denied += int(d.Packets)
			f.Failed += d.rate
			f.Denial = &cluster.Denial{Egress: d.Egress, Policies: d.Policies, Still: d.Still}
			if d.Last.After(f.Last) {
				f.Last = d.Last
			}
			flows[i] = f
		}
	}
	return flows
}
