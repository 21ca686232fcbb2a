package proxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"bonsai/bootstrap/gatewaytable"
)

// pool is a pool of plain connections that is closed with the test.
func pool(t *testing.T) *plain {
	p := newPlain()
	t.Cleanup(p.close)
	return p
}

func plainRequest(t *testing.T, ctx context.Context, method, to string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, to, nil)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// get sends a request and returns the answer's status and body.
func get(t *testing.T, p *plain, method, to string) (string, error) {
	t.Helper()
	resp, err := p.RoundTrip(plainRequest(t, t.Context(), method, to))
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	return fmt.Sprint(resp.StatusCode, " ", string(body)), err
}

func TestWhatIsPlain(t *testing.T) {
	p := newPlain()
	for name, c := range map[string]struct {
		change func(*http.Request)
		to     gatewaytable.Protocol
		want   bool
	}{
		"GET":             {func(*http.Request) {}, gatewaytable.HTTP1, true},
		"HEAD":            {func(r *http.Request) { r.Method = "HEAD" }, gatewaytable.HTTP1, true},
		"no body":         {func(r *http.Request) { r.Body = http.NoBody }, gatewaytable.HTTP1, true},
		"POST":            {func(r *http.Request) { r.Method = "POST" }, gatewaytable.HTTP1, false},
		"DELETE":          {func(r *http.Request) { r.Method = "DELETE" }, gatewaytable.HTTP1, false},
		"a body":          {func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("x")) }, gatewaytable.HTTP1, false},
		"WebSocket":       {func(r *http.Request) { r.Header.Set("Upgrade", "websocket") }, gatewaytable.HTTP1, false},
		"expectations":    {func(r *http.Request) { r.Header.Set("Expect", "100-continue") }, gatewaytable.HTTP1, false},
		"h2c":             {func(*http.Request) {}, gatewaytable.H2C, false},
		"TLS":             {func(*http.Request) {}, gatewaytable.HTTPS, false},
		"a trailer alone": {func(r *http.Request) { r.Trailer = http.Header{"X": nil} }, gatewaytable.HTTP1, false},
	} {
		req := plainRequest(t, t.Context(), "GET", "http://10.0.0.1/")
		c.change(req)
		if got := p.takes(req, c.to); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestPlainConnectionsAreKept: several requests of all kinds of answers go over one connection.
func TestPlainConnectionsAreKept(t *testing.T) {
	var opened atomic.Int32
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/chunks":
			w.Header().Set("Trailer", "X-Sum")
			for i := range 3 {
				fmt.Fprint(w, i)
				w.(http.Flusher).Flush()
			}
			w.Header().Set("X-Sum", "3")
		case "/none":
			w.WriteHeader(http.StatusNoContent)
		case "/early":
			w.Header().Set("Link", "</style.css>")
			w.WriteHeader(http.StatusEarlyHints)
			fmt.Fprint(w, "late")
		case "/large":
			_, _ = w.Write(make([]byte, 1<<20))
		default:
			fmt.Fprint(w, r.Method, r.Host)
		}
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	p := pool(t)
	host := strings.TrimPrefix(s.URL, "http://")
	for range 2 {
		for path, want := range map[string]string{"/": "200 GET" + host, "/chunks": "200 012", "/none": "204 ", "/early": "200 late"} {
			if got, err := get(t, p, "GET", s.URL+path); err != nil || got != want {
				t.Errorf("%s: %q, %v", path, got, err)
			}
		}
		if got, err := get(t, p, "HEAD", s.URL+"/large"); err != nil || got != "200 " {
			t.Errorf("HEAD: %q, %v", got, err)
		}
	}
	resp, err := p.RoundTrip(plainRequest(t, t.Context(), "GET", s.URL+"/chunks"))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	if got := resp.Trailer.Get("X-Sum"); got != "3" {
		t.Errorf("the trailer is %q", got)
	}
	_ = resp.Body.Close()
	if n := opened.Load(); n != 1 {
		t.Errorf("%d connections were opened for requests one after the other", n)
	}
	// A body that nobody reads to its end costs its connection.
	if resp, err = p.RoundTrip(plainRequest(t, t.Context(), "GET", s.URL+"/large")); err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if got, err := get(t, p, "GET", s.URL+"/none"); err != nil || got != "204 " || opened.Load() != 2 {
		t.Errorf("after a body that was not read: %q, %v, %d connections", got, err, opened.Load())
	}
}

// scripted serves each connection with f until that returns.
func scripted(t *testing.T, f func(number int, conn net.Conn, in *bufio.Reader)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for n := 0; ; n++ {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			f(n, conn, bufio.NewReader(conn))
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-ended })
	return "http://" + l.Addr().String() + "/"
}

func readRequest(in *bufio.Reader) bool {
	_, err := http.ReadRequest(in)
	return err == nil
}

