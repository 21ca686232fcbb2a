package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"bonsai/bootstrap/cluster"
	"bonsai/dnsaddon/api"
	"bonsai/dnsaddon/feed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server has a real feed and answers the rest from fields.
type server struct {
	*feed.Feed

	mu      sync.Mutex // guards the rest
	lookups []cluster.DNSLookup
	machine cluster.Resolvers
	health  api.Health
	changed chan struct{}
}

func newServer() *server {
	return &server{Feed: feed.New("n1"), health: api.Health{Phase: cluster.PhaseStarting, Reason: "no records yet"}, changed: make(chan struct{})}
}

func (s *server) Status() cluster.DNSStatus {
	return cluster.DNSStatus{Node: "n1", Phase: cluster.PhaseRunning, Domain: "cluster.local", Queries: map[string]uint64{"NOERROR": 7}}
}

func (s *server) Lookup(_ context.Context, q cluster.DNSLookup) cluster.DNSLookupResult {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lookups = append(s.lookups, q)
	return cluster.DNSLookupResult{Node: "n1", Steps: []cluster.DNSStep{{Name: q.Name, Rcode: "NOERROR"}}}
}

func (s *server) asked() []cluster.DNSLookup {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.lookups)
}

func (s *server) Flush() int { return 12 }

func (s *server) SetMachine(r cluster.Resolvers) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.machine = r
}

func (s *server) Health() (api.Health, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.health, s.changed
}

func (s *server) set(h api.Health) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.health = h
	close(s.changed)
	s.changed = make(chan struct{})
}

func serve(t *testing.T, s api.Server) *httptest.Server {
	t.Helper()
	hs := httptest.NewServer(http.StripPrefix("/v1/dns", api.New(s)))
	t.Cleanup(hs.Close)
	return hs
}

func get(t *testing.T, ctx context.Context, url string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close(); http.DefaultClient.CloseIdleConnections() })
	return resp
}

func decode[T any](t *testing.T, r io.Reader) (v T) {
	t.Helper()
	if err := json.NewDecoder(r).Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestStatusAndFlush(t *testing.T) {
	s := newServer()
	hs := serve(t, s)
	if got := decode[cluster.DNSStatus](t, get(t, t.Context(), hs.URL+"/v1/dns/status").Body); !reflect.DeepEqual(got, s.Status()) {
		t.Errorf("got %+v", got)
	}
	resp, err := http.Post(hs.URL+"/v1/dns/flush", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got := decode[api.Flushed](t, resp.Body); got.Entries != 12 {
		t.Errorf("got %+v", got)
	}
	if resp := get(t, t.Context(), hs.URL+"/v1/dns/flush"); resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET of flush answers %d", resp.StatusCode)
	}
}

func TestTheMachineIsPassedOn(t *testing.T) {
	s := newServer()
	hs := serve(t, s)
	put := func(body string) int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, hs.URL+"/v1/dns/resolvers", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp.StatusCode
	}
	want := cluster.Resolvers{Servers: []netip.AddrPort{netip.MustParseAddrPort("10.8.0.1:53")}, Search: []string{"corp.test"}, Since: time.Unix(1, 0)}
	body, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if code := put(string(body)); code != http.StatusNoContent || !s.machine.Equal(want) {
		t.Errorf("status %d, it knows %+v", code, s.machine)
	}
	for _, bad := range []string{"", "{", `{"servers":["x"]}`, `{"since":"` + strings.Repeat("1", 70<<10) + `"}`} {
		if code := put(bad); code != http.StatusBadRequest || !s.machine.Equal(want) {
			t.Errorf("%.40q is answered with %d", bad, code)
		}
	}
}

