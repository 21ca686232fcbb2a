// Package flows shows who talks to whom on a node, from the connections that its kernel tracks (conntrack), as a part of the
// node agent.
//
//	GET /  a cluster.NodeFlows per line: one at once, one after cluster.FlowInterval, then one after each pause
//
// A pause is cluster.FlowInterval, or longer if the kernel tracks so many connections that reading them takes long (pauseAfter).
// Nothing runs without a client: no socket is open, and the kernel reports nothing. Begin reading at Part; table.go is what
// turns dumps into samples and is pure, as is decode.go; kernel.go has the sockets.
package flows

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"

	"bonsai/bootstrap/cluster"
)

const (
	// Name is that of the part.
	Name = "flows"
	// maxClients limits them: there is one daemon.
	maxClients = 4
	// stallLimit ends a stream whose reader accepts no more data.
	stallLimit = 10 * time.Second
	// share is what part of the time is spent on reading connections, at most, as long as pauses are shorter than longestPause.
	share = 100
	// longestPause is between two samples. After it, people would not know what they look at.
	longestPause = 10 * time.Second
)

// Part answers the daemon.
type Part struct {
	places  Places
	denied  func() ([]cluster.Denied, error)
	clients chan struct{} // a slot for each
}

// New returns the part. It starts nothing. denied returns what NetworkPolicies have stopped, which is in no table of connections; it
// may be nil.
func New(p Places, denied func() ([]cluster.Denied, error)) *Part {
	return &Part{places: p, denied: denied, clients: make(chan struct{}, maxClients)}
}

// Name implements nodeagent.Part.
func (*Part) Name() string { return Name }

// Handler implements nodeagent.Part.
func (p *Part) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		select {
		case p.clients <- struct{}{}:
			defer func() { <-p.clients }()
		default:
			http.Error(w, "others watch already", http.StatusTooManyRequests)
			return
		}
		k, err := open()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		defer func() { _ = k.close() }()
		w.Header().Set("Content-Type", "application/jsonl")
		enc, rc := json.NewEncoder(w), http.NewResponseController(w)
		err = p.sample(r.Context(), k, func(s cluster.NodeFlows) error {
			_ = rc.SetWriteDeadline(time.Now().Add(stallLimit)) // not every server supports it
			return errors.Join(enc.Encode(s), rc.Flush())
		})
		if err != nil && r.Context().Err() == nil {
			panic(http.ErrAbortHandler) // the reader connects again
		}
	})
	return mux
}

// sample calls send with samples until ctx ends.
func (p *Part) sample(ctx context.Context, k *kernel, send func(cluster.NodeFlows) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var reading sync.WaitGroup
	defer reading.Wait()
	defer cancel(nil)

	var mu sync.Mutex // guards t and lost
	t, lost := newTable(p.places), false
	reading.Go(func() {
		cancel(k.ended(ctx, func(e entry) {
			mu.Lock()
			defer mu.Unlock()
			t.ended(e)
		}, func() {
			mu.Lock()
			defer mu.Unlock()
			lost = true
		}))
	})
	for last := (time.Time{}); ; {
		now := time.Now()
		pause, over := cluster.FlowInterval, time.Duration(0)
		first := last.IsZero()
		if !first {
			over = now.Sub(last)
		}
		last = now
		mu.Lock()
		err := k.dump(func(e entry) { t.update(e) })
		s := t.end(now, over)
		s.Lost, lost = lost, false
		mu.Unlock()
		if p.denied != nil {
			var failed error
			if s.Denied, failed = p.denied(); failed != nil {
				s.DeniedError = failed.Error()
			}
		}
		if err == nil {
			err = send(s)
		}
		if err != nil {
			return err
		}
		if !first { // the first figures come soon in any case
			pause = pauseAfter(time.Since(now))
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause - time.Since(now)):
		}
	}
}

// pauseAfter is how long after the beginning of a sample the next one begins, if the sample took that long: so that however many
// connections there are, they cost little, and a busy machine is asked less.
func pauseAfter(took time.Duration) time.Duration {
	return min(max(cluster.FlowInterval, share*took), longestPause)
}
