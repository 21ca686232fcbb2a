package nodetest

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"slices"
	"testing"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/node"
)

// grace is what nodes get to stop; the guest ends at once.
const grace = 5 * time.Second

func testPing(t *testing.T, s *suite) {
	info, err := s.d.Ping(t.Context())
	must(t, err)
	if info.Version == "" || info.APIVersion == "" || info.CPUs < 1 || info.MemoryBytes < 1 || info.Arch == "" {
		t.Errorf("incomplete: %+v", info)
	}
	if info.CgroupVersion != "1" && info.CgroupVersion != "2" {
		t.Errorf("got cgroup version %q", info.CgroupVersion)
	}
}

func testEnsureTwice(t *testing.T, s *suite) {
	n := s.node(s.cluster(t, 1), 1)
	before := s.start(t, n)
	if !before.Running || before.IP != n.Node.IP || before.ClusterID != n.Spec.ID || before.Payload != s.p.Hash {
		t.Errorf("not as wanted: %+v", before)
	}
	must(t, s.d.EnsureNetwork(t.Context(), n.Spec))
	must(t, s.d.EnsurePayload(t.Context(), s.p.Payload, nil))
	after := s.start(t, n)
	equal(t, "container", after.ID, before.ID)
	equal(t, "start time", after.Started, before.Started)
	equal(t, "times the payload was read", s.p.Opened.Load(), 1)
}

func testChangedSettings(t *testing.T, s *suite) {
	n := s.node(s.cluster(t, 1), 1)
	before := s.start(t, n)
	s.output(t, before.Name, "write", "/var/lib/kept", "kept")
	n.Node.MemoryBytes = 256 << 20
	limited := s.start(t, n)
	equal(t, "container with a limit", limited.ID, before.ID)
	equal(t, "start time with a limit", limited.Started, before.Started)
	n.Node.MemoryBytes = 300 << 20
	equal(t, "container with another limit", s.start(t, n).ID, before.ID)
	n.Node.MemoryBytes = 0
	after := s.start(t, n)
	if after.ID == before.ID {
		t.Error("the container was not replaced, although an engine cannot remove a limit")
	}
	equal(t, "volume content", s.output(t, after.Name, "cat", "/var/lib/kept"), "kept")
	equal(t, "file", s.output(t, after.Name, "cat", n.Files[0].Path), "first")
	n.Node.Mounts = []cluster.Mount{{Host: "/etc", Path: "/mnt/etc", ReadOnly: true}} // which every machine has
	mounted := s.start(t, n)
	if mounted.ID == after.ID {
		t.Error("the container was not replaced, although an engine cannot add a mount")
	}
	equal(t, "volume content with a mount", s.output(t, mounted.Name, "cat", "/var/lib/kept"), "kept")
	equal(t, "container with the same mounts", s.start(t, n).ID, mounted.ID)
}

func testStopStart(t *testing.T, s *suite) {
	n := s.node(s.cluster(t, 1), 1)
	before := s.start(t, n)
	s.output(t, before.Name, "write", "/var/lib/kept", "kept")
	must(t, s.d.StopNode(t.Context(), before.Name, grace))
	stopped := s.find(t, before.Name)
	if stopped.Running || stopped.State != "exited" || stopped.IP != n.Node.IP {
		t.Errorf("not stopped: %+v", stopped)
	}
	must(t, s.d.StopNode(t.Context(), before.Name, grace))

	after := s.start(t, n)
	equal(t, "container", after.ID, before.ID)
	equal(t, "address", after.IP, before.IP)
	equal(t, "running", after.Running, true)
	equal(t, "volume content", s.output(t, after.Name, "cat", "/var/lib/kept"), "kept")
	wantKind(t, s.d.StopNode(t.Context(), n.Spec.Name+"-77", grace), fault.NodeNotFound)
}

