package e2e

import (
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"bonsai/test/e2e/harness"
)

// open is a connection that has to survive.
func (b *balanced) open(t *testing.T, address string) (check func()) {
	t.Helper()
	b.answers(t, address)
	conn, err := net.Dial("tcp4", address+":81")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	check = func() {
		t.Helper()
		if err := errors.Join(conn.SetDeadline(time.Now().Add(10*time.Second)), ask(conn)); err != nil {
			t.Errorf("an open connection to %s: %v", address, err)
		}
	}
	check()
	return check
}

func (b *balanced) testDaemonKilled(t *testing.T) {
	a := b.create(t, "web")
	check, at, pid := b.open(t, a), b.holder(t, a), daemonPID(t, b.Cluster)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	check()
	b.answers(t, a)
	harness.Until(t, time.Minute, "another daemon", func() error {
		if r := b.Bonsai(t, "addons", "status", "loadbalancer"); r.Code != 0 || daemonPID(t, b.Cluster) == pid {
			return fmt.Errorf("%s", r)
		}
		return nil
	})
	check()
	if now := b.holder(t, a); now != at {
		t.Errorf("the address went from %s to %s", at, now)
	}
	if other := b.create(t, "after"); other == a {
		t.Errorf("another Service has the same address %s", other)
	}
	b.remove(t, "web", "after")
}

func (b *balanced) testAgentKilled(t *testing.T) {
	a := b.create(t, "web")
	check, at := b.open(t, a), b.holder(t, a)
	harness.InNode(t, at, "killall", "-9", "bonsai-agent")
	check()
	b.answers(t, a)
	check()
	if now := b.holder(t, a); now != at {
		t.Errorf("the address went from %s to %s", at, now)
	}
	b.remove(t, "web")
}

func (b *balanced) testFrozen(t *testing.T) {
	a := b.create(t, "web")
	b.answers(t, a)
	at := b.holder(t, a)
	harness.Docker(t, "pause", harness.Container(t, at))
	thaw := func() { _, _ = harness.TryDocker("unpause", harness.Container(t, at)) }
	t.Cleanup(thaw)
	began := time.Now()
	// Its kernel is not frozen: what is sent there goes on to other nodes' pods until the address has moved.
	moved := ""
	harness.Until(t, 30*time.Second, "another node that announces "+a, func() error {
		mac, err := neighbour(a)
		if err == nil && mac == macOf(t, at) {
			err = errors.New("this machine still sends to the frozen node")
		}
		moved = mac
		return err
	})
	t.Logf("the address of a frozen node moved to %s after %s", moved, time.Since(began).Round(time.Millisecond))
	b.answers(t, a)
	thaw()
	if now := b.holder(t, a); now == at {
		t.Errorf("%s, which was frozen, has the address again", at)
	}
	// It does not answer this machine's questions any more.
	for range 3 {
		b.answers(t, a)
		if mac, err := neighbour(a); err != nil || mac != moved {
			t.Errorf("this machine sends to %s, %v; the address is at %s", mac, err, moved)
		}
	}
	b.remove(t, "web")
}

// neighbour is the Ethernet address to which this machine sends what is for an address.
func neighbour(address string) (string, error) {
	out, err := exec.Command("cat", "/proc/net/arp").Output()
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) > 3 && f[0] == address {
			return f[3], nil
		}
	}
	return "", errors.New("this machine does not know it")
}

func macOf(t *testing.T, node string) string {
	t.Helper()
	return strings.TrimSpace(harness.Docker(t, "inspect", "-f", "{{range .NetworkSettings.Networks}}{{.MacAddress}}{{end}}", harness.Container(t, node)))
}

// failover is how long an address may not answer when the node that announces it dies.
const failover = 3 * time.Second

func (b *balanced) testNodeKilled(t *testing.T) {
	a := b.create(t, "web")
	b.answers(t, a)
	at := b.holder(t, a)
	// All pods on other nodes, so that only the address has to move: those of a dead node get connections until it is not Ready.
	b.n.Kubectl(t, "-n", b.n.Namespace, "delete", "pod", "on-"+at, "--now")
	answered, stop := make(chan time.Time, 10000), make(chan struct{})
	var probing sync.WaitGroup
	probing.Go(func() { probe(a+":81", answered, stop) })
	defer probing.Wait()
	defer close(stop)
	last := <-answered
	harness.Docker(t, "kill", harness.Container(t, at))
	killed := time.Now()
	// What answers after the container has gone is another node. The longest gap is how long clients got no answer.
	gap, limit := time.Duration(0), time.After(harness.Scale(30*time.Second))
	for over := false; !over; {
		select {
		case now := <-answered:
			gap, last = max(gap, now.Sub(last)), now
			over = now.Sub(killed) > harness.Scale(2*failover)
		case <-limit:
			t.Fatalf("%s, which node %s announced, does not answer any more", a, at)
		}
	}
	t.Logf("when the node that announces it is killed, the address does not answer for %s", gap.Round(time.Millisecond))
	if gap > harness.Scale(failover) {
		t.Errorf("the address did not answer for %s, more than %s", gap, harness.Scale(failover))
	}
	if now := b.holder(t, a); now == at {
		t.Errorf("%s, which is dead, has the address", at)
	}
	b.Start(t)
	b.answers(t, a)
	b.remove(t, "web")
}

// probe sends the time of each answer of an address, with a new connection each time, until stop is closed.
func probe(address string, answered chan<- time.Time, stop <-chan struct{}) {
	const limit = 250 * time.Millisecond
	for pause := time.NewTicker(limit / 5); ; {
		select {
		case <-stop:
			pause.Stop()
			return
		case <-pause.C:
		}
		conn, err := net.DialTimeout("tcp4", address, limit)
		if err != nil {
			continue
		}
		if errors.Join(conn.SetDeadline(time.Now().Add(limit)), ask(conn)) == nil {
			answered <- time.Now()
		}
		_ = conn.Close() // it is not used again
	}
}
