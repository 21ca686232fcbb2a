package nodetest

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
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

func testNewPayload(t *testing.T, s *suite) {
	n := s.node(s.cluster(t, 1), 1)
	before := s.start(t, n)
	s.output(t, before.Name, "write", "/var/lib/kept", "kept")
	newer := NewPayload(t, s.Program, "newer"+s.p.Hash)
	must(t, s.d.EnsurePayload(t.Context(), newer.Payload, nil))
	n.Payload, n.Image = newer.Hash, newer.ImageRef
	after := s.start(t, n)
	equal(t, "payload", after.Payload, newer.Hash)
	equal(t, "volume content", s.output(t, after.Name, "cat", "/var/lib/kept"), "kept")
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

func testExec(t *testing.T, s *suite) {
	c := s.start(t, s.node(s.cluster(t, 1), 1))
	code, _, _ := s.run(t, c.Name, "exit", "7")
	equal(t, "exit code", code, 7)
	_, stdout, stderr := s.run(t, c.Name, "both")
	equal(t, "stdout", stdout, "to stdout")
	equal(t, "stderr", stderr, "to stderr")
	equal(t, "env", s.output(t, c.Name, "env", "COLOUR"), "green")

	var out bytes.Buffer
	input := strings.Repeat("leaf ", 100_000)
	code, err := s.d.Exec(t.Context(), c.Name, node.Exec{
		Cmd: []string{entrypoint, "upper"}, Stdin: strings.NewReader(input), Stdout: &out,
	})
	must(t, err)
	if code != 0 || out.String() != strings.ToUpper(input) {
		t.Errorf("got code %d and %d bytes, want 0 and the input in upper case", code, out.Len())
	}
	_, err = s.d.Exec(t.Context(), "bt-no-such-node", node.Exec{Cmd: []string{entrypoint}})
	wantKind(t, err, fault.NodeNotFound)
	must(t, s.d.StopNode(t.Context(), c.Name, grace))
	_, err = s.d.Exec(t.Context(), c.Name, node.Exec{Cmd: []string{entrypoint}})
	wantKind(t, err, fault.NotRunning)
}

func testLogs(t *testing.T, s *suite) {
	n := s.node(s.cluster(t, 1), 1)
	c := s.start(t, n)
	line := "node " + c.Node + " is up\n"
	followed := newLines()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	var followErr error
	wg.Go(func() { followErr = s.d.Logs(ctx, c.Name, 0, true, followed) })
	followed.await(t, ctx, line) // the guest has written it by now
	must(t, s.d.StopNode(t.Context(), c.Name, grace))
	wg.Wait() // following ends with the container
	must(t, followErr)

	must(t, s.d.EnsureNode(t.Context(), n))
	s.output(t, c.Name, "env", "COLOUR") // by then the guest's first line is out
	must(t, s.d.StopNode(t.Context(), c.Name, grace))
	var all, last bytes.Buffer
	must(t, s.d.Logs(t.Context(), c.Name, 0, false, &all))
	must(t, s.d.Logs(t.Context(), c.Name, 1, false, &last))
	equal(t, "all", all.String(), line+line)
	equal(t, "the last line", last.String(), line)
	wantKind(t, s.d.Logs(t.Context(), "bt-no-such-node", 0, false, &all), fault.NodeNotFound)
}

func testForeignContainer(t *testing.T, s *suite) {
	spec := s.cluster(t, 1)
	n := s.node(spec, 1)
	name := node.ContainerName(spec, n.Node)
	s.Container(t, name, s.p.Payload)
	wantKind(t, s.d.EnsureNode(t.Context(), n), fault.Conflict, name)
	must(t, s.d.RemoveNode(t.Context(), spec.ID, n.Node.Name))
	wantKind(t, s.d.EnsureNode(t.Context(), n), fault.Conflict, name)
	all, err := s.d.List(t.Context(), spec.ID)
	must(t, err)
	equal(t, "containers of the cluster", len(all), 0)
}

func testForeignNetwork(t *testing.T, s *suite) {
	spec := s.plan(t, 0)
	name := node.NetworkName(spec)
	s.Network(t, name, spec.Subnet)
	wantKind(t, s.d.EnsureNetwork(t.Context(), spec), fault.Conflict, name)
	must(t, s.d.RemoveCluster(t.Context(), spec.ID))
	if !s.hasNetwork(t, name) {
		t.Error("the foreign network was removed")
	}
}

func testForeignVolume(t *testing.T, s *suite) {
	spec := s.cluster(t, 1)
	n := s.node(spec, 1)
	name := node.VolumeName(spec, n.Node)
	s.Volume(t, name)
	wantKind(t, s.d.EnsureNode(t.Context(), n), fault.Conflict, name)
	must(t, s.d.RemoveNode(t.Context(), spec.ID, n.Node.Name))
	must(t, s.d.RemoveCluster(t.Context(), spec.ID))
	must(t, s.d.EnsureNetwork(t.Context(), spec))
	wantKind(t, s.d.EnsureNode(t.Context(), n), fault.Conflict, name) // the removals have left it
}

func testImageNames(t *testing.T, s *suite) {
	must(t, s.d.EnsurePayload(t.Context(), s.p.Payload, nil))
	id := strings.ToLower(rand.Text())
	one, two := "bonsai-nodetest/"+id+":1", "bonsai-nodetest/"+id+":2"
	s.Image(t, two, one)
	names, err := s.d.ImageNames(t.Context())
	must(t, err)
	if !slices.IsSorted(names) || !slices.Contains(names, one) || !slices.Contains(names, two) {
		t.Errorf("got %v, want them sorted, with %s and %s", names, one, two)
	}
	if slices.Contains(names, s.p.ImageRef) {
		t.Errorf("the image of nodes is in %v", names)
	}
	if found, err := s.d.FindImages(t.Context(), []string{one, "bonsai-nodetest/" + id + ":3", two}); err != nil || len(found) != 2 || found[0].Ref != one || found[1].Ref != two || found[0].ID != found[1].ID {
		t.Errorf("found %+v, %v", found, err)
	}
}

func testTakenSubnet(t *testing.T, s *suite) {
	first, second := s.cluster(t, 0), s.plan(t, 0)
	second.Subnet = first.Subnet
	second.Replan()
	err := s.d.EnsureNetwork(t.Context(), second)
	wantKind(t, err, fault.Conflict, first.Subnet.String())
	equal(t, "is taken", errors.Is(err, node.ErrTaken), true)
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

func testBrokenPayload(t *testing.T, s *suite) {
	err := s.d.EnsurePayload(t.Context(), s.p.broken(), nil)
	if !errors.Is(err, errBroken) {
		t.Fatalf("got %v, want the stream's own error", err)
	}
	wantKind(t, s.d.EnsureNode(t.Context(), s.node(s.network(t), 1)), fault.Engine, s.p.Hash)
	var last, total int64
	must(t, s.d.EnsurePayload(t.Context(), s.p.Payload, func(d, n int64) { last, total = d, n }))
	equal(t, "times the payload was read", s.p.Opened.Load(), 2)
	if last < s.p.Size || total < last {
		t.Errorf("progress ended at %d of %d, want at least %d", last, total, s.p.Size)
	}
	c := s.start(t, s.node(s.cluster(t, 1), 1))
	equal(t, "running", c.Running, true)
}

func testNoPayload(t *testing.T, s *suite) {
	wantKind(t, s.d.EnsureNode(t.Context(), s.node(s.network(t), 1)), fault.Engine, s.p.Hash)
}

func testConcurrentPayload(t *testing.T, s *suite) {
	var wg sync.WaitGroup
	errs := make([]error, 3)
	for i := range errs {
		wg.Go(func() {
			d := s.Driver(t)
			errs[i] = errors.Join(d.EnsurePayload(t.Context(), s.p.Payload, nil), d.Close())
		})
	}
	wg.Wait()
	must(t, errors.Join(errs...))
	read := s.p.Opened.Load()
	c := s.start(t, s.node(s.cluster(t, 1), 1))
	equal(t, "times the payload was read after that", s.p.Opened.Load()-read, 0)
	equal(t, "ballast", len(s.output(t, c.Name, "cat", cluster.PayloadDir+"/ballast")), 4<<20)
}

func testPrune(t *testing.T, s *suite) {
	s.start(t, s.node(s.cluster(t, 1), 1)) // uses s.p
	wanted, unused := NewPayload(t, s.Program, "wanted"+s.p.Hash), NewPayload(t, s.Program, "unused"+s.p.Hash)
	must(t, s.d.EnsurePayload(t.Context(), wanted.Payload, nil))
	must(t, s.d.EnsurePayload(t.Context(), unused.Payload, nil))
	s.Age(t)
	wantUse(t, s, wanted.Hash, map[string]bool{s.p.Hash: false, wanted.Hash: false, unused.Hash: true})
	must(t, s.d.PrunePayloads(t.Context(), wanted.Hash))
	wantUse(t, s, wanted.Hash, map[string]bool{s.p.Hash: false, wanted.Hash: false})
	for _, p := range []Payload{s.p, wanted, unused} {
		must(t, s.d.EnsurePayload(t.Context(), p.Payload, nil))
	}
	equal(t, "times the used one was read", s.p.Opened.Load(), 1)
	equal(t, "times the wanted one was read", wanted.Opened.Load(), 1)
	equal(t, "times the unused one was read", unused.Opened.Load(), 2)
}

// wantUse compares which payloads take room, and whether they can be pruned; and that the first node does.
func wantUse(t *testing.T, s *suite, keep string, want map[string]bool) {
	t.Helper()
	list, err := s.d.DiskUse(t.Context(), keep)
	must(t, err)
	got, nodes := map[string]bool{}, map[string]bool{}
	for _, u := range list {
		if u.Kind == node.UseVolume && u.Payload != "" {
			got[u.Payload] = got[u.Payload] || u.Prunable
		}
		if u.ClusterID != "" && u.Node != "" {
			nodes[u.Kind] = true
			equal(t, "prunable of "+u.Name, u.Prunable, false)
		}
	}
	for hash, prunable := range want {
		if is, found := got[hash]; !found || is != prunable {
			t.Errorf("payload %s: found %v, prunable %v, want %v", hash, found, is, prunable)
		}
	}
	equal(t, "a volume and a container of a node", nodes[node.UseVolume] && nodes[node.UseContainer], true)
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

// lines is a writer that can be waited on.
type lines struct {
	mu    sync.Mutex // guards text
	text  string
	grown chan struct{}
}

func newLines() *lines { return &lines{grown: make(chan struct{}, 1)} }

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	l.text += string(b)
	l.mu.Unlock()
	select {
	case l.grown <- struct{}{}:
	default:
	}
	return len(b), nil
}

func (l *lines) await(t *testing.T, ctx context.Context, want string) {
	t.Helper()
	for {
		l.mu.Lock()
		have := strings.Contains(l.text, want)
		l.mu.Unlock()
		if have {
			return
		}
		select {
		case <-l.grown:
		case <-ctx.Done():
			t.Fatalf("never read %q", want)
		}
	}
}