func TestLookup(t *testing.T) {
	s := newServer()
	hs := serve(t, s)
	post := func(body string) (int, string) {
		resp, err := http.Post(hs.URL+"/v1/dns/lookup", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(text)
	}
	q := cluster.DNSLookup{Name: "web", Type: "SRV", TCP: true, Search: []string{"a.svc.cluster.local"}, Ndots: 5, Client: netip.MustParseAddr("10.244.1.5")}
	body, err := json.Marshal(q)
	if err != nil {
		t.Fatal(err)
	}
	code, text := post(string(body))
	if got := decode[cluster.DNSLookupResult](t, strings.NewReader(text)); code != http.StatusOK || got.Node != "n1" || got.Steps[0].Name != "web" {
		t.Errorf("got %d %s", code, text)
	}
	if asked := s.asked(); len(asked) != 1 || !reflect.DeepEqual(asked[0], q) {
		t.Errorf("the server was asked %+v", asked)
	}
	for _, body := range []string{`{"name":"."}`, `{"name":"a","type":"TYPE65"}`} {
		if code, text := post(body); code != http.StatusOK {
			t.Errorf("%s: %d %s", body, code, text)
		}
	}
	for body, want := range map[string]string{
		`{}`:              `"" is not a name`,
		`{"name":"a..b"}`: `"a..b" is not a name`,
		`{"name":"` + strings.Repeat("a", 64) + `"}`:                    "is not a name",
		`{"name":"a","type":"a"}`:                                       `"a" is not a type`,
		`{"name":"a","type":"TYPE65536"}`:                               "is not a type",
		`{"name":"a","ndots":16}`:                                       "ndots 16",
		`{"name":"a","ndots":-1}`:                                       "ndots -1",
		`{"name":"a","search":[""]}`:                                    `search domain ""`,
		`{"name":"a","search":["x"` + strings.Repeat(`,"x"`, 32) + `]}`: "33 search domains",
		`{"name":`: "unexpected EOF",
		`{"name":"a","search":["` + strings.Repeat("a", 1<<17) + `"]}`: "too large",
	} {
		if code, text := post(body); code != http.StatusBadRequest || !strings.Contains(text, want) {
			t.Errorf("%.60s: %d %q, want %q", body, code, text, want)
		}
	}
	if asked := s.asked(); len(asked) != 3 {
		t.Errorf("the server was asked %d times", len(asked))
	}
}

func TestHealthIsReported(t *testing.T) {
	s := newServer()
	hs := serve(t, s)
	r := bufio.NewReader(get(t, t.Context(), hs.URL+"/v1/dns/health").Body)
	want := func(text string) {
		t.Helper()
		if got, err := r.ReadString('\n'); err != nil || got != text+"\n" {
			t.Fatalf("got %q, %v, want %s", got, err, text)
		}
	}
	want(`{"phase":"Starting","reason":"no records yet"}`)
	s.set(api.Health{Phase: cluster.PhaseRunning})
	want(`{"phase":"Running"}`)
	s.set(api.Health{Phase: cluster.PhaseRunning}) // nothing has changed, and nothing is sent
	s.set(api.Health{Phase: cluster.PhaseStopping})
	want(`{"phase":"Stopping"}`)
}

func TestLogSendsEachQuestionAtOnce(t *testing.T) {
	s := newServer()
	hs := serve(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	dec := json.NewDecoder(get(t, ctx, hs.URL+"/v1/dns/log?fold=true").Body)
	for _, name := range []string{"one.", "two."} { // the second only after the first has arrived
		waitFor(t, s.Active)
		s.Publish(cluster.DNSQuery{Name: name, Rcode: "NOERROR"})
		var q cluster.DNSQuery
		if err := dec.Decode(&q); err != nil || q.Name != name || q.Node != "n1" {
			t.Fatalf("got %+v, %v", q, err)
		}
	}
	s.Publish(cluster.DNSQuery{Name: "db.prod.shop.svc.cluster.local.", Rcode: "NXDOMAIN"})
	s.Publish(cluster.DNSQuery{Name: "db.prod.svc.cluster.local.", Rcode: "NOERROR"})
	var q cluster.DNSQuery
	if err := dec.Decode(&q); err != nil || len(q.Tries) != 1 {
		t.Errorf("got %+v, %v", q, err)
	}
	cancel()
	waitFor(t, func() bool { return !s.Active() })
}

// waitFor returns when a condition holds that another goroutine is about to fulfil.
func waitFor(t *testing.T, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); !condition(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("it did not come")
		}
	}
}

func TestStreamsAreBoundedAndEndWithTheServer(t *testing.T) {
	s := newServer()
	ctx, stop := context.WithCancel(t.Context())
	hs := httptest.NewUnstartedServer(api.New(s))
	hs.Config.BaseContext = func(net.Listener) context.Context { return ctx }
	hs.Start()
	t.Cleanup(hs.Close)
	var streams []*http.Response
	for range 16 {
		streams = append(streams, get(t, t.Context(), hs.URL+"/log"))
	}
	resp := get(t, t.Context(), hs.URL+"/log")
	if text, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusTooManyRequests || !strings.Contains(string(text), "16 clients") {
		t.Errorf("one more: %d %q", resp.StatusCode, text)
	}
	// Watchers of the log take no place from those of the health.
	if resp := get(t, t.Context(), hs.URL+"/health"); resp.StatusCode != http.StatusOK {
		t.Errorf("health: %d", resp.StatusCode)
	} else {
		streams = append(streams, resp)
	}
	stop()
	for i, resp := range streams {
		if _, err := io.ReadAll(resp.Body); err != nil {
			t.Errorf("stream %d ends with %v", i, err)
		}
	}
}

// TestStalledReader is one that is connected and reads nothing: it loses its stream, and its place.
func TestStalledReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		ours, theirs := net.Pipe() // holds nothing in between
		defer ours.Close()
		hs := &http.Server{Handler: api.New(s)}
		l := &oneConn{conn: theirs, closed: make(chan struct{})}
		done := make(chan error, 1)
		go func() { done <- hs.Serve(l) }()
		if _, err := io.WriteString(ours, "GET /log HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if _, err := http.ReadResponse(bufio.NewReaderSize(ours, 16), nil); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		s.Publish(cluster.DNSQuery{Name: strings.Repeat("a", 60)})
		synctest.Wait()
		if !s.Active() {
			t.Fatal("it did not wait for its reader at all")
		}
		time.Sleep(11 * time.Second) // of the bubble's clock
		synctest.Wait()
		if s.Active() {
			t.Error("it waits for a reader that is stuck")
		}
		_ = hs.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
}

// oneConn is a listener that has one connection to give.
type oneConn struct {
	conn   net.Conn
	once   sync.Once
	closed chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	if c := l.conn; c != nil {
		l.conn = nil
		return c, nil
	}
	<-l.closed
	return nil, net.ErrClosed
}

func (l *oneConn) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *oneConn) Addr() net.Addr { return &net.UnixAddr{} }
