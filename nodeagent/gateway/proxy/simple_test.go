package proxy

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/gatewaytable"
)

// spoken is a connection to a data plane on which requests are written as they are.
type spoken struct {
	t *testing.T
	net.Conn
	in *bufio.Reader
}

func speak(t *testing.T, p *plane) *spoken {
	t.Helper()
	conn, err := net.Dial("tcp", p.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return &spoken{t, conn, bufio.NewReader(conn)}
}

func (s *spoken) say(text string) {
	s.t.Helper()
	if _, err := io.WriteString(s.Conn, text); err != nil {
		s.t.Fatal(err)
	}
}

// hear reads an answer to a method.
func (s *spoken) hear(method string) (*http.Response, string) {
	s.t.Helper()
	resp, err := http.ReadResponse(s.in, &http.Request{Method: method})
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp, string(body)
}

// simpleConns are the connections of a data plane that have not been handed over.
func (p *plane) simpleConns() (list []*simpleConn) {
	p.proxy.mu.Lock()
	defer p.proxy.mu.Unlock()
	for _, s := range p.proxy.open {
		s.simple.mu.Lock()
		for c := range s.simple.conns {
			list = append(list, c)
		}
		s.simple.mu.Unlock()
	}
	return list
}

const simpleGet = "GET / HTTP/1.1\r\nHost: web.test\r\n\r\n"

// TestRequestsOfOneConnection: they are answered in their order, also if they come at once and some of them are not simple.
func TestRequestsOfOneConnection(t *testing.T) {
	p := start(t, false, gatewaytable.Rule{}, gatewaytable.HTTP1, backendServer(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %s", r.Method, r.URL, body, r.Header.Get("X-Forwarded-For"))
	}))
	c := speak(t, p)
	c.say("GET /1?a=%20 HTTP/1.1\r\nHost: web.test\r\nX-Forwarded-For: 6.6.6.6\r\n\r\nGET /2 HTTP/1.1\r\nHost: web.test\r\n\r\n")
	c.say("GET /%33 HTTP/1.1\r\nHo")
	for _, want := range []string{"GET /1?a=%20  127.0.0.1", "GET /2  127.0.0.1"} {
		if _, body := c.hear("GET"); body != want {
			t.Errorf("got %q, want %q", body, want)
		}
	}
	if n := len(p.simpleConns()); n != 1 {
		t.Errorf("%d connections are simple", n)
	}
	c.say("st: web.test\r\n\r\nPOST /4 HTTP/1.1\r\nHost: web.test\r\nContent-Length: 4\r\n\r\nbodyGET /5 HTTP/1.1\r\nHost: web.test\r\n\r\n")
	for _, want := range []string{"GET /%33  127.0.0.1", "POST /4 body 127.0.0.1", "GET /5  127.0.0.1"} {
		if _, body := c.hear("GET"); body != want {
			t.Errorf("got %q, want %q", body, want)
		}
	}
	if n := len(p.simpleConns()); n != 0 {
		t.Errorf("%d connections are simple after a POST", n)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.entries) < 4 || p.entries[0].Path != "/1?a=%20" || p.entries[0].Status != 200 || p.entries[0].Bytes != int64(len("GET /1?a=%20  127.0.0.1")) {
		t.Errorf("the access log has %+v", p.entries)
	}
}