func testPause(t *testing.T, s *suite) {
	spec := s.cluster(t, 2)
	running, stopped := s.start(t, s.node(spec, 1)), s.start(t, s.node(spec, 2))
	must(t, s.d.StopNode(t.Context(), stopped.Name, 0))
	for range 2 { // the second time nothing happens
		for _, c := range []node.Container{running, stopped} {
			must(t, s.d.PauseNode(t.Context(), c.Name))
		}
		c := s.find(t, running.Name)
		equal(t, "paused", c.Paused(), true)
		equal(t, "running while paused", c.Running, false)
		equal(t, "up while paused", c.Up(), true)
		equal(t, "the stopped one is paused", s.find(t, stopped.Name).Paused(), false)
	}
	for range 2 {
		for _, c := range []node.Container{running, stopped} {
			must(t, s.d.UnpauseNode(t.Context(), c.Name))
		}
		c := s.find(t, running.Name)
		equal(t, "running again", c.Running, true)
		equal(t, "start time", c.Started, running.Started)
		equal(t, "the stopped one runs", s.find(t, stopped.Name).Up(), false)
	}
	// Frozen processes end all the same.
	must(t, s.d.PauseNode(t.Context(), running.Name))
	must(t, s.d.StopNode(t.Context(), running.Name, 0))
	equal(t, "up after its stop", s.find(t, running.Name).Up(), false)
	wantKind(t, s.d.PauseNode(t.Context(), "bonsai-nothing"), fault.NodeNotFound)
	wantKind(t, s.d.UnpauseNode(t.Context(), "bonsai-nothing"), fault.NodeNotFound)
}

func testFiles(t *testing.T, s *suite) {
	n := s.node(s.cluster(t, 1), 1)
	before := s.start(t, n)
	path := n.Files[0].Path
	equal(t, "content", s.output(t, before.Name, "cat", path), "first")
	equal(t, "mode", s.output(t, before.Name, "mode", path), "600")
	equal(t, "mode of the folder", s.output(t, before.Name, "mode", "/etc/bonsai"), "755")

	n.Files = []node.File{{Path: path, Mode: 0o644, Data: []byte("second")}}
	running := s.start(t, n)
	equal(t, "container", running.ID, before.ID)
	equal(t, "start time", running.Started, before.Started)
	equal(t, "content, running", s.output(t, before.Name, "cat", path), "second")
	equal(t, "mode, running", s.output(t, before.Name, "mode", path), "644")

	must(t, s.d.StopNode(t.Context(), before.Name, grace))
	n.Files[0].Data = []byte("third")
	equal(t, "container", s.start(t, n).ID, before.ID)
	equal(t, "content, after a stop", s.output(t, before.Name, "cat", path), "third")
}

func testData(t *testing.T, s *suite) {
	n := s.node(s.cluster(t, 1), 1)
	data := func(text string) func() (io.ReadCloser, error) {
		return func() (io.ReadCloser, error) {
			var b bytes.Buffer
			w := tar.NewWriter(&b)
			for _, h := range []*tar.Header{
				{Typeflag: tar.TypeDir, Name: "var/lib/bonsai/", Mode: 0o755}, {Typeflag: tar.TypeDir, Name: "var/lib/bonsai/volumes/", Mode: 0o711},
				{Typeflag: tar.TypeReg, Name: "var/lib/bonsai/volumes/file", Mode: 0o640, Uid: 1000, Size: int64(len(text))},
			} {
				if err := w.WriteHeader(h); err != nil {
					return nil, err
				}
			}
			if _, err := io.WriteString(w, text); err != nil {
				return nil, err
			}
			return io.NopCloser(&b), w.Close()
		}
	}
	n.Data = data("data")
	c := s.start(t, n)
	const path = "/var/lib/bonsai/volumes/file"
	equal(t, "content", s.output(t, c.Name, "cat", path), "data")
	equal(t, "mode", s.output(t, c.Name, "mode", path), "640")
	equal(t, "mode of the folder", s.output(t, c.Name, "mode", "/var/lib/bonsai"), "755")

	// Once: what is there now is the node's.
	n.Data = data("other data")
	s.start(t, n)
	must(t, s.d.StopNode(t.Context(), c.Name, grace))
	s.start(t, n)
	equal(t, "content, after a stop", s.output(t, c.Name, "cat", path), "data")

	// One that was stopped can get more.
	must(t, s.d.StopNode(t.Context(), c.Name, grace))
	must(t, s.d.FillNode(t.Context(), c.Name, data("more data")))
	s.start(t, n)
	equal(t, "content, after it was filled", s.output(t, c.Name, "cat", path), "more data")
	wantKind(t, s.d.FillNode(t.Context(), "nodetest-none", data("")), fault.NodeNotFound)
}

