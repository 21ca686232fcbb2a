package localhostnames

import (
	"testing"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/addons"
)

func TestItIsAsHealthyAsItsPort(t *testing.T) {
	status := cluster.Names{Reason: "no port is free"}
	a := New(func() cluster.Names { return status })
	state, reason, advice := a.Health(t.Context(), addons.Cluster{})
	if state != cluster.AddonDegraded || reason != status.Reason || len(advice) != 1 {
		t.Errorf("got %s, %q, %v", state, reason, advice)
	}
	status = cluster.Names{Open: true, Port: 8080}
	if state, reason, _ := a.Health(t.Context(), addons.Cluster{}); state != cluster.AddonRunning || reason != "" {
		t.Errorf("got %s, %q", state, reason)
	}
}
