package bootstrap_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"

	"bonsai/bootstrap"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/plan"
	"bonsai/bootstrap/statedir"
)

// As CI jobs do it, in a state folder each, or in that of their user.
func TestEightStartsAtOnce(t *testing.T) {
	const starts = 8
	for what, folders := range map[string]int{"in one state folder": 1, "in eight state folders": starts} {
		t.Run(what, func(t *testing.T) {
			machines := []*machine{newMachine(t)}
			for len(machines) < folders {
				machines = append(machines, newMachineOn(t, machines[0].engine, "aaaabbbbcccc"))
			}
			// A stopped cluster of another state folder has its port and subnet as well.
			stopped := newMachineOn(t, machines[0].engine, "aaaabbbbcccc")
			if _, err := stopped.Start(t.Context(), plan.Wish{Name: "dev", Nodes: new(1)}, bootstrap.Run{}); err != nil {
				t.Fatal(err)
			}
			if err := stopped.Stop(t.Context(), "dev", nil); err != nil {
				t.Fatal(err)
			}
			name := func(i int) string { return fmt.Sprint("c", i) }
			if folders == starts {
				name = func(int) string { return "dev" }
			}
			var wg sync.WaitGroup
			errs := make([]error, starts)
			for i := range starts {
				wg.Go(func() {
					m := machines[i%folders]
					_, errs[i] = m.Start(t.Context(), plan.Wish{Name: name(i), Nodes: new(i % 3)}, bootstrap.Run{})
				})
			}
			wg.Wait()
			if err := errors.Join(errs...); err != nil {
				t.Error(err)
			}
			ports, subnets := map[int]string{}, map[netip.Prefix]string{}
			take := func(m *machine, name string) {
				spec, err := m.dir.Cluster(name).LoadSpec()
				if err != nil {
					t.Error(err)
					return
				}
				where := m.dir.Root + "/" + name
				other, taken := ports[spec.APIPort]
				// One without nodes does not ask the engine, which alone knows of stopped clusters of others.
				if taken && (len(spec.Nodes) > 0 || !strings.HasPrefix(other, stopped.dir.Root)) {
					t.Errorf("%s and %s have port %d", where, other, spec.APIPort)
				}
				if other, taken := subnets[spec.Subnet]; taken && len(spec.Nodes) > 0 {
					t.Errorf("%s and %s have subnet %s", where, other, spec.Subnet)
				}
				ports[spec.APIPort] = where
				if len(spec.Nodes) > 0 {
					subnets[spec.Subnet] = where
				}
			}
			take(stopped, "dev")
			for i := range starts {
				m := machines[i%folders]
				take(m, name(i))
				if s, err := m.Status(t.Context(), name(i)); err != nil || s.Phase != cluster.PhaseRunning {
					t.Errorf("cluster %s is %s, %v", name(i), s.Phase, err)
				}
				if err := m.Delete(context.Background(), name(i), nil); err != nil {
					t.Errorf("delete: %v", err)
				}
			}
		})
	}
}

// What nobody could see in advance turns out to be taken when it is used.
func TestANewClusterChoosesAgain(t *testing.T) {
	for what, take := range map[string]func(t *testing.T, m *machine, spec *cluster.Spec){
		"subnet": func(_ *testing.T, m *machine, spec *cluster.Spec) { m.engine.AddNetwork("new", spec.Subnet) },
		"port": func(t *testing.T, _ *machine, spec *cluster.Spec) {
			l, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", spec.APIPort))
			if err != nil {
				t.Error(err)
				return
			}
			t.Cleanup(func() { _ = l.Close() })
		},
	} {
		t.Run(what, func(t *testing.T) {
			m := newMachine(t)
			state := m.dir.Cluster("dev")
			var first *cluster.Spec
			warned := ""
			run := bootstrap.Run{Events: func(e cluster.Event) {
				switch {
				case e.Kind == cluster.StepWarning:
					warned += e.Detail + "\n"
				case e.Step == "pki" && e.Kind == cluster.StepDone && first == nil:
					spec, err := state.LoadSpec()
					if err != nil {
						t.Error(err)
						return
					}
					first = spec
					take(t, m, spec)
				}
			}}
			if _, err := m.Start(t.Context(), plan.Wish{Name: "dev", Nodes: new(1)}, run); err != nil {
				t.Fatal(err)
			}
			spec, err := state.LoadSpec()
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(warned, "choosing again") {
				t.Errorf("warnings: %q", warned)
			}
			if spec.ID == first.ID || what == "subnet" && spec.Subnet == first.Subnet || what == "port" && spec.APIPort == first.APIPort {
				t.Errorf("chose %+v, and then %+v", first, spec)
			}
			if left := holdingOf(t, m, first.ID); len(left) > 0 {
				t.Errorf("the first choice left %v", left)
			}
			if s, err := m.Status(t.Context(), "dev"); err != nil || s.Phase != cluster.PhaseRunning {
				t.Errorf("the cluster is %s, %v", s.Phase, err)
			}
		})
	}
}

// What the user chose is used or refused.
func TestAnExplicitChoiceIsKept(t *testing.T) {
	m := newMachine(t)
	subnet := netip.MustParsePrefix("10.201.100.0/22")
	taken := false
	run := bootstrap.Run{Events: func(e cluster.Event) {
		if e.Step == "pki" && e.Kind == cluster.StepDone && !taken {
			taken = true
			m.engine.AddNetwork("new", subnet)
		}
	}}
	_, err := m.Start(t.Context(), plan.Wish{Name: "dev", Nodes: new(1), Subnet: subnet, APIPort: freePort(t)}, run)
	if fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), subnet.String()) {
		t.Errorf("start = %v, want a conflict that names the subnet", err)
	}
	m.wantNothingLeft(t)
}

// Whoever holds the lock forever, or spoils it, keeps nobody from starting a cluster.
func TestStartGoesOnWithoutThePlanningLock(t *testing.T) {
	m := newMachine(t)
	if err := os.Mkdir(planningLock(t), 0o700); err != nil {
		t.Fatal(err)
	}
	warned := ""
	_, err := m.Start(t.Context(), plan.Wish{Name: "dev", Nodes: new(1)}, bootstrap.Run{Events: func(e cluster.Event) {
		if e.Kind == cluster.StepWarning {
			warned += e.Detail
		}
	}})
	if err != nil || !strings.Contains(warned, "goes on without waiting for others") {
		t.Errorf("start = %v, warnings %q", err, warned)
	}
}

// The turn ends long before the cluster is ready.
func TestOthersChooseWhileAClusterGetsReady(t *testing.T) {
	m := newMachine(t)
	t.Setenv("TEST_NODES_HANG", "1")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var lockErr error
	_, err := m.Start(ctx, plan.Wish{Name: "dev", Nodes: new(1)}, bootstrap.Run{Events: func(e cluster.Event) {
		if strings.HasPrefix(e.Step, "node/") && e.Kind == cluster.StepStarted {
			l, err := statedir.LockPlanning(ctx, planningLock(t))
			if lockErr = err; err == nil {
				lockErr = l.Release()
			}
			cancel()
		}
	}})
	if fault.KindOf(err) != fault.Canceled || lockErr != nil {
		t.Errorf("start = %v, lock: %v", err, lockErr)
	}
}
