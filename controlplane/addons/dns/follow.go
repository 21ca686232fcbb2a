package dns

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/wait"
	"bonsai/controlplane/agents"
)

const (
	// eagerPause is the pause between two attempts to reach a server for eagerTime, which is longer than an agent takes
	// to restart; patientPause is used from then on.
	eagerPause   = 50 * time.Millisecond
	eagerTime    = 15 * time.Second
	patientPause = time.Second
	// grace is how long a server that answered may be unreachable before it counts as down: an agent that crashed is
	// back sooner, and each change of the endpoints makes kube-proxy drop the questions in flight.
	grace = 500 * time.Millisecond
)

// follower follows the server of one node, with one request whose answer continues for as long as the agent lives.
type follower struct {
	node   cluster.Node
	agents *agents.Client
	scale  wait.Scale
	log    *slog.Logger
	// machine is what the server is sent; heard has room for one, and a value when the server has reported something.
	machine *machine
	heard   chan struct{}
	// publish is called with each new phase.
	publish func(cluster.Phase)
}

// run follows until ctx ends.
func (f *follower) run(ctx context.Context) {
	lost := cluster.PhaseStarting // the phase of a server that cannot be reached
	steady := steadied{publish: f.publish, grace: f.scale.Of(grace)}
	defer steady.stop()
	publish := steady.observe
	since := time.Now()
	for ctx.Err() == nil {
		err := f.agents.DNSHealth(ctx, f.node, func(p cluster.Phase) {
			since, lost = time.Now(), cluster.PhaseUnknown
			publish(p)
			select {
			case f.heard <- struct{}{}:
			default:
			}
		})
		if ctx.Err() != nil {
			return
		}
		f.log.Debug("a node's DNS server cannot be followed", "node", f.node.Name, "err", err)
		pause := eagerPause
		if time.Since(since) > f.scale.Of(eagerTime) {
			pause, lost = patientPause, cluster.PhaseUnknown
		}
		publish(lost)
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-t.C:
		}
		t.Stop()
	}
}

// steadied passes phases on, but the end of a server only if it lasts.
type steadied struct {
	publish func(cluster.Phase)
	grace   time.Duration

	mu        sync.Mutex // guards the following, and serialises calls of publish
	published cluster.Phase
	next      cluster.Phase // to be passed on when later fires
	later     *time.Timer
	ended     bool
}

func (s *steadied) observe(p cluster.Phase) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if answers(s.published) && !answers(p) {
		if s.later == nil {
			s.later = time.AfterFunc(s.grace, s.giveUp)
		}
		s.next = p
		return
	}
	if s.later != nil {
		s.later.Stop()
		s.later = nil
	}
	s.say(p)
}

// giveUp passes on that a server which answered no longer does.
func (s *steadied) giveUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.later != nil && !s.ended {
		s.later = nil
		s.say(s.next)
	}
}

func (s *steadied) say(p cluster.Phase) {
	if p != s.published {
		s.published = p
		s.publish(p)
	}
}

// stop ensures that nothing more is passed on.
func (s *steadied) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	if s.later != nil {
		s.later.Stop()
	}
}