func testChangedNetwork(t *testing.T, s *suite) {
	spec := s.cluster(t, 1)
	before := s.start(t, s.node(spec, 1))
	spec.MTU = 1380
	wantKind(t, s.d.EnsureNetwork(t.Context(), spec), fault.Conflict) // in use
	must(t, s.d.StopNode(t.Context(), before.Name, grace))
	must(t, s.d.EnsureNetwork(t.Context(), spec))
	after := s.start(t, s.node(spec, 1))
	equal(t, "running", after.Running, true)
	equal(t, "address", after.IP, before.IP)
}

func testList(t *testing.T, s *suite) {
	a, b := s.cluster(t, 2), s.cluster(t, 1)
	s.start(t, s.node(a, 2))
	s.start(t, s.node(b, 1))
	s.start(t, s.node(a, 1))
	of := func(id string) (names []string) {
		all, err := s.d.List(t.Context(), id)
		must(t, err)
		for _, c := range all {
			if c.Cluster == a.Name || c.Cluster == b.Name { // others may live on the engine
				names = append(names, c.Node)
			}
		}
		return names
	}
	want := []string{a.Nodes[0].Name, a.Nodes[1].Name}
	if got := of(a.ID); !slices.Equal(got, want) {
		t.Errorf("one cluster: got %v, want %v", got, want)
	}
	if want = append(want, b.Nodes[0].Name); a.Name > b.Name {
		want = []string{want[2], want[0], want[1]}
	}
	if got := of(""); !slices.Equal(got, want) {
		t.Errorf("all: got %v, want %v", got, want)
	}
}

func testRemoveNode(t *testing.T, s *suite) {
	spec := s.cluster(t, 2)
	n := s.node(spec, 1)
	c, kept := s.start(t, n), s.start(t, s.node(spec, 2))
	s.output(t, c.Name, "write", "/var/lib/gone", "x")
	must(t, s.d.RemoveNode(t.Context(), spec.ID, c.Node))
	must(t, s.d.RemoveNode(t.Context(), spec.ID, c.Node))
	equal(t, "the other node", s.find(t, kept.Name).ID, kept.ID)
	s.start(t, n)
	if code, _, _ := s.run(t, c.Name, "cat", "/var/lib/gone"); code == 0 {
		t.Error("the volume was kept")
	}
}

func testRemoveCluster(t *testing.T, s *suite) {
	a, b := s.cluster(t, 2), s.cluster(t, 1)
	s.start(t, s.node(a, 1))
	must(t, s.d.StopNode(t.Context(), s.start(t, s.node(a, 2)).Name, grace))
	kept := s.start(t, s.node(b, 1))
	for range 2 {
		must(t, s.d.RemoveCluster(t.Context(), a.ID))
	}
	all, err := s.d.List(t.Context(), a.ID)
	must(t, err)
	equal(t, "containers", len(all), 0)
	equal(t, "network", s.hasNetwork(t, node.NetworkName(a)), false)
	equal(t, "the other cluster's network", s.hasNetwork(t, node.NetworkName(b)), true)
	equal(t, "the other cluster's node", s.find(t, kept.Name), kept)
}

func testCancel(t *testing.T, s *suite) {
	spec := s.cluster(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantKind(t, s.d.EnsureNode(ctx, s.node(spec, 1)), fault.Canceled)
	all, err := s.d.List(t.Context(), spec.ID)
	must(t, err)
	equal(t, "containers", len(all), 0)

	// In the middle of the payload.
	ctx, cancel = context.WithCancel(t.Context())
	other := NewPayload(t, s.Program, "other"+s.p.Hash)
	err = s.d.EnsurePayload(ctx, other.Payload, func(done, _ int64) {
		if done > other.Size/2 {
			cancel()
		}
	})
	wantKind(t, err, fault.Canceled)
	must(t, s.d.EnsurePayload(t.Context(), other.Payload, nil))
	equal(t, "times the payload was read", other.Opened.Load(), 2)
}

// network is a cluster of one node of which only the network exists.
func (s *suite) network(t *testing.T) *cluster.Spec {
	t.Helper()
	spec := s.plan(t, 1)
	must(t, s.d.EnsureNetwork(t.Context(), spec))
	return spec
}

func (s *suite) hasNetwork(t *testing.T, name string) bool {
	t.Helper()
	all, err := s.d.Networks(t.Context())
	must(t, err)
	return slices.ContainsFunc(all, func(n node.Network) bool { return n.Name == name })
}
