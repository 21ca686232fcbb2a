package forward

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bonsai/bootstrap/cluster"

	"github.com/miekg/dns"
)

// rawUpstream hands every datagram that is a question to answer, which may send whatever it likes.
func rawUpstream(t *testing.T, answer func(conn net.PacketConn, from net.Addr, r *dns.Msg)) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		buf := make([]byte, 4096)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			r := new(dns.Msg)
			if r.Unpack(buf[:n]) != nil {
				continue
			}
			if r.Question[0].Qtype == dns.TypeHINFO {
				_, _ = conn.WriteTo(pack(new(dns.Msg).SetRcode(r, dns.RcodeNameError)), from)
				continue
			}
			answer(conn, from, r)
		}
	})
	t.Cleanup(func() {
		_ = conn.Close()
		wg.Wait()
	})
	return conn.LocalAddr().String()
}

func pack(m *dns.Msg) []byte {
	b, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return b
}

// forgeries are replies that must neither be believed nor end the wait.
var forgeries = map[string]func(r *dns.Msg) []byte{
	"wrong id": func(r *dns.Msg) []byte { m := withA(r, "203.0.113.1"); m.Id++; return pack(m) },
	"wrong name": func(r *dns.Msg) []byte {
		m := withA(r, "203.0.113.1")
		m.Question[0].Name = "wwx.test."
		return pack(m)
	},
	"longer name": func(r *dns.Msg) []byte {
		m := withA(r, "203.0.113.1")
		m.Question[0].Name = "x." + m.Question[0].Name
		return pack(m)
	},
	"wrong type": func(r *dns.Msg) []byte {
		m := withA(r, "203.0.113.1")
		m.Question[0].Qtype = dns.TypeMX
		return pack(m)
	},
	"wrong class": func(r *dns.Msg) []byte { m := withA(r, "203.0.113.1"); m.Question[0].Qclass = 3; return pack(m) },
	"a question":  func(r *dns.Msg) []byte { m := withA(r, "203.0.113.1"); m.Response = false; return pack(m) },
	"other opcode": func(r *dns.Msg) []byte {
		m := withA(r, "203.0.113.1")
		m.Opcode = dns.OpcodeNotify
		return pack(m)
	},
	"no question": func(r *dns.Msg) []byte { m := withA(r, "203.0.113.1"); m.Question = nil; return pack(m) },
	"two questions": func(r *dns.Msg) []byte {
		m := withA(r, "203.0.113.1")
		m.Question = append(m.Question, m.Question[0])
		return pack(m)
	},
	"header alone": func(r *dns.Msg) []byte {
		m := new(dns.Msg).SetRcode(r, dns.RcodeRefused)
		m.Question = nil
		return pack(m)
	},
	"nothing":             func(*dns.Msg) []byte { return nil },
	"a few bytes":         func(r *dns.Msg) []byte { return pack(withA(r, "203.0.113.1"))[:7] },
	"cut in the question": func(r *dns.Msg) []byte { return pack(withA(r, "203.0.113.1"))[:18] },
	"cut in a record":     func(r *dns.Msg) []byte { b := pack(withA(r, "203.0.113.1")); return b[:len(b)-2] },
	"fewer than counted":  func(r *dns.Msg) []byte { b := pack(withA(r, "203.0.113.1")); b[7] = 9; return b },
	"none though counted": func(r *dns.Msg) []byte { b := pack(new(dns.Msg).SetReply(r)); b[7] = 1; return b },
	"record without data": func(r *dns.Msg) []byte { return appendEmptyRR(pack(new(dns.Msg).SetReply(r)), dns.TypeSOA) },
	"pointer to itself": func(r *dns.Msg) []byte {
		b := pack(new(dns.Msg).SetReply(r))
		b[7] = 1
		return append(b, 0xC0, byte(len(b)), 0, 1, 0, 1, 0, 0, 0, 9, 0, 0)
	},
	"text": func(*dns.Msg) []byte { return []byte(strings.Repeat("HTTP/1.1 400 Bad Request\r\n", 20)) },
}

// appendEmptyRR adds a record whose data should be there and is not.
func appendEmptyRR(msg []byte, rrtype uint16) []byte {
	msg[9]++ // authority
	return append(msg, 0xC0, 12, byte(rrtype>>8), byte(rrtype), 0, 1, 0, 0, 0, 60, 0, 0)
}

