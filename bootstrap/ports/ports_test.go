package ports

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// limit is how long anything may take on a busy machine.
const limit = 20 * time.Second

// Nodes are addresses of the loopback network here: 127.0.1.1, 127.0.1.2.
func specOf(t *testing.T, ports ...string) cluster.Spec {
	t.Helper()
	s := cluster.Spec{Name: "dev"}
	for i := 1; i <= 2; i++ {
		s.Nodes = append(s.Nodes, cluster.Node{Name: fmt.Sprint("dev-", i), Index: i, IP: netip.AddrFrom4([4]byte{127, 0, 1, byte(i)})})
	}
	for _, text := range ports {
		p, err := cluster.ParsePort(text)
		if err != nil {
			t.Fatal(err)
		}
		s.Ports = append(s.Ports, p)
	}
	return s
}

func forwarder(t *testing.T, o Options) *Forwarder {
	t.Helper()
	o.Log, o.Scale = slog.New(slog.DiscardHandler), 1
	f := New(o)
	t.Cleanup(f.Close)
	return f
}

// echo answers on a node with the node's address and what it got, after the client has closed its side.
func echo(t *testing.T, addr string) (port int) {
	t.Helper()
	l, err := net.Listen("tcp4", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				text, _ := io.ReadAll(c)
				fmt.Fprintf(c, "%s: %s", l.Addr(), text)
			}()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

// freePort is one that nobody has at any address that is used here.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

func ask(t *testing.T, port int, text string) (string, error) {
	t.Helper()
	c, err := net.DialTimeout("tcp4", fmt.Sprint("127.0.0.1:", port), limit)
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close() }()
	if err := c.SetDeadline(time.Now().Add(limit)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, text); err != nil {
		return "", err
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(c)
	return string(answer), err
}

func TestConnectionsGoToTheNodeThatAnswers(t *testing.T) {
	target := echo(t, "127.0.1.2:0") // the first node refuses
	port, second := freePort(t), freePort(t)
	f := forwarder(t, Options{})
	if err := f.Apply(specOf(t, fmt.Sprintf("%d:%d", port, target), fmt.Sprintf("%d:%d@dev-1", second, target))); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("127.0.1.2:%d: hello", target)
	for range 2 {
		if got, err := ask(t, port, "hello"); err != nil || got != want {
			t.Fatalf("got %q, %v; want %q", got, err, want)
		}
	}
	// A port of one node goes to no other.
	if got, err := ask(t, second, "hello"); err == nil {
		t.Errorf("got %q from a node that does not listen", got)
	}
	status := f.Status()
	if len(status) != 2 || !status[0].Open || status[0].Served != 2 || status[0].Reason != "" {
		t.Errorf("status is %+v", status)
	}
}

func TestAPortThatIsRemovedIsClosed(t *testing.T) {
	target, port, stays := echo(t, "127.0.1.1:0"), freePort(t), freePort(t)
	f := forwarder(t, Options{})
	both := specOf(t, fmt.Sprintf("%d:%d", port, target), fmt.Sprintf("%d:%d", stays, target))
	if err := f.Apply(both); err != nil {
		t.Fatal(err)
	}
	var open [2]net.Conn
	for i, p := range []int{port, stays} {
		c, err := net.Dial("tcp4", fmt.Sprint("127.0.0.1:", p))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		_ = c.SetDeadline(time.Now().Add(limit))
		open[i] = c
	}
	one := both
	one.Ports = both.Ports[1:]
	if err := f.Apply(one); err != nil {
		t.Fatal(err)
	}
	if _, err := open[0].Read(make([]byte, 1)); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the connection through the removed port: %v", err)
	}
	if _, err := net.Dial("tcp4", fmt.Sprint("127.0.0.1:", port)); err == nil {
		t.Error("the removed port still listens")
	}
	if _, err := io.WriteString(open[1], "still"); err != nil {
		t.Fatal(err)
	}
	if err := open[1].(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if answer, err := io.ReadAll(open[1]); err != nil || !strings.HasSuffix(string(answer), "still") {
		t.Errorf("the other port's connection answers %q, %v", answer, err)
	}
}

func TestATakenPortIsNamedAndServedWhenItIsFree(t *testing.T) {
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port, target := taken.Addr().(*net.TCPAddr).Port, echo(t, "127.0.1.1:0")
	f := forwarder(t, Options{})
	spec := specOf(t, fmt.Sprintf("%d:%d", port, target))
	if err := f.Apply(spec); fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), "another program has the port") {
		t.Errorf("got %v", err)
	}
	if err := Check(spec.Ports[0]); fault.KindOf(err) != fault.Conflict {
		t.Errorf("check: %v", err)
	}
	if s := f.Status(); s[0].Open || s[0].Reason == "" {
		t.Errorf("status is %+v", s)
	}
	_ = taken.Close()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(limit); !f.Status()[0].Open; <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("it does not listen when the port is free")
		}
	}
	if _, err := ask(t, port, "x"); err != nil {
		t.Error(err)
	}
}

func TestAServiceIsDialled(t *testing.T) {
	target, port := echo(t, "127.0.1.1:0"), freePort(t)
	asked := make(chan string, 1)
	f := forwarder(t, Options{Service: func(ctx context.Context, service string, p int) (net.Conn, error) {
		asked <- fmt.Sprint(service, " ", p)
		return new(net.Dialer).DialContext(ctx, "tcp4", fmt.Sprint("127.0.1.1:", target))
	}})
	if err := f.Apply(specOf(t, fmt.Sprintf("%d:default/web:80", port))); err != nil {
		t.Fatal(err)
	}
	if got, err := ask(t, port, "hello"); err != nil || !strings.HasSuffix(got, ": hello") {
		t.Errorf("got %q, %v", got, err)
	}
	if got := <-asked; got != "default/web 80" {
		t.Errorf("asked for %s", got)
	}
}

func TestDatagramsGoThereAndBack(t *testing.T) {
	server, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 1, 2)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	go func() {
		buf := make([]byte, 100)
		for {
			n, from, err := server.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			_, _ = server.WriteToUDPAddrPort(append([]byte("re: "), buf[:n]...), from)
		}
	}()
	port := freePort(t)
	f := forwarder(t, Options{})
	if err := f.Apply(specOf(t, fmt.Sprintf("%d:%d/udp", port, server.LocalAddr().(*net.UDPAddr).Port))); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		c, err := net.Dial("udp4", fmt.Sprint("127.0.0.1:", port))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		text, buf := fmt.Sprint("question ", i), make([]byte, 100)
		// The first datagrams are lost: nobody listens on the first node, which the kernel says only then.
		for deadline := time.Now().Add(limit); ; {
			if _, err := io.WriteString(c, text); err != nil {
				t.Fatal(err)
			}
			_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
			n, err := c.Read(buf)
			if err == nil {
				if got := string(buf[:n]); got != "re: "+text {
					t.Errorf("got %q", got)
				}
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("no answer")
			}
		}
	}
	if s := f.Status(); s[0].Connections != 3 {
		t.Errorf("status is %+v, want 3 peers", s)
	}
}
