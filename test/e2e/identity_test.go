package e2e

import (
	"slices"
	"strings"
	"testing"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/statedir"
	"bonsai/test/e2e/harness"
)

// Two state folders use one cluster name on one engine and one kubeconfig. Neither touches what the other has.
func TestTwoStateFoldersUseOneName(t *testing.T) {
	ours := harness.New(t)
	home := harness.NewHome(t)
	theirs := &harness.Cluster{Home: home, Name: ours.Name}
	t.Cleanup(func() { theirs.Bonsai(t, "delete") }) // before the check that nothing of that name is left
	ours.Start(t, "--nodes", "1")
	readyNodes(t, ours, 1)
	spec, err := statedir.Dir{Root: ours.Dir}.Cluster(ours.Name).LoadSpec()
	if err != nil {
		t.Fatal(err)
	}
	objects := func() []string {
		var all []string
		filter := "label=io.bonsai.cluster.id=" + spec.ID
		for _, list := range [][]string{
			{"ps", "-a", "--format", "{{.ID}} {{.Names}}"}, {"volume", "ls", "--format", "{{.Name}}"}, {"network", "ls", "--format", "{{.ID}} {{.Name}}"},
		} {
			all = append(all, strings.Split(harness.Docker(t, append(list, "--filter", filter)...), "\n")...)
		}
		return all
	}
	before := objects()
	if len(before) != 3 {
		t.Fatalf("the engine has %q of our cluster, want a container, a volume and a network", before)
	}
	check := func(after string) {
		t.Helper()
		if got := objects(); !slices.Equal(got, before) {
			t.Errorf("after %s the engine has %q of our cluster, had %q", after, got, before)
		}
		if s, code := ours.Status(t); code != 0 || s.Phase != cluster.PhaseRunning {
			t.Errorf("after %s our cluster is %s (exit code %d)", after, s.Phase, code)
		}
	}

	r := theirs.Bonsai(t, "delete")
	wantCode(t, r, code(fault.NotFound))
	if !strings.Contains(r.Stderr, "bonsai delete --foreign "+ours.Name) {
		t.Errorf("%s\nwant it to say how to remove what another state folder made", r)
	}
	check("delete of a cluster that is not theirs")
	if r := home.Run(t, "delete", "--all"); r.Code != 0 || !strings.Contains(r.Stderr, spec.ID) {
		t.Errorf("%s\nwant it to mention the cluster of another state folder", r)
	}
	check("their delete --all")

	theirs.Start(t, "--nodes", "0")
	theirs.Start(t, "--nodes", "1")
	readyNodes(t, theirs, 1)
	check("their start")
	if got := theirs.Must(t, "ssh", "--", "hostname"); strings.TrimSpace(got) != ours.Name+"-1" {
		t.Errorf("their node calls itself %q", got)
	}
	theirs.Must(t, "ssh", "--", "touch", "/var/theirs")
	if r := ours.Bonsai(t, "ssh", "--", "ls", "/var/theirs"); r.Code == 0 {
		t.Error("ssh leads into the other's node")
	}
	if list := theirs.Must(t, "node", "list"); strings.Contains(list, spec.Nodes[0].IP.String()) {
		t.Errorf("their node list has our node's address:\n%s", list)
	}
	theirs.Must(t, "stop")
	check("their stop")
	theirs.Start(t)
	check("their second start")
	if s, code := theirs.Status(t); code != 0 || s.Phase != cluster.PhaseRunning {
		t.Errorf("their cluster is %s (exit code %d)", s.Phase, code)
	}
	theirs.Must(t, "delete")
	check("their delete")
}

// A lost state folder leaves containers that another one removes only with --foreign.
func TestDeleteForeign(t *testing.T) {
	lost := harness.New(t)
	lost.Start(t, "--nodes", "1")
	home := harness.NewHome(t)
	wantCode(t, home.Run(t, "delete", "--foreign", lost.Name), code(fault.Usage)) // nobody to ask
	if left := lost.Leftovers(t); len(left) != 3 {
		t.Fatalf("a question without an answer removed something: %v", left)
	}
	if r := home.Run(t, "delete", "--foreign", lost.Name, "--yes"); r.Code != 0 {
		t.Fatal(r)
	}
	if left := lost.Leftovers(t); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
