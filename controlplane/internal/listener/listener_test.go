package listener

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"bonsai/bootstrap/accept"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const most = 20

func open(t *testing.T) *Listener {
	t.Helper()
	l, err := Listen(t.Context(), 0, most, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(l.Close(), l.Close()); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
	return l
}

// short has no descriptor for the first three connections.
type short struct {
	net.Listener
	mu    sync.Mutex // guards calls
	calls int
}

func (s *short) Accept() (net.Conn, error) {
	s.mu.Lock()
	s.calls++
	calls := s.calls
	s.mu.Unlock()
	if calls <= 3 {
		return nil, &net.OpError{Op: "accept", Net: "tcp4", Addr: s.Addr(), Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	return s.Listener.Accept()
}

func TestAMomentWithoutDescriptorsIsNotTheEnd(t *testing.T) {
	l := open(t)
	inner, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	few := accept.Patient(&short{Listener: inner}, slog.New(slog.DiscardHandler))
	l.more[netip.MustParseAddr("127.0.0.9")] = few
	l.wg.Go(func() { l.accept(few) })

	for _, address := range []string{inner.Addr().String(), l.Addr().String()} { // those that were short, and the others
		client, err := net.Dial("tcp4", address)
		if err != nil {
			t.Fatal(err)
		}
		server, err := l.Accept()
		if err != nil {
			t.Fatalf("%s: %v", address, err)
		}
		if _, err := io.WriteString(server, "hello"); err != nil {
			t.Error(err)
		}
		_ = server.Close()
		if got, err := io.ReadAll(client); err != nil || string(got) != "hello" {
			t.Errorf("%s: the client reads %q, %v", address, got, err)
		}
		_ = client.Close()
	}
	select {
	case err := <-l.Failed():
		t.Errorf("it failed: %v", err)
	default:
	}
}

func TestThereIsAMostOfConnections(t *testing.T) {
	if MostConnections() < most {
		t.Fatalf("this process may open %d connections", MostConnections())
	}
	l := open(t)
	var clients, servers []net.Conn
	dial := func() {
		t.Helper()
		c, err := net.Dial("tcp4", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		clients = append(clients, c)
	}
	defer func() {
		for _, c := range append(clients, servers...) {
			_ = c.Close()
		}
	}()
	for range most {
		if err := l.Trouble(); err != nil {
			t.Errorf("with %d connections: %v", len(servers), err)
		}
		dial()
		s, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		servers = append(servers, s)
	}
	if err := l.Trouble(); err == nil || !strings.Contains(err.Error(), "20 connections") {
		t.Errorf("with as many as there may be: %v", err)
	}
	dial()
	next := make(chan net.Conn, 1)
	go func() {
		c, _ := l.Accept()
		next <- c
	}()
	select {
	case c := <-next:
		t.Error("one more was accepted")
		servers = append(servers, c)
	case <-time.After(50 * time.Millisecond): // it could be, if there were no limit
		_, _ = servers[0].Close(), servers[0].Close() // the second does nothing
		select {
		case c := <-next:
			servers = append(servers, c)
		case <-time.After(20 * time.Second):
			t.Error("another one is not accepted after one was closed")
		}
	}
	if got := len(l.slots); got != most {
		t.Errorf("%d connections are counted, want %d", got, most)
	}
}

func TestALastingErrorIsReportedAndNotReturned(t *testing.T) {
	l := open(t)
	accepted := make(chan error, 1)
	go func() {
		_, err := l.Accept()
		accepted <- err
	}()
	_ = l.first.Listener.Close() // the socket is gone, behind the Listener's back
	select {
	case err := <-l.Failed():
		if err == nil || !strings.Contains(err.Error(), l.Addr().String()) {
			t.Errorf("it failed with %v, want the address in it", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("nobody learns that the socket is gone")
	}
	select {
	case err := <-accepted:
		t.Errorf("Accept returned %v, which makes the server panic", err)
	default:
	}
	_ = l.Close()
	if err := <-accepted; !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestReady(t *testing.T) {
	var mu sync.Mutex // guards code and text
	code, text := http.StatusOK, "ok"
	answers := func(c int, s string) {
		mu.Lock()
		defer mu.Unlock()
		code, text = c, s
	}
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.URL.Path != "/readyz" {
			t.Errorf("asked for %s", r.URL)
		}
		w.WriteHeader(code)
		_, _ = io.WriteString(w, text)
	}))
	defer s.Close()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	address := s.Listener.Addr().String()
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:9")
	ready := func() string {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if err := Ready(ctx, address, roots); err != nil {
			return err.Error()
		}
		return ""
	}
	if got := ready(); got != "" {
		t.Errorf("ready: %s", got)
	}
	answers(http.StatusInternalServerError, "[+]ping ok\n[-]etcd failed: reason withheld\n[-]bonsai/bootstrap failed: reason withheld\nreadyz check failed\n")
	if got, want := ready(), address+" answers that it is not ready: etcd, bonsai/bootstrap"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	answers(http.StatusTooManyRequests, "")
	if got, want := ready(), address+" answers 429 Too Many Requests"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	s.Close()
	if got := ready(); !strings.Contains(got, address+" does not answer: ") || !strings.Contains(got, "refused") {
		t.Errorf("got %q", got)
	}
}

func TestReadyEndsWithItsContextAlthoughNobodyAccepts(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	why := errors.New("long enough")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, why)
	defer cancel()
	if err := Ready(ctx, l.Addr().String(), x509.NewCertPool()); err == nil {
		t.Error("nobody accepted, and it is ready")
	}
}
