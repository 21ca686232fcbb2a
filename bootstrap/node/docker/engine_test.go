package docker_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
	"go.uber.org/goleak"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/node"
	"bonsai/bootstrap/node/docker"
	"bonsai/bootstrap/node/nodetest"
	"bonsai/bootstrap/wait"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// engine is a real engine of which drivers see only the payloads that were made through it: others may be at work
// on it, and pruning would take theirs. Payloads look a week older once aged.
type engine struct {
	mu     sync.Mutex // guards what follows
	hashes map[string]bool
	aged   bool
}

// newEngine skips the test where no engine answers, and removes the test's payloads at its end.
func newEngine(t *testing.T) *engine {
	t.Helper()
	e := &engine{hashes: map[string]bool{}}
	d := e.driver(t)
	defer d.Close()
	if _, err := d.Ping(t.Context()); err != nil {
		t.Skipf("needs a Docker engine: %v", err)
	}
	t.Cleanup(func() {
		e.age(t)
		d := e.driver(t)
		defer d.Close()
		if err := d.PrunePayloads(context.Background(), "none"); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
	return e
}

func (e *engine) driver(t *testing.T) node.Driver {
	return docker.New(lens{e.api(t), e}, options())
}

// options scale the limits as the product does, for slow machines.
func options() docker.Options { return docker.Options{Scale: wait.FromEnv()} }

func (e *engine) api(t *testing.T) client.APIClient {
	t.Helper()
	api, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		t.Fatal(err)
	}
	return api
}

func (e *engine) age(*testing.T) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.aged = true
}

// foreign reports whether labels belong to somebody else's payload.
func (e *engine) foreign(labels map[string]string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	hash := labels[node.LabelPayload]
	return hash != "" && !e.hashes[hash]
}

// program builds the nodes' program once. BONSAI_TEST_GUEST names a built one, for machines without Go.
var program = sync.OnceValues(func() ([]byte, error) {
	if built := os.Getenv("BONSAI_TEST_GUEST"); built != "" {
		return os.ReadFile(built)
	}
	dir, err := os.MkdirTemp("", "bonsai-guest-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, "init")
	build := exec.Command("go", "build", "-ldflags=-s -w", "-o", out, "bonsai/bootstrap/node/nodetest/guest/init")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false -trimpath")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return nil, err
	}
	return os.ReadFile(out)
})

func guestProgram(t *testing.T) []byte {
	t.Helper()
	p, err := program()
	if err != nil {
		t.Fatalf("build the guest: %v", err)
	}
	return p
}

func TestConformance(t *testing.T) {
	e := newEngine(t)
	api := e.api(t)
	defer api.Close()
	nodetest.Run(t, nodetest.Harness{
		Driver: e.driver, Program: guestProgram(t), Age: e.age,
		Container: func(t *testing.T, name string, p node.Payload) {
			c, err := api.ContainerCreate(t.Context(), &container.Config{Image: p.ImageRef}, nil, nil, nil, name)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = api.ContainerRemove(context.Background(), c.ID, container.RemoveOptions{Force: true}) })
		},
		Network: func(t *testing.T, name string, subnet netip.Prefix) {
			n, err := api.NetworkCreate(t.Context(), name, network.CreateOptions{
				IPAM: &network.IPAM{Config: []network.IPAMConfig{{Subnet: subnet.String()}}},
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = api.NetworkRemove(context.Background(), n.ID) })
		},
		Volume: func(t *testing.T, name string) {
			if _, err := api.VolumeCreate(t.Context(), volume.CreateOptions{Name: name}); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = api.VolumeRemove(context.Background(), name, false) })
		},
		Image: func(t *testing.T, names ...string) {
			t.Cleanup(func() {
				for _, name := range names {
					_, _ = api.ImageRemove(context.Background(), name, image.RemoveOptions{Force: true})
				}
			})
			empty := bytes.NewReader(make([]byte, 1024)) // a tar archive without files
			said, err := api.ImageImport(t.Context(), image.ImportSource{Source: empty, SourceName: "-"}, names[0], image.ImportOptions{})
			if err != nil {
				t.Fatal(err)
			}
			_, err = io.Copy(io.Discard, said) // it is made by then
			if err := errors.Join(err, said.Close()); err != nil {
				t.Fatal(err)
			}
			for _, name := range names[1:] {
				if err := api.ImageTag(t.Context(), names[0], name); err != nil {
					t.Fatal(err)
				}
			}
		},
		RemoveContainer: func(t *testing.T, name string) {
			if err := api.ContainerRemove(t.Context(), name, container.RemoveOptions{Force: true}); err != nil {
				t.Fatal(err)
			}
		},
	})
}

