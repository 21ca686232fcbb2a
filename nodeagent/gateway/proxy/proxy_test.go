package proxy

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/gatewaytable"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// plane is a data plane at one port of loopback.
type plane struct {
	t       testing.TB
	proxy   *Proxy
	address string
	mu      sync.Mutex // guards entries
	entries []cluster.GatewayRequest
}

// start serves a rule; endpoints are those of its one backend.
func start(t testing.TB, secure bool, rule gatewaytable.Rule, protocol gatewaytable.Protocol, endpoints ...string) *plane {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := netip.MustParseAddrPort(l.Addr().String())
	_ = l.Close()
	p := &plane{t: t, address: at.String()}
	p.proxy = New(Config{Address: at.Addr(), Log: slog.New(slog.DiscardHandler), Access: func(e cluster.GatewayRequest) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.entries = append(p.entries, e)
	}})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(func() { p.proxy.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	backend := gatewaytable.Backend{Name: "default/web:80", Protocol: protocol}
	for _, e := range endpoints {
		backend.Endpoints = append(backend.Endpoints, netip.MustParseAddrPort(e))
	}
	rule.From, rule.Path, rule.Backends = "ingress/default/web", gatewaytable.Path{Kind: gatewaytable.PathPrefix, Value: "/"}, []gatewaytable.Weighted{{Weight: 1}}
	table := gatewaytable.Table{Backends: []gatewaytable.Backend{backend}, Ports: []gatewaytable.Port{{
		Number: at.Port(), TLS: secure, Fallback: true,
		Groups: []gatewaytable.Group{{Listeners: []gatewaytable.Listener{{Hosts: []gatewaytable.Host{{Rules: []gatewaytable.Rule{rule}}}}}}},
	}}}
	if err := table.Seal(); err != nil {
		t.Fatal(err)
	}
	if err := p.proxy.Apply(table); err != nil {
		t.Fatal(err)
	}
	if r, _ := p.proxy.Report(); len(r.Listening) != 1 || r.Table != table.ID {
		t.Fatalf("report: %+v", r)
	}
	return p
}

// backendServer is a backend that speaks HTTP/1.1 and h2c.
func backendServer(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetHTTP1(true)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// client speaks one protocol.
func client(t *testing.T, set func(*http.Protocols)) *http.Client {
	transport := &http.Transport{Protocols: new(http.Protocols), TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	set(transport.Protocols)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

func http1(p *http.Protocols) { p.SetHTTP1(true) }
func http2(p *http.Protocols) { p.SetHTTP2(true) }
func h2c(p *http.Protocols)   { p.SetUnencryptedHTTP2(true) }

func do(t *testing.T, c *http.Client, method, url string, body io.Reader) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(text)
}

func TestProtocolsOfClientsAndBackends(t *testing.T) {
	backend := backendServer(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-End")
		_, _ = io.WriteString(w, r.Proto)
		w.Header().Set("X-End", "here")
	})
	for name, c := range map[string]struct {
		secure   bool
		client   func(*http.Protocols)
		protocol gatewaytable.Protocol
		want     string
	}{
		"http/1 to http/1":     {client: http1, protocol: gatewaytable.HTTP1, want: "HTTP/1.1 HTTP/1.1"},
		"h2c to h2c":           {client: h2c, protocol: gatewaytable.H2C, want: "HTTP/2.0 HTTP/2.0"},
		"h2c to http/1":        {client: h2c, protocol: gatewaytable.HTTP1, want: "HTTP/2.0 HTTP/1.1"},
		"http/2 over TLS":      {secure: true, client: http2, protocol: gatewaytable.H2C, want: "HTTP/2.0 HTTP/2.0"},
		"http/1 over TLS":      {secure: true, client: http1, protocol: gatewaytable.HTTP1, want: "HTTP/1.1 HTTP/1.1"},
		"http/1 to h2c backed": {client: http1, protocol: gatewaytable.H2C, want: "HTTP/1.1 HTTP/2.0"},
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, c.secure, gatewaytable.Rule{}, c.protocol, backend)
			scheme := map[bool]string{true: "https://", false: "http://"}[c.secure]
			resp, text := do(t, client(t, c.client), http.MethodGet, scheme+p.address+"/", nil)
			if got := resp.Proto + " " + text; got != c.want || resp.Trailer.Get("X-End") != "here" {
				t.Errorf("got %s, trailers %v, want %s", got, resp.Trailer, c.want)
			}
		})
	}
}

