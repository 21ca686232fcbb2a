package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"bonsai/bootstrap/gatewaytable"
)

// exchange is one request on its way to a backend.
type exchange struct {
	rule    *rule
	share   *weighted
	backend *backend
	port    uint16
	// sticky is the endpoint that the client's cookie asks for, to the one that was used.
	sticky, to string
	// late ends the exchange when the header of the answer takes too long, whole when all of it does; nil if there is no limit.
	late  *patience
	whole *time.Timer
}

type exchangeKey struct{}

func exchangeOf(ctx context.Context) *exchange {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	return x
}

// errLate is why an exchange ended at its limit.
var errLate = errors.New("the backend did not answer in time")

// handle serves one request.
func (p *Proxy) handle(w http.ResponseWriter, r *http.Request, number uint16) {
	rec := &recorder{ResponseWriter: w}
	x := &exchange{port: number}
	if p.cfg.Access != nil {
		began := time.Now()
		path := r.URL.RequestURI() // before anything changes it
		defer func() { p.cfg.Access(requestOf(r, path, rec, x, began)) }()
	}
	misdirected := false
	if at := p.state.Load().ports[number]; at != nil {
		x.port = at.public
		x.rule, misdirected = at.find(r, hostOf(r), cleanPath(r.URL.Path))
	}
	switch {
	case r.Method == http.MethodConnect: // which asks for a connection to anywhere
		refuse(rec, r, http.StatusMethodNotAllowed, "this is not a proxy for other servers")
		return
	case misdirected:
		refuse(rec, r, http.StatusMisdirectedRequest, "this connection was made for another host")
		return
	case x.rule == nil:
		refuse(rec, r, http.StatusNotFound, "no Ingress and no route has a rule for this host and path")
		return
	case len(x.rule.Sources) > 0 && !allowed(x.rule.Sources, r.RemoteAddr):
		refuse(rec, r, http.StatusForbidden, "the address that this request comes from is not let in")
		return
	case x.rule.CORS != nil && isPreflight(r):
		preflight(x.rule.CORS, rec, r)
		return
	case x.rule.Redirect != nil:
		rec.Header().Set("Location", location(x.rule.Redirect, x.rule, r, x.port))
		p.decorate(x, r, rec.Header())
		rec.WriteHeader(x.rule.Redirect.Status)
		return
	}
	if limit := x.rule.MaxBody; limit > 0 {
		if r.ContentLength > limit {
			refuse(rec, r, http.StatusRequestEntityTooLarge, "the body is larger than the rule allows")
			return
		}
		r.Body = http.MaxBytesReader(rec, r.Body, limit)
	}
	if x.share = x.rule.pick(); x.share == nil {
		status := x.rule.Status
		if status == 0 {
			status = http.StatusInternalServerError
		}
		refuse(rec, r, status, "the rule has no backend")
		return
	}
	if x.backend = x.share.backend; x.backend == nil {
		refuse(rec, r, http.StatusInternalServerError, "the backend does not exist, or may not be used by the route")
		return
	}
	if len(x.backend.hosts) == 0 {
		refuse(rec, r, http.StatusServiceUnavailable, "no endpoint of Service "+x.backend.Name+" is ready")
		return
	}
	p.exchange(rec, r, x)
}

// exchange forwards a request, with the limits of its rule.
func (p *Proxy) exchange(w http.ResponseWriter, r *http.Request, x *exchange) {
	if a := x.rule.Affinity; a != nil {
		if c, err := r.Cookie(a.Cookie); err == nil {
			x.sticky = x.backend.byCookie(c.Value)
		}
	}
	ctx := context.WithValue(r.Context(), exchangeKey{}, x)
	if x.rule.Timeout > 0 || x.rule.HeaderTimeout > 0 {
		limited, end := context.WithCancelCause(ctx)
		defer end(nil)
		ctx = limited
		if d := x.rule.Timeout; d > 0 {
			x.whole = time.AfterFunc(d, func() { end(errLate) })
			defer x.whole.Stop()
		}
		if d := x.rule.HeaderTimeout; d > 0 {
			x.late = startPatience(d, func() { end(errLate) })
			defer x.late.stop()
		}
	}
	r = r.WithContext(ctx)
	if r.Body != nil && r.Body != http.NoBody {
		if x.late != nil {
			r.Body = x.late.watch(r.Body)
		}
		// A backend may answer before it has read everything. Without this, the server would read what the backend is still to get.
		// Only HTTP/1 needs it, and only it knows it.
		if r.ProtoMajor == 1 {
			_ = http.NewResponseController(w).EnableFullDuplex()
		}
	}
	if len(x.rule.mirrors) > 0 {
		p.mirror(r, x)
	}
	p.forward.ServeHTTP(w, r)
}

// pick chooses a share by weight.
func (r *rule) pick() *weighted {
	switch {
	case r.total == 0:
		return nil
	case len(r.backends) == 1:
		return r.backends[0]
	}
	n := rand.Int64N(r.total)
	for _, w := range r.backends {
		if n -= int64(w.Weight); n < 0 {
			return w
		}
	}
	return nil
}

func allowed(sources []netip.Prefix, remote string) bool {
	from, err := netip.ParseAddrPort(remote)
	if err != nil {
		return false
	}
	for _, s := range sources {
		if s.Contains(from.Addr().Unmap()) {
			return true
		}
	}
	return false
}