// fixture is a planned cluster on the engine, for what only Docker can show.
type fixture struct {
	*engine
	d    node.Driver
	raw  client.APIClient
	p    nodetest.Payload
	spec *cluster.Spec
}

func newFixture(t *testing.T, nodes int) fixture {
	t.Helper()
	e := newEngine(t)
	f := fixture{engine: e, d: e.driver(t), raw: e.api(t), p: nodetest.NewPayload(t, guestProgram(t), rand.Text())}
	id := strings.ToLower(rand.Text())
	f.spec = &cluster.Spec{
		Version: cluster.SpecVersion, Name: "bt-" + id[len(id)-8:], ID: id, Suffix: id[:cluster.SuffixLength], MTU: 1390,
	}
	for i := range nodes {
		f.spec.Nodes = append(f.spec.Nodes, cluster.Node{Index: i + 1})
	}
	t.Cleanup(func() {
		if err := f.d.RemoveCluster(context.Background(), f.spec.ID); err != nil {
			t.Errorf("clean up: %v", err)
		}
		_ = f.d.Close()
		_ = f.raw.Close()
	})
	for third := range 256 {
		f.spec.Subnet = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 214, byte(third), 0}), 24)
		f.spec.Replan()
		err := f.d.EnsureNetwork(t.Context(), f.spec)
		if err == nil {
			return f
		}
		if fault.KindOf(err) != fault.Conflict {
			t.Fatal(err)
		}
	}
	t.Fatal("no free subnet")
	return f
}

func (f fixture) node(index int) node.NodeSpec {
	return node.NodeSpec{Spec: f.spec, Node: f.spec.Nodes[index-1], Payload: f.p.Hash, Image: f.p.ImageRef}
}

func (f fixture) container(index int) string {
	return node.ContainerName(f.spec, f.spec.Nodes[index-1])
}

// `docker network prune` takes the network of a stopped cluster.
func TestStoppedNodeSurvivesTheLossOfItsNetwork(t *testing.T) {
	f := newFixture(t, 1)
	ctx := t.Context()
	must(t, f.d.EnsurePayload(ctx, f.p.Payload, nil))
	must(t, f.d.EnsureNode(ctx, f.node(1)))
	name := f.container(1)
	must(t, f.d.StopNode(ctx, name, 0))
	must(t, f.raw.NetworkRemove(ctx, node.NetworkName(f.spec)))
	must(t, f.d.EnsureNetwork(ctx, f.spec))
	must(t, f.d.EnsureNode(ctx, f.node(1)))
	all, err := f.d.List(ctx, f.spec.ID)
	must(t, err)
	if len(all) != 1 || !all[0].Running || all[0].IP != f.spec.Nodes[0].IP {
		t.Errorf("got %+v, want one running node at %s", all, f.spec.Nodes[0].IP)
	}
}

// docker network disconnect leaves a container that runs and reaches nobody.
func TestANodeThatWasDisconnectedIsConnectedAgain(t *testing.T) {
	f := newFixture(t, 1)
	ctx := t.Context()
	must(t, f.d.EnsurePayload(ctx, f.p.Payload, nil))
	for what, stop := range map[string]bool{"running": false, "stopped": true} {
		must(t, f.d.EnsureNode(ctx, f.node(1)))
		if stop {
			must(t, f.d.StopNode(ctx, f.container(1), 0))
		}
		must(t, f.raw.NetworkDisconnect(ctx, node.NetworkName(f.spec), f.container(1), true))
		must(t, f.d.EnsureNode(ctx, f.node(1)))
		all, err := f.d.List(ctx, f.spec.ID)
		must(t, err)
		if len(all) != 1 || !all[0].Running || all[0].IP != f.spec.Nodes[0].IP {
			t.Errorf("%s: got %+v, want one running node at %s", what, all, f.spec.Nodes[0].IP)
		}
	}
}