// TestNothingIsHeldBack: each part of an answer arrives before the next is sent, and each part of a request likewise.
func TestNothingIsHeldBack(t *testing.T) {
	next := make(chan struct{})
	backend := backendServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			in := bufio.NewReader(r.Body)
			for {
				line, err := in.ReadString('\n')
				if err != nil {
					return
				}
				_, _ = io.WriteString(w, "got "+line)
				_ = http.NewResponseController(w).Flush()
			}
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(w, "data: %d\n", i)
			_ = http.NewResponseController(w).Flush()
			<-next
		}
	})
	p := start(t, false, gatewaytable.Rule{}, gatewaytable.H2C, backend)
	c := client(t, h2c)
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.address+"/", nil)
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	for i := range 3 {
		if line, err := lines.ReadString('\n'); line != fmt.Sprintf("data: %d\n", i) {
			t.Fatalf("event %d is %q, %v", i, line, err)
		}
		next <- struct{}{}
	}
	body, w := io.Pipe()
	req, _ = http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+p.address+"/", body)
	answer := make(chan *http.Response, 1)
	go func() {
		resp, err := c.Do(req)
		if err != nil {
			t.Error(err)
			close(answer)
			return
		}
		answer <- resp
	}()
	_, _ = io.WriteString(w, "one\n")
	resp = <-answer
	if resp == nil {
		return
	}
	defer resp.Body.Close()
	lines = bufio.NewReader(resp.Body)
	for _, word := range []string{"one", "two"} {
		if word == "two" {
			_, _ = io.WriteString(w, "two\n")
		}
		if line, err := lines.ReadString('\n'); line != "got "+word+"\n" {
			t.Fatalf("the answer is %q, %v", line, err)
		}
	}
	_ = w.Close()
}

func TestWebSocketsAndOtherUpgrades(t *testing.T) {
	backend := backendServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "websocket" || r.Header.Get("Connection") != "Upgrade" {
			http.Error(w, "no upgrade", http.StatusBadRequest)
			return
		}
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
		line, _ := rw.ReadString('\n')
		_, _ = io.WriteString(conn, "echo "+line)
	})
	p := start(t, false, gatewaytable.Rule{Timeout: 300 * time.Millisecond}, gatewaytable.HTTP1, backend)
	conn, err := net.Dial("tcp", p.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "GET /socket HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v, %v", resp, err)
	}
	<-time.After(400 * time.Millisecond) // longer than the rule's limit, which ends with the upgrade
	_, _ = io.WriteString(conn, "hello\n")
	if line, err := in.ReadString('\n'); line != "echo hello\n" {
		t.Errorf("%q, %v", line, err)
	}
}

func TestLargeBodies(t *testing.T) {
	const size = 64 << 20
	backend := backendServer(t, func(w http.ResponseWriter, r *http.Request) {
		h := sha256.New()
		n, _ := io.Copy(h, r.Body)
		fmt.Fprintf(w, "%d %x", n, h.Sum(nil))
	})
	p := start(t, false, gatewaytable.Rule{}, gatewaytable.HTTP1, backend)
	part := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	h := sha256.New()
	for range size / len(part) {
		h.Write(part)
	}
	_, text := do(t, client(t, http1), http.MethodPut, "http://"+p.address+"/", io.LimitReader(&repeated{part: part}, size))
	if want := fmt.Sprintf("%d %x", size, h.Sum(nil)); text != want {
		t.Errorf("the backend got %s, want %s", text, want)
	}
}

// repeated is the same part again and again.
type repeated struct {
	part []byte
	at   int
}

func (r *repeated) Read(p []byte) (int, error) {
	n := copy(p, r.part[r.at:])
	r.at = (r.at + n) % len(r.part)
	return n, nil
}

func TestLimits(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	backend := backendServer(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-release:
		}
	})
	for name, rule := range map[string]gatewaytable.Rule{"whole": {Timeout: 50 * time.Millisecond}, "header": {HeaderTimeout: 50 * time.Millisecond}} {
		p := start(t, false, rule, gatewaytable.HTTP1, backend)
		if resp, text := do(t, client(t, http1), http.MethodGet, "http://"+p.address+"/", nil); resp.StatusCode != http.StatusGatewayTimeout {
			t.Errorf("%s: %s %s", name, resp.Status, text)
		}
	}
	p := start(t, false, gatewaytable.Rule{MaxBody: 1000}, gatewaytable.HTTP1, backendServer(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	// Of unknown length, so that only reading shows that it is too long.
	if resp, _ := do(t, client(t, http1), http.MethodPost, "http://"+p.address+"/", struct{ io.Reader }{strings.NewReader(strings.Repeat("x", 5000))}); resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("a long body: %s", resp.Status)
	}
}

