package proxy

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"testing"
	"time"

	"bonsai/bootstrap/gatewaytable"
)

// raw sends a request as it is written, over a connection of its own, and returns the answer, whose body it has read.
func raw(t *testing.T, address, request string) (*http.Response, string) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

// echoHeader is a backend that answers with the header that it has got, as JSON, and with headers about its own connection.
func echoHeader(t *testing.T) string {
	return backendServer(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "X-Hop-Answer")
		w.Header().Set("X-Hop-Answer", "of the connection")
		w.Header().Set("Keep-Alive", "timeout=7")
		w.Header().Set("X-End-Answer", "of the answer")
		_ = json.NewEncoder(w).Encode(r.Header)
	})
}

// TestHeadersOfOneConnectionStayThere: those that are about the connection of the client, or of the backend, are not passed on.
func TestHeadersOfOneConnectionStayThere(t *testing.T) {
	p := start(t, false, gatewaytable.Rule{}, gatewaytable.HTTP1, echoHeader(t))
	resp, body := raw(t, p.address, "GET / HTTP/1.1\r\nHost: web.test\r\nConnection: X-Hop, keep-alive\r\nX-Hop: of the connection\r\nKeep-Alive: timeout=5\r\n"+
		"Proxy-Authorization: Basic eDp5\r\nProxy-Connection: keep-alive\r\nTE: trailers, deflate\r\nX-End: of the request\r\n"+
		"X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Host: evil.test\r\nX-Forwarded-Proto: https\r\nX-Real-Ip: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n\r\n")
	var seen http.Header
	if err := json.Unmarshal([]byte(body), &seen); err != nil {
		t.Fatalf("%v in %q", err, body)
	}
	for _, name := range []string{"Connection", "X-Hop", "Keep-Alive", "Proxy-Authorization", "Proxy-Connection", "Forwarded"} {
		if v := seen.Get(name); v != "" {
			t.Errorf("the backend gets %s: %s", name, v)
		}
	}
	for name, want := range map[string]string{"X-End": "of the request", "Te": "trailers", "X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": "web.test", "X-Forwarded-Proto": "http", "X-Real-Ip": "127.0.0.1"} {
		if v := strings.Join(seen.Values(name), ", "); v != want {
			t.Errorf("the backend gets %s: %q, want %q", name, v, want)
		}
	}
	if resp.Header.Get("X-Hop-Answer") != "" || resp.Header.Get("Keep-Alive") != "" || resp.Header.Get("X-End-Answer") != "of the answer" {
		t.Errorf("the client gets %v", resp.Header)
	}
}

// TestMirroredRequestsAreCleanToo: a copy has no header of the client's connection, and nothing that the client has made up.
func TestMirroredRequestsAreCleanToo(t *testing.T) {
	copies := make(chan http.Header, 2)
	mirror := backendServer(t, func(_ http.ResponseWriter, r *http.Request) { copies <- r.Header })
	rule := gatewaytable.Rule{Mirrors: []gatewaytable.Mirror{{Backend: 0, Numerator: 1, Denominator: 1}}}
	p := start(t, false, rule, gatewaytable.HTTP1, mirror) // the backend itself is one, too
	raw(t, p.address, "GET / HTTP/1.1\r\nHost: web.test\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nX-Forwarded-For: 6.6.6.6\r\nX-End: 1\r\n\r\n")
	for range 2 {
		select {
		case h := <-copies:
			if h.Get("X-Hop") != "" || h.Get("Keep-Alive") != "" || h.Get("X-Forwarded-For") != "127.0.0.1" || h.Get("X-End") != "1" {
				t.Errorf("got %v", h)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("a copy is missing")
		}
	}
}

// TestAnAnswerBeforeTheBodyHasEnded: a backend may answer while it is still reading, and gets all of the body all the same.
func TestAnAnswerBeforeTheBodyHasEnded(t *testing.T) {
	for name, c := range map[string]struct {
		size    int
		chunked bool
	}{"large": {size: 8 << 20}, "small": {size: 100 << 10}, "of unknown length": {size: 8 << 20, chunked: true}} {
		t.Run(name, func(t *testing.T) {
			answered := make(chan struct{})
			p := start(t, false, gatewaytable.Rule{}, gatewaytable.HTTP1, backendServer(t, func(w http.ResponseWriter, r *http.Request) {
				_ = http.NewResponseController(w).EnableFullDuplex()
				w.WriteHeader(http.StatusOK)
				_ = http.NewResponseController(w).Flush()
				<-answered
				n, err := io.Copy(io.Discard, r.Body)
				fmt.Fprintf(w, "%d %v", n, err)
			}))
			conn, err := net.Dial("tcp", p.address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
				t.Fatal(err)
			}
			in := bufio.NewReader(conn)
			body, length := io.Writer(conn), fmt.Sprintf("Content-Length: %d", c.size)
			if c.chunked {
				body, length = httputil.NewChunkedWriter(conn), "Transfer-Encoding: chunked"
			}
			fmt.Fprintf(conn, "PUT / HTTP/1.1\r\nHost: web.test\r\n%s\r\n\r\n", length)
			source := &repeated{part: bytes.Repeat([]byte("0123456789abcdef"), 4<<10)}
			_, _ = io.CopyN(body, source, 10<<10)
			resp, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			close(answered)
			_, err = io.CopyN(body, source, int64(c.size)-10<<10)
			if end, ok := body.(io.Closer); err == nil && ok && c.chunked {
				_, err = io.WriteString(conn, map[bool]string{true: "\r\n"}[end.Close() == nil])
			}
			if err != nil {
				t.Errorf("the body is not taken: %v", err)
			}
			text, err := io.ReadAll(resp.Body)
			if want := fmt.Sprintf("%d <nil>", c.size); string(text) != want || err != nil {
				t.Errorf("the backend got %q, %v, want %s", text, err, want)
			}
		})
	}
}

// TestARefusedUpload: a backend that does not want a large body says so, and the client learns it.
func TestARefusedUpload(t *testing.T) {
	backend := backendServer(t, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "too much", http.StatusRequestEntityTooLarge)
	})
	p := start(t, false, gatewaytable.Rule{}, gatewaytable.HTTP1, backend)
	for name, c := range map[string]*http.Client{"http/1": client(t, http1), "h2c": client(t, h2c)} {
		resp, text := do(t, c, http.MethodPost, "http://"+p.address+"/", io.LimitReader(&repeated{part: bytes.Repeat([]byte("0123456789abcdef"), 4<<10)}, 4<<20))
		if resp.StatusCode != http.StatusRequestEntityTooLarge || strings.TrimSpace(text) != "too much" {
			t.Errorf("%s: %s %q", name, resp.Status, text)
		}
	}
}

