package dns

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/wait"
)

const (
	// eagerPause is the pause between two attempts to reach a server for eagerTime, which is longer than an agent takes
	// to restart; patientPause is used from then on.
	eagerPause   = 50 * time.Millisecond
	eagerTime    = 15 * time.Second
	patientPause = time.Second
	// firstWord is how long an agent may take to report the state of its server, including connecting.
	firstWord = time.Second
	// grace is how long a server that answered may be unreachable before it counts as down: an agent that crashed is
	// back sooner, and each change of the endpoints makes kube-proxy drop the questions in flight.
	grace = 500 * time.Millisecond
	// maxLine bounds one line of an agent's answer.
	maxLine = 64 << 10
)

// follower follows the server of one node, with one request whose answer continues for as long as the agent lives.
type follower struct {
	node      cluster.Node
	transport http.RoundTripper
	scale     wait.Scale
	log       *slog.Logger
	// publish is called with each new phase.
	publish func(cluster.Phase)
}

// run follows until ctx ends.
func (f *follower) run(ctx context.Context) {
	client := &http.Client{Transport: f.transport}
	defer client.CloseIdleConnections()
	lost := cluster.PhaseStarting // the phase of a server that cannot be reached
	steady := steadied{publish: f.publish, grace: f.scale.Of(grace)}
	defer steady.stop()
	publish := steady.observe
	since := time.Now()
	for ctx.Err() == nil {
		err := f.listen(ctx, client, func(p cluster.Phase) {
			since, lost = time.Now(), cluster.PhaseUnknown
			publish(p)
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

// listen makes one request and publishes each phase until the answer ends.
func (f *follower) listen(ctx context.Context, client *http.Client, publish func(cluster.Phase)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silent := time.AfterFunc(f.scale.Of(firstWord), func() { cancel(errors.New("no answer in time")) })
	defer silent.Stop()
	url := fmt.Sprintf("https://%s/v1/dns/health", netip.AddrPortFrom(f.node.IP, cluster.AgentPort))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the agent answers %s", resp.Status)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		silent.Stop()
		var line struct {
			Phase cluster.Phase `json:"phase"`
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return fmt.Errorf("the agent's answer cannot be read: %w", err)
		}
		switch line.Phase {
		case cluster.PhaseRunning, cluster.PhaseDegraded, cluster.PhaseStarting, cluster.PhaseStopping, cluster.PhaseFailed:
			publish(line.Phase)
		default: // from another version, or invalid
			publish(cluster.PhaseUnknown)
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return io.EOF
}
