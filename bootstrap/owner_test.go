package bootstrap_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"bonsai/bootstrap"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/kubeconfig"
	"bonsai/bootstrap/plan"
	"bonsai/bootstrap/statedir"
)

func TestAClusterRemembersTheProcessThatItIsFor(t *testing.T) {
	m := newMachine(t)
	cmd := exec.Command("sleep", "600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }()
	owner, err := statedir.ProcessOf(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	start := func(what string, wish plan.Wish, run bootstrap.Run, want bool) {
		t.Helper()
		wish.Name, run.OwnKubeconfig = "dev", true
		if _, err := m.Start(t.Context(), wish, run); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if has := m.dir.Cluster("dev").Owner(); (has != nil) != want || has != nil && has.PID != owner.PID {
			t.Errorf("%s: the owner is %+v, want one: %t", what, has, want)
		}
	}
	start("a new cluster", plan.Wish{Nodes: new(0)}, bootstrap.Run{Owner: &owner}, true)
	start("a start that does not say", plan.Wish{}, bootstrap.Run{}, true)
	if err := m.Stop(t.Context(), "dev", nil); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	start("a start after its end", plan.Wish{}, bootstrap.Run{}, false)
}

// A cluster that its user keeps would go with the process, and so would everything in it.
func TestAClusterThatStaysGetsNoOwner(t *testing.T) {
	m := newMachine(t)
	owner, err := statedir.ProcessOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	start := func(run bootstrap.Run) error {
		run.OwnKubeconfig = true
		_, err := m.Start(t.Context(), plan.Wish{Name: "dev", Nodes: new(0)}, run)
		return err
	}
	if err := start(bootstrap.Run{}); err != nil {
		t.Fatal(err)
	}
	err = start(bootstrap.Run{Owner: &owner})
	if fault.KindOf(err) != fault.Usage || !strings.Contains(err.Error(), "would be deleted") {
		t.Errorf("got %v", err)
	}
	if has := m.dir.Cluster("dev").Owner(); has != nil {
		t.Errorf("its owner is %+v", has)
	}
	// One that is for a process can be for another one.
	if err := m.dir.Cluster("dev").SaveOwner(owner); err != nil {
		t.Fatal(err)
	}
	if err := start(bootstrap.Run{Owner: &owner}); err != nil {
		t.Error(err)
	}
}

func TestANewClusterLeavesTheKubeconfigAlone(t *testing.T) {
	m := newMachine(t)
	own := os.Getenv("KUBECONFIG")
	t.Setenv("KUBECONFIG", os.DevNull) // which cannot be changed
	if _, err := m.Start(t.Context(), plan.Wish{Name: "dev", Nodes: new(0)}, bootstrap.Run{OwnKubeconfig: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(m.dir.Cluster("dev").Kubeconfig()); err != nil {
		t.Errorf("the cluster's own kubeconfig: %v", err)
	}
	kubeconfigIs := func(want string) {
		t.Helper()
		if s, err := m.Status(t.Context(), "dev"); err != nil || s.Kubeconfig != want {
			t.Errorf("status reports %q (%v), want %q", s.Kubeconfig, err, want)
		}
	}
	kubeconfigIs(kubeconfig.Own)
	t.Setenv("KUBECONFIG", own)
	kubeconfigIs(kubeconfig.Own)
	if _, err := m.UpdateContext("dev"); err != nil {
		t.Fatal(err)
	}
	kubeconfigIs(kubeconfig.Configured)
}
