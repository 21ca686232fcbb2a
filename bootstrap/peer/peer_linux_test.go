package peer

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// pair is a connection over loopback: the client's side and the server's.
func pair(t *testing.T, network, address string) (client, server net.Conn) {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Skipf("this machine does not listen on %s: %v", address, err)
	}
	defer l.Close()
	client, err = net.Dial(network, l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

func TestTheSameUserMayUseIt(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		_, server := pair(t, "tcp", address)
		if err := MayUse(server); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// A client that is gone is nobody, and not root, whose sockets without an owner seem to be.
func TestWhoHasClosedItsSocketIsNobody(t *testing.T) {
	client, server := pair(t, "tcp", "127.0.0.1:0")
	client.Close()
	if err := MayUse(server); !errors.Is(err, errNoSocket) {
		t.Errorf("got %v", err)
	}
}

func TestASocketIsFoundByAllOfItsAddresses(t *testing.T) {
	client, server := pair(t, "tcp", "127.0.0.1:0")
	theirs, _ := addrPort(client.LocalAddr())
	ours, _ := addrPort(server.LocalAddr())
	other := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), theirs.Port())
	if _, err := userOf(other, ours); !errors.Is(err, errNoSocket) {
		t.Errorf("the same ports at another address: %v", err)
	}
	if uid, err := userOf(theirs, ours); err != nil || uid != uint32(os.Geteuid()) {
		t.Errorf("got %d, %v", uid, err)
	}
}

// connect is a program for the test below: another user that connects, and waits.
const connect = "PEER_TEST_CONNECT"

func TestMain(m *testing.M) {
	if address := os.Getenv(connect); address != "" {
		c, err := net.Dial("tcp", address)
		if err != nil {
			os.Exit(1)
		}
		_, _ = io.Copy(io.Discard, c)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestAnotherUserMayNot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can start a program as another user")
	}
	const nobody = 65534
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	program, err := os.Open("/proc/self/exe") // whose path the other user may not read
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	cmd := exec.CommandContext(t.Context(), "/proc/self/fd/3")
	cmd.ExtraFiles = []*os.File{program}
	cmd.Env = []string{connect + "=" + l.Addr().String()}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	cmd.Dir = "/"
	if err := cmd.Start(); err != nil {
		t.Skipf("a program cannot be started as another user: %v", err)
	}
	_ = l.(*net.TCPListener).SetDeadline(time.Now().Add(20 * time.Second))
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if err := MayUse(server); err == nil || !strings.Contains(err.Error(), strconv.Itoa(nobody)) {
		t.Errorf("got %v", err)
	}
	server.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

func BenchmarkMayUse(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	server, err := l.Accept()
	if err != nil {
		b.Fatal(err)
	}
	defer server.Close()
	for b.Loop() {
		if err := MayUse(server); err != nil {
			b.Fatal(err)
		}
	}
}
