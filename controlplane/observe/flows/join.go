package flows

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"bonsai/bootstrap/cluster"
)

const (
	// window is how many samples rates are averaged over.
	window = 3
	// linger is how long a flow without open connections stays after its last traffic.
	linger = 20 * time.Second
	// maxTracked and maxFlows limit what is kept, and what is sent.
	maxTracked = 20000
	maxFlows   = 1000
	// maxAsked limits the names that are kept; beyond it, all are dropped.
	maxAsked = 20000
)

// key is what the samples of one flow have in common.
type key struct {
	node, proto string
	source      netip.Addr
	dest, via   netip.AddrPort
}

// tracked is a flow since it was first seen.
type tracked struct {
	open                        int
	opened, refused, unanswered int
	recent                      [window]sample // a ring; the newest is at the node's count of samples
	last                        time.Time
}

// sample is what a node reported of a flow.
type sample struct {
	over             time.Duration
	sent, received   uint64
	opened, failures int
}

// nodeState is what is known about a node's stream.
type nodeState struct {
	count  int // of samples
	over   [window]time.Duration
	reason string // why it is not measured
}

// question is that of a pod for an address.
type question struct {
	pod  string // namespace/name
	addr netip.Addr
}

// joiner joins the samples of all nodes, names asked, and objects, to Flows. It is pure, and not safe for concurrent use.
type joiner struct {
	since time.Time
	flows map[key]*tracked
	nodes map[string]*nodeState
	asked map[question]string
	// denied is what the policies of each node have stopped, as it said last.
	denied map[string][]stopped
}

func newJoiner(since time.Time) *joiner {
	return &joiner{since: since, flows: map[key]*tracked{}, nodes: map[string]*nodeState{}, asked: map[question]string{}, denied: map[string][]stopped{}}
}

func (j *joiner) node(name string) *nodeState {
	n := j.nodes[name]
	if n == nil {
		n = &nodeState{}
		j.nodes[name] = n
	}
	return n
}

// add takes a sample of a node.
func (j *joiner) add(node string, s cluster.NodeFlows, now time.Time) {
	n := j.node(node)
	n.reason = ""
	n.count++
	at := n.count % window
	n.over[at] = s.Over
	for k, f := range j.flows {
		if k.node == node {
			f.open, f.recent[at] = 0, sample{}
		}
	}
	j.denied[node] = stops(j.denied[node], s)
	for _, f := range s.Flows {
		k := key{node, f.Proto, f.Source, f.Dest, f.Via}
		t := j.flows[k]
		if t == nil {
			if len(j.flows) >= maxTracked {
				continue
			}
			t = &tracked{last: now}
			j.flows[k] = t
		}
		t.open = f.Open
		if s.Over == 0 {
			continue // the figures begin with the next one
		}
		t.opened, t.refused, t.unanswered = t.opened+f.Opened, t.refused+f.Refused, t.unanswered+f.Unanswered
		t.recent[at] = sample{s.Over, f.Sent, f.Received, f.Opened, f.Refused + f.Unanswered}
		if f.Sent > 0 || f.Received > 0 || f.Opened > 0 || f.Refused > 0 || f.Unanswered > 0 {
			t.last = now
		}
	}
}

// away records that a node is not measured, and why.
func (j *joiner) away(node, reason string) {
	j.node(node).reason = reason
	delete(j.denied, node)
	for k := range j.flows {
		if k.node == node {
			delete(j.flows, k)
		}
	}
}

// gone forgets nodes that the cluster has no longer.
func (j *joiner) gone(there func(node string) bool) {
	for name := range j.nodes {
		if !there(name) {
			j.away(name, "")
			delete(j.nodes, name)
		}
	}
}

// query records which addresses a pod got for a name.
func (j *joiner) query(q cluster.DNSQuery) {
	if q.Pod == "" || q.Rcode != "NOERROR" || q.Type != "A" && q.Type != "AAAA" {
		return
	}
	if len(j.asked) > maxAsked {
		clear(j.asked)
	}
	for _, a := range q.Answers {
		if addr, err := netip.ParseAddr(a); err == nil {
			j.asked[question{q.Pod, addr}] = strings.TrimSuffix(strings.ToLower(q.Name), ".")
		}
	}
}

// result returns what is known at a moment, and drops what is over.
func (j *joiner) result(o objects, now time.Time) cluster.Flows {
	out := cluster.Flows{Time: now, Since: j.since, Flows: []cluster.Flow{}}
	for name, n := range j.nodes {
		if n.reason != "" {
			if out.Nodes == nil {
				out.Nodes = map[string]string{}
			}
			out.Nodes[name] = n.reason
		}
	}
	for k, t := range j.flows {
		if t.open == 0 && now.Sub(t.last) > linger {
			delete(j.flows, k)
			continue
		}
		f := j.flow(k, o)
		f.Open, f.Opened, f.Refused, f.Unanswered, f.Last = t.open, t.opened, t.refused, t.unanswered, t.last
		var over time.Duration
		for _, d := range j.nodes[k.node].over {
			over += d
		}
		if s := over.Seconds(); s > 0 {
			for _, r := range t.recent {
				f.Sent += float64(r.sent) / s
				f.Received += float64(r.received) / s
				f.New += float64(r.opened) / s
				f.Failed += float64(r.failures) / s
			}
		}
		out.Flows = append(out.Flows, f)
	}
	out.Flows = j.withDenied(out.Flows, o)
	for i, f := range out.Flows {
		out.Flows[i] = f.Judged()
	}
	slices.SortFunc(out.Flows, cluster.CompareFlows)
	if n := len(out.Flows); n > maxFlows {
		out.Flows, out.Omitted = out.Flows[:maxFlows], n-maxFlows
	}
	return out
}

// flow is one between what the addresses of k belong to, without figures.
func (j *joiner) flow(k key, o objects) cluster.Flow {
	f := cluster.Flow{
		From: o.end(k.source), To: o.end(k.via.Addr()), Node: k.node, Proto: k.proto, Port: k.dest.Port(), Address: k.dest.Addr(),
		Service: o.service(k.dest, k.proto),
	}
	if k.via.Port() != k.dest.Port() {
		f.EndpointPort = k.via.Port()
	}
	if f.Service != "" && k.via == k.dest { // nothing has led it on
		namespace, name, _ := strings.Cut(f.Service, "/")
		f.To = cluster.FlowEnd{Kind: cluster.FlowService, Namespace: namespace, Name: name, Address: k.dest.Addr()}
	}
	if f.From.Kind == cluster.FlowPod {
		f.Asked = j.asked[question{f.From.String(), k.dest.Addr()}]
	}
	return f
}
