package names

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync"

	"bonsai/bootstrap/servicename"
)

const (
	// keptConnections to a port of a Service wait for the next request: a browser has six.
	keptConnections = 16
	// copyBuffer is what is copied at once.
	copyBuffer = 32 << 10
)

// dialer connects to an address.
type dialer func(ctx context.Context, network, address string) (net.Conn, error)

// transports are those to apps, by protocol.
type transports struct{ plain, h2, insecure *http.Transport }

func (t transports) close() {
	for _, one := range []*http.Transport{t.plain, t.h2, t.insecure} {
		one.CloseIdleConnections()
	}
}

// newTransport returns one that adds nothing to requests, and passes compressed content on as it is.
func newTransport(dial dialer) *http.Transport {
	return &http.Transport{DialContext: dial, DisableCompression: true, MaxIdleConnsPerHost: keptConnections, IdleConnTimeout: idleLimit}
}

func newTransports(dial dialer) (t transports) {
	t = transports{plain: newTransport(dial), h2: newTransport(dial), insecure: newTransport(dial)}
	t.h2.Protocols = new(http.Protocols)
	t.h2.Protocols.SetUnencryptedHTTP2(true)
	// Certificates of apps in a cluster name Services, if that, and are of a CA that nobody else knows. The way there is
	// authenticated; so does the API server's own proxy.
	t.insecure.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
	t.insecure.Protocols = new(http.Protocols)
	t.insecure.Protocols.SetHTTP1(true)
	t.insecure.Protocols.SetHTTP2(true)
	return t
}

// transportFor is how to send a request to an app.
func (t transports) transportFor(speaks servicename.Speaks, r *http.Request) http.RoundTripper {
	switch {
	case speaks == servicename.HTTPS:
		return t.insecure
	case upgrades(r):
		return t.plain
	case speaks == servicename.H2C || isGRPC(r):
		return t.h2
	}
	return t.plain
}

// buffers implements httputil.BufferPool.
type buffers struct{ pool sync.Pool }

func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[copyBuffer]byte); ok {
		return p[:]
	}
	return make([]byte, copyBuffer)
}

func (b *buffers) Put(p []byte) {
	if len(p) == copyBuffer {
		b.pool.Put((*[copyBuffer]byte)(p))
	}
}

// isRefused says whether an error of Dial comes from behind the node that was asked.
func isRefused(err error) bool {
	r, ok := errors.AsType[interface {
		error
		Refused() bool
	}](err)
	return ok && r.Refused()
}