func TestForgedAndBrokenRepliesAreNotBelieved(t *testing.T) {
	for what, forge := range forgeries {
		t.Run(what, func(t *testing.T) {
			addr := rawUpstream(t, func(conn net.PacketConn, from net.Addr, r *dns.Msg) {
				_, _ = conn.WriteTo(forge(r), from)
				_, _ = conn.WriteTo(pack(withA(r, "192.0.2.1")), from)
			})
			f, _ := start(t, Zone{Name: ".", Upstreams: []string{addr}})
			m, res := lookup(t, f, "www.test.")
			if address(m) != "192.0.2.1" || res.Source != cluster.DNSFromForward {
				t.Errorf("got %v", m)
			}
			if st := f.Stats().Upstreams[0]; st.Strays != 1 || st.Failures != 0 {
				t.Errorf("strays %d, failures %d; want 1, 0", st.Strays, st.Failures)
			}
		})
	}
}

func TestForgedRepliesOverTCP(t *testing.T) {
	for what, forge := range forgeries {
		t.Run(what, func(t *testing.T) {
			up := newResolver(t, func(w dns.ResponseWriter, r *dns.Msg) {
				_, _ = w.Write(forge(r))
				answerA("192.0.2.1")(w, r)
			})
			z := root(up)
			z.ForceTCP = true
			f, _ := start(t, z)
			if m, _ := lookup(t, f, "www.test."); address(m) != "192.0.2.1" {
				t.Errorf("got %v", m)
			}
		})
	}
}

// A broken reply that no good one follows is as good as none, and nothing of it is kept.
func TestBrokenReplyIsNotKept(t *testing.T) {
	addr := rawUpstream(t, func(conn net.PacketConn, from net.Addr, r *dns.Msg) {
		_, _ = conn.WriteTo(forgeries["cut in a record"](r), from)
	})
	up := newResolver(t, nil)
	f, _ := start(t, Zone{Name: ".", Policy: Sequential, Upstreams: []string{addr, up.addr}, ReadTimeout: 50 * time.Millisecond})
	if m, res := lookup(t, f, "www.test."); address(m) != "192.0.2.1" || res.Upstream != up.addr {
		t.Errorf("got %v from %s", m, res.Upstream)
	}
}

func TestReplyFromAnotherPortIsNotBelieved(t *testing.T) {
	other, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	addr := rawUpstream(t, func(conn net.PacketConn, from net.Addr, r *dns.Msg) {
		_, _ = other.WriteTo(pack(withA(r, "203.0.113.1")), from)
		_, _ = conn.WriteTo(pack(withA(r, "192.0.2.1")), from)
	})
	f, _ := start(t, Zone{Name: ".", Upstreams: []string{addr}})
	if m, _ := lookup(t, f, "www.test."); address(m) != "192.0.2.1" {
		t.Errorf("got %v", m)
	}
}

func TestIDsAndPortsCannotBeGuessed(t *testing.T) {
	up := newResolver(t, nil)
	f, _ := start(t, root(up))
	const n = 200
	for i := range n {
		lookup(t, f, fmt.Sprintf("n%d.test.", i))
	}
	ids, ports, near := map[uint16]bool{}, map[string]bool{}, 0
	var last uint16
	for _, q := range up.questions() {
		ids[q.msg.Id], ports[q.from] = true, true
		if q.msg.Id-last < 100 {
			near++
		}
		last = q.msg.Id
	}
	// 200 of 65536 ids and of some 28000 ports: a few may meet.
	if len(ids) < n-10 || len(ports) < n-15 || near > 10 {
		t.Errorf("%d ids, %d ports, %d ids near the one before, of %d questions", len(ids), len(ports), near, n)
	}
}

func TestTransportIsThatOfTheClient(t *testing.T) {
	for _, tc := range []struct {
		asked       string
		force, udp  bool
		wantAtFirst string
	}{
		{"udp", false, false, "udp"}, {"tcp", false, false, "tcp"}, {"udp", true, false, "tcp"},
		{"tcp", false, true, "udp"}, {"udp", true, true, "tcp"},
	} {
		up := newResolver(t, nil)
		z := root(up)
		z.ForceTCP, z.PreferUDP = tc.force, tc.udp
		f, _ := start(t, z)
		if m, _, err := f.Exchange(t.Context(), question("www.test.", dns.TypeA), tc.asked); err != nil || address(m) != "192.0.2.1" {
			t.Errorf("%+v: %v, %v", tc, m, err)
		}
		if got := up.questions()[0].proto; got != tc.wantAtFirst {
			t.Errorf("%+v: upstream was asked over %s", tc, got)
		}
	}
}