// TestAnotherEndpointIsTried: an endpoint that is gone, with a body that must not be lost.
func TestAnotherEndpointIsTried(t *testing.T) {
	backend := backendServer(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	p := start(t, false, gatewaytable.Rule{}, gatewaytable.HTTP1, closed.Addr().String(), backend)
	c := client(t, http1)
	for range 10 {
		if resp, text := do(t, c, http.MethodPost, "http://"+p.address+"/", strings.NewReader("body")); resp.StatusCode != http.StatusOK || text != "body" {
			t.Fatalf("%s %q", resp.Status, text)
		}
	}
	only := start(t, false, gatewaytable.Rule{}, gatewaytable.HTTP1, closed.Addr().String())
	if resp, text := do(t, c, http.MethodGet, "http://"+only.address+"/", nil); resp.StatusCode != http.StatusBadGateway || !strings.Contains(text, "does not answer") {
		t.Errorf("%s %q", resp.Status, text)
	}
	none := start(t, false, gatewaytable.Rule{}, gatewaytable.HTTP1)
	if resp, text := do(t, c, http.MethodGet, "http://"+none.address+"/", nil); resp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(text, "default/web:80") {
		t.Errorf("%s %q", resp.Status, text)
	}
}

func TestAccessLog(t *testing.T) {
	backend := backendServer(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "twelve bytes") })
	p := start(t, false, gatewaytable.Rule{}, gatewaytable.HTTP1, backend)
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.address+"/path?q=1", nil)
	req.Host, req.Header = "web.test", http.Header{"User-Agent": {"agent \"x\"\x1b[31m"}}
	resp, err := client(t, http1).Do(req)
	if err == nil { // an agent with control characters may be refused by the client
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	} else {
		_, _ = do(t, client(t, http1), http.MethodGet, "http://"+p.address+"/path?q=1", nil)
	}
	var out bytes.Buffer
	log := NewAccessLog(&out)
	p.mu.Lock()
	for _, e := range p.entries {
		log.Record(e)
	}
	p.mu.Unlock()
	log.Close()
	if text := out.String(); !strings.Contains(text, `"/path?q=1" HTTP/1.1 200 12 `) || !strings.Contains(text, backend+" default/web:80 ingress/default/web ") || strings.ContainsRune(text, '\x1b') || strings.Count(text, "\n") != 1 {
		t.Errorf("the log is %q", text)
	}
}

// TestAPortIsGivenBack: what is no longer in the table is closed, and what cannot be opened is reported and tried again.
func TestAPortIsGivenBack(t *testing.T) {
	p := start(t, false, gatewaytable.Rule{}, gatewaytable.HTTP1)
	if err := p.proxy.Apply(gatewaytable.Table{ID: "empty"}); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", p.address)
	if err != nil {
		t.Fatalf("the port is still taken: %v", err)
	}
	table := gatewaytable.Table{ID: "again", Ports: []gatewaytable.Port{{Number: netip.MustParseAddrPort(p.address).Port()}}}
	if err := p.proxy.Apply(table); err != nil {
		t.Fatal(err)
	}
	if r, _ := p.proxy.Report(); len(r.Listening) != 0 || !strings.Contains(r.Failed[table.Ports[0].Number], "another program") {
		t.Errorf("report: %+v", r)
	}
	_ = l.Close()
	for {
		r, changed := p.proxy.Report()
		if len(r.Listening) == 1 {
			break
		}
		select {
		case <-changed:
		case <-time.After(10 * time.Second):
			t.Fatal("the port was not tried again")
		}
	}
}

func TestATableFromElsewhereIsRefused(t *testing.T) {
	p := start(t, false, gatewaytable.Rule{}, gatewaytable.HTTP1)
	before, _ := p.proxy.Report()
	bad := gatewaytable.Table{ID: "bad", Certificates: []gatewaytable.Certificate{{Chain: []byte("x")}}}
	if err := p.proxy.Apply(bad); err == nil {
		t.Error("a certificate without a key is accepted")
	}
	if after, _ := p.proxy.Report(); after.Table != before.Table {
		t.Errorf("report: %+v", after)
	}
}
