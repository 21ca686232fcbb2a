package bootstrap_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"testing"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/plan"
	"bonsai/bootstrap/ports"
	"bonsai/bootstrap/statedir"
)

// daemonPorts is the part of the little daemon that listens for the cluster.
type daemonPorts struct{ forwarder *ports.Forwarder }

func (d *daemonPorts) open(state statedir.Cluster) error {
	spec, err := state.LoadSpec()
	if err != nil {
		return err
	}
	return d.forwarder.Apply(*spec)
}

func (d *daemonPorts) Ports(context.Context) []cluster.PortStatus { return d.forwarder.Status() }

// parse reads ports that are known to be right.
func parse(t *testing.T, texts ...string) (list []cluster.Port) {
	t.Helper()
	for _, text := range texts {
		p, err := cluster.ParsePort(text)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	return list
}

// taken is a port that somebody has; free makes it free.
func taken(t *testing.T) (port int, free func()) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().(*net.TCPAddr).Port, func() { _ = l.Close() }
}

func TestPortsComeAndGoWithTheClusterRunning(t *testing.T) {
	m := newMachine(t)
	first, freeFirst := taken(t)
	second, freeSecond := taken(t)
	wish := plan.Wish{Nodes: new(1), Ports: parse(t, fmt.Sprintf("%d:80@1", first))}
	if err := m.start(t, wish); fault.KindOf(err) != fault.Conflict || m.dir.Cluster("dev").Exists() {
		t.Fatalf("a start with a port that is taken: %v", err)
	}
	freeFirst()
	if err := m.start(t, wish); err != nil {
		t.Fatal(err)
	}
	m.wantOpen(t, first)

	add := func(text string) error {
		_, err := m.SetPorts(t.Context(), "dev", func(spec cluster.Spec) ([]cluster.Port, error) {
			return cluster.PortWith(spec.Ports, parse(t, text)[0]), nil
		})
		return err
	}
	if err := add(fmt.Sprintf("%d:81", second)); fault.KindOf(err) != fault.Conflict {
		t.Errorf("a port that is taken: %v", err)
	}
	m.wantOpen(t, first) // nothing has changed
	freeSecond()
	if err := add(fmt.Sprintf("%d:81", second)); err != nil {
		t.Fatal(err)
	}
	m.wantOpen(t, first, second)

	if err := m.Stop(t.Context(), "dev", nil); err != nil {
		t.Fatal(err)
	}
	if list, err := m.Ports(t.Context(), "dev"); err != nil || len(list) != 2 || list[0].Open {
		t.Errorf("of a stopped cluster: %+v, %v", list, err)
	}
	if err := m.start(t, plan.Wish{}); err != nil {
		t.Fatal(err)
	}
	m.wantOpen(t, first, second)
	enough := errors.New("enough")
	if _, err := m.SetPorts(t.Context(), "dev", func(cluster.Spec) ([]cluster.Port, error) { return nil, enough }); !errors.Is(err, enough) {
		t.Errorf("a change that fails: %v", err)
	}
	if running, err := m.SetPorts(t.Context(), "dev", func(cluster.Spec) ([]cluster.Port, error) { return nil, nil }); err != nil || !running {
		t.Errorf("removing all: running %v, %v", running, err)
	}
	m.wantOpen(t)
}

// wantOpen checks the spec, what the daemon says and what listens.
func (m *machine) wantOpen(t *testing.T, want ...int) {
	t.Helper()
	spec, err := m.dir.Cluster("dev").LoadSpec()
	if err != nil {
		t.Fatal(err)
	}
	list, err := m.Ports(t.Context(), "dev")
	if err != nil {
		t.Fatal(err)
	}
	var planned, open []int
	for _, p := range spec.Ports {
		planned = append(planned, p.Port)
	}
	for _, s := range list {
		if s.Open {
			open = append(open, s.Port.Port)
		}
		c, err := net.Dial("tcp4", s.Listen())
		if err != nil {
			t.Errorf("port %d does not listen: %v", s.Port.Port, err)
			continue
		}
		_ = c.Close()
	}
	if !slices.Equal(planned, want) || !slices.Equal(open, want) {
		t.Errorf("planned are %v, open %v; want %v", planned, open, want)
	}
}
