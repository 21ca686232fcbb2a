package loopback

import (
	"net"
	"strconv"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func closeAll(t *testing.T, list []net.Listener) {
	t.Helper()
	for _, l := range list {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestTheFirstPortThatIsFree(t *testing.T) {
	first, port, err := Listen([]int{0, 0, 0, 0, 0})
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(t, first)
	for _, l := range first {
		if a := l.Addr().(*net.TCPAddr); a.Port != port || !a.IP.IsLoopback() {
			t.Errorf("it listens at %s, and says port %d", a, port)
		}
	}
	c, err := net.Dial("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	if list, _, err := Listen([]int{port}); err == nil {
		closeAll(t, list)
		t.Error("a port is taken twice")
	}
	second, other, err := Listen([]int{port, 0, 0, 0})
	if err != nil || other == port {
		t.Fatalf("got port %d, %v", other, err)
	}
	closeAll(t, second)
}

// A port that another program has at one of the addresses is not taken at the other.
func TestBothAddressesOrNone(t *testing.T) {
	six, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Skip("there is no IPv6 here")
	}
	defer func() { _ = six.Close() }()
	port := six.Addr().(*net.TCPAddr).Port
	if list, _, err := Listen([]int{port}); err == nil {
		closeAll(t, list)
		t.Error("only half of a port is taken")
	}
	four, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		t.Fatalf("the other half is not free any more: %v", err)
	}
	_ = four.Close()
}
