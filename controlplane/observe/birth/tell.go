package birth

import (
	"time"

	"bonsai/bootstrap/cluster"
)

// Pod names one pod.
type Pod struct{ Namespace, Name, UID string }

// Creating starts the record of a pod that is about to be written: the scheduler may see it before its creator has the
// answer. Created or NotCreated follows.
func (r *Recorder) Creating(p Pod) { r.update(p, true, func(*Record) {}) }

// Created completes the call that created a pod.
func (r *Recorder) Created(p Pod, c Call) {
	r.update(p, true, func(e *Record) {
		e.Created = c
		r.newest[p.Namespace+"/"+p.Name] = p.UID // not before: it may have failed because the name is taken
	})
}

// NotCreated drops a pod whose creation failed.
func (r *Recorder) NotCreated(p Pod) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drop(p.UID)
}

// Queued is called each time the scheduler puts a pod into its queue; the first counts.
func (r *Recorder) Queued(p Pod, at time.Time) {
	r.update(p, false, func(e *Record) {
		if e.Queued.IsZero() {
			e.Queued = at
		}
	})
}

// Decided is called with the scheduler's decision on a pod, again with each attempt. The pod may be older than this
// process.
func (r *Recorder) Decided(p Pod, cycle Span, d cluster.Decision) {
	r.update(p, true, func(e *Record) {
		if e.Decision != nil {
			d.Attempts = e.Decision.Attempts
		}
		d.Attempts++
		e.Cycle, e.Decision = cycle, &d
	})
}

// Bound is called with the request that bound a pod; the binding may lack the UID.
func (r *Recorder) Bound(p Pod, c Call) {
	r.update(r.identify(p), false, func(e *Record) { e.Bound = c })
}

// identify fills in the UID of the newest pod of a name.
func (r *Recorder) identify(p Pod) Pod {
	if r != nil && p.UID == "" {
		r.mu.Lock()
		defer r.mu.Unlock()
		p.UID = r.newest[p.Namespace+"/"+p.Name]
	}
	return p
}

// Conditions are the conditions of a pod that are part of its birth.
type Conditions struct{ Sandbox, Initialized, ContainersReady, Ready bool }

// Follows reports whether a report of the pod's node would be new.
func (r *Recorder) Follows(uid string) bool {
	if r == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.pods[uid]
	return e != nil && e.Ready.IsZero()
}

// Reported is called with each report of a pod's node; the first of each condition counts.
func (r *Recorder) Reported(p Pod, at time.Time, c Conditions) {
	r.update(p, false, func(e *Record) {
		first := func(is bool, t *time.Time) {
			if is && t.IsZero() {
				*t = at
			}
		}
		first(true, &e.Reported)
		first(c.Sandbox, &e.Sandbox)
		first(c.Initialized, &e.Initialized)
		first(c.ContainersReady, &e.ContainersReady)
		first(c.Ready, &e.Ready)
	})
}

// Pulling is called when the image of a container is being pulled; the first time counts.
func (r *Recorder) Pulling(p Pod, container string, at time.Time) {
	r.pull(p, container, func(pull *Pull) {
		if pull.Begin.IsZero() && pull.End.IsZero() {
			pull.Begin = at
		}
	})
}

// Pulled is called when the image of a container is there, and how it got there; the first time counts.
func (r *Recorder) Pulled(p Pod, container string, at time.Time, message string) {
	r.pull(p, container, func(pull *Pull) {
		if pull.End.IsZero() {
			pull.End, pull.Message = at, message
		}
	})
}

func (r *Recorder) pull(p Pod, container string, change func(*Pull)) {
	r.update(p, false, func(e *Record) {
		for i := range e.Pulls {
			if e.Pulls[i].Container == container {
				change(&e.Pulls[i])
				return
			}
		}
		if len(e.Pulls) < maxPulls {
			e.Pulls = append(e.Pulls, Pull{Container: container})
			change(&e.Pulls[len(e.Pulls)-1])
		}
	})
}
