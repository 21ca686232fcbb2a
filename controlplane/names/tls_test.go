package names

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/gatewaytable"
	"bonsai/bootstrap/localca"
	"bonsai/bootstrap/servicename"
)

// trust is what a machine that trusts the local CA believes, and nobody else.
func (w *world) trust() *tls.Config {
	w.t.Helper()
	if _, err := localca.Ensure(w.t.Context(), w.ca); err != nil {
		w.t.Fatal(err)
	}
	data, err := os.ReadFile(localca.File(w.ca))
	if err != nil {
		w.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(data)
	return &tls.Config{RootCAs: pool}
}

// secureClient is client for URLs with https.
func (w *world) secureClient(h2 bool) *http.Client {
	w.t.Helper()
	c := w.client(nil)
	tr := c.Transport.(*http.Transport)
	tr.TLSClientConfig = w.trust()
	tr.ForceAttemptHTTP2 = h2
	return c
}

// answerOf is the status, protocol and body of an answer.
func (w *world) answerOf(c *http.Client, url string, header ...string) string {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, url, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := c.Do(r)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return fmt.Sprint(resp.StatusCode, " ", resp.Proto, " ", string(body))
}

func TestTLSIsServedAtTheSamePort(t *testing.T) {
	w := newWorld(t)
	w.app("web", servicename.Port{Name: "http", Number: 80}, plain(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Host, " ", r.Header.Get("X-Forwarded-Proto"))
	}))
	w.serve(spec())
	for _, test := range []struct {
		url  string
		h2   bool
		want string
	}{
		{"https://web.shop.localhost/", false, "200 HTTP/1.1 web.shop.localhost https"},
		{"https://WEB.shop.dev.localhost/", true, "200 HTTP/2.0 WEB.shop.dev.localhost https"},
		{"http://web.shop.localhost/", false, "200 HTTP/1.1 web.shop.localhost http"},
	} {
		if got := w.answerOf(w.secureClient(test.h2), test.url); got != test.want {
			t.Errorf("%s: %s, want %s", test.url, got, test.want)
		}
	}
	// An address is asked for without a name.
	if got := w.answerOf(w.secureClient(false), "https://127.0.0.1/"); !strings.Contains(got, "200 HTTP/1.1 bonsai: Services of cluster dev") {
		t.Errorf("by address: %s", got)
	}
	if got := w.answerOf(w.secureClient(false), "https://evil.test/"); !strings.Contains(got, "tls: ") {
		t.Errorf("a name of others has a certificate: %s", got)
	}
	// One who does not trust the CA.
	if c, err := tls.Dial("tcp", fmt.Sprint("127.0.0.1:", w.kept), &tls.Config{ServerName: "web.shop.localhost"}); err == nil {
		c.Close()
		t.Error("it is trusted by everybody")
	}
}

// With TLS nothing else is let in than without.
func TestTLSChecksWhoAsks(t *testing.T) {
	w := newWorld(t)
	w.app("web", servicename.Port{Name: "http", Number: 80}, hello("web"))
	w.serve(spec())
	const url = "https://web.shop.localhost/"
	for _, h2 := range []bool{false, true} {
		c := w.secureClient(h2)
		if got := w.answerOf(c, url, "Origin", "https://evil.test"); !strings.HasPrefix(got, "403 ") {
			t.Errorf("a page of another site: %s", got)
		}
		if got := w.answerOf(c, url, "Origin", fmt.Sprint("https://web.shop.localhost:", w.kept)); !strings.HasPrefix(got, "200 ") {
			t.Errorf("its own page: %s", got)
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = "evil.test" // rebound, after a handshake with a name that is right
		resp, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusMisdirectedRequest {
			t.Errorf("another host: %s", resp.Status)
		}
	}
	w.refuse(errors.New("it belongs to the user with ID 7"))
	for _, h2 := range []bool{false, true} {
		if got := w.answerOf(w.secureClient(h2), url); !strings.Contains(got, "tls: ") {
			t.Errorf("another user: %s", got)
		}
	}
}

func TestWebSocketsWithTLS(t *testing.T) {
	w := newWorld(t)
	w.app("chat", servicename.Port{Name: "http", Number: 80}, plain(func(w http.ResponseWriter, r *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", r.Header.Get("Upgrade"))
		_, _ = io.Copy(c, c)
	}))
	server := w.serve(spec())
	trust := w.trust()
	trust.ServerName = "chat.shop.localhost"
	c, err := tls.Dial("tcp", fmt.Sprint("127.0.0.1:", w.kept), trust)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(limit))
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: chat.shop.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	in := bufio.NewReader(c)
	if resp, err := http.ReadResponse(in, nil); err != nil || resp.StatusCode != 101 {
		t.Fatalf("%+v, %v", resp, err)
	}
	fmt.Fprint(c, "ping\n")
	if line, err := in.ReadString('\n'); line != "ping\n" {
		t.Fatalf("%q, %v", line, err)
	}
	server.Close()
	if _, err := in.ReadByte(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after the end of the server: %v", err)
	}
}

// A client that opens a connection and never finishes the handshake does not keep it.
func TestHandshakesHaveALimit(t *testing.T) {
	w := newWorld(t)
	w.scale = 0.02
	w.serve(spec())
	c, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", w.kept))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(limit))
	if _, err := c.Write([]byte{tlsHandshake, 3}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(c); errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the connection is still open: %v", err)
	}
}

// Where URLs need no port without TLS, they need none with it: there is a second port, unless something else has it.
func TestAPortForTLS(t *testing.T) {
	w := newWorld(t)
	w.gateway()
	w.app("web", servicename.Port{Name: "http", Number: 80}, hello("web"))
	s := w.serve(spec())
	if at := s.Status(); at.TLSPort != 0 || at.Secure() != at.Port {
		t.Errorf("at port %d, another one is for TLS: %+v", at.Port, at)
	}
	second := freePort(t)
	s.beside = func(int) int { return second }
	again := func(want int, ports ...cluster.Port) {
		t.Helper()
		off := twoNodes()
		off.Addons = map[string]bool{cluster.NamesAddon: false}
		s.Apply(off)
		on := twoNodes()
		on.Ports = ports
		s.Apply(on)
		if at := s.Status(); !at.Open || at.TLSPort != want {
			t.Errorf("it is %+v, want %d for TLS", at, want)
		}
	}
	again(second)
	s.SetHosts([]gatewaytable.NamedHost{{Name: "shop.localhost", From: []string{"ingress/shop/web"}, Plain: 80, TLS: 443}})
	c := w.secureClient(true)
	r, err := c.Get("http://shop.localhost/secure")
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if got, want := r.Header.Get("Location"), fmt.Sprintf("https://shop.localhost:%d/x?y=1", second); got != want {
		t.Errorf("it leads to %s, want %s", got, want)
	}
	first := w.kept
	w.kept = second // where the client goes
	if got := w.answerOf(c, "https://web.shop.localhost/", "Origin", fmt.Sprint("https://web.shop.localhost:", second)); !strings.HasPrefix(got, "200 HTTP/2.0 web ") {
		t.Errorf("at the second port: %s", got)
	}
	w.kept = first
	on := twoNodes()
	on.Ports = []cluster.Port{{Port: second, Protocol: "tcp"}}
	s.Apply(on)
	if at := s.Status(); at.TLSPort != 0 || at.Port != first {
		t.Errorf("with a port of that number it is %+v", at)
	}
	l, err := net.Listen("tcp4", fmt.Sprint("127.0.0.1:", second))
	if err != nil {
		t.Fatalf("the second port is still served: %v", err)
	}
	defer l.Close()
	again(0)
}