// TestAnswersOfAllKinds: simple requests get what a backend says, in whatever way it says it, over one connection.
func TestAnswersOfAllKinds(t *testing.T) {
	large := bytes.Repeat([]byte("0123456789abcdef"), 128<<10)
	p := start(t, false, gatewaytable.Rule{}, gatewaytable.HTTP1, backendServer(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/trailers":
			w.Header().Set("Trailer", "X-Sum")
			for i := range 3 {
				fmt.Fprint(w, i)
				_ = http.NewResponseController(w).Flush()
			}
			w.Header().Set("X-Sum", "3")
		case "/large":
			w.Header().Set("Content-Length", fmt.Sprint(len(large)))
			_, _ = w.Write(large)
		case "/chunks":
			_, _ = w.Write(large)
		case "/middle":
			_, _ = w.Write(large[:100<<10])
		case "/unmodified":
			w.Header().Set("Etag", `"x"`)
			w.WriteHeader(http.StatusNotModified)
		case "/none":
			w.WriteHeader(http.StatusNoContent)
		case "/hints":
			w.Header().Set("Link", "</style.css>")
			w.WriteHeader(http.StatusEarlyHints)
			fmt.Fprint(w, "late")
		case "/close":
			w.Header().Set("Connection", "close")
			fmt.Fprint(w, "bye")
		case "/fields":
			w.Header()["X-Two"] = []string{"1", "2"}
			w.Header().Set("X-Long", strings.Repeat("x", 8<<10))
		}
	}))
	c := speak(t, p)
	for range 2 {
		for _, path := range []string{"/trailers", "/large", "/chunks", "/middle", "/unmodified", "/none", "/hints", "/close", "/fields"} {
			for _, method := range []string{"GET", "HEAD"} {
				c.say(method + " " + path + " HTTP/1.1\r\nHost: web.test\r\n\r\n")
				resp, body := c.hear(method)
				for resp.StatusCode == http.StatusEarlyHints {
					resp, body = c.hear(method)
				}
				want := map[string]string{"/trailers": "012", "/large": string(large), "/chunks": string(large), "/middle": string(large[:100<<10]), "/hints": "late", "/close": "bye"}[path]
				if method == "HEAD" {
					want = ""
				}
				status := map[string]int{"/unmodified": 304, "/none": 204}[path]
				if status == 0 {
					status = 200
				}
				if resp.StatusCode != status || body != want || resp.Close || resp.Header.Get("Date") == "" {
					t.Errorf("%s %s: %s with %d bytes, %v", method, path, resp.Status, len(body), resp.Header)
				}
				switch {
				case path == "/trailers" && method == "GET" && resp.Trailer.Get("X-Sum") != "3",
					path == "/fields" && (len(resp.Header["X-Two"]) != 2 || len(resp.Header.Get("X-Long")) != 8<<10),
					path == "/unmodified" && resp.Header.Get("Etag") != `"x"`:
					t.Errorf("%s %s: %v, trailers %v", method, path, resp.Header, resp.Trailer)
				}
			}
		}
	}
	if n := len(p.simpleConns()); n != 1 {
		t.Errorf("%d connections are simple", n)
	}
}

