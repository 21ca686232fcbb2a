// Package birth records and explains how pods came to be.
//
// The Recorder stores this for the newest pods: the API call that created each, the scheduler's verdicts, its binding,
// and when its node reported on it. The API server and the scheduler of this process report it as they work
// (controlplane/internal). Its memory is bounded: a few kilobytes for each of the last Limit pods. Recording something
// takes a lock and a map lookup.
//
// The View computes the birth of one pod on request. It joins the record, what the pod's node finds out when it is
// asked, and the pod's own status. Nothing runs without requests; a request about a pod that is not ready yet watches
// that pod.
//
// Begin reading at Recorder and at View.Birth; join.go computes the birth, and is pure.
package birth

import (
	"sync"
	"time"

	"bonsai/bootstrap/cluster"
)

// Limit is how many pods are recorded.
const Limit = 500

// Span is a time from its start to its end.
type Span struct{ Begin, End time.Time }

// Took is its length.
func (s Span) Took() time.Duration { return s.End.Sub(s.Begin) }

// Call is a request to the API server.
type Call struct {
	// Who made it ("kubectl run", "kubelet on dev-2"), and as which user.
	Who, User string
	// Span is from the first byte received to the answer.
	Span
	// Authentication, Authorization and Queue (priority and fairness) precede all work on the object.
	Authentication, Authorization, Queue time.Duration
	// Admission is the whole of it; Mutating and Validating are its two phases and Webhooks their share of both.
	Admission                      Span
	Mutating, Validating, Webhooks time.Duration
	// Etcd is the write.
	Etcd Span
}

// Pull is what kubelet reported about the image of one container, in Events; times are their arrivals.
type Pull struct {
	Container string
	Span      // Begin is zero if nothing had to be pulled
	Message   string
}

// Record is everything that is stored about a pod. Times are zero if something has not happened, or before this
// process.
type Record struct {
	Namespace, Name, UID string
	Created              Call
	// Queued is when the scheduler first put the pod into its queue.
	Queued time.Time
	// Cycle is the scheduler's newest cycle of the pod, and Decision its result; nil before the first.
	Cycle    Span
	Decision *cluster.Decision
	// Bound is the call that bound the pod to its node.
	Bound Call
	// Reported is when the node first reported on the pod. Sandbox, Initialized, ContainersReady and Ready are when the
	// pod first had these conditions.
	Reported, Sandbox, Initialized, ContainersReady, Ready time.Time
	Pulls                                                  []Pull
}

// maxPulls limits what is stored for a pod with many containers.
const maxPulls = 16

// entry is a record and the waiters for its next change.
type entry struct {
	Record
	changed chan struct{} // nil without waiters
}

// Recorder is safe for concurrent use. Its recording methods do nothing if it is nil.
type Recorder struct {
	limit int

	mu     sync.Mutex // guards everything below
	pods   map[string]*entry
	newest map[string]string // UID by "namespace/name"
	ring   []string          // UIDs in the order of their arrival, from next on
	next   int
}

// NewRecorder returns a recorder of the last limit pods.
func NewRecorder(limit int) *Recorder {
	return &Recorder{limit: limit, pods: map[string]*entry{}, newest: map[string]string{}}
}

// Find returns what is known about the newest pod of that name, and a channel that is closed when there is more.
func (r *Recorder) Find(namespace, name string) (_ Record, changed <-chan struct{}, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.pods[r.newest[namespace+"/"+name]]
	if e == nil {
		return Record{}, nil, false
	}
	if e.changed == nil {
		e.changed = make(chan struct{})
	}
	record := e.Record
	record.Pulls = append([]Pull(nil), e.Pulls...)
	return record, e.changed, true
}

// update changes the record of a pod; with make it creates one if there is none.
func (r *Recorder) update(p Pod, make bool, change func(*Record)) {
	if r == nil || p.UID == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.pods[p.UID]
	if e == nil {
		if !make {
			return
		}
		e = &entry{Record: Record{Namespace: p.Namespace, Name: p.Name, UID: p.UID}}
		r.add(e)
	}
	change(&e.Record)
	e.announce()
}

func (e *entry) announce() {
	if e.changed != nil {
		close(e.changed)
		e.changed = nil
	}
}

// add adds an entry to the ring, replacing the oldest if it is full; r.mu is held.
func (r *Recorder) add(e *entry) {
	if len(r.ring) < r.limit {
		r.ring = append(r.ring, e.UID)
	} else {
		r.drop(r.ring[r.next])
		r.ring[r.next] = e.UID
		r.next = (r.next + 1) % r.limit
	}
	r.pods[e.UID] = e
	if key := e.Namespace + "/" + e.Name; r.newest[key] == "" {
		r.newest[key] = e.UID
	}
}

// drop removes a pod except its slot in the ring; r.mu is held.
func (r *Recorder) drop(uid string) {
	e := r.pods[uid]
	if e == nil {
		return
	}
	delete(r.pods, uid)
	if key := e.Namespace + "/" + e.Name; r.newest[key] == uid {
		delete(r.newest, key)
	}
	e.announce()
}
