package flows

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"bonsai/bootstrap/cluster"
)

// pod and server are addresses of a network namespace that is a node's.
var pod, server = net.IPv4(10, 244, 1, 5), net.IPv4(10, 244, 1, 6)

// inNamespace gives the test a network namespace of its own whose kernel tracks connections. Everything must then be called
// on the test's own goroutine.
func inNamespace(t testing.TB) {
	t.Helper()
	runtime.LockOSThread() // and never unlocked: the thread ends with the test and takes its namespace along
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skipf("no network namespace can be made: %v", err)
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	for _, ip := range []net.IP{pod, server} {
		if err := netlink.AddrAdd(lo, &netlink.Addr{IPNet: &net.IPNet{IP: ip, Mask: net.CIDRMask(32, 32)}}); err != nil {
			t.Skipf("no address can be added: %v", err)
		}
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		t.Fatal(err)
	}
	// A rule that reads the state of connections has them tracked.
	n, err := nftables.New()
	if err != nil {
		t.Skipf("no nftables: %v", err)
	}
	table := n.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: "test"})
	chain := n.AddChain(&nftables.Chain{
		Name: "out", Table: table, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookOutput, Priority: nftables.ChainPriorityFilter,
	})
	n.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{&expr.Ct{Register: 1, Key: expr.CtKeySTATE}}})
	if err := n.Flush(); err != nil {
		t.Skipf("connections cannot be tracked: %v", err)
	}
	if err := os.WriteFile(accounting, []byte("1"), 0); err != nil {
		t.Skipf("connections cannot be counted: %v", err)
	}
}

// dial connects from the pod. The thread of the caller has the namespace, so it does not use the runtime's poller.
func dial(t testing.TB, to netip.AddrPort) (int, error) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte(pod.To4())}); err != nil {
		t.Fatal(err)
	}
	return fd, unix.Connect(fd, &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())})
}

// listen returns a server of the namespace that reads whatever comes.
func listen(t testing.TB) netip.AddrPort {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte(server.To4())}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 4096); err != nil {
		t.Fatal(err)
	}
	at, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "listener")
	l, err := net.FileListener(f)
	if err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(io.Discard, c)
			}()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(server.To4())), uint16(at.(*unix.SockaddrInet4).Port))
}

// TestKernel compares what the kernel says of real connections: one that was there before, one with traffic, one that is
// refused.
func TestKernel(t *testing.T) {
	inNamespace(t)
	at := listen(t)
	before, err := dial(t, at)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(before) }()
	k, err := open()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = k.close() }()
	table := newTable(places)
	sample := func() map[netip.AddrPort]cluster.NodeFlow {
		t.Helper()
		if err := k.dump(func(e entry) { table.update(e) }); err != nil {
			t.Fatal(err)
		}
		all := map[netip.AddrPort]cluster.NodeFlow{}
		for _, f := range table.end(time.Now(), time.Second).Flows {
			all[f.Dest] = f
		}
		return all
	}
	if f := sample()[at]; f.Open != 1 || f.Opened != 0 || f.Sent != 0 || f.Source.String() != pod.String() {
		t.Errorf("before: %+v", f)
	}

	one, err := dial(t, at)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(one) }()
	if _, err := unix.Write(one, make([]byte, 10000)); err != nil {
		t.Fatal(err)
	}
	nobody := netip.AddrPortFrom(at.Addr(), 9)
	if fd, err := dial(t, nobody); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("a port of nobody: %d, %v", fd, err)
	}
	// The report has been queued when the caller gets the error.
	if err := k.events.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, readBuffer)
	n, err := k.events.Read(buffer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := messages(buffer[:n], func(kind uint16, data []byte) {
		if e, ok := decode(data); ok && kind == msgDelete {
			table.ended(e)
		}
	}); err != nil {
		t.Fatal(err)
	}
	all := sample()
	if f := all[at]; f.Open != 2 || f.Opened != 1 || f.Sent < 10000 || f.Sent > 12000 || f.Received == 0 {
		t.Errorf("with traffic: %+v", f)
	}
	if f := all[nobody]; f.Refused != 1 || f.Opened != 1 || f.Open != 0 {
		t.Errorf("refused: %+v", f)
	}
}

