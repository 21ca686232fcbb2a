package proxy

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"bonsai/bootstrap/gatewaytable"
)

const (
	// dialLimit bounds connecting to an endpoint, unless the rule says another limit. All of them are on this machine.
	dialLimit = 2 * time.Second
	// downTime is how long an endpoint that did not accept a connection is only used if there is no other.
	downTime = 2 * time.Second
	// attempts is how many endpoints a request is tried with; only those that could not be connected to are followed by others.
	attempts = 3
	// keepIdle is less than the five seconds after which Node.js, the least patient of the usual servers, closes a connection
	// that is idle: a request that meets its end fails.
	keepIdle = 4 * time.Second
	// idlePerEndpoint is how many idle connections to an endpoint are kept.
	idlePerEndpoint = 256
	// pingAfter and pingLimit find a dead connection over which several requests go (HTTP/2), before more follow them.
	pingAfter, pingLimit = 5 * time.Second, 5 * time.Second
	copyBuffer           = 32 << 10
)

// transports are the connections to backends, by their protocol.
type transports map[gatewaytable.Protocol]*http.Transport

func newTransports() transports {
	return transports{
		gatewaytable.HTTP1: newTransport(func(p *http.Protocols) { p.SetHTTP1(true) }, nil),
		gatewaytable.H2C:   newTransport(func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) }, nil),
		// Without a policy that names a CA, nobody can say whom a backend's certificate should be from.
		gatewaytable.HTTPS: newTransport(secured, &tls.Config{InsecureSkipVerify: true}),
	}
}

// secured are the protocols that are spoken over TLS.
func secured(p *http.Protocols) { p.SetHTTP1(true); p.SetHTTP2(true) }

func newTransport(set func(*http.Protocols), config *tls.Config) *http.Transport {
	t := &http.Transport{
		DialContext: dial, Protocols: new(http.Protocols),
		MaxIdleConnsPerHost: idlePerEndpoint, IdleConnTimeout: keepIdle, ExpectContinueTimeout: time.Second,
		HTTP2:              &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingLimit},
		DisableCompression: true, // bodies are passed on as they are
		TLSClientConfig:    config, TLSHandshakeTimeout: 5 * time.Second,
	}
	set(t.Protocols)
	return t
}

func (t transports) close() {
	for _, one := range t {
		one.CloseIdleConnections()
	}
}

func dial(ctx context.Context, network, address string) (net.Conn, error) {
	limit := dialLimit
	if x := exchangeOf(ctx); x != nil && x.rule.ConnectTimeout > 0 {
		limit = x.rule.ConnectTimeout
	}
	d := net.Dialer{Timeout: limit, KeepAliveConfig: alive}
	return d.DialContext(ctx, network, address)
}

// alive finds an endpoint that is gone while nothing is sent to it.
var alive = net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 5 * time.Second, Count: 3}

// balancer sends a request to one of its backend's endpoints.
type balancer Proxy

// RoundTrip implements http.RoundTripper. It tries another endpoint if one cannot be connected to: nothing was sent then.
func (p *balancer) RoundTrip(req *http.Request) (*http.Response, error) {
	x := exchangeOf(req.Context())
	transport := x.backend.transport
	if transport == nil {
		transport = p.out[x.backend.Protocol]
	}
	if transport == nil {
		return nil, errors.New("the backend's protocol is unknown: " + string(x.backend.Protocol))
	}
	if req.Body != nil && req.Body != http.NoBody {
		req.Body = unclosed{req.Body} // a transport closes it, also if it has not connected; whoever forwards closes it in the end
	}
	send := transport.RoundTrip
	if x.backend.transport == nil && p.plain.takes(req, x.backend.Protocol) {
		send = p.plain.RoundTrip
	}
	var err error
	for attempt := range min(len(x.backend.hosts), attempts) {
		x.to = x.backend.choose(&p.down, x.sticky, attempt)
		req.URL.Host = x.to
		var resp *http.Response
		if resp, err = send(req); err == nil {
			return resp, nil
		}
		if op, ok := errors.AsType[*net.OpError](err); !ok || op.Op != "dial" || req.Context().Err() != nil {
			return nil, err
		}
		p.down.note(x.to)
	}
	return nil, err
}

// unclosed is a body that its sender does not close.
type unclosed struct{ io.Reader }

func (unclosed) Close() error { return nil }

// choose returns the endpoint for an attempt: the sticky one at first, the others in turn, without those that are down.
func (b *backend) choose(down *unreachable, sticky string, attempt int) string {
	if sticky != "" && attempt == 0 {
		return sticky
	}
	n := uint32(len(b.hosts))
	first := b.next.Add(1)
	if n == 1 || !down.any() {
		return b.hosts[first%n]
	}
	for i := range n {
		if h := b.hosts[(first+i)%n]; !down.is(h) {
			return h
		}
	}
	return b.hosts[first%n]
}

// cookieOf names an endpoint without its address.
func cookieOf(host string) string {
	sum := sha256.Sum256([]byte(host))
	return hex.EncodeToString(sum[:12])
}

// byCookie is the endpoint that a cookie names, empty if it is gone.
func (b *backend) byCookie(value string) string {
	for _, h := range b.hosts {
		if cookieOf(h) == value {
			return h
		}
	}
	return ""
}

// unreachable are the endpoints that did not accept a connection a moment ago.
type unreachable struct {
	last  atomic.Int64 // when one was noted last
	since sync.Map     // of host, to time.Time
}

func (u *unreachable) any() bool {
	last := u.last.Load()
	return last != 0 && time.Since(time.Unix(0, last)) < downTime
}

func (u *unreachable) is(host string) bool {
	t, ok := u.since.Load(host)
	if !ok {
		return false
	}
	if time.Since(t.(time.Time)) < downTime {
		return true
	}
	u.since.Delete(host)
	return false
}

func (u *unreachable) note(host string) {
	now := time.Now()
	u.since.Store(host, now)
	u.last.Store(now.UnixNano())
}

// buffers are for copying bodies.
type buffers struct{ pool sync.Pool }

func newBuffers() *buffers {
	return &buffers{sync.Pool{New: func() any { return new([copyBuffer]byte) }}}
}

func (b *buffers) Get() []byte  { return b.pool.Get().(*[copyBuffer]byte)[:] }
func (b *buffers) Put(s []byte) { b.pool.Put((*[copyBuffer]byte)(s)) }