// truncating answers in full over TCP only.
func truncating(w dns.ResponseWriter, r *dns.Msg) {
	m := withA(r, "192.0.2.1")
	if w.RemoteAddr().Network() == "udp" {
		m.Truncated = true
	} else {
		m.Answer = append(m.Answer, withA(r, "192.0.2.2").Answer...)
	}
	_ = w.WriteMsg(m)
}

func TestTruncatedReplyIsAskedForOverTCP(t *testing.T) {
	up := newResolver(t, truncating)
	f, _ := start(t, root(up))
	m, _ := lookup(t, f, "big.test.")
	if m.Truncated || len(m.Answer) != 2 {
		t.Errorf("got %v, want the whole answer", m)
	}
	m, res, err := f.Exchange(t.Context(), question("big.test.", dns.TypeA), "tcp")
	if err != nil || res.Source != cluster.DNSFromCache || len(m.Answer) != 2 {
		t.Errorf("over TCP: %v, %+v, %v; want it from the cache", m, res, err)
	}
}

func TestTruncatedReplyWithoutTCPIsPassedOn(t *testing.T) {
	u, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	up := serve(t, u, nil, truncating)
	f, _ := start(t, root(up))
	for range 3 {
		m, res := lookup(t, f, "big.test.")
		if !m.Truncated || res.Source != cluster.DNSFromForward {
			t.Errorf("got %v, %+v; want TC set, and not from the cache", m, res)
		}
	}
	if s := phase(f, 0); s.Phase != cluster.PhaseRunning || s.Failures != 0 {
		t.Errorf("upstream: %+v; it did answer", s)
	}
}

func TestForcedTCPIsNotReplaced(t *testing.T) {
	u, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	up := serve(t, u, nil, answerA("192.0.2.1"))
	z := root(up)
	z.ForceTCP = true
	f, _ := start(t, z)
	if m, _ := lookup(t, f, "www.test."); m.Rcode != dns.RcodeServerFailure || len(up.questions()) != 0 {
		t.Errorf("got %v, %d questions over UDP", m, len(up.questions()))
	}
}

// A truncated message may end in the middle of a record.
func TestTruncatedInTheMiddle(t *testing.T) {
	addr := rawUpstream(t, func(conn net.PacketConn, from net.Addr, r *dns.Msg) {
		m := withA(r, "192.0.2.1")
		m.Truncated = true
		b := pack(m)
		_, _ = conn.WriteTo(b[:len(b)-3], from)
	})
	f, _ := start(t, Zone{Name: ".", Upstreams: []string{addr}})
	if m, _ := lookup(t, f, "big.test."); !m.Truncated || len(m.Answer) != 0 {
		t.Errorf("got %v", m)
	}
}

func TestUpstreamsWithoutEDNS(t *testing.T) {
	for what, refuse := range map[string]func(dns.ResponseWriter, *dns.Msg){
		"FORMERR":  answerRcode(dns.RcodeFormatError),
		"NOTIMP":   answerRcode(dns.RcodeNotImplemented),
		"SERVFAIL": answerRcode(dns.RcodeServerFailure),
		"BADVERS": func(w dns.ResponseWriter, r *dns.Msg) {
			m := new(dns.Msg).SetRcode(r, dns.RcodeBadVers)
			_ = w.WriteMsg(m.SetEdns0(1232, false))
		},
		"FORMERR, header alone": func(w dns.ResponseWriter, r *dns.Msg) {
			m := new(dns.Msg).SetRcode(r, dns.RcodeFormatError)
			m.Question = nil
			_ = w.WriteMsg(m)
		},
	} {
		t.Run(what, func(t *testing.T) {
			up := newResolver(t, func(w dns.ResponseWriter, r *dns.Msg) {
				if r.IsEdns0() != nil {
					refuse(w, r)
					return
				}
				answerA("192.0.2.1")(w, r)
			})
			f, _ := start(t, root(up))
			for i := range 3 {
				if m, _ := lookup(t, f, fmt.Sprintf("n%d.test.", i)); address(m) != "192.0.2.1" {
					t.Errorf("got %v", m)
				}
			}
			if n := len(up.questions()); n != 4 {
				t.Errorf("upstream was asked %d times for 3 names, want EDNS tried once", n)
			}
		})
	}
}

