package tunnel_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/pki"
	"bonsai/controlplane/tunnel"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// agents listen on the fixed agent port of loopback addresses, one address a node.
type agents struct {
	dir  string
	spec cluster.Spec
}

func newAgents(t *testing.T, base byte) *agents {
	t.Helper()
	a := &agents{dir: t.TempDir(), spec: cluster.Spec{Name: "t", Subnet: netip.MustParsePrefix("10.201.0.0/22")}}
	a.spec.Replan()
	for i := 1; i <= 2; i++ {
		n := a.spec.PlanNode(i)
		n.IP = netip.AddrFrom4([4]byte{127, 0, base, byte(i)})
		a.spec.Nodes = append(a.spec.Nodes, n)
	}
	if err := pki.Ensure(a.dir, a.spec); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *agents) pair(t *testing.T, name string) tls.Certificate {
	t.Helper()
	c, err := tls.LoadX509KeyPair(filepath.Join(a.dir, name+".crt"), filepath.Join(a.dir, name+".key"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (a *agents) roots(t *testing.T) *x509.CertPool {
	t.Helper()
	ca, err := os.ReadFile(filepath.Join(a.dir, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	return pool
}

func (a *agents) dialer(t *testing.T) *tunnel.Dialer {
	return tunnel.New(&tls.Config{Certificates: []tls.Certificate{a.pair(t, "daemon")}, RootCAs: a.roots(t)}, a.spec, 1)
}

// serve lets node n answer one CONNECT after the other with status, a greeting and then an echo.
func (a *agents) serve(t *testing.T, n cluster.Node, status string) {
	t.Helper()
	l, err := tls.Listen("tcp", netip.AddrPortFrom(n.IP, cluster.AgentPort).String(), &tls.Config{
		Certificates: []tls.Certificate{a.pair(t, filepath.Join("nodes", n.Name, "agent"))},
		ClientCAs:    a.roots(t), ClientAuth: tls.RequireAndVerifyClientCert,
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { _ = l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			r := bufio.NewReader(c)
			req, err := http.ReadRequest(r)
			if err != nil {
				_ = c.Close()
				continue
			}
			// The greeting leaves together with the answer, as a server's that speaks first would.
			_, _ = fmt.Fprintf(c, "HTTP/1.1 %s\r\n\r\nhello from %s via %s\n", status, req.Host, n.Name)
			_, _ = io.Copy(c, r)
			_ = c.Close()
		}
	}()
}

func line(t *testing.T, c net.Conn) string {
	t.Helper()
	text, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestPodIsDialledThroughItsOwnNode(t *testing.T) {
	a := newAgents(t, 31)
	a.serve(t, a.spec.Nodes[0], "200 OK")
	a.serve(t, a.spec.Nodes[1], "200 OK")
	c, err := a.dialer(t).DialContext(t.Context(), "tcp", "10.244.2.7:80")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if got, want := line(t, c), "hello from 10.244.2.7:80 via t-2\n"; got != want {
		t.Errorf("read %q, want %q", got, want)
	}
}

func TestAnotherNodeServesForADeadOne(t *testing.T) {
	a := newAgents(t, 32)
	a.serve(t, a.spec.Nodes[0], "200 OK")
	c, err := a.dialer(t).DialContext(t.Context(), "tcp", "10.244.2.7:80")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if got := line(t, c); !strings.HasSuffix(got, "via t-1\n") {
		t.Errorf("read %q, want an answer through the living node", got)
	}
}

func TestRefusalOfTheTargetIsNotRetriedElsewhere(t *testing.T) {
	a := newAgents(t, 33)
	a.serve(t, a.spec.Nodes[0], "200 OK")
	a.serve(t, a.spec.Nodes[1], "502 connection refused")
	_, err := a.dialer(t).DialContext(t.Context(), "tcp", "10.244.2.7:80")
	if err == nil || !strings.Contains(err.Error(), "502 connection refused") {
		t.Errorf("dial = %v, want what the agent said", err)
	}
}

func TestNoNodesSaysSo(t *testing.T) {
	a := newAgents(t, 34)
	d := a.dialer(t)
	d.SetNodes(nil)
	_, err := d.DialContext(t.Context(), "tcp", "10.96.0.10:53")
	if err == nil || !strings.Contains(err.Error(), "no nodes") {
		t.Errorf("dial = %v", err)
	}
}

func TestDialEndsWithItsContext(t *testing.T) {
	a := newAgents(t, 35)
	l, err := net.Listen("tcp", netip.AddrPortFrom(a.spec.Nodes[0].IP, cluster.AgentPort).String()) // never answers
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	d := a.dialer(t)
	d.SetNodes(a.spec.Nodes[:1])
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.DialContext(ctx, "tcp", "10.244.1.7:80"); !errors.Is(err, context.Canceled) {
		t.Errorf("dial = %v, want context.Canceled", err)
	}
}
