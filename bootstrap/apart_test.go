package bootstrap_test

import (
	"errors"
	"strings"
	"testing"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/node"
	"bonsai/bootstrap/plan"
)

func TestAContainerWithItsOwnNetworkIsRefusedAtOnce(t *testing.T) {
	m := newMachine(t)
	m.engine.Info = node.EngineInfo{Apart: true, CPUs: 1, MemoryBytes: 4 << 30}
	err := m.start(t, plan.Wish{})
	f, ok := errors.AsType[*fault.Fault](err)
	if !ok || f.Kind != fault.Unreachable || !strings.Contains(f.Error(), "in a container") ||
		!strings.Contains((cluster.Problem{Advice: f.Advice}).HintText(), "--network host") {
		t.Errorf("start = %v", err)
	}
	m.wantNothingLeft(t)
	if err := m.start(t, plan.Wish{Nodes: new(0)}); err != nil {
		t.Errorf("without nodes: %v", err)
	}
}
