package e2e

import (
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"golang.org/x/net/dns/dnsmessage"

	"bonsai/test/e2e/harness"
)

// vpnRegistry is a name that only the test's own resolver knows.
const vpnRegistry = "registry.vpn.bonsai.test"

// TestPullByANameThatOnlyNewResolversKnow: a VPN comes up while the cluster runs. Nodes pull from a registry whose name is known
// to its resolver only, without a restart of anything.
func TestPullByANameThatOnlyNewResolversKnow(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root can give a command another resolv.conf than this machine's, and listen on port 53")
	}
	// The engine knows this machine's file; only what bonsai starts sees the other one, as it is changed.
	resolvConf := filepath.Join(t.TempDir(), "resolv.conf")
	before, err := os.ReadFile("/etc/resolv.conf")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(resolvConf, before, 0o644); err != nil {
		t.Fatal(err)
	}
	c := harness.New(t)
	c.Wrap = []string{"unshare", "--mount", "--propagation", "slave", "sh", "-c", `mount --bind "$0" /etc/resolv.conf && exec "$@"`, resolvConf}
	address := engineAddress(t)
	port := serveVPNRegistry(t, address)
	c.Start(t, "--nodes", "1", "--registry-mirror", vpnRegistry+"=http://"+net.JoinHostPort(vpnRegistry, port))
	image := vpnRegistry + "/box:1"
	r := c.Bonsai(t, "image", "pull", image)
	if r.Code == 0 || !strings.Contains(r.Stderr, vpnRegistry) {
		t.Fatalf("a pull by a name that no resolver knows: %s", r)
	}

	serveName(t, net.JoinHostPort(address, "53"), vpnRegistry, netip.MustParseAddr(address))
	if err := os.WriteFile(resolvConf, []byte("nameserver "+address+"\n"), 0o644); err != nil { // in place: it is mounted
		t.Fatal(err)
	}
	began := time.Now()
	harness.Until(t, 20*time.Second, "a pull by the name that the new resolver knows", func() error {
		if r := c.Bonsai(t, "image", "pull", image); r.Code != 0 {
			return errors.New(r.Stderr)
		}
		return nil
	})
	t.Logf("it was pulled %s after the resolver had changed", time.Since(began))
	n := c.NewNamespace(t)
	n.Create(t, n.Pod("box", image, "-c", "sleep 1000"))
	if got := n.Exec(t, "box", "echo", "it runs"); got != "it runs\n" {
		t.Errorf("the pulled image prints %q", got)
	}
}

// serveVPNRegistry serves an image over http, and returns the port.
func serveVPNRegistry(t *testing.T, address string) (port string) {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: registry.New(registry.Logger(log.New(io.Discard, "", 0)))}
	t.Cleanup(func() { _ = server.Close() })
	go func() { _ = server.Serve(l) }()
	target, err := name.ParseReference(l.Addr().String()+"/box:1", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(target, harness.Image(t, harness.Busybox)); err != nil {
		t.Fatal(err)
	}
	_, port, err = net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// serveName answers questions for the address of a name over UDP until the test ends; no other name exists.
func serveName(t *testing.T, listen, known string, address netip.Addr) {
	t.Helper()
	conn, err := net.ListenPacket("udp4", listen)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { _ = conn.Close(); <-done })
	go func() {
		defer close(done)
		buffer := make([]byte, 4096)
		for {
			size, from, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buffer[:size]) != nil || len(m.Questions) != 1 {
				continue
			}
			q := m.Questions[0]
			m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
			switch {
			case !strings.EqualFold(q.Name.String(), known+"."):
				m.RCode = dnsmessage.RCodeNameError
			case q.Type == dnsmessage.TypeA:
				m.Answers = []dnsmessage.Resource{{
					Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 5}, Body: &dnsmessage.AResource{A: address.As4()},
				}}
			}
			if answer, err := m.Pack(); err == nil {
				_, _ = conn.WriteTo(answer, from)
			}
		}
	}()
}
