package ports

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"

	"bonsai/bootstrap/cluster"
)

// uses counts uses of a cluster, which fail with err.
type uses struct {
	mu         sync.Mutex // guards the rest
	begun, now int
	err        error
	ended      chan struct{}
}

func (u *uses) use(context.Context, string) (func(), error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.begun++
	if u.err != nil {
		return nil, u.err
	}
	u.now++
	return func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.now--
		select {
		case u.ended <- struct{}{}:
		default:
		}
	}, nil
}

func (u *uses) counts() (begun, now int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.begun, u.now
}

// A connection is a use of the cluster for as long as it lasts; a cluster that cannot be used is not connected to.
func TestConnectionsAreUses(t *testing.T) {
	target := echo(t, "127.0.1.1:0")
	u := &uses{ended: make(chan struct{}, 1)}
	f := forwarder(t, Options{Use: u.use})
	spec := specOf(t)
	spec.Ports = []cluster.Port{{Address: spec.Nodes[0].IP, Port: freeTCP(t, spec.Nodes[0].IP.String()), Protocol: cluster.TCP, Node: "dev-1", Target: target}}
	if err := f.Apply(spec); err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp4", spec.Ports[0].Listen())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("a")); err != nil {
		t.Fatal(err)
	}
	_ = c.(*net.TCPConn).CloseWrite()
	if _, err := io.ReadAll(c); err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	<-u.ended
	if begun, now := u.counts(); begun != 1 || now != 0 {
		t.Errorf("%d uses, %d of them have not ended", begun, now)
	}
	u.mu.Lock()
	u.err = errors.New("it cannot be woken")
	u.mu.Unlock()
	if c, err = net.Dial("tcp4", spec.Ports[0].Listen()); err == nil {
		_, err = io.ReadAll(c)
		_ = c.Close()
	}
	if err == nil {
		t.Error("the connection to a cluster that cannot be used ended as if it had been served")
	}
}

// freeTCP is a port of an address on which nobody listens.
func freeTCP(t *testing.T, address string) int {
	t.Helper()
	l, err := net.Listen("tcp4", address+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}
