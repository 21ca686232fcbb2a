package fake_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"

	"go.uber.org/goleak"

	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/node"
	"bonsai/bootstrap/node/fake"
	"bonsai/bootstrap/node/nodetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	e := &fake.Engine{}
	nodetest.Run(t, nodetest.Harness{
		Driver:          func(*testing.T) node.Driver { return e },
		Container:       func(_ *testing.T, name string, _ node.Payload) { e.AddContainer(name) },
		Network:         func(_ *testing.T, name string, subnet netip.Prefix) { e.AddNetwork(name, subnet) },
		Volume:          func(_ *testing.T, name string) { e.AddVolume(name) },
		Image:           func(_ *testing.T, names ...string) { e.AddImage(names...) },
		Age:             func(*testing.T) { e.AgePayloads() },
		RemoveContainer: func(_ *testing.T, name string) { e.RemoveContainer(name) },
	})
}

func TestHookFailsOperations(t *testing.T) {
	down := fault.Newf(fault.EngineDown, "no engine")
	full := errors.New("disk full")
	e := &fake.Engine{Hook: func(_ context.Context, op, object string) error {
		switch {
		case op == "Ping":
			return down
		case op == "StopNode" && object == "a-2":
			return full
		}
		return nil
	}}
	if _, err := e.Ping(t.Context()); fault.KindOf(err) != fault.EngineDown {
		t.Errorf("got %v, want the hook's own fault", err)
	}
	if err := e.StopNode(t.Context(), "a-2", 0); !errors.Is(err, full) || fault.KindOf(err) != fault.Engine {
		t.Errorf("got %v, want an engine fault because the disk is full", err)
	}
	if err := e.StopNode(t.Context(), "a-1", 0); fault.KindOf(err) != fault.NodeNotFound {
		t.Errorf("got %v, want the operation's own error", err)
	}
}
