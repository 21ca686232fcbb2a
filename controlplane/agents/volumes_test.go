package agents

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"bonsai/bootstrap/cluster"
	"bonsai/nodeagent/agentapi"
	"bonsai/nodeagent/volumes"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var n1 = cluster.Node{Name: "n1", Index: 1, IP: netip.MustParseAddr("10.201.0.10")}

// realAgent is the agent's API, without TLS, whose volumes are in dir.
type realAgent struct {
	dir  string
	addr string
	stop func()
}

// startAgent serves until the test ends or stop is called; addr is where it listens, empty for anywhere.
func startAgent(t *testing.T, dir, addr string, floor uint64) *realAgent {
	t.Helper()
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() {
		parts := map[string]http.Handler{volumes.Name: volumes.New(dir, floor).Handler()}
		done <- agentapi.New(agentapi.Config{Parts: parts, Log: slog.New(slog.DiscardHandler)}).ServeLocal(ctx, l)
	}()
	stopped := false
	a := &realAgent{dir: dir, addr: l.Addr().String()}
	a.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(a.stop)
	return a
}

// plain sends what is meant for an agent's TLS port to addr, without TLS.
type plain struct {
	*http.Transport
	addr string
}

func (p plain) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" || r.URL.Host != "10.201.0.10:10270" {
		return nil, errors.New("request to " + r.URL.String())
	}
	r = r.Clone(r.Context())
	r.URL.Scheme, r.URL.Host = "http", p.addr
	return p.Transport.RoundTrip(r)
}

func clientOf(t *testing.T, addr string) *Client {
	t.Helper()
	a := New(func(cluster.Node) http.RoundTripper { return plain{&http.Transport{}, addr} }, 1)
	t.Cleanup(a.Close)
	return a
}

func TestAgentsMakeAndRemove(t *testing.T) {
	a := startAgent(t, t.TempDir(), "", 0)
	c := clientOf(t, a.addr)
	want := filepath.Join(a.dir, "pvc-1")
	for range 2 {
		if path, err := c.MakeVolume(t.Context(), n1, "pvc-1"); err != nil || path != want {
			t.Fatalf("create = %q, %v, want %q", path, err, want)
		}
	}
	if info, err := os.Stat(want); err != nil || !info.IsDir() {
		t.Errorf("no folder: %v", err)
	}
	for range 2 {
		if err := c.RemoveVolume(t.Context(), n1, "pvc-1"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(want); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder is still there: %v", err)
	}
}

func TestAgentsOutliveAnAgentsRestart(t *testing.T) {
	a := startAgent(t, t.TempDir(), "", 0)
	c := clientOf(t, a.addr)
	if _, err := c.MakeVolume(t.Context(), n1, "pvc-1"); err != nil {
		t.Fatal(err)
	}
	a.stop()
	startAgent(t, a.dir, a.addr, 0)
	if _, err := c.MakeVolume(t.Context(), n1, "pvc-2"); err != nil {
		t.Errorf("the kept connection's end is an error: %v", err)
	}
}

func TestWhatIsKnownAfterAFailure(t *testing.T) {
	expect := func(err error, sent bool, status int, text string) {
		t.Helper()
		e, ok := errors.AsType[*Error](err)
		if !ok || e.Sent != sent || e.Status != status || !strings.Contains(err.Error(), text) || strings.Contains(err.Error(), "10.201.0.10") {
			t.Errorf("got %+v (%v), want sent %v, status %d, and %q", e, err, sent, status, text)
		}
	}
	full := startAgent(t, t.TempDir(), "", 1<<62)
	_, err := clientOf(t, full.addr).MakeVolume(t.Context(), n1, "pvc-1")
	expect(err, true, http.StatusInsufficientStorage, "the disk is full")

	full.stop()
	_, err = clientOf(t, full.addr).MakeVolume(t.Context(), n1, "pvc-1")
	expect(err, false, 0, "is the node running?")

	// An agent that takes the request and is killed over it.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.ReadAtLeast(c, make([]byte, 1<<10), 16)
			_ = c.Close()
		}
	}()
	defer func() { _ = l.Close(); <-done }()
	_, err = clientOf(t, l.Addr().String()).MakeVolume(t.Context(), n1, "pvc-1")
	expect(err, true, 0, "")
}

// silent is a way to a node that drops everything.
type silent struct{}

func (silent) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func TestAStoppedNodeIsNotWaitedForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(func(cluster.Node) http.RoundTripper { return silent{} }, 2)
		begin := time.Now()
		err := c.RemoveVolume(t.Context(), n1, "pvc-1")
		e, ok := errors.AsType[*Error](err)
		if !ok || e.Sent || !errors.Is(err, errConnect) || time.Since(begin) != 2*connectLimit {
			t.Errorf("remove = %v after %s", err, time.Since(begin))
		}
		if _, err := c.Usage(t.Context(), n1); err == nil || err.Error() != "timed out after 2s waiting for its agent" {
			t.Errorf("usage = %v", err)
		}
	})
}
