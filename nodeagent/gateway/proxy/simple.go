package proxy

import (
	"net"
	"runtime/debug"
	"sync"
	"time"
)

const (
	// lookPause is between two looks at the connections of a port.
	lookPause = time.Second
	// watchAfter is how long an answer may take until somebody looks whether the client still waits for it.
	watchAfter = time.Second
)

// simple serves the connections of a port without TLS for as long as what comes over them is simple: requests of HTTP/1.1 that have no
// body and nothing to be done with but passing them on, and the rules of which say no more. It does so in one goroutine for each
// connection, from the bytes of one to those of the other. The first request that is not simple goes to net/http, with the connection
// and all that follows on it: what is rare, refused or doubtful is decided in one place only.
//
// A request takes half of the processor time without the detours: net/http's server has a second goroutine that waits for the client to
// leave, two deadlines and a header of its own for each request and each answer.
type simple struct {
	p       *Proxy
	number  uint16
	buffers *buffers
	rest    *handover

	mu      sync.Mutex // guards the rest
	conns   map[*simpleConn]bool
	later   *time.Timer // nil while there is no connection to look at
	closing bool
	running sync.WaitGroup
}

// simply accepts connections until the listener is closed. Whoever serves rest gets those that are not simple.
func (p *Proxy) simply(l net.Listener, number uint16) *simple {
	s := &simple{
		p: p, number: number, buffers: newBuffers(), conns: map[*simpleConn]bool{},
		rest: &handover{Listener: l, conns: make(chan net.Conn), closed: make(chan struct{})},
	}
	s.running.Go(func() { p.ended(s.accept(), number) })
	return s
}

func (s *simple) accept() error {
	for {
		conn, err := s.rest.Listener.Accept()
		if err != nil {
			return err
		}
		tcp, ok := conn.(*net.TCPConn)
		if !ok { // which begins with the PROXY protocol
			s.running.Go(func() { s.rest.give(conn) })
			continue
		}
		c := newSimpleConn(s, tcp)
		s.running.Go(func() {
			if s.remember(c) {
				s.serve(c)
			} else {
				_ = tcp.Close()
			}
		})
	}
}

// serve serves a connection. A bug that a request has met ends its connection and no others, as net/http has it.
func (s *simple) serve(c *simpleConn) {
	defer s.forget(c)
	defer func() {
		if bug := recover(); bug != nil {
			s.p.cfg.Log.Error("a connection was ended by a bug", "client", c.from, "panic", bug, "stack", string(debug.Stack()))
			c.end(true)
		}
	}()
	c.serve()
}

func (s *simple) remember(c *simpleConn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.conns[c] = true
	if s.later == nil {
		s.later = time.AfterFunc(lookPause, s.look)
	}
	return true
}

func (s *simple) forget(c *simpleConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// look ends what takes too long. One timer for all connections costs nothing for each request.
func (s *simple) look() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for c := range s.conns {
		c.look(now)
	}
	if s.later = nil; len(s.conns) > 0 {
		s.later = time.AfterFunc(lookPause, s.look)
	}
}

// shut ends the connections that are idle at once and the others after a while. The listener is closed; shut waits for all of them.
func (s *simple) shut(limit time.Duration) {
	s.end(false)
	late := time.AfterFunc(limit, func() { s.end(true) })
	s.running.Wait()
	late.Stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.later != nil {
		s.later.Stop()
		s.later = nil
	}
}

func (s *simple) end(all bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing = true
	for c := range s.conns {
		c.end(all)
	}
}

// handover is the listener of the server that gets the connections that are not simple.
type handover struct {
	net.Listener
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

// Accept implements net.Listener.
func (h *handover) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (h *handover) Close() error {
	h.once.Do(func() { close(h.closed) })
	return h.Listener.Close()
}

func (h *handover) give(c net.Conn) {
	select {
	case h.conns <- c:
	case <-h.closed:
		_ = c.Close()
	}
}

// begun is a connection of which some was read.
type begun struct {
	net.Conn
	read []byte
}

// Read implements io.Reader.
func (b *begun) Read(to []byte) (int, error) {
	if len(b.read) > 0 {
		n := copy(to, b.read)
		b.read = b.read[n:]
		return n, nil
	}
	return b.Conn.Read(to)
}

// CloseWrite lets a client read the end of an answer.
func (b *begun) CloseWrite() error {
	if half, ok := b.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return b.Close()
}

// simple says whether a rule does nothing but lead to backends.
func (r *rule) isSimple() bool {
	if r.Redirect != nil || len(r.Sources) > 0 || r.CORS != nil || r.Rewrite != nil || r.Request != nil || r.Response != nil ||
		len(r.mirrors) > 0 || r.Affinity != nil || r.Timeout > 0 || r.HeaderTimeout > 0 || r.ConnectTimeout > 0 {
		return false
	}
	for _, w := range r.backends {
		if w.Request != nil || w.Response != nil {
			return false
		}
	}
	return true
}