// TestAnswersThatEndTooEarly: nobody takes what came of them for the whole, and what never began is refused.
func TestAnswersThatEndTooEarly(t *testing.T) {
	for answer, refused := range map[string]bool{
		"":                              true,
		"SSH-2.0-OpenSSH\r\n":           true,
		"HTTP/1.1 200 OK\r\nContent-Le": true,
		"HTTP/1.1 101 Switching Protocols\r\n\r\n":                       true,
		"HTTP/1.1 200 OK\nContent-Length: 2\n\nok":                       false, // a line may end so in answers, which net/http reads
		"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n":                   false,
		"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfour":               false,
		"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\nfour":          false,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nfour": false,
	} {
		backend := scripted(t, func(_ int, conn net.Conn, in *bufio.Reader) {
			readRequest(in)
			_, _ = io.WriteString(conn, answer)
		})
		p := start(t, false, gatewaytable.Rule{}, gatewaytable.HTTP1, strings.TrimSuffix(strings.TrimPrefix(backend, "http://"), "/"))
		c := speak(t, p)
		c.say(simpleGet)
		resp, err := http.ReadResponse(c.in, nil)
		if err != nil {
			t.Fatalf("%q: %v", answer, err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		whole := refused || strings.HasSuffix(answer, "ok")
		if refused != (resp.StatusCode == http.StatusBadGateway) || whole != (err == nil) {
			t.Errorf("%q: %s %q, %v", answer, resp.Status, body, err)
		}
	}
}

// TestBackendsThatEndIdleConnections: the request is sent again, but not if it was the first one of a connection.
func TestBackendsThatEndIdleConnections(t *testing.T) {
	var asked atomic.Int32
	backend := scripted(t, func(n int, conn net.Conn, in *bufio.Reader) {
		for readRequest(in) {
			if asked.Add(1); n == 0 && asked.Load() == 2 || n > 1 {
				return
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			if n == 1 {
				return
			}
		}
	})
	p := start(t, false, gatewaytable.Rule{}, gatewaytable.HTTP1, strings.TrimSuffix(strings.TrimPrefix(backend, "http://"), "/"))
	c := speak(t, p)
	for i, want := range []int{200, 200, 502} {
		c.say(simpleGet)
		if resp, body := c.hear("GET"); resp.StatusCode != want {
			t.Errorf("request %d: %s %q", i, resp.Status, body)
		}
	}
	if n := asked.Load(); n != 4 {
		t.Errorf("the backend was asked %d times", n)
	}
}

// TestClientsThatLeave: the backend learns it, also while it has not answered.
func TestClientsThatLeave(t *testing.T) {
	asked, left := make(chan struct{}), make(chan struct{})
	p := start(t, false, gatewaytable.Rule{}, gatewaytable.HTTP1, backendServer(t, func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
		close(left)
	}))
	c := speak(t, p)
	c.say(simpleGet)
	<-asked
	_ = c.Close()
	for _, one := range p.simpleConns() {
		one.look(time.Now().Add(2 * watchAfter))
	}
	select {
	case <-left:
	case <-time.After(20 * time.Second):
		t.Fatal("the backend works for nobody")
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		p.mu.Lock()
		entries := p.entries
		p.mu.Unlock()
		if len(entries) == 1 {
			if entries[0].Status != statusGone {
				t.Errorf("the access log has %+v", entries)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the request is not in the access log")
		}
	}
}

// TestClientsThatWait: whoever is watched and stays gets the answer, and the next one.
func TestClientsThatWait(t *testing.T) {
	asked, answer := make(chan struct{}, 1), make(chan struct{})
	p := start(t, false, gatewaytable.Rule{}, gatewaytable.HTTP1, backendServer(t, func(w http.ResponseWriter, _ *http.Request) {
		asked <- struct{}{}
		<-answer
		fmt.Fprint(w, "late")
	}))
	c := speak(t, p)
	for range 3 {
		c.say(simpleGet)
		<-asked
		for _, one := range p.simpleConns() {
			one.look(time.Now().Add(2 * watchAfter))
		}
		answer <- struct{}{}
		if resp, body := c.hear("GET"); body != "late" {
			t.Errorf("%s %q", resp.Status, body)
		}
	}
}

// TestConnectionsThatDoNothing are ended, whether they have sent part of a request or nothing.
func TestConnectionsThatDoNothing(t *testing.T) {
	p := start(t, false, gatewaytable.Rule{}, gatewaytable.HTTP1, echoHeader(t))
	for begun, limit := range map[string]time.Duration{"": idleLimit, "GET / HT": headerLimit} {
		c := speak(t, p)
		c.say(simpleGet)
		c.hear("GET")
		c.say(begun)
		deadline := time.Now().Add(20 * time.Second)
		for {
			list := p.simpleConns()
			if len(list) == 0 {
				break
			}
			for _, one := range list {
				one.look(time.Now().Add(limit + time.Second))
			}
			if time.Now().After(deadline) {
				t.Fatalf("after %q the connection stays", begun)
			}
		}
		if _, err := c.in.ReadByte(); err == nil {
			t.Errorf("after %q something is answered", begun)
		}
	}
}

// TestAPortEndsWithItsConnections: those that are idle at once, others with their answer.
func TestAPortEndsWithItsConnections(t *testing.T) {
	asked, answer := make(chan struct{}, 1), make(chan struct{})
	p := start(t, false, gatewaytable.Rule{}, gatewaytable.HTTP1, backendServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			asked <- struct{}{}
			<-answer
		}
		fmt.Fprint(w, "done")
	}))
	unused, busy := speak(t, p), speak(t, p)
	unused.say(simpleGet)
	unused.hear("GET")
	busy.say("GET /slow HTTP/1.1\r\nHost: web.test\r\n\r\n")
	<-asked
	if err := p.proxy.Apply(gatewaytable.Table{ID: "empty"}); err != nil {
		t.Fatal(err)
	}
	if _, err := unused.in.ReadByte(); err == nil {
		t.Error("an idle connection goes on")
	}
	close(answer)
	if _, body := busy.hear("GET"); body != "done" {
		t.Errorf("got %q", body)
	}
	if _, err := busy.in.ReadByte(); err == nil {
		t.Error("a connection goes on after its answer")
	}
}

