package loadbalancer

import (
	"errors"
	"net/http"
	"sync"
)

// gate lets requests through until it is closed.
type gate struct {
	mu     sync.RWMutex // held while a request is under way; guards closed
	closed bool
}

var errClosed = errors.New("the addon loadbalancer is stopping")

// close waits for the requests that are under way, and refuses later ones.
func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
}

func (g *gate) wrap(next http.RoundTripper) http.RoundTripper { return gatedTransport{g, next} }

type gatedTransport struct {
	gate *gate
	next http.RoundTripper
}

func (t gatedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	t.gate.mu.RLock()
	defer t.gate.mu.RUnlock()
	if t.gate.closed {
		return nil, errClosed
	}
	return t.next.RoundTrip(r)
}
