package proxy

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httputil"
	"strings"
	"time"

	"bonsai/bootstrap/gatewaytable"
)

const (
	// maxMirrored bounds the body of a request that is copied: it is kept in memory.
	maxMirrored = 1 << 20
	mirrorLimit = 10 * time.Second
)

// mirror sends copies of a request, in the background. A request with a body of unknown or great length is not copied, nor one that
// becomes a conversation in another protocol.
func (p *Proxy) mirror(r *http.Request, x *exchange) {
	var body []byte
	if r.ContentLength < 0 || r.ContentLength > maxMirrored || r.Header.Get("Upgrade") != "" {
		return
	}
	if r.ContentLength > 0 {
		body = make([]byte, r.ContentLength)
		n, err := io.ReadFull(r.Body, body)
		r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body[:n]), r.Body))
		if err != nil {
			return // the request itself fails in the same way
		}
	}
	for _, m := range x.rule.mirrors {
		if m.Denominator > 0 && rand.Int32N(m.Denominator) >= m.Numerator || len(m.backend.hosts) == 0 {
			continue
		}
		copied := &exchange{rule: &rule{Rule: gatewaytable.Rule{Request: x.rule.Request}}, share: &weighted{}, backend: m.backend}
		ctx, cancel := context.WithTimeout(context.WithValue(context.WithoutCancel(r.Context()), exchangeKey{}, copied), mirrorLimit)
		out := r.Clone(ctx)
		out.RequestURI, out.Trailer = "", nil
		out.Body, out.ContentLength = http.NoBody, int64(len(body))
		if len(body) > 0 {
			out.Body = io.NopCloser(bytes.NewReader(body))
		}
		dropHopByHop(out.Header)
		p.forwarded(&httputil.ProxyRequest{In: r, Out: out}, x.port)
		copied.prepare(out)
		p.serving.Go(func() {
			defer cancel()
			resp, err := (*balancer)(p).RoundTrip(out)
			if err != nil {
				p.cfg.Log.Debug("a copy of a request was not sent", "backend", copied.backend.Name, "err", err)
				return
			}
			_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxMirrored)) // so that the connection can be used again
			_ = resp.Body.Close()
		})
	}
}

// hopByHop are the headers that are about one connection (RFC 9110 7.6.1, and those of before it).
var hopByHop = []string{
	"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

// dropHopByHop removes them from the header of a copy; httputil.ReverseProxy does so for what it forwards.
func dropHopByHop(h http.Header) {
	for _, value := range h["Connection"] {
		for name := range strings.SplitSeq(value, ",") {
			h.Del(strings.TrimSpace(name))
		}
	}
	for _, name := range hopByHop {
		h.Del(name)
	}
}
