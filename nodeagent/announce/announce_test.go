package announce

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"sigs.k8s.io/knftables"

	"bonsai/bootstrap/cluster"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// cable is a Wire whose other end is the test.
type cable struct {
	in   chan Packet
	done chan struct{}
	once sync.Once

	mu   sync.Mutex // guards sent
	sent []Packet
}

func newCable() *cable { return &cable{in: make(chan Packet), done: make(chan struct{})} }

func (c *cable) Receive() (Packet, error) {
	select {
	case p := <-c.in:
		return p, nil
	case <-c.done:
		return Packet{}, net.ErrClosed
	}
}

func (c *cable) Send(p Packet) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent = append(c.sent, p)
	return nil
}

func (c *cable) MAC() net.HardwareAddr { return own }
func (c *cable) Close() error          { c.once.Do(func() { close(c.done) }); return nil }

func (c *cable) replies() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.sent {
		if p.Reply && p.TargetIP == gateway {
			n++
		}
	}
	return n
}

// notes is a Filter that remembers.
type notes struct{ last []cluster.AnnouncedAddress }

func (n *notes) Set(_ context.Context, list []cluster.AnnouncedAddress) error {
	n.last = list
	return nil
}

func put(t *testing.T, p *Part, a cluster.Announcement) (int, string) {
	t.Helper()
	data, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	p.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodPut, "/", strings.NewReader(string(data))))
	return w.Code, strings.TrimSpace(w.Body.String())
}

func TestPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var wires []*cable
		fail := true
		filter := &notes{}
		cfg := Config{
			Subnet: netip.MustParsePrefix("10.201.0.0/22"), Not: []netip.Addr{gateway}, Filter: filter,
			StateFile: filepath.Join(t.TempDir(), "announced.json"), Log: slog.New(slog.DiscardHandler),
			Open: func() (Wire, error) {
				if fail {
					fail = false
					return nil, errors.New("no interface yet")
				}
				wires = append(wires, newCable())
				return wires[len(wires)-1], nil
			},
		}
		run := func() (p *Part, stop func()) {
			p = New(cfg)
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error)
			go func() { ended <- p.Run(ctx) }()
			return p, func() {
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			}
		}
		p, stop := run()
		synctest.Wait()
		if len(wires) != 0 || !fail {
			t.Error("it uses the interface without an address")
		}
		for _, bad := range []string{"10.202.0.7", "10.201.0.1", "fd00::1"} {
			if code, text := put(t, p, announcement(1, netip.MustParseAddr(bad))); code != http.StatusBadRequest {
				t.Errorf("%s: %d %s", bad, code, text)
			}
		}
		if code, text := put(t, p, announcement(1, vip)); code != http.StatusOK || !strings.Contains(text, vip.String()) {
			t.Errorf("got %d %s", code, text)
		}
		if code, _ := put(t, p, announcement(1)); code != http.StatusConflict {
			t.Errorf("an old announcement: %d", code)
		}
		time.Sleep(2 * openPause) // the interface comes
		synctest.Wait()
		if len(wires) != 1 {
			t.Fatalf("the interface was opened %d times", len(wires))
		}
		wires[0].in <- asks(vip)
		synctest.Wait()
		if wires[0].replies() != 1 {
			t.Error("a question was not answered")
		}
		if len(filter.last) != 1 {
			t.Errorf("the rules are for %v", filter.last)
		}
		// Another agent takes over.
		stop()
		p, stop = run()
		time.Sleep(time.Second)
		synctest.Wait()
		wires[1].in <- asks(vip)
		synctest.Wait()
		if wires[1].replies() != 1 {
			t.Error("the next agent does not answer")
		}
		// The interface goes and comes.
		_ = wires[1].Close()
		time.Sleep(2 * openPause)
		synctest.Wait()
		if len(wires) != 3 {
			t.Fatalf("the interface was opened %d times", len(wires))
		}
		if code, text := put(t, p, announcement(2)); code != http.StatusOK {
			t.Errorf("got %d %s", code, text)
		}
		synctest.Wait()
		select {
		case <-wires[2].done:
		default:
			t.Error("the interface is still used")
		}
		stop()
	})
}

func TestSignsOfLife(t *testing.T) {
	p := New(Config{Subnet: netip.MustParsePrefix("10.201.0.0/22"), Filter: &notes{}, StateFile: filepath.Join(t.TempDir(), "a"), Log: slog.New(slog.DiscardHandler)})
	server := httptest.NewServer(p.Handler())
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	next := func() (a cluster.Announced) {
		if !lines.Scan() {
			t.Fatal(lines.Err())
		}
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			t.Fatal(err)
		}
		return a
	}
	for range 3 {
		if a := next(); len(a.Addresses) != 0 || a.Addresses == nil {
			t.Errorf("announced are %v", a.Addresses)
		}
	}
	if code, text := put(t, p, announcement(3, vip)); code != http.StatusOK {
		t.Fatalf("got %d %s", code, text)
	}
	for a := next(); a.Sequence != 3 || !slices.Equal(a.Addresses, []netip.Addr{vip}); a = next() {
		if a.Sequence != 0 {
			t.Fatalf("got %+v", a)
		}
	}
}

func TestRules(t *testing.T) {
	fake := knftables.NewFake(knftables.IPv4Family, tableName)
	r := rules{fake, netip.MustParseAddr("10.201.0.10")}
	list := announcement(1, vip).Addresses
	list[0].Ports = append(list[0].Ports, cluster.AnnouncedPort{Protocol: "UDP", Port: 53})
	for range 2 {
		if err := r.Set(t.Context(), list); err != nil {
			t.Fatal(err)
		}
	}
	dump := fake.Dump()
	for _, want := range []string{"10.201.3.1 . tcp . 80", "10.201.3.1 . udp . 53", "reject with tcp reset", "dnat to 10.201.0.10", "hook forward", "hook output"} {
		if !strings.Contains(dump, want) {
			t.Errorf("%q is missing in:\n%s", want, dump)
		}
	}
	if err := r.Set(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if dump := fake.Dump(); strings.Contains(dump, "add chain") {
		t.Errorf("left are:\n%s", dump)
	}
}
