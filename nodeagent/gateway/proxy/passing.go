package proxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"bonsai/bootstrap/splice"
)

// helloLimit bounds how long a client may take to say which name it asks for.
const helloLimit = 10 * time.Second

// passer serves a port with TLS whatever is in it: it leads each connection to a backend by the name in its first message, as it is
// or without its TLS.
type passer struct {
	p      *Proxy
	number uint16
	config *tls.Config // of connections whose TLS ends here
	end    context.CancelFunc
	// accepting is closed when no more connections come.
	accepting chan struct{}
	conns     sync.WaitGroup
}

// pass accepts connections until the listener is closed.
func (p *Proxy) pass(l net.Listener, number uint16) *passer {
	ctx, end := context.WithCancel(context.Background())
	s := &passer{p: p, number: number, config: p.terminating(number), end: end, accepting: make(chan struct{})}
	p.serving.Go(func() {
		defer close(s.accepting)
		for {
			conn, err := l.Accept()
			if err != nil {
				p.ended(err, number)
				return
			}
			s.conns.Go(func() {
				defer conn.Close()
				s.serve(ctx, conn)
			})
		}
	})
	return s
}

// shut lets connections go on for a while, and waits until they have ended. The listener is closed.
func (s *passer) shut(limit time.Duration) {
	<-s.accepting
	late := time.AfterFunc(limit, s.end)
	s.conns.Wait()
	late.Stop()
	s.end()
}

// serve leads one connection to a backend. Without one it is closed.
func (s *passer) serve(ctx context.Context, conn net.Conn) {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	_ = conn.SetReadDeadline(time.Now().Add(helloLimit))
	name, first, err := hello(ctx, conn)
	if err != nil {
		return
	}
	at := s.p.state.Load().ports[s.number]
	if at == nil {
		return
	}
	name = hostOf(&http.Request{Host: name})
	rule, _ := at.find(&http.Request{Host: name}, name, "/")
	if rule == nil {
		return
	}
	if rule.Terminate {
		inner := tls.Server(&begun{Conn: conn, read: first}, s.config)
		defer inner.Close()
		if inner.HandshakeContext(ctx) != nil {
			return
		}
		conn, first = inner, nil
	}
	_ = conn.SetReadDeadline(time.Time{})
	x := &exchange{rule: rule, port: at.public, share: rule.pick()}
	if x.share == nil || x.share.backend == nil {
		return
	}
	x.backend = x.share.backend
	to, err := s.dial(ctx, x)
	if err != nil {
		s.p.cfg.Log.Debug("a connection could not be passed on", "backend", x.backend.Name, "err", err)
		return
	}
	defer to.Close()
	if _, err := to.Write(first); err == nil {
		splice.Both(ctx, conn, to)
	}
}

// dial connects to one of a backend's endpoints, to another one if the first does not accept.
func (s *passer) dial(ctx context.Context, x *exchange) (conn net.Conn, err error) {
	err = errors.New("no endpoint is ready")
	for attempt := range min(len(x.backend.hosts), attempts) {
		x.to = x.backend.choose(&s.p.down, "", attempt)
		if conn, err = dial(context.WithValue(ctx, exchangeKey{}, x), "tcp", x.to); err == nil || ctx.Err() != nil {
			return conn, err
		}
		s.p.down.note(x.to)
	}
	return nil, err
}

// errHeard ends a handshake that was only listened to.
var errHeard = errors.New("the name is known")

// hello reads the first message of TLS. It returns the name that the client asks for, empty if it asks for none, and what was read.
func hello(ctx context.Context, conn net.Conn) (name string, read []byte, err error) {
	var begun bytes.Buffer
	err = tls.Server(listening{Conn: conn, from: io.TeeReader(conn, &begun)}, &tls.Config{
		GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			name = h.ServerName
			return nil, errHeard
		},
	}).HandshakeContext(ctx)
	if !errors.Is(err, errHeard) {
		return "", nil, err
	}
	return name, begun.Bytes(), nil
}

// listening is a connection on which nothing is said.
type listening struct {
	net.Conn
	from io.Reader
}

func (l listening) Read(b []byte) (int, error)       { return l.from.Read(b) }
func (l listening) Write(b []byte) (int, error)      { return len(b), nil }
func (l listening) Close() error                     { return nil }
func (l listening) SetDeadline(time.Time) error      { return nil }
func (l listening) SetWriteDeadline(time.Time) error { return nil }