// rewrite makes the request to the backend.
func (p *Proxy) rewrite(pr *httputil.ProxyRequest) {
	x := exchangeOf(pr.In.Context())
	pr.Out.URL.RawQuery = pr.In.URL.RawQuery // as the client wrote it
	passTrailers(pr.In, pr.Out)
	p.forwarded(pr, x.port)
	x.prepare(pr.Out)
	applyHeaders(x.share.Request, pr.Out.Header)
}

// forwarded says in the header of a request what the client has connected to, in place of what it has sent about that.
func (*Proxy) forwarded(pr *httputil.ProxyRequest, port uint16) {
	h := pr.Out.Header
	h.Del("Forwarded")
	h.Del("X-Forwarded-For") // to which SetXForwarded would add
	pr.SetXForwarded()
	h.Del("X-Real-Ip")
	if host, _, err := net.SplitHostPort(pr.In.RemoteAddr); err == nil {
		h.Set("X-Real-Ip", host)
	}
	h.Set("X-Forwarded-Port", strconv.Itoa(int(port)))
}

// prepare changes a request as the rule says.
func (x *exchange) prepare(out *http.Request) {
	out.URL.Scheme = "http"
	if x.backend.Protocol == gatewaytable.HTTPS {
		out.URL.Scheme = "https"
	}
	if w := x.rule.Rewrite; w != nil {
		if w.Path != nil {
			escaped := changed(w.Path, x.rule, out.URL)
			if path, err := url.PathUnescape(escaped); err == nil {
				out.URL.Path, out.URL.RawPath = path, escaped
			}
		}
		if w.Host != "" {
			out.Host = w.Host
		}
	}
	applyHeaders(x.rule.Request, out.Header)
	if host := out.Header.Get("Host"); host != "" { // set by a header filter
		out.Host = host
		out.Header.Del("Host")
	}
}

// modify changes an answer as the rule says.
func (p *Proxy) modify(resp *http.Response) error {
	x := exchangeOf(resp.Request.Context())
	if x.late != nil {
		x.late.stop()
	}
	if x.whole != nil && resp.StatusCode == http.StatusSwitchingProtocols {
		x.whole.Stop() // a conversation has no end to wait for
	}
	if len(resp.Trailer) > 0 { // which HTTP/1.1 has only after chunks
		resp.Header.Del("Content-Length")
	}
	if a := x.rule.Affinity; a != nil && x.to != x.sticky {
		c := http.Cookie{Name: a.Cookie, Value: cookieOf(x.to), Path: a.Path, MaxAge: int(a.MaxAge / time.Second), HttpOnly: true, SameSite: http.SameSiteLaxMode}
		if c.Path == "" {
			c.Path = "/"
		}
		resp.Header.Add("Set-Cookie", c.String())
	}
	p.decorate(x, resp.Request, resp.Header)
	return nil
}

// decorate adds to the header of an answer what the rule and the backend's share say.
func (p *Proxy) decorate(x *exchange, r *http.Request, h http.Header) {
	if x.rule.CORS != nil && r.Header.Get("Origin") != "" {
		crossOrigin(x.rule.CORS, r, h)
	}
	applyHeaders(x.rule.Response, h)
	if x.share != nil {
		applyHeaders(x.share.Response, h)
	}
}

// fail answers a request that could not be forwarded.
func (p *Proxy) fail(w http.ResponseWriter, r *http.Request, err error) {
	x := exchangeOf(r.Context())
	tooLarge, isTooLarge := errors.AsType[*http.MaxBytesError](err)
	switch {
	case isTooLarge:
		refuse(w, r, http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than %d bytes", tooLarge.Limit))
	case errors.Is(context.Cause(r.Context()), errLate):
		refuse(w, r, http.StatusGatewayTimeout, errLate.Error())
	case errors.Is(err, context.Canceled): // the client is gone
		w.WriteHeader(statusGone)
	default:
		p.cfg.Log.Debug("a request could not be forwarded", "backend", x.backend.Name, "endpoint", x.to, "err", err)
		refuse(w, r, http.StatusBadGateway, "endpoint "+x.to+" of Service "+x.backend.Name+" does not answer")
	}
}

// grpcStatus is the code of gRPC for a status of HTTP that is answered here (google.golang.org/grpc/codes).
func grpcStatus(status int) int {
	switch status {
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		return 12 // UNIMPLEMENTED
	case http.StatusForbidden:
		return 7 // PERMISSION_DENIED
	case http.StatusRequestEntityTooLarge:
		return 8 // RESOURCE_EXHAUSTED
	case http.StatusGatewayTimeout:
		return 4 // DEADLINE_EXCEEDED
	}
	return 14 // UNAVAILABLE
}

// statusGone is nginx's number for a client that did not wait.
const statusGone = 499

// refuse answers in the name of the data plane, to a client of gRPC in its way: it does not look at the status of HTTP.
func refuse(w http.ResponseWriter, r *http.Request, status int, text string) {
	h := w.Header()
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
		h.Set("Content-Type", "application/grpc")
		h.Set("Grpc-Status", strconv.Itoa(grpcStatus(status)))
		h.Set("Grpc-Message", "bonsai gateway: "+text)
		w.WriteHeader(http.StatusOK)
		return
	}
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, "bonsai gateway: "+text+"\n")
}