// TestAConnectionThatIsEndedAsksNobody: it does not ask the backend again, over a new connection that nobody would end.
func TestAConnectionThatIsEndedAsksNobody(t *testing.T) {
	asked, answer := make(chan struct{}, 2), make(chan struct{})
	defer close(answer)
	p := start(t, false, gatewaytable.Rule{}, gatewaytable.HTTP1, backendServer(t, func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			asked <- struct{}{}
			<-answer
		}
	}))
	c := speak(t, p)
	c.say(simpleGet) // so that there is a connection to the backend
	c.hear("GET")
	c.say("GET /slow HTTP/1.1\r\nHost: web.test\r\n\r\n")
	<-asked
	for _, one := range p.simpleConns() {
		one.end(true)
	}
	for deadline := time.Now().Add(20 * time.Second); len(p.simpleConns()) > 0; {
		if len(asked) > 0 || time.Now().After(deadline) {
			t.Fatal("it waits for the backend, which was asked again")
		}
	}
}

// TestABugEndsItsConnection, and no others.
func TestABugEndsItsConnection(t *testing.T) {
	p := start(t, false, gatewaytable.Rule{}, gatewaytable.HTTP1, echoHeader(t))
	p.proxy.cfg.Access = func(r cluster.GatewayRequest) {
		if r.Path == "/bug" {
			panic("a bug")
		}
	}
	other, c := speak(t, p), speak(t, p)
	other.say(simpleGet)
	other.hear("GET")
	c.say("GET /bug HTTP/1.1\r\nHost: web.test\r\n\r\n")
	c.hear("GET")
	if _, err := c.in.ReadByte(); err == nil {
		t.Error("the connection goes on")
	}
	other.say(simpleGet)
	if resp, _ := other.hear("GET"); resp.StatusCode != 200 {
		t.Errorf("another one: %s", resp.Status)
	}
}

// TestRulesThatSayMore: a rule with anything but backends is for net/http.
func TestRulesThatSayMore(t *testing.T) {
	for name, rule := range map[string]gatewaytable.Rule{
		"a change of headers": {Request: &gatewaytable.HeaderChanges{Set: []gatewaytable.Header{{Name: "X-New", Value: "1"}}}},
		"a limit":             {Timeout: time.Minute},
		"a rewrite":           {Rewrite: &gatewaytable.Rewrite{Host: "other.test"}},
	} {
		p := start(t, false, rule, gatewaytable.HTTP1, echoHeader(t))
		c := speak(t, p)
		c.say(simpleGet)
		if resp, body := c.hear("GET"); resp.StatusCode != 200 || len(p.simpleConns()) != 0 || rule.Request != nil && !strings.Contains(body, "X-New") {
			t.Errorf("%s: %s %s", name, resp.Status, body)
		}
	}
}