// One filter spares all of it: docker system prune --filter label!=io.bonsai.
func TestEverythingHasOurLabel(t *testing.T) {
	f := newFixture(t, 1)
	ctx := t.Context()
	must(t, f.d.EnsurePayload(ctx, f.p.Payload, nil))
	must(t, f.d.EnsureNode(ctx, f.node(1)))
	has := func(what string, labels map[string]string) {
		t.Helper()
		if _, ok := labels[node.LabelOurs]; !ok {
			t.Errorf("%s has only the labels %v", what, labels)
		}
	}
	c, err := f.raw.ContainerInspect(ctx, f.container(1))
	must(t, err)
	has("the container", c.Config.Labels)
	for _, m := range c.Mounts {
		if m.Name == "" {
			continue
		}
		v, err := f.raw.VolumeInspect(ctx, m.Name)
		must(t, err)
		has("the volume at "+m.Destination, v.Labels)
	}
	pointer, err := f.raw.VolumeInspect(ctx, "bonsai-payload-"+f.p.Hash[:12])
	must(t, err)
	has("the volume that names the payload's", pointer.Labels)
	n, err := f.raw.NetworkInspect(ctx, node.NetworkName(f.spec), network.InspectOptions{})
	must(t, err)
	has("the network", n.Labels)
	i, err := f.raw.ImageInspect(ctx, f.p.ImageRef)
	must(t, err)
	has("the image", i.Config.Labels)
}

func TestTerminalGetsItsSize(t *testing.T) {
	f := newFixture(t, 1)
	ctx := t.Context()
	must(t, f.d.EnsurePayload(ctx, f.p.Payload, nil))
	must(t, f.d.EnsureNode(ctx, f.node(1)))
	sizes := make(chan node.Size, 1)
	sizes <- node.Size{Width: 101, Height: 43}
	var out bytes.Buffer
	code, err := f.d.Exec(ctx, f.container(1), node.Exec{
		Cmd: []string{"/opt/bonsai/bin/init", "await-size", "101", "43"}, TTY: true, Resize: sizes, Stdout: &out,
	})
	if err != nil || code != 0 || out.String() != "size 101x43" {
		t.Errorf("got code %d, %v, output %q", code, err, out.String())
	}
}

func TestExecEndsWithItsContext(t *testing.T) {
	f := newFixture(t, 1)
	must(t, f.d.EnsurePayload(t.Context(), f.p.Payload, nil))
	must(t, f.d.EnsureNode(t.Context(), f.node(1)))
	ctx, cancel := context.WithCancel(t.Context())
	r, w, err := os.Pipe()
	must(t, err)
	defer w.Close()
	defer r.Close()
	cancelled := make(chan struct{})
	go func() {
		defer close(cancelled)
		cancel()
	}()
	_, err = f.d.Exec(ctx, f.container(1), node.Exec{Cmd: []string{"/opt/bonsai/bin/init", "upper"}, Stdin: r})
	<-cancelled
	if fault.KindOf(err) != fault.Canceled {
		t.Errorf("got %v, want %s", err, fault.Canceled)
	}
}

