package localapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// backend is a little daemon. The handler of a stream may still read it when its client has long gone: whatever changes
// is read and set under the lock.
type backend struct {
	snapshots chan cluster.Snapshot
	watchers  chan string // what happens to watchers
	stopped   chan struct{}
	loadBackend
	flowBackend

	mu      sync.Mutex // guards everything below
	events  []cluster.Event
	births  []cluster.Birth
	failed  error
	reloads int
	paused  bool
	query   LogQuery
	dns     dnsBackend
}

func newBackend() *backend {
	return &backend{snapshots: make(chan cluster.Snapshot, 9), watchers: make(chan string, 9), stopped: make(chan struct{})}
}

// fail makes all later calls end with err.
func (b *backend) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failed = err
}

func (b *backend) failure() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failed
}

func (b *backend) Snapshot(context.Context) cluster.Snapshot {
	return cluster.Snapshot{Name: "dev", Phase: cluster.PhaseRunning, Time: time.Unix(1000, 0).UTC(), LastStart: &cluster.Timeline{Total: time.Second}}
}

func (b *backend) Watch(ctx context.Context, send func(cluster.Snapshot) error) error {
	b.watchers <- "came"
	defer func() { b.watchers <- "went" }()
	for {
		select {
		case <-ctx.Done():
			return nil
		case s := <-b.snapshots:
			if err := send(s); err != nil {
				return err
			}
		}
	}
}

func (b *backend) Events(_ context.Context, send func(cluster.Event) error) error {
	b.mu.Lock()
	events, failed := b.events, b.failed
	b.mu.Unlock()
	for _, e := range events {
		if err := send(e); err != nil {
			return err
		}
	}
	return failed
}

func (b *backend) Logs(ctx context.Context, q LogQuery, w io.Writer) error {
	b.mu.Lock()
	b.query = q
	b.mu.Unlock()
	if _, err := fmt.Fprintln(w, "line one"); err != nil {
		return err
	}
	if q.Follow {
		<-ctx.Done()
	}
	return b.failure()
}

func (b *backend) asked() LogQuery {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.query
}

func (b *backend) Reload(context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reloads++
	return b.failed
}

func (b *backend) reloaded() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.reloads
}

func (b *backend) Stop() { close(b.stopped) }

func serve(t *testing.T, b Backend) (*Client, *Server, string) {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "bt") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "api.sock")
	s, err := Listen(path, b, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return NewClient(path), s, path
}

func TestSnapshotRoundTrip(t *testing.T) {
	b := newBackend()
	c, s, path := serve(t, b)
	got, err := c.Snapshot(t.Context())
	if want := b.Snapshot(t.Context()); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket: %v, %v", info.Mode(), err)
	}
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the socket is left after Close")
	}
}

func TestWatchSendsEachChangeAndEndsWithTheClient(t *testing.T) {
	b := newBackend()
	c, _, _ := serve(t, b)
	enough := errors.New("enough")
	var seen []string
	b.snapshots <- cluster.Snapshot{Name: "one"}
	err := c.Watch(t.Context(), func(s cluster.Snapshot) error {
		seen = append(seen, s.Name)
		if s.Name == "two" {
			return enough
		}
		b.snapshots <- cluster.Snapshot{Name: "two"} // only after the first has arrived: nothing is held back
		return nil
	})
	if !errors.Is(err, enough) || !reflect.DeepEqual(seen, []string{"one", "two"}) {
		t.Errorf("got %v, %v", seen, err)
	}
	if came, went := <-b.watchers, <-b.watchers; came != "came" || went != "went" {
		t.Errorf("the backend noted %s, %s", came, went)
	}
}

func TestWatchEndsWithTheContext(t *testing.T) {
	b := newBackend()
	c, _, _ := serve(t, b)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("Ctrl-C")
	go func() {
		<-b.watchers
		cancel(why)
	}()
	if err := c.Watch(ctx, func(cluster.Snapshot) error { return nil }); !errors.Is(err, why) {
		t.Errorf("got %v", err)
	}
	<-b.watchers
}

func TestWatchEndsInOrderWithTheServer(t *testing.T) {
	b := newBackend()
	c, s, _ := serve(t, b)
	go func() {
		<-b.watchers
		_ = s.Close()
	}()
	if err := c.Watch(t.Context(), func(cluster.Snapshot) error { return nil }); err != nil {
		t.Errorf("got %v", err)
	}
}

