package server

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"bonsai/dnsaddon/forward"
)

func dial(t *testing.T, addr string) *dns.Conn {
	t.Helper()
	c, err := dns.DialTimeout("tcp", addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}

func TestTCPPipelining(t *testing.T) {
	f := start(t, nil)
	c := dial(t, f.cluster)
	const n = 500
	var all []byte
	for i := range n {
		m := msg(kubernetes, dns.TypeA)
		if i%5 == 0 {
			m = msg("_https._tcp."+kubernetes, dns.TypeSRV) // slow path
		}
		m.Id = uint16(i)
		packed, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		all = framed(all, packed)
	}
	var writing sync.WaitGroup
	defer writing.Wait()
	writing.Go(func() {
		// In odd pieces, so that questions come apart.
		for len(all) > 0 {
			k := min(len(all), 777)
			if _, err := c.Conn.Write(all[:k]); err != nil {
				t.Errorf("write: %v", err)
				return
			}
			all = all[k:]
		}
	})
	seen := map[uint16]bool{}
	for range n {
		r, err := c.ReadMsg()
		if err != nil {
			t.Fatalf("after %d answers: %v", len(seen), err)
		}
		if seen[r.Id] || len(r.Answer) != 1 {
			t.Errorf("answer %d: seen before: %v; %v", r.Id, seen[r.Id], r)
		}
		seen[r.Id] = true
	}
}

func TestTCPAnswersOutOfOrder(t *testing.T) {
	release := make(chan struct{})
	slow := serveDNS(t, dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) {
		if r.Question[0].Qtype != dns.TypeHINFO { // that is a probe for loops
			<-release
		}
		_ = w.WriteMsg(new(dns.Msg).SetReply(r))
	}))
	f := start(t, nil)
	f.forward.Configure([]forward.Zone{{Name: ".", Upstreams: []string{slow}, MaxFails: -1}})
	c := dial(t, f.cluster)
	first, second := msg("one.example.com.", dns.TypeA), msg(kubernetes, dns.TypeA)
	for _, m := range []*dns.Msg{first, second} {
		if err := c.WriteMsg(m); err != nil {
			t.Fatal(err)
		}
	}
	if r, err := c.ReadMsg(); err != nil || r.Id != second.Id {
		t.Fatalf("the first answer: %v, %v; want that to the second question", r, err)
	}
	close(release)
	if r, err := c.ReadMsg(); err != nil || r.Id != first.Id || r.Rcode != dns.RcodeSuccess {
		t.Errorf("the second answer: %v, %v", r, err)
	}
}

// TestTCPAnswersAfterTheClientHasFinished: a resolver may close its side as soon as it has asked.
func TestTCPAnswersAfterTheClientHasFinished(t *testing.T) {
	f := start(t, nil)
	c := dial(t, f.cluster)
	if err := c.WriteMsg(msg("one.example.com.", dns.TypeA)); err != nil {
		t.Fatal(err)
	}
	if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if r, err := c.ReadMsg(); err != nil || len(r.Answer) != 1 {
		t.Errorf("%v, %v", r, err)
	}
	if _, err := c.Conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("then %v, want the connection's end", err)
	}
}

func TestTCPTimeouts(t *testing.T) {
	f := start(t, func(_ *Options, s *Server) {
		s.tcpLimits.idle, s.tcpLimits.message = 500*time.Millisecond, 500*time.Millisecond
	})
	whole, _ := msg(kubernetes, dns.TypeA).Pack()
	for name, sent := range map[string][]byte{
		"nothing": nil, "a byte": {0}, "a length": {0, 100}, "half a question": framed(nil, whole)[:20],
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := dial(t, f.cluster)
			// A question that is answered comes first: the time starts again.
			if err := c.WriteMsg(msg(kubernetes, dns.TypeA)); err != nil {
				t.Fatal(err)
			}
			if _, err := c.ReadMsg(); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Conn.Write(sent); err != nil {
				t.Fatal(err)
			}
			if n, err := c.Conn.Read(make([]byte, 1)); n > 0 || isTimeout(err) {
				t.Errorf("read %d, %v; want the connection's end", n, err)
			}
		})
	}
}

