package bootstrap_test

import (
	"context"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"bonsai/bootstrap"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/doctor"
	"bonsai/bootstrap/doctor/look"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/node"
	"bonsai/bootstrap/plan"
	"bonsai/bootstrap/statedir"
)

// fitHost has everything that clusters need; folders and ports are the real ones.
type fitHost struct{ look.Machine }

func (fitHost) Kernel() doctor.Kernel {
	config := map[string]string{}
	for _, f := range doctor.Features() {
		config[f.Option] = "y"
	}
	return doctor.Kernel{Release: "6.1", Config: config}
}

func (fitHost) Cgroups() doctor.Cgroups {
	return doctor.Cgroups{Version: 2, Controllers: []string{"cpu", "cpuset", "memory", "pids"}}
}
func (fitHost) Memory() doctor.Memory { return doctor.Memory{Total: 8 << 30, Available: 4 << 30} }
func (fitHost) Disk(of, path string) doctor.Disk {
	return doctor.Disk{Of: of, Path: path, Size: 9 << 30, Free: 8 << 30}
}
func (fitHost) Clock() doctor.Clock                   { return doctor.Clock{Now: time.Now()} }
func (fitHost) Firewalls() []doctor.Firewall          { return nil }
func (fitHost) Session() doctor.Session               { return doctor.Session{Systemd: true} }
func (fitHost) Proxy() (cluster.Proxy, error)         { return cluster.Proxy{}, nil }
func (h fitHost) Folder(d statedir.Dir) doctor.Folder { return h.Machine.Folder(d) }
func (h fitHost) Free(ctx context.Context, at netip.AddrPort) bool {
	return h.Machine.Free(ctx, at)
}

// examine returns the kinds of problems by the ID of their check.
func examine(t *testing.T, m *machine, fix bool) (kinds map[string][]string, checks []cluster.Check) {
	t.Helper()
	checks, err := m.Doctor(t.Context(), fix)
	if err != nil {
		t.Fatal(err)
	}
	kinds = map[string][]string{}
	for _, c := range checks {
		for _, p := range c.Problems {
			kinds[c.ID] = append(kinds[c.ID], p.Kind)
		}
	}
	return kinds, checks
}

// fit is a machine without any problem.
func fit(t *testing.T) *machine {
	m := newMachine(t)
	m.quick()
	m.engine.Info.HostReachesNodes = true
	m.with(func(e *bootstrap.Env) { e.Host = fitHost{look.Machine{Root: "/"}} })
	return m
}

func TestDoctorOfAFitMachine(t *testing.T) {
	m := fit(t)
	if kinds, _ := examine(t, m, false); len(kinds) > 0 {
		t.Errorf("without a cluster: %v", kinds)
	}
	if err := m.start(t, plan.Wish{Nodes: new(1)}); err != nil {
		t.Fatal(err)
	}
	kinds, checks := examine(t, m, true)
	if len(kinds) > 0 {
		t.Errorf("with a cluster: %v", kinds)
	}
	for _, c := range checks {
		if len(c.Fixed) > 0 {
			t.Errorf("%s was repaired: %q", c.ID, c.Fixed)
		}
		if c.ID == doctor.IDClusters && c.Detail != "1 cluster, 1 running" {
			t.Errorf("the clusters are %q", c.Detail)
		}
	}
}

func TestDoctorWithoutAnEngine(t *testing.T) {
	m := fit(t)
	m.engine.Hook = func(_ context.Context, op, _ string) error {
		if op == "Ping" {
			return fault.Newf(fault.EngineDown, "it does not answer").Advise("start Docker")
		}
		return nil
	}
	kinds, checks := examine(t, m, false)
	if !slices.Equal(kinds[doctor.IDEngine], []string{string(fault.EngineDown)}) || len(kinds) != 1 {
		t.Errorf("got %v", kinds)
	}
	if code := fault.ExitCode(doctor.Unfit(checks)); code != 20 {
		t.Errorf("the exit code is %d", code)
	}
}

// What this user can repair is repaired, and looked at again.
func TestDoctorRepairs(t *testing.T) {
	m := fit(t)
	if err := m.start(t, plan.Wish{Nodes: new(1)}); err != nil {
		t.Fatal(err)
	}
	state := m.dir.Cluster("dev")
	if err := os.Chmod(state.PKI(), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(os.Getenv("KUBECONFIG")); err != nil {
		t.Fatal(err)
	}
	kinds, _ := examine(t, m, false)
	if !slices.Equal(kinds[doctor.IDFolder], []string{cluster.ProblemFolder}) || !slices.Equal(kinds[doctor.IDKubeconfig], []string{cluster.ProblemContext}) {
		t.Errorf("before: %v", kinds)
	}
	if info, err := os.Stat(state.PKI()); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("looking has changed something: %v, %v", info, err)
	}
	kinds, checks := examine(t, m, true)
	if len(kinds) > 0 {
		t.Errorf("after: %v", kinds)
	}
	var said []string
	for _, c := range checks {
		said = append(said, c.Fixed...)
	}
	if len(said) != 2 || !strings.Contains(said[0], "private") || !strings.Contains(said[1], "kubeconfig") {
		t.Errorf("it said %q", said)
	}
}

// A limit is raised where that is possible, and stays a problem where it is not.
func TestDoctorRaisesLimits(t *testing.T) {
	m, k := fit(t), &kernel{facts: inotify(128, 120)}
	m.with(func(e *bootstrap.Env) { e.Machine = k })
	if kinds, _ := examine(t, m, false); !slices.Equal(kinds[doctor.IDLimits], []string{string(fault.Limit)}) || len(k.raised) > 0 {
		t.Errorf("got %v, raised %v", kinds, k.raised)
	}
	k.fixed = true
	if kinds, _ := examine(t, m, true); len(kinds[doctor.IDLimits]) != 1 {
		t.Errorf("what cannot be raised: %v", kinds)
	}
	k.fixed = false
	if kinds, _ := examine(t, m, true); len(kinds) > 0 || len(k.raised) != 1 {
		t.Errorf("got %v, raised %v", kinds, k.raised)
	}
}

func TestDoctorFindsWhatIsWrongWithClusters(t *testing.T) {
	m := fit(t)
	if err := m.start(t, plan.Wish{Nodes: new(1)}); err != nil {
		t.Fatal(err)
	}
	m.engine.Commands = func(_ string, e node.Exec) (int, error) { // a firewall drops what comes from nodes
		if slices.Contains(e.Cmd, "probe") {
			return 1, nil
		}
		return 0, nil
	}
	if kinds, _ := examine(t, m, false); !slices.Equal(kinds[doctor.IDFirewall], []string{string(fault.Unreachable)}) {
		t.Errorf("with a firewall: %v", kinds)
	}
	if err := m.Stop(t.Context(), "dev", nil); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(m.dir.Cluster("dev").SpecFile(), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	kinds, checks := examine(t, m, false)
	if !slices.Equal(kinds[doctor.IDClusters], []string{string(fault.SpecBroken)}) {
		t.Errorf("with a broken spec: %v", kinds)
	}
	if code := fault.ExitCode(doctor.Unfit(checks)); code != 11 {
		t.Errorf("the exit code is %d", code)
	}
}
