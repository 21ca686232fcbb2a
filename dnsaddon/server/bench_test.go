package server

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"
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
	q := quick{listener: f.listeners[0]}
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
			q := quick{listener: f.listeners[0]}
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
				if f.listeners[0].handle(b.Context(), packed, client{addr: alice, arrived: time.Now()}) == nil {
					b.Fatal("silence")
				}
			}
		})
	}
}

// BenchmarkLoopback sends questions through sockets as fast as the server answers them ("ceiling") and at a fixed rate
// ("20k"), and reports what a client sees. The generator runs in the same process, on the same processors, and
// cpu-ns/op has both; at the fixed rate it is one processor and means nothing. Only a quiet machine gives good numbers.
func BenchmarkLoopback(b *testing.B) {
	f := start(b, nil)
	questions := fastQuestions(b, f)
	loads := map[string]func(to netip.AddrPort, question []byte, n int) ([]time.Duration, error){"ceiling": flood, "20k": paced}
	for _, load := range []string{"ceiling", "20k"} {
		for _, name := range []string{"ClusterIP", "NXDOMAIN"} {
			b.Run(load+"/"+name, func(b *testing.B) {
				cpu := processorTime(b)
				began := time.Now()
				took, err := loads[load](f.Listening()[0], questions[name], b.N)
				if err != nil {
					b.Fatal(err)
				}
				wall := time.Since(began)
				b.ReportMetric(float64(b.N)/wall.Seconds(), "qps")
				b.ReportMetric((processorTime(b)-cpu).Seconds()/float64(b.N)*1e9, "cpu-ns/op")
				slices.Sort(took)
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

const (
	// clients are the sockets that a load is spread over, so that the kernel distributes them among all readers.
	clients = 8
	// inFlight is how many questions flood keeps on each of them.
	inFlight = 32
	// rate is how many questions paced sends in a second.
	rate = 20_000
)

// flood sends n questions, the next one for each answer, and returns how long each took.
func flood(to netip.AddrPort, question []byte, n int) ([]time.Duration, error) {
	var wait sync.WaitGroup
	took, errs := make([][]time.Duration, clients), make([]error, clients)
	for i := range clients {
		wait.Go(func() { took[i], errs[i] = floodFrom(to, slices.Clone(question), (n+clients-1)/clients) })
	}
	wait.Wait()
	return slices.Concat(took...), errors.Join(errs...)
}

func floodFrom(to netip.AddrPort, question []byte, n int) ([]time.Duration, error) {
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	var sent [inFlight]time.Time
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

// paced sends n questions, each at its time, whether or not the ones before were answered, and returns how long after
// that time each was answered. It spins on a thread of its own, because sleeping is not exact enough.
func paced(to netip.AddrPort, question []byte, n int) ([]time.Duration, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var sockets [clients]int
	for i := range sockets {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return nil, err
		}
		defer unix.Close(fd)
		if err := unix.Connect(fd, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}); err != nil {
			return nil, err
		}
		sockets[i] = fd
	}
	question = slices.Clone(question)
	due := func(i int) time.Duration { return time.Duration(i) * time.Second / rate }
	took := make([]time.Duration, 0, n)
	buf := make([]byte, 2048)
	began := time.Now()
	for sent := 0; len(took) < n; {
		now := time.Since(began)
		if now > due(n)+patience {
			return nil, fmt.Errorf("%d of %d questions were answered", len(took), n)
		}
		for ; sent < n && due(sent) <= now; sent++ {
			binary.BigEndian.PutUint16(question, uint16(sent))
			if _, err := unix.Write(sockets[sent%clients], question); err != nil {
				return nil, err
			}
		}
		for _, fd := range sockets {
			for {
				if _, err := unix.Read(fd, buf); err != nil {
					break
				}
				// The answer is to the last question with this id.
				i := sent - 1 - int(uint16(sent-1)-binary.BigEndian.Uint16(buf))
				took = append(took, time.Since(began)-due(i))
			}
		}
	}
	return took, nil
}