func TestTCPLimitsConnections(t *testing.T) {
	f := start(t, func(o *Options, s *Server) { s.tcpLimits.conns, s.tcpLimits.clientConns = 3, 2 })
	from := func(last byte) net.Conn {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, last)}}
		c, err := d.Dial("tcp4", f.cluster)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_ = c.SetDeadline(time.Now().Add(patience))
		return c
	}
	works := func(c net.Conn) bool {
		co := dns.Conn{Conn: c}
		_ = co.WriteMsg(msg(kubernetes, dns.TypeA))
		r, err := co.ReadMsg()
		return err == nil && len(r.Answer) == 1
	}
	first := from(1)
	for i, want := range []bool{true, true, false} {
		c := first
		if i > 0 {
			c = from(1)
		}
		if works(c) != want {
			t.Errorf("connection %d of one client works: %v", i+1, !want)
		}
	}
	if !works(from(2)) {
		t.Error("another client is shut out")
	}
	if works(from(3)) {
		t.Error("a fourth connection works")
	}
	if n := f.listeners[0].drops.byReason[dropClients].Load(); n != 2 {
		t.Errorf("%d connections counted as refused, want 2", n)
	}
	_ = first.Close()
	waitFor(t, "the place of a closed connection to be free", func() bool {
		tcp := f.listeners[0].tcp
		tcp.mu.Lock()
		defer tcp.mu.Unlock()
		return len(tcp.open) == 2
	})
	if !works(from(1)) {
		t.Error("no connection after one was closed")
	}
}

func TestTCPRubbishEndsTheConnection(t *testing.T) {
	f := start(t, nil)
	response, _ := new(dns.Msg).SetReply(msg(kubernetes, dns.TypeA)).Pack()
	counted := uint64(0)
	for name, sent := range map[string][]byte{
		"no message": {0, 0}, "half a header": {0, 4, 1, 2, 3, 4}, "a response": framed(nil, response),
		"too long": binary.BigEndian.AppendUint16(nil, maxQuestion+1),
	} {
		c := dial(t, f.cluster)
		if _, err := c.Conn.Write(sent); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Conn.Read(make([]byte, 1)); n > 0 || isTimeout(err) {
			t.Errorf("%s: read %d, %v; want the connection's end", name, n, err)
		}
		if counted++; f.listeners[0].drops.malformed.Load() != counted {
			t.Errorf("%s: not counted", name)
		}
	}
}

// TestTCPStopIsForGood: whoever reads next after stop must not set a new deadline and wait for it.
func TestTCPStopIsForGood(t *testing.T) {
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	ended, end := context.WithCancel(t.Context())
	c := &tcpConn{conn: server, tcp: &tcpListener{limits: defaultTCPLimits()}}
	if err := c.readWithin(ended, time.Hour); err != nil {
		t.Errorf("before: %v", err)
	}
	end()
	if err := c.readWithin(ended, time.Hour); err == nil {
		t.Error("goes on to read")
	}
	if c.write(ended, []byte("x")) {
		t.Error("goes on to write")
	}
}

// TestTCPWaitsForTheSlowPath: a connection with as many slow questions as it may have is not read from.
func TestTCPWaitsForTheSlowPath(t *testing.T) {
	asked, release := make(chan struct{}, 10), make(chan struct{})
	slow := serveDNS(t, dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) {
		if r.Question[0].Qtype != dns.TypeHINFO {
			asked <- struct{}{}
			<-release
		}
		_ = w.WriteMsg(new(dns.Msg).SetReply(r))
	}))
	f := start(t, func(_ *Options, s *Server) { s.tcpLimits.inFlight = 2 })
	f.forward.Configure([]forward.Zone{{Name: ".", Upstreams: []string{slow}, MaxFails: -1}})
	c := dial(t, f.cluster)
	for _, name := range []string{"a.", "b.", "c.", "d."} {
		if err := c.WriteMsg(msg(name, dns.TypeA)); err != nil {
			t.Fatal(err)
		}
	}
	<-asked
	<-asked
	if open := f.slow.bySourceCount(); open != 2 {
		t.Errorf("%d questions on the slow path, want 2", open)
	}
	close(release)
	for range 4 {
		if _, err := c.ReadMsg(); err != nil {
			t.Fatal(err)
		}
	}
}

// bySourceCount is how many jobs there are.
func (p *pool) bySourceCount() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, k := range p.bySource {
		n += k
	}
	return n
}

// dialerFrom dials from one of the many addresses of loopback.
func dialerFrom(last byte) *net.Dialer {
	return &net.Dialer{LocalAddr: &net.UDPAddr{IP: net.IPv4(127, 0, 0, last)}}
}