func TestFailureOfAnEDNSUpstreamIsJustThat(t *testing.T) {
	up := newResolver(t, func(w dns.ResponseWriter, r *dns.Msg) {
		if strings.HasPrefix(r.Question[0].Name, "bad") {
			answerRcode(dns.RcodeServerFailure)(w, r)
			return
		}
		answerA("192.0.2.1")(w, r)
	})
	f, _ := start(t, root(up))
	lookup(t, f, "bad1.test.") // not known yet: asked twice
	lookup(t, f, "good.test.")
	lookup(t, f, "bad2.test.")
	if n := len(up.questions()); n != 4 {
		t.Errorf("asked %d times, want 2 + 1 + 1", n)
	}
	if q := up.questions()[3].msg; q.IsEdns0() == nil {
		t.Error("EDNS was given up although asking without it did not help")
	}
}

func TestFlagsPassThrough(t *testing.T) {
	up := newResolver(t, func(w dns.ResponseWriter, r *dns.Msg) {
		last := byte(1)
		if r.IsEdns0().Do() {
			last |= 2
		}
		if r.CheckingDisabled {
			last |= 4
		}
		m := withA(r, fmt.Sprintf("192.0.2.%d", last))
		m.AuthenticatedData = true
		_ = w.WriteMsg(m)
	})
	f, _ := start(t, root(up))
	for range 2 { // from upstream, then from the cache
		for flags, want := range map[[2]bool]string{{false, false}: "192.0.2.1", {true, false}: "192.0.2.3", {false, true}: "192.0.2.5", {true, true}: "192.0.2.7"} {
			r := question("www.test.", dns.TypeA)
			r.SetEdns0(1232, flags[0])
			r.CheckingDisabled = flags[1]
			m, _, err := f.Exchange(t.Context(), r, "udp")
			if err != nil || address(m) != want || m.CheckingDisabled != flags[1] || m.AuthenticatedData != flags[0] {
				t.Errorf("DO %v, CD %v: %v, %v; want %s", flags[0], flags[1], m, err, want)
			}
		}
	}
	r := question("www.test.", dns.TypeA)
	r.AuthenticatedData = true
	if m, _, _ := f.Exchange(t.Context(), r, "udp"); !m.AuthenticatedData {
		t.Error("AD asked for, and not given")
	}
}

func TestTCPConnectionsAreReused(t *testing.T) {
	up := newResolver(t, nil)
	z := root(up)
	z.ForceTCP = true
	f, _ := start(t, z)
	eventually(t, "loop probe done", func() bool { return up.loops.Load() == 1 })
	for i := range 5 {
		lookup(t, f, fmt.Sprintf("n%d.test.", i))
	}
	if st := f.Stats().Upstreams[0]; st.Dialed+st.Reused != 6 || st.Reused < 4 {
		t.Errorf("dialed %d, reused %d", st.Dialed, st.Reused)
	}
}

// An upstream may close an idle connection at any time; nobody should notice.
func TestClosedIdleConnectionIsReplaced(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer l.Close()
	var connections atomic.Int64
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			// One answer per connection.
			var length [2]byte
			_, _ = io.ReadFull(c, length[:])
			buf := make([]byte, binary.BigEndian.Uint16(length[:]))
			_, _ = io.ReadFull(c, buf)
			r := new(dns.Msg)
			if r.Unpack(buf) == nil {
				b := pack(withA(r, "192.0.2.1"))
				_, _ = c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...))
			}
			_ = c.Close()
		}
	})
	f, _ := start(t, Zone{Name: ".", Upstreams: []string{l.Addr().String()}, ForceTCP: true})
	for i := range 5 {
		if m, _ := lookup(t, f, fmt.Sprintf("n%d.test.", i)); address(m) != "192.0.2.1" {
			t.Fatalf("question %d: %v", i, m)
		}
	}
	if s := phase(f, 0); s.Failures != 0 {
		t.Errorf("upstream: %+v", s)
	}
}

func TestAnswerOfManySegments(t *testing.T) {
	up := newResolver(t, func(w dns.ResponseWriter, r *dns.Msg) {
		m := new(dns.Msg).SetReply(r)
		for i := range 3000 {
			m.Answer = append(m.Answer, &dns.A{
				Hdr: dns.RR_Header{Name: r.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60},
				A:   net.IPv4(192, 0, byte(i>>8), byte(i)),
			})
		}
		m.Compress = true
		_ = w.WriteMsg(m)
	})
	f, _ := start(t, root(up))
	m, _, err := f.Exchange(t.Context(), question("huge.test.", dns.TypeA), "tcp")
	if err != nil || len(m.Answer) != 3000 {
		t.Fatalf("%v, %d records", err, len(m.Answer))
	}
	if _, c := f.Status(); c.Entries != 0 {
		t.Error("an answer of 48 kB was kept")
	}
}