// TestALongUploadIsNotASlowBackend: the limit for the header of an answer counts from the last part of the body on.
func TestALongUploadIsNotASlowBackend(t *testing.T) {
	const limit = 300 * time.Millisecond
	backend := backendServer(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		if r.URL.Path == "/slow" {
			select {
			case <-r.Context().Done():
			case <-time.After(20 * time.Second):
			}
		}
		fmt.Fprint(w, n)
	})
	p := start(t, false, gatewaytable.Rule{HeaderTimeout: limit}, gatewaytable.HTTP1, backend)
	for path, want := range map[string]int{"/": http.StatusOK, "/slow": http.StatusGatewayTimeout} {
		body, w := io.Pipe()
		go func() {
			for range 3 {
				<-time.After(limit / 2)
				_, _ = io.WriteString(w, "part")
			}
			_ = w.Close()
		}()
		if resp, text := do(t, client(t, http1), http.MethodPost, "http://"+p.address+path, body); resp.StatusCode != want || want == http.StatusOK && text != "12" {
			t.Errorf("%s: %s %q, want %d", path, resp.Status, text, want)
		}
	}
}

// TestOtherServersAreNotReached: CONNECT is refused, and an address in the request line leads nowhere else.
func TestOtherServersAreNotReached(t *testing.T) {
	p := start(t, false, gatewaytable.Rule{}, gatewaytable.HTTP1, echoHeader(t))
	if resp, _ := raw(t, p.address, "CONNECT 192.0.2.1:443 HTTP/1.1\r\nHost: 192.0.2.1:443\r\n\r\n"); resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("CONNECT: %s", resp.Status)
	}
	if resp, body := raw(t, p.address, "GET http://192.0.2.1/x HTTP/1.1\r\nHost: other.test\r\nConnection: close\r\n\r\n"); resp.StatusCode != http.StatusOK || !strings.Contains(body, `"X-Forwarded-Host":["192.0.2.1"]`) {
		t.Errorf("a whole address: %s %s", resp.Status, body)
	}
}

// TestInformationalAnswersArePassedOn: 103 comes before the answer, and 100 when the backend wants the body.
func TestInformationalAnswersArePassedOn(t *testing.T) {
	backend := backendServer(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n)
	})
	p := start(t, false, gatewaytable.Rule{}, gatewaytable.HTTP1, backend)
	conn, err := net.Dial("tcp", p.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: web.test\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
	got := map[int]bool{}
	for sent := false; ; {
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		got[resp.StatusCode] = true
		if resp.StatusCode == http.StatusContinue && !sent {
			sent = true
			_, _ = io.WriteString(conn, "body")
		}
		if resp.StatusCode >= http.StatusOK {
			text, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if string(text) != "4" {
				t.Errorf("answer %q", text)
			}
			break
		}
	}
	if !got[http.StatusEarlyHints] || !got[http.StatusContinue] || !got[http.StatusOK] {
		t.Errorf("statuses are %v", got)
	}
}

// TestAConversationOutlastsATable: a WebSocket goes on while the table changes under it, even if its rule is gone.
func TestAConversationOutlastsATable(t *testing.T) {
	backend := backendServer(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
		for {
			line, err := rw.ReadString('\n')
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, "echo "+line)
		}
	})
	p := start(t, false, gatewaytable.Rule{}, gatewaytable.HTTP1, backend)
	conn, err := net.Dial("tcp", p.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(conn, "GET /socket HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v, %v", resp, err)
	}
	for i, word := range []string{"first", "second"} {
		if i > 0 {
			if err := p.proxy.Apply(gatewaytable.Table{ID: "empty"}); err != nil {
				t.Fatal(err)
			}
		}
		_, _ = io.WriteString(conn, word+"\n")
		if line, err := in.ReadString('\n'); line != "echo "+word+"\n" {
			t.Errorf("%q, %v", line, err)
		}
	}
}