// TestStream takes the samples that a client gets: one at once, and one after an interval, until the client leaves.
func TestStream(t *testing.T) {
	inNamespace(t)
	at := listen(t)
	k, err := open()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = k.close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var samples []cluster.NodeFlows
	err = New(places, nil).sample(ctx, k, func(s cluster.NodeFlows) error {
		samples = append(samples, s)
		if len(samples) == 2 {
			cancel()
			return nil
		}
		if fd, err := dial(t, netip.AddrPortFrom(at.Addr(), 9)); !errors.Is(err, unix.ECONNREFUSED) {
			t.Errorf("a port of nobody: %d, %v", fd, err)
		}
		fd, err := dial(t, at)
		if err != nil {
			return err
		}
		t.Cleanup(func() { _ = unix.Close(fd) })
		return nil
	})
	if !errors.Is(err, context.Canceled) || len(samples) != 2 {
		t.Fatalf("%d samples, %v", len(samples), err)
	}
	if s := samples[0]; s.Over != 0 || len(s.Flows) != 0 {
		t.Errorf("the first: %+v", s)
	}
	var opened, refused int
	for _, f := range samples[1].Flows {
		opened, refused = opened+f.Opened, refused+f.Refused
	}
	if s := samples[1]; s.Over < cluster.FlowInterval || opened != 2 || refused != 1 {
		t.Errorf("the second: %+v", s)
	}
}

// BenchmarkDump reads real connections from the kernel, as a node does for each sample. How many buckets the kernel's table has
// matters, too: it walks through all of them.
func BenchmarkDump(b *testing.B) {
	for _, n := range []int{0, 1000, 5000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) { benchmarkDump(b, n) })
	}
}

func benchmarkDump(b *testing.B, connections int) {
	inNamespace(b)
	limit := unix.Rlimit{Cur: 30000, Max: 30000}
	_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
	at := listen(b)
	for range connections {
		fd, err := dial(b, at)
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = unix.Close(fd) }()
	}
	k, err := open()
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = k.close() }()
	t := newTable(places)
	n, begin := 0, cpuTime()
	for b.Loop() {
		n = 0
		if err := k.dump(func(e entry) { n++; t.update(e) }); err != nil {
			b.Fatal(err)
		}
		t.end(time.Now(), time.Second)
	}
	b.ReportMetric(float64(cpuTime()-begin)/float64(b.N)/1e6, "cpu-ms/op")
	if n < connections {
		b.Fatalf("%d connections", n)
	}
}

// BenchmarkEnded reads what the kernel reports of one connection that ends.
func BenchmarkEnded(b *testing.B) {
	inNamespace(b)
	k, err := open()
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = k.close() }()
	t, buffer := newTable(places), make([]byte, readBuffer)
	t.end(time.Now(), 0)
	nobody := netip.AddrPortFrom(netip.AddrFrom4([4]byte(server.To4())), 9)
	spent := time.Duration(0)
	for b.Loop() {
		fd, err := dial(b, nobody)
		if !errors.Is(err, unix.ECONNREFUSED) {
			b.Fatal(err)
		}
		_ = unix.Close(fd)
		begin := cpuTime()
		n, err := k.events.Read(buffer)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := messages(buffer[:n], func(_ uint16, data []byte) {
			if e, ok := decode(data); ok {
				t.ended(e)
			}
		}); err != nil {
			b.Fatal(err)
		}
		spent += cpuTime() - begin
	}
	b.ReportMetric(float64(spent)/float64(b.N)/1e3, "cpu-us/op")
}

// cpuTime is what this process has used.
func cpuTime() time.Duration {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
