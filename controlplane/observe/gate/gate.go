// Package gate lets the parts of the daemon that answer long questions end in order: who comes is counted, and once the
// gate is closed those inside are told, waited for, and nobody else comes in.
package gate

import "sync"

// Gate is open at first. Make one with New; it is safe for concurrent use.
type Gate struct {
	closing chan struct{} // closed by Close
	mu      sync.Mutex    // held while somebody enters or Close begins
	inside  sync.WaitGroup
}

// New makes an open gate.
func New() *Gate { return &Gate{closing: make(chan struct{})} }

// Enter counts somebody in, who calls Leave at the end; false if the gate is closed.
func (g *Gate) Enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.closing:
		return false
	default:
		g.inside.Add(1)
		return true
	}
}

// Leave counts somebody out.
func (g *Gate) Leave() { g.inside.Done() }

// Go runs f in a goroutine that Close waits for. Only who is inside may call it.
func (g *Gate) Go(f func()) { g.inside.Go(f) }

// Closing is closed when Close begins.
func (g *Gate) Closing() <-chan struct{} { return g.closing }

// Close tells those inside and waits until they have left. It is called once.
func (g *Gate) Close() {
	g.mu.Lock()
	close(g.closing)
	g.mu.Unlock()
	g.inside.Wait()
}
