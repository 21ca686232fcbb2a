package relay_test

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/internal/relay"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// proxy answers each line with it in upper case, on the loopback interface.
func proxy(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
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
			line, _ := bufio.NewReader(c).ReadString('\n')
			_, _ = io.WriteString(c, strings.ToUpper(line))
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String()
}

func ask(t *testing.T, address string) (string, error) {
	t.Helper()
	c, err := net.DialTimeout("tcp4", address, 5*time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "hello\n"); err != nil {
		return "", err
	}
	data, err := io.ReadAll(c)
	return string(data), err
}

// The "gateway" is another address of the loopback interface, which a listener at 127.0.0.1 does not have.
func spec(proxy, subnet string) cluster.Spec {
	return cluster.Spec{
		Gateway: netip.MustParseAddr("127.0.3.1"), Subnet: netip.MustParsePrefix(subnet), Proxy: cluster.Proxy{HTTPS: proxy, HTTP: proxy},
	}
}

func TestNodesReachALoopbackProxyAtTheGateway(t *testing.T) {
	target := proxy(t)
	_, port, _ := net.SplitHostPort(target)
	at := net.JoinHostPort("127.0.3.1", port)
	r := relay.New(slog.New(slog.DiscardHandler), 1)
	defer r.Close()

	if _, err := ask(t, at); err == nil {
		t.Fatal("something answers at the gateway before the relay does")
	}
	if err := r.Serve(t.Context(), spec("http://"+target, "127.0.0.0/8")); err != nil {
		t.Fatal(err)
	}
	if got, err := ask(t, at); got != "HELLO\n" {
		t.Errorf("through the relay: %q, %v", got, err)
	}
	// The same again keeps it; a proxy elsewhere, or none, ends it.
	if err := r.Serve(t.Context(), spec("http://"+target, "127.0.0.0/8")); err != nil {
		t.Error(err)
	}
	if err := r.Serve(t.Context(), spec("http://proxy.corp:3128", "127.0.0.0/8")); err != nil {
		t.Error(err)
	}
	if got, err := ask(t, at); err == nil {
		t.Errorf("the relay of a former proxy answers %q", got)
	}
}

func TestOthersDoNotGetThrough(t *testing.T) {
	target := proxy(t)
	_, port, _ := net.SplitHostPort(target)
	r := relay.New(slog.New(slog.DiscardHandler), 1)
	defer r.Close()
	if err := r.Serve(t.Context(), spec("http://"+target, "10.201.0.0/22")); err != nil {
		t.Fatal(err)
	}
	if got, _ := ask(t, net.JoinHostPort("127.0.3.1", port)); got != "" {
		t.Errorf("a client outside the nodes' network got %q", got)
	}
}

func TestAProxyOnAllAddressesNeedsNoRelay(t *testing.T) {
	l, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	r := relay.New(slog.New(slog.DiscardHandler), 1)
	defer r.Close()
	if err := r.Serve(t.Context(), spec("http://127.0.0.1:"+port, "127.0.0.0/8")); err != nil {
		t.Error(err)
	}
}
