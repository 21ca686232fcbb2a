package server

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// fastQuestions are what clusters ask all day; each is answered on the fast path.
func fastQuestions(t testing.TB, f *fixture) map[string][]byte {
	t.Helper()
	ask(t, "udp", f.cluster, msg("one.example.com.", dns.TypeA)) // into the cache
	questions := map[string][]byte{}
	for name, m := range map[string]*dns.Msg{
		"ClusterIP": msg(kubernetes, dns.TypeA), "NODATA": msg(kubernetes, dns.TypeAAAA),
		"NXDOMAIN": msg("one.example.com.default.svc.cluster.local.", dns.TypeA),
		"headless": msg("few.default.svc.cluster.local.", dns.TypeA, edns(1232, false)),
		"cached":   msg("one.example.com.", dns.TypeA, edns(1232, false)),
	} {
		packed, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		questions[name] = packed
	}
	return questions
}

func TestFastPathDoesNotAllocate(t *testing.T) {
	f := start(t, nil)
	f.SetRules(rewriting, nil)
	q := quick{front: f.fronts[0]}
	for name, question := range fastQuestions(t, f) {
		out, now := make([]byte, 0, 1232), time.Now()
		if n := testing.AllocsPerRun(100, func() {
			if _, _, ok := q.answer(out, question, false, now); !ok {
				t.Fatalf("%s is not answered on the fast path", name)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkFastPath(b *testing.B) {
	f := start(b, nil)
	questions := fastQuestions(b, f)
	for _, name := range []string{"ClusterIP", "NODATA", "NXDOMAIN", "headless", "cached"} {
		b.Run(name, func(b *testing.B) {
			q := quick{front: f.fronts[0]}
			counts := new(counters)
			events := make([]event, 1)
			out, now := make([]byte, 0, 1232), time.Now()
			b.ReportAllocs()
			for b.Loop() {
				reply, source, ok := q.answer(out, questions[name], false, now)
				if !ok {
					b.Fatal("not on the fast path")
				}
				events[0] = event{qtype: q.q.Type, rcode: int(reply[3] & 0xF), source: source, reply: len(reply)}
				counts.add(time.Microsecond, events...)
			}
		})
	}
}

func BenchmarkSlowPath(b *testing.B) {
	f := start(b, nil)
	for name, m := range map[string]*dns.Msg{
		"ClusterIP": msg(kubernetes, dns.TypeA), "SRV": msg("_https._tcp."+kubernetes, dns.TypeSRV),
		"truncated": msg("many.default.svc.cluster.local.", dns.TypeA),
	} {
		packed, err := m.Pack()
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if f.fronts[0].handle(b.Context(), packed, asker{addr: alice, arrived: time.Now()}) == nil {
					b.Fatal("silence")
				}
			}
		})
	}
}

// BenchmarkLoopback sends questions through sockets as fast as the server answers them ("ceiling") and at a fixed rate
// ("20k"), and reports what an asker sees. The generator runs on the same processors. "cpu" is the processor time of
// server and generator together; what the server alone needs is measured with a generator in another process.
func BenchmarkLoopback(b *testing.B) {
	f := start(b, nil)
	questions := fastQuestions(b, f)
	for _, load := range []load{{name: "ceiling", inFlight: 32}, {name: "20k", rate: 20_000}} {
		for _, name := range []string{"ClusterIP", "NXDOMAIN"} {
			b.Run(fmt.Sprintf("%s/%s", load.name, name), func(b *testing.B) {
				cpu := processorTime(b)
				began := time.Now()
				took := load.run(b, f.Listening()[0], questions[name], b.N)
				wall := time.Since(began)
				b.ReportMetric(float64(b.N)/wall.Seconds(), "qps")
				b.ReportMetric((processorTime(b)-cpu).Seconds()/float64(b.N)*1e9, "cpu-ns/op")
				for _, p := range []float64{0.5, 0.99} {
					b.ReportMetric(float64(took[int(p*float64(len(took)-1))].Microseconds()), fmt.Sprintf("p%d-µs", int(p*100)))
				}
			})
		}
	}
}

func processorTime(t testing.TB) time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		t.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// load is how questions are sent: with so many in flight on each socket, or at so many a second in all.
type load struct {
	name     string
	inFlight int
	rate     int
}

// askers are the sockets that a load is spread over, so that the kernel deals them out to all readers.
const askers = 8

// run sends n questions and returns how long each took to be answered, sorted.
func (l load) run(t testing.TB, to netip.AddrPort, question []byte, n int) []time.Duration {
	t.Helper()
	var wait sync.WaitGroup
	var failed atomic.Pointer[error]
	each := (n + askers - 1) / askers
	all := make([][]time.Duration, askers)
	for i := range askers {
		wait.Go(func() {
			var err error
			if l.rate > 0 {
				all[i], err = paced(to, question, each, time.Second*askers/time.Duration(l.rate), time.Duration(i))
			} else {
				all[i], err = closed(to, question, each, l.inFlight)
			}
			if err != nil {
				failed.Store(&err)
			}
		})
	}
	wait.Wait()
	if err := failed.Load(); err != nil {
		t.Fatal(*err)
	}
	took := slices.Concat(all...)
	slices.Sort(took)
	return took
}

// closed keeps a number of questions in flight, and sends the next for each answer.
func closed(to netip.AddrPort, question []byte, n, inFlight int) ([]time.Duration, error) {
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	question = slices.Clone(question)
	sent := make([]time.Time, inFlight)
	took := make([]time.Duration, 0, n)
	send := func(slot uint16) error {
		binary.BigEndian.PutUint16(question, slot)
		sent[slot] = time.Now()
		_, err := c.Write(question)
		return err
	}
	started := min(n, inFlight)
	for slot := range started {
		if err := send(uint16(slot)); err != nil {
			return nil, err
		}
	}
	buf := make([]byte, 2048)
	for len(took) < n {
		_ = c.SetReadDeadline(time.Now().Add(patience))
		if _, err := c.Read(buf); err != nil {
			return nil, fmt.Errorf("after %d answers: %w", len(took), err)
		}
		slot := binary.BigEndian.Uint16(buf)
		took = append(took, time.Since(sent[slot]))
		if started < n {
			started++
			if err := send(slot); err != nil {
				return nil, err
			}
		}
	}
	return took, nil
}

// paced sends a question every interval and waits for its answer. A late one delays the next, which then counts from
// when it should have been sent.
func paced(to netip.AddrPort, question []byte, n int, interval, phase time.Duration) ([]time.Duration, error) {
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	buf := make([]byte, 2048)
	took := make([]time.Duration, 0, n)
	next := time.Now().Add(phase * interval / askers)
	for range n {
		for wait := time.Until(next); wait > 0; wait = time.Until(next) {
			if wait > 100*time.Microsecond {
				time.Sleep(wait - 50*time.Microsecond)
			} else {
				runtime.Gosched()
			}
		}
		if _, err := c.Write(question); err != nil {
			return nil, err
		}
		_ = c.SetReadDeadline(time.Now().Add(patience))
		if _, err := c.Read(buf); err != nil {
			return nil, err
		}
		took = append(took, time.Since(next))
		next = next.Add(interval)
	}
	return took, nil
}