func TestSaveImages(t *testing.T) {
	f := newFixture(t, 0)
	must(t, f.d.EnsurePayload(t.Context(), f.p.Payload, nil))
	stream, err := f.d.SaveImages(t.Context(), []string{f.p.ImageRef})
	must(t, err)
	defer stream.Close()
	var archive bytes.Buffer
	_, err = archive.ReadFrom(stream)
	must(t, err)
	if !strings.Contains(archive.String(), "manifest.json") || !strings.Contains(archive.String(), f.p.ImageRef) {
		t.Errorf("got %d bytes that are no docker archive of %s", archive.Len(), f.p.ImageRef)
	}
	if _, err := f.d.SaveImages(t.Context(), []string{"bonsai-no-such-image"}); fault.KindOf(err) != fault.Image {
		t.Errorf("got %v, want %s", err, fault.Image)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// remote hides that the engine is on this machine.
type remote struct{ client.APIClient }

func (remote) DaemonHost() string { return "tcp://192.0.2.1:2375" }

// What a remote engine grants shows only when it is asked; three nodes ask at once.
func TestNodesStartWhateverAnUnknownEngineGrants(t *testing.T) {
	f := newFixture(t, 3)
	ctx := t.Context()
	must(t, f.d.EnsurePayload(ctx, f.p.Payload, nil))
	far := docker.New(remote{f.api(t)}, options())
	defer far.Close()
	var wg sync.WaitGroup
	errs := make([]error, 3)
	for i := range errs {
		wg.Go(func() { errs[i] = far.EnsureNode(ctx, f.node(i+1)) })
	}
	wg.Wait()
	must(t, errors.Join(errs...))
	all, err := f.d.List(ctx, f.spec.ID)
	must(t, err)
	for _, c := range all {
		if !c.Running {
			t.Errorf("%s does not run: %+v", c.Name, c)
		}
	}
	info, err := far.Ping(ctx)
	must(t, err)
	if info.HostReachesNodes {
		t.Error("nodes of a remote engine are said to be within reach")
	}
	// A privileged container and what the local look says must agree, or the fallback was taken without need.
	near := f.driver(t)
	defer near.Close()
	must(t, near.RemoveNode(ctx, f.spec.ID, f.spec.Nodes[0].Name))
	must(t, near.EnsureNode(ctx, f.node(1)))
	again, err := f.d.List(ctx, f.spec.ID)
	must(t, err)
	if again[0].Privileged != all[0].Privileged {
		t.Errorf("privileged: got %v by looking, %v by trying", again[0].Privileged, all[0].Privileged)
	}
}

func TestNodeIsAsItsSettingsSay(t *testing.T) {
	f := newFixture(t, 1)
	ctx := t.Context()
	f.spec.Nodes[0].MemoryBytes = 256 << 20
	must(t, f.d.EnsurePayload(ctx, f.p.Payload, nil))
	must(t, f.d.EnsureNode(ctx, f.node(1)))
	run := func(args ...string) (int, string) {
		var out bytes.Buffer
		code, err := f.d.Exec(ctx, f.container(1), node.Exec{
			Cmd: append([]string{"/opt/bonsai/bin/init"}, args...), Stdout: &out, Stderr: &out,
		})
		must(t, err)
		return code, strings.TrimSpace(out.String())
	}
	for path, want := range map[string]string{
		"/proc/sys/net/ipv4/ip_forward": "1",
		"/proc/sys/kernel/hostname":     f.spec.Nodes[0].Name,
		"/sys/class/net/eth0/mtu":       "1390",
	} {
		if code, got := run("cat", path); code != 0 || got != want {
			t.Errorf("%s: got %q (code %d), want %q", path, got, code, want)
		}
	}
	if code, out := run("write", "/proc/sys/net/ipv4/conf/all/rp_filter", "0"); code != 0 {
		t.Errorf("sysctls cannot be written: %s", out)
	}
	if code, _ := run("write", "/opt/bonsai/changed", "x"); code == 0 {
		t.Error("a node can change the payload of all")
	}
	_, mounts := run("cat", "/proc/self/mounts")
	for _, want := range []string{" /run tmpfs ", " /tmp tmpfs ", " /var "} {
		if !strings.Contains(mounts, want) {
			t.Errorf("no %s in\n%s", want, mounts)
		}
	}
	if strings.Contains(mounts, " /proc/kcore ") || strings.Contains(mounts, " /proc/sys proc ro") {
		t.Errorf("parts of /proc are hidden or read-only, so that pods get none:\n%s", mounts)
	}
	_, hosts := run("cat", "/etc/hosts")
	if !strings.Contains(hosts, f.spec.Gateway.String()) {
		t.Errorf("the gateway has no name in\n%s", hosts)
	}
}
