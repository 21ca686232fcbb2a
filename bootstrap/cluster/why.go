package cluster

import (
	"net/netip"
	"slices"
	"time"
)

// WhyQuestion asks whether one end reaches another, and if not, why.
type WhyQuestion struct {
	// From is a pod: "POD", "NAMESPACE/POD", "KIND/NAME" or "NAMESPACE/KIND/NAME" for a pod of a workload.
	From string `json:"from"`
	// To is a name as the pod would ask for it, an address, "NAMESPACE/NAME" of a Service or pod, or one with a kind.
	To string `json:"to"`
	// Port is a number or a name. It may be empty if there is only one.
	Port string `json:"port,omitempty"`
	// UDP asks about UDP, of which nothing is sent; otherwise it is TCP.
	UDP bool `json:"udp,omitempty"`
	// HTTP is the path of a request that is sent once the connection exists; empty for none.
	HTTP string `json:"http,omitempty"`
	// Namespace is that of ends that name none; empty for "default".
	Namespace string `json:"namespace,omitempty"`
}

// WhyTopic is a step of the way from one end to the other.
type WhyTopic string

// The steps, in their order.
const (
	WhySource    WhyTopic = "source"    // the pod that asks
	WhyName      WhyTopic = "name"      // DNS
	WhyService   WhyTopic = "service"   // what has the address
	WhyPort      WhyTopic = "port"      // whether that has the port, and where it leads to
	WhyEndpoints WhyTopic = "endpoints" // pods that are ready
	WhyEgress    WhyTopic = "egress"    // NetworkPolicies of the source
	WhyIngress   WhyTopic = "ingress"   // NetworkPolicies of the destination
	WhyListener  WhyTopic = "listener"  // whether a program listens there
	WhyConnect   WhyTopic = "connect"   // a connection from the network of the source
	WhyAnswer    WhyTopic = "answer"    // what the application says
)

// Word is what people read for a step; that of a newer version is its own name.
func (t WhyTopic) Word() string {
	switch t {
	case WhyService:
		return "address"
	case WhyEgress:
		return "policies out"
	case WhyIngress:
		return "policies in"
	case WhyConnect:
		return "connection"
	}
	return string(t)
}

// WhyState is what became of a step.
type WhyState string

// The states. A doubtful step did not keep the connection from coming about.
const (
	WhyOK       WhyState = "ok"
	WhyFailed   WhyState = "failed"
	WhyDoubtful WhyState = "doubtful"
	WhySkipped  WhyState = "skipped"
)

// WhyStep is one step of the way.
type WhyStep struct {
	Topic WhyTopic `json:"step"`
	State WhyState `json:"state"`
	// Saw is what was seen, in one line; More are further lines.
	Saw    string        `json:"saw"`
	More   []string      `json:"more,omitempty"`
	Advice []Advice      `json:"advice,omitempty"`
	Took   time.Duration `json:"tookNanos,omitempty"`
}

// Why is the way from one end to another, as far as it goes.
type Why struct {
	From FlowEnd `json:"from"`
	To   string  `json:"to"` // as it was asked for
	// Address is where the source connects to; not valid if the way ends before that is known.
	Address netip.AddrPort `json:"address,omitzero"`
	Proto   string         `json:"proto"`
	Steps   []WhyStep      `json:"steps"`
	// Reaches says that it comes to the other end. Otherwise Ends is the step at which it ends.
	Reaches bool     `json:"reaches"`
	Ends    WhyTopic `json:"ends,omitempty"`
}

// Step returns the step of a topic; false if the way has none.
func (w Why) Step(topic WhyTopic) (WhyStep, bool) {
	for _, s := range w.Steps {
		if s.Topic == topic {
			return s, true
		}
	}
	return WhyStep{}, false
}

// ProbeQuestion asks a node to connect from the network of one of its pods.
type ProbeQuestion struct {
	// Pod is its UID.
	Pod string         `json:"pod"`
	To  netip.AddrPort `json:"to"`
	// Path is that of an HTTP request, with Host; nothing is sent if it is empty.
	Path string `json:"path,omitempty"`
	Host string `json:"host,omitempty"`
}

// ProbeOutcome is what became of a connection.
type ProbeOutcome string

// The outcomes.
const (
	ProbeConnected   ProbeOutcome = "connected"
	ProbeRefused     ProbeOutcome = "refused"     // with a reset, or by a firewall that says so
	ProbeTimeout     ProbeOutcome = "timeout"     // nothing came back
	ProbeUnreachable ProbeOutcome = "unreachable" // there is no route, or a router says so
	ProbeFailed      ProbeOutcome = "failed"
)

// ProbeResult is what a probe has seen.
type ProbeResult struct {
	Outcome ProbeOutcome  `json:"outcome"`
	Reason  string        `json:"reason,omitempty"`
	Took    time.Duration `json:"tookNanos"`
	// Source is the address that the connection had.
	Source netip.AddrPort `json:"source,omitzero"`
	// Status is that of the answer to the request ("200 OK"), NoAnswer why there is none.
	Status   string `json:"status,omitempty"`
	NoAnswer string `json:"noAnswer,omitempty"`
}

// Finished returns w with what its steps come to. A connection that comes about is the truth: a step that failed before it is only
// doubtful then, as things may just have changed.
func (w Why) Finished() Why {
	connect, ok := w.Step(WhyConnect)
	if ok && connect.State == WhyOK {
		w.Steps = slices.Clone(w.Steps)
		for i, s := range w.Steps {
			if s.State == WhyFailed && s.Topic != WhyAnswer {
				w.Steps[i].State = WhyDoubtful
			}
		}
	}
	w.Reaches, w.Ends = len(w.Steps) > 0, ""
	for _, s := range w.Steps {
		if s.State == WhyFailed {
			w.Reaches, w.Ends = false, s.Topic
			break
		}
	}
	return w
}