func TestEventsOfAStart(t *testing.T) {
	b := newBackend()
	p := cluster.Problem{Kind: "Timeout", Summary: "slow"}
	b.events = []cluster.Event{{Kind: cluster.StepStarted, Step: "etcd"}, {Kind: cluster.StepFailed, Step: "etcd", Elapsed: time.Second, Problem: &p}}
	c, _, _ := serve(t, b)
	collect := func() (got []cluster.Event, err error) {
		err = c.Events(t.Context(), func(e cluster.Event) error { got = append(got, e); return nil })
		return got, err
	}
	if got, err := collect(); err != nil || !reflect.DeepEqual(got, b.events) {
		t.Errorf("got %+v, %v", got, err)
	}
	broken := fault.New(fault.ControlPlane, "start etcd", errors.New("line\nbreak ä")).Advise("do this", cluster.Bonsai("start").Cure()).WithEvidence("e1")
	b.fail(broken)
	got, err := collect()
	if f, ok := errors.AsType[*fault.Fault](err); len(got) != 2 || !ok || !reflect.DeepEqual(fault.Problem(f), fault.Problem(broken)) {
		t.Errorf("got %d events, %#v", len(got), err)
	}
}

func TestLogs(t *testing.T) {
	b := newBackend()
	c, s, _ := serve(t, b)
	var out bytes.Buffer
	if err := c.Logs(t.Context(), LogQuery{Component: "kube-apiserver", Tail: 7}, &out); err != nil || out.String() != "line one\n" {
		t.Errorf("got %q, %v", out.String(), err)
	}
	if q := b.asked(); q != (LogQuery{Component: "kube-apiserver", Tail: 7}) {
		t.Errorf("the backend was asked for %+v", q)
	}
	if err := c.Logs(t.Context(), LogQuery{}, io.Discard); fault.KindOf(err) != fault.Usage {
		t.Errorf("without a component: %v", err)
	}
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- c.Logs(t.Context(), LogQuery{Component: "etcd", Follow: true}, w) }()
	if _, err := io.ReadFull(r, make([]byte, len("line one\n"))); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Close(), <-done); err != nil {
		t.Errorf("follow ended with %v", err)
	}
}

func TestReloadAndStop(t *testing.T) {
	b := newBackend()
	c, _, _ := serve(t, b)
	if err := c.Reload(t.Context()); err != nil || b.reloaded() != 1 {
		t.Errorf("reload: %v, %d", err, b.reloaded())
	}
	b.fail(errors.New("plain"))
	if err := c.Reload(t.Context()); fault.KindOf(err) != fault.Internal || err.Error() != "plain" {
		t.Errorf("reload: %v", err)
	}
	if err := c.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	<-b.stopped
}

func TestNobodyThere(t *testing.T) {
	_, s, path := serve(t, newBackend())
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	c := NewClient(path)
	for what, err := range map[string]error{
		"reload": c.Reload(t.Context()), "watch": c.Watch(t.Context(), nil), "stop": c.Stop(t.Context()),
	} {
		if fault.KindOf(err) != fault.NotRunning || fault.Problem(err).HintText() == "" {
			t.Errorf("%s: %v", what, err)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("Ctrl-C")
	cancel(why)
	if _, err := c.Snapshot(ctx); !errors.Is(err, why) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestStaleSocketIsReplacedAndALivingOneIsNot(t *testing.T) {
	_, s, path := serve(t, newBackend())
	if _, err := Listen(path, newBackend(), slog.New(slog.DiscardHandler)); fault.KindOf(err) != fault.Busy {
		t.Errorf("a second daemon: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	if err := dead.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Listen(path, newBackend(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(path, newBackend(), slog.New(slog.DiscardHandler)); fault.KindOf(err) != fault.State {
		t.Errorf("a file in the way: %v", err)
	}
}

// TestCrashIsNotTheEndOfAStory cuts the connection in the middle of a stream, as a killed daemon does.
func TestCrashIsNotTheEndOfAStory(t *testing.T) {
	_, s, path := serve(t, newBackend())
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	for what, answer := range map[string]string{
		"between lines":      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Bonsai-End\r\n\r\n3\r\n{}\n\r\n",
		"inside a line":      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Bonsai-End\r\n\r\n9\r\n{\"kind\"",
		"without an end":     "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}\n",
		"before an answer":   "",
		"of another version": "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnope",
	} {
		go func() {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			buf := make([]byte, 4096)
			_, _ = conn.Read(buf)
			_, _ = conn.Write([]byte(answer))
			_ = conn.Close()
		}()
		err := NewClient(path).Events(t.Context(), func(cluster.Event) error { return nil })
		t.Logf("%s: %v", what, err)
		if err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}

func TestForeignPathIsRefused(t *testing.T) {
	c, _, _ := serve(t, newBackend())
	err := c.do(t.Context(), "GET", "/v2/anything", nil)
	if err == nil || !strings.Contains(fault.Problem(err).HintText(), "version") {
		t.Errorf("got %v", err)
	}
}

func (b *backend) Ports(context.Context) []cluster.PortStatus {
	return []cluster.PortStatus{{Port: cluster.Port{Port: 8080, Service: "default/web"}, Open: true}}
}

func TestPorts(t *testing.T) {
	client, _, _ := serve(t, newBackend())
	list, err := client.Ports(t.Context())
	if err != nil || len(list) != 1 || list[0].Service != "default/web" || !list[0].Open {
		t.Errorf("got %+v, %v", list, err)
	}
}
