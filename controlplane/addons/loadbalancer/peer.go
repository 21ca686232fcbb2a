package loadbalancer

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/wait"
	"bonsai/controlplane/agents"
)

const (
	// silence is how long an agent may give no sign of life, which it does twice a second, before other nodes get its addresses.
	// An agent that was killed is back sooner.
	silence = 2 * time.Second
	// stalled is how much later than planned a timer may fire; more means that this process did not run, and knows nothing.
	stalled = 500 * time.Millisecond
	// peerPause is between two attempts to reach an agent.
	peerPause = 100 * time.Millisecond
	// insistPause is how long to wait before a node is asked again to announce an address which another machine has announced since.
	insistPause = 5 * time.Second
)

// Agents asks the agents of nodes.
type Agents interface {
	Announce(ctx context.Context, n cluster.Node, a cluster.Announcement) (cluster.Announced, error)
	Announced(ctx context.Context, n cluster.Node, each func(cluster.Announced)) error
}

var _ Agents = (*agents.Client)(nil)

// peer is a node: it follows whether the agent lives, and has it announce what is wanted.
type peer struct {
	node   cluster.Node
	agents Agents
	scale  wait.Scale
	log    *slog.Logger
	// changed is called when alive or announced has changed.
	changed func()
	// kick has room for one, and a value when there may be something to say.
	kick chan struct{}

	mu        sync.Mutex // guards the rest
	alive     bool
	heard     bool // once at least
	announced cluster.Announced
	// wanted is nil until it has been decided: a node goes on as before until then.
	wanted   []cluster.AnnouncedAddress
	decided  bool
	sequence int64 // of the last announcement
}

func newPeer(n cluster.Node, a Agents, scale wait.Scale, log *slog.Logger, changed func()) *peer {
	return &peer{node: n, agents: a, scale: scale, log: log.With("node", n.Name), changed: changed, kick: make(chan struct{}, 1)}
}

// run follows the node until ctx ends. The node goes on announcing what it does.
func (p *peer) run(ctx context.Context) {
	var work sync.WaitGroup
	defer work.Wait()
	work.Go(func() { p.send(ctx) })
	limit := p.scale.Of(silence)
	due := time.Now().Add(limit)
	var mu sync.Mutex // guards due and late
	mu.Lock()
	var late *time.Timer
	late = time.AfterFunc(limit, func() {
		mu.Lock()
		over := time.Since(due)
		if over > p.scale.Of(stalled) || over < 0 {
			due = time.Now().Add(limit)
			late.Reset(limit)
			over = -1
		}
		mu.Unlock()
		if over >= 0 {
			p.set(func() { p.alive = false })
		}
	})
	mu.Unlock()
	defer late.Stop()
	for ctx.Err() == nil {
		err := p.agents.Announced(ctx, p.node, func(now cluster.Announced) {
			mu.Lock()
			due = time.Now().Add(limit)
			late.Reset(limit)
			mu.Unlock()
			p.set(func() {
				p.alive, p.heard, p.announced = true, true, now
				p.sequence = max(p.sequence, now.Sequence)
			})
		})
		if ctx.Err() == nil {
			p.log.Debug("what a node announces cannot be followed", "err", err)
		}
		_ = wait.Pause(ctx, peerPause)
	}
}

// set changes what is known, and reports if that makes a difference.
func (p *peer) set(change func()) {
	p.mu.Lock()
	alive, announced := p.alive, p.announced
	change()
	news := alive != p.alive || announced.Sequence != p.announced.Sequence || !slices.Equal(announced.Addresses, p.announced.Addresses)
	back := !alive && p.alive
	p.mu.Unlock()
	if news {
		p.changed()
	}
	if news || back {
		p.poke()
	}
}

func (p *peer) poke() {
	select {
	case p.kick <- struct{}{}:
	default:
	}
}

// want says what the node should announce.
func (p *peer) want(list []cluster.AnnouncedAddress) {
	p.mu.Lock()
	same := p.decided && slices.EqualFunc(p.wanted, list, equal)
	if !same {
		p.wanted, p.decided = list, true
	}
	p.mu.Unlock()
	if !same {
		p.poke()
	}
}

func equal(a, b cluster.AnnouncedAddress) bool {
	return a.Address == b.Address && slices.Equal(a.Ports, b.Ports)
}

// send has the agent announce what is wanted, again if it was restarted or another machine has announced it.
func (p *peer) send(ctx context.Context) {
	var accepted []cluster.AnnouncedAddress
	var sequence int64 // of accepted; 0 if there is none
	var insisted time.Time
	for {
		p.mu.Lock()
		wanted, decided, alive, announced := p.wanted, p.decided, p.alive, p.announced
		p.mu.Unlock()
		var again <-chan time.Time
		if decided && alive {
			fresh := sequence == 0 || !slices.EqualFunc(accepted, wanted, equal)
			lost := !fresh && (announced.Sequence != sequence || !covers(announced, wanted))
			switch {
			case lost && time.Since(insisted) < p.scale.Of(insistPause):
				again = time.After(p.scale.Of(insistPause))
			case fresh || lost:
				if lost {
					insisted = time.Now()
				}
				now, err := p.announce(ctx, wanted)
				if err == nil {
					accepted, sequence = wanted, now.Sequence
				} else if ctx.Err() == nil {
					p.log.Debug("a node did not receive what to announce", "err", err)
					again = time.After(peerPause)
				}
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-p.kick:
		case <-again:
		}
	}
}

// announce sends an announcement newer than all before it.
func (p *peer) announce(ctx context.Context, list []cluster.AnnouncedAddress) (cluster.Announced, error) {
	p.mu.Lock()
	// The time, so that one of an earlier daemon which is still on its way is older.
	p.sequence = max(p.sequence+1, time.Now().UnixNano())
	a := cluster.Announcement{Sequence: p.sequence, Addresses: list}
	p.mu.Unlock()
	now, err := p.agents.Announce(ctx, p.node, a)
	if e, ok := errors.AsType[*agents.Error](err); ok && e.Status == http.StatusConflict {
		p.mu.Lock()
		p.sequence += int64(time.Minute) // the clock was set back
		p.mu.Unlock()
	}
	if err == nil {
		p.set(func() { p.announced = now })
	}
	return now, err
}

// covers reports whether all wanted addresses are announced.
func covers(announced cluster.Announced, wanted []cluster.AnnouncedAddress) bool {
	return !slices.ContainsFunc(wanted, func(w cluster.AnnouncedAddress) bool { return !slices.Contains(announced.Addresses, w.Address) })
}

// state is what is known of the node.
func (p *peer) state() (alive, heard bool, announced cluster.Announced) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.alive, p.heard, p.announced
}
