package cluster

import "time"

// Restarts is what the guardian of a control plane did: it restarts the daemon when that ends and nobody asked for it.
type Restarts struct {
	// Count is how often since the cluster was created.
	Count int `json:"count"`
	// Next is when it tries again; zero unless it waits for that.
	Next time.Time `json:"next,omitzero"`
	// List are the newest ends of the daemon, the last one first.
	List []Restart `json:"list,omitempty"`
}

// Restart is one end of the daemon, or several for the same reason in a row.
type Restart struct {
	// First and Last are when it ended, for the first and the last time; Times is how often.
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
	Times int       `json:"times"`
	// Ran is how long it had run the last time.
	Ran time.Duration `json:"ran"`
	// Reason is its last word; empty if it was killed before it could say anything.
	Reason string `json:"reason,omitempty"`
	// Exit is how the process ended the last time ("signal: killed"), if that is known.
	Exit string `json:"exit,omitempty"`
	// Stack is that of a panic; Log are the last relevant lines of the component's log.
	Stack string   `json:"stack,omitempty"`
	Log   []string `json:"log,omitempty"`
	// Error is why it could not be started again at the last try.
	Error string `json:"error,omitempty"`
}

// The bounds of a record.
const (
	maxRestarts     = 10
	maxRestartStack = 6 << 10
	maxRestartLines = 12
	maxRestartLine  = 400
)

// Total is Count, and 0 for nil.
func (r *Restarts) Total() int {
	if r == nil {
		return 0
	}
	return r.Count
}

// Add adds an end of the daemon.
func (r *Restarts) Add(e Restart) {
	e.First, e.Times = e.Last, 1
	e.Stack = e.Stack[:min(len(e.Stack), maxRestartStack)]
	e.Log = append([]string(nil), e.Log[max(0, len(e.Log)-maxRestartLines):]...)
	for i, line := range e.Log {
		e.Log[i] = line[:min(len(line), maxRestartLine)]
	}
	if len(r.List) > 0 && r.List[0].Reason == e.Reason {
		e.First, e.Times = r.List[0].First, r.List[0].Times+1
		r.List = r.List[1:]
	}
	r.List = append([]Restart{e}, r.List[:min(len(r.List), maxRestarts-1)]...)
	r.Count++
}
