package bootstrap_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"bonsai/bootstrap"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/node"
	"bonsai/bootstrap/plan"
)

// nodeWithImages answers what the agent of a node with a few images answers.
type nodeWithImages struct {
	mu     sync.Mutex // guards the rest
	images []cluster.NodeDiskImage
	asked  [][]string
}

func (n *nodeWithImages) exec(_ string, e node.Exec) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked = append(n.asked, e.Cmd)
	switch {
	case slices.Equal(e.Cmd, []string{"bonsai-agent", "disk"}):
		return 0, json.NewEncoder(e.Stdout).Encode(cluster.NodeDisk{
			Images: n.images, ImageBytes: 900, LogBytes: 7, Volumes: map[string]int64{"pvc-1": 20},
		})
	case len(e.Cmd) > 3 && e.Cmd[2] == "rm":
		n.images = slices.DeleteFunc(n.images, func(i cluster.NodeDiskImage) bool { return slices.Contains(e.Cmd[3:], i.Names[0]) })
	}
	return 0, nil
}

// lines are the items that are about the cluster, or all others, in short.
func lines(items []cluster.DiskItem, of string) (list []string) {
	for _, i := range items {
		if i.Cluster == of {
			list = append(list, strings.Join([]string{i.Node, i.Kind, i.Name}, "/"))
		}
	}
	return list
}

func diskMachine(t *testing.T) (*machine, *nodeWithImages) {
	t.Helper()
	m := newMachine(t)
	m.quick()
	n := &nodeWithImages{images: []cluster.NodeDiskImage{
		{Names: []string{"docker.io/library/used:1"}, Bytes: 400, Used: true},
		{Names: []string{"docker.io/library/pulled:1", "docker.io/library/pulled@sha256:1"}, Bytes: 300},
		{Names: []string{"docker.io/library/loaded:1"}, Bytes: 200, Kept: true},
	}}
	if err := m.start(t, plan.Wish{Nodes: new(1)}); err != nil {
		t.Fatal(err)
	}
	m.engine.Commands = n.exec
	return m, n
}

func TestDiskUse(t *testing.T) {
	m, _ := diskMachine(t)
	state := m.dir.Cluster("dev")
	if err := os.WriteFile(filepath.Join(state.Etcd(), "db"), make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	use, err := m.DiskUse(t.Context())
	if err != nil || len(use.Unseen) > 0 {
		t.Fatalf("%v, unseen %q", err, use.Unseen)
	}
	got := lines(use.Items, "dev")
	for _, want := range []string{"/etcd/", "/logs/", "/state/", "dev-1/images/", "dev-1/image/docker.io/library/pulled:1", "dev-1/claim/pvc-1", "dev-1/logs/"} {
		if !slices.Contains(got, want) {
			t.Errorf("%s is not in %q", want, got)
		}
	}
	if use.Total < 1<<20 || use.Prunable != 0 {
		t.Errorf("in total %d, of which %d can be pruned", use.Total, use.Prunable)
	}
	var parts, whole int64
	for _, i := range use.Items {
		if i.Part {
			parts += i.Bytes
		} else {
			whole += i.Bytes
		}
	}
	if parts == 0 || whole != use.Total {
		t.Errorf("parts of %d bytes are in the total of %d, which should be %d", parts, use.Total, whole)
	}

	// Without the engine, what is on this machine is still measured.
	m.engine.Hook = func(_ context.Context, op, _ string) error {
		if op == "DiskUse" {
			return errors.New("it hangs")
		}
		return nil
	}
	use, err = m.DiskUse(t.Context())
	if err != nil || len(use.Unseen) != 1 || !slices.Contains(lines(use.Items, "dev"), "/etcd/") {
		t.Errorf("without the engine: %v, unseen %q", err, use.Unseen)
	}
}

func TestPruneTakesNothingOfAClusterUnasked(t *testing.T) {
	m, n := diskMachine(t)
	removed, err := m.Prune(t.Context(), bootstrap.PruneWish{Cluster: "dev"})
	if err != nil || len(removed) > 0 || len(n.images) != 3 {
		t.Errorf("removed %+v, %v; %d images are left", removed, err, len(n.images))
	}

	// Asked only what would be removed, it removes nothing.
	w := bootstrap.PruneWish{Cluster: "dev", Images: true, DryRun: true}
	removed, err = m.Prune(t.Context(), w)
	if err != nil || !slices.Equal(lines(removed, "dev"), []string{"dev-1/image/docker.io/library/pulled:1"}) || len(n.images) != 3 {
		t.Errorf("would remove %+v, %v; %d images are left", removed, err, len(n.images))
	}
	w.DryRun = false
	removed, err = m.Prune(t.Context(), w)
	if err != nil || len(removed) != 1 || len(n.images) != 2 || !n.images[0].Used || !n.images[1].Kept {
		t.Errorf("removed %+v, %v; left are %+v", removed, err, n.images)
	}

	if _, err := m.Prune(t.Context(), bootstrap.PruneWish{Cluster: "none", Images: true}); fault.KindOf(err) != fault.NotFound {
		t.Errorf("of a cluster that does not exist: %v", err)
	}
}

func TestPruneOfCheckpoints(t *testing.T) {
	m, _ := diskMachine(t)
	m.setObjects(t, "a b")
	m.save(t, "mine")
	for range 2 {
		if err := m.RestoreCheckpoint(t.Context(), "dev", "mine", bootstrap.Run{}); err != nil { // saves one itself
			t.Fatal(err)
		}
	}
	removed, err := m.Prune(t.Context(), bootstrap.PruneWish{Cluster: "dev", Checkpoints: true})
	if err != nil || len(removed) != 2 {
		t.Errorf("removed %+v, %v", removed, err)
	}
	left, err := m.Checkpoints("dev")
	if err != nil || len(left) != 1 || left[0].Name != "mine" {
		t.Errorf("left are %+v, %v", left, err)
	}
}

func TestPruneOfImageStoreAndSoftware(t *testing.T) {
	m, _ := diskMachine(t)
	blobs := filepath.Join(m.dir.ImageStore(), "blobs", "sha256")
	if err := os.MkdirAll(blobs, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(m.dir.ImageStore(), "partial"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(blobs, "0123"), make([]byte, 5000), 0o600); err != nil {
		t.Fatal(err)
	}
	use, err := m.DiskUse(t.Context())
	if err != nil || use.Prunable != 5000 {
		t.Fatalf("%d bytes can be pruned, %v", use.Prunable, err)
	}
	removed, err := m.Prune(t.Context(), bootstrap.PruneWish{})
	if err != nil || len(removed) != 1 || removed[0].Kind != cluster.DiskUnfinished {
		t.Errorf("removed %+v, %v", removed, err)
	}
	if _, err := os.Stat(filepath.Join(blobs, "0123")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
}