// TestAConnectionThatEndedWhileIdle: the request is sent again, over a new one.
func TestAConnectionThatEndedWhileIdle(t *testing.T) {
	to := scripted(t, func(n int, conn net.Conn, in *bufio.Reader) {
		if readRequest(in) {
			fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d", n)
		}
		if n == 0 {
			readRequest(in) // the second request is never answered
		}
	})
	p := pool(t)
	for i := range 2 {
		if got, err := get(t, p, "GET", to); err != nil || got != "200 "+strconv.Itoa(i) {
			t.Errorf("request %d: %q, %v", i, got, err)
		}
	}
}

func TestAnswersThatAreWrong(t *testing.T) {
	for name, c := range map[string]struct{ answer, want string }{
		"nothing":                 {"", "EOF"},
		"not HTTP":                {"SSH-2.0-OpenSSH\r\n\r\n", "malformed"},
		"half":                    {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfour", "unexpected EOF"},
		"a header without an end": {"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", maxResponseHeader+1), "too large"},
		"hints without an end":    {strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 100), "too many"},
	} {
		to := scripted(t, func(_ int, conn net.Conn, in *bufio.Reader) {
			readRequest(in)
			_, _ = io.WriteString(conn, c.answer)
		})
		if got, err := get(t, pool(t), "GET", to); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %.60q, %v", name, got, err)
		}
	}
}

// TestPlainRequestsEndWithTheirContext: while the header of the answer is awaited, and during its body.
func TestPlainRequestsEndWithTheirContext(t *testing.T) {
	received := make(chan struct{}, 2)
	to := scripted(t, func(n int, conn net.Conn, in *bufio.Reader) {
		readRequest(in)
		if n == 1 {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfour")
		}
		received <- struct{}{}
		_, _ = in.ReadByte() // until the client closes
	})
	p := pool(t)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-received; cancel() }()
	if _, err := p.RoundTrip(plainRequest(t, ctx, "GET", to)); err != context.Canceled { //nolint:errorlint // it is passed on as it is
		t.Errorf("while waiting: %v", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	resp, err := p.RoundTrip(plainRequest(t, ctx, "GET", to))
	if err != nil {
		t.Fatal(err)
	}
	<-received
	cancel()
	if _, err := io.ReadAll(resp.Body); err == nil {
		t.Error("a body that was cut off has no error")
	}
	_ = resp.Body.Close()
}

// TestIdleConnectionsAreClosed: after a while, and when there are too many.
func TestIdleConnectionsAreClosed(t *testing.T) {
	p := pool(t)
	host := "10.0.0.1:80"
	var others []net.Conn
	for range idlePerEndpoint + 1 {
		a, b := net.Pipe()
		others = append(others, b)
		p.put(newPlainConn(p, host, a))
	}
	if n := len(p.idle[host]); n != idlePerEndpoint {
		t.Errorf("%d connections are kept", n)
	}
	if _, err := others[0].Read(make([]byte, 1)); err != io.EOF { //nolint:errorlint // the end itself
		t.Errorf("the oldest one is not closed: %v", err)
	}
	for _, c := range p.idle[host] {
		c.since = time.Now().Add(-keepIdle)
	}
	p.closeOld()
	if len(p.idle) != 0 || p.reap != nil {
		t.Errorf("%d endpoints have idle connections", len(p.idle))
	}
	a, b := net.Pipe()
	defer b.Close()
	c := newPlainConn(p, host, a)
	p.put(c)
	c.since = time.Now().Add(-2 * keepIdle)
	if p.get(host) != nil {
		t.Error("a connection that was idle for too long is used")
	}
}

// TestNothingThatCameUnaskedIsAnAnswer: a backend that sends a body after the header of an answer to HEAD, when the connection is
// idle already, must not have it taken for the answer to the next request.
func TestNothingThatCameUnaskedIsAnAnswer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	late, sent := make(chan struct{}), make(chan struct{})
	go func() {
		for n := 0; ; n++ {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			in := bufio.NewReader(conn)
			if _, err := http.ReadRequest(in); err != nil {
				return
			}
			if n > 0 {
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nright")
				continue
			}
			const wrong = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong"
			_, _ = io.WriteString(conn, fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(wrong)))
			<-late
			_, _ = io.WriteString(conn, wrong)
			close(sent)
		}
	}()
	p := pool(t)
	if got, err := get(t, p, "HEAD", "http://"+l.Addr().String()+"/"); err != nil || got != "200 " {
		t.Fatalf("%q, %v", got, err)
	}
	close(late)
	<-sent
	if got, err := get(t, p, "GET", "http://"+l.Addr().String()+"/"); err != nil || got != "200 right" {
		t.Errorf("%q, %v", got, err)
	}
}
