package bootstrap_test

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bonsai/bootstrap"
	"bonsai/bootstrap/plan"
)

// started is when the daemon of dev, and the container of its first node, have started.
func (m *machine) started(t *testing.T) (daemon, node time.Time) {
	t.Helper()
	state := m.dir.Cluster("dev")
	d, _ := state.Daemon()
	list, err := m.engine.List(t.Context(), state.ID())
	if err != nil || len(list) == 0 {
		t.Fatalf("containers: %v, %v", list, err)
	}
	return d.Started, list[0].Started
}

func TestCertificatesThatChangedUnderARunningCluster(t *testing.T) {
	m := newMachine(t)
	if err := m.start(t, plan.Wish{Nodes: new(1)}); err != nil {
		t.Fatal(err)
	}
	daemon, node := m.started(t)
	if err := m.start(t, plan.Wish{}); err != nil {
		t.Fatal(err)
	}
	if d, n := m.started(t); !d.Equal(daemon) || !n.Equal(node) || len(m.daemonProblems(t)) != 0 {
		t.Errorf("a start without a change restarts something: daemon %v, node %v; problems %+v", d.Sub(daemon), n.Sub(node), m.daemonProblems(t))
	}
	pki := m.dir.Cluster("dev").PKI()
	for _, name := range []string{"ca.crt", "ca.key"} {
		if err := os.Remove(filepath.Join(pki, name)); err != nil {
			t.Fatal(err)
		}
	}
	if got := m.daemonProblems(t); len(got) != 1 || !strings.Contains(got[0].Summary, "not those that the running control plane uses") || got[0].FixText() != "start" {
		t.Errorf("with another CA: %+v", got)
	}
	if err := m.start(t, plan.Wish{}); err != nil {
		t.Fatal(err)
	}
	d, n := m.started(t)
	if !d.After(daemon) || !n.After(node) {
		t.Errorf("after a start the daemon is from %v later, the node from %v later", d.Sub(daemon), n.Sub(node))
	}
	if got := m.daemonProblems(t); len(got) != 0 {
		t.Errorf("after a start: %+v", got)
	}
}

func TestCertificatesAreRenewedUnderARunningControlPlane(t *testing.T) {
	m := newMachine(t)
	if err := m.start(t, plan.Wish{Nodes: new(1)}); err != nil {
		t.Fatal(err)
	}
	state := m.dir.Cluster("dev")
	before := state.Certificates("")
	if renewed, err := bootstrap.RenewCertificates(t.Context(), state, time.Now()); err != nil || len(renewed) != 0 || state.Certificates("") != before {
		t.Fatalf("fresh certificates: renewed %v, %v", renewed, err)
	}
	soon := time.Now().Add(340 * 24 * time.Hour)
	renewed, err := bootstrap.RenewCertificates(t.Context(), state, soon)
	if err != nil || !slices.Contains(renewed, "apiserver") || !slices.Contains(renewed, "admin") || !slices.Contains(renewed, "front-proxy-client") {
		t.Fatalf("25 days before their end: renewed %v, %v", renewed, err)
	}
	admin, err := os.ReadFile(filepath.Join(state.PKI(), "admin.crt"))
	if err != nil {
		t.Fatal(err)
	}
	encoded := base64.StdEncoding.EncodeToString(admin)
	for _, file := range []string{state.Kubeconfig(), os.Getenv("KUBECONFIG")} {
		if text, err := os.ReadFile(file); err != nil || !strings.Contains(string(text), encoded) {
			t.Errorf("%s does not have the administrator's new certificate (%v)", file, err)
		}
	}
	if got := m.daemonProblems(t); len(got) != 0 {
		t.Errorf("after the renewal: %+v", got)
	}
	// Without the authority nothing is touched: a new one would lock everybody out.
	if err := os.Remove(filepath.Join(state.PKI(), "ca.key")); err != nil {
		t.Fatal(err)
	}
	before = state.Certificates("")
	if renewed, err := bootstrap.RenewCertificates(t.Context(), state, soon.Add(340*24*time.Hour)); err == nil || len(renewed) != 0 || state.Certificates("") != before {
		t.Errorf("without the authority's key: renewed %v, %v", renewed, err)
	}
}
