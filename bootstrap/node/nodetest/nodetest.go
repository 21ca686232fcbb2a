// Package nodetest is the suite that every node.Driver passes. Begin reading at Run.
//
// It makes clusters of its own names and networks in TestRange, and removes them, so that it can run beside
// real clusters on a shared engine. Payloads stay behind for the harness to remove.
package nodetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"math/big"
	"net/netip"
	"strings"
	"testing"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/node"
)

// TestRange is where the suite's networks lie, apart from those of real clusters.
var TestRange = netip.MustParsePrefix("10.213.0.0/16")

// Harness is an engine under test.
type Harness struct {
	// Driver returns a driver on the engine that knows nothing yet, as in a new process. The suite closes it.
	Driver func(t *testing.T) node.Driver
	// Program is a static build of guest/init, or anything where the engine itself runs package guest.
	Program []byte
	// Container, Network, Volume and Image make things that are not bonsai's, until the test ends.
	Container func(t *testing.T, name string, p node.Payload)
	Network   func(t *testing.T, name string, subnet netip.Prefix)
	Volume    func(t *testing.T, name string)
	// Image makes one with several names.
	Image func(t *testing.T, names ...string)
	// RemoveContainer removes a container and keeps its volumes, as a user does by hand.
	RemoveContainer func(t *testing.T, name string)
	// Age makes the engine's payloads so old that an unused one may be removed.
	Age func(t *testing.T)
}

// suite is one test's view of the engine.
type suite struct {
	Harness
	d node.Driver
	p Payload
}

// Run runs the suite, each behaviour as a subtest.
func Run(t *testing.T, h Harness) {
	for _, c := range []struct {
		name string
		test func(*testing.T, *suite)
	}{
		{"PingKnowsTheEngine", testPing},
		{"EnsureTwiceChangesNothing", testEnsureTwice},
		{"ChangedSettingsReplaceTheContainerAndKeepItsVolume", testChangedSettings},
		{"ANewPayloadReplacesTheContainer", testNewPayload},
		{"StopAndStartKeepAddressAndVolume", testStopStart},
		{"APausedNodeDoesNothingAndKeepsItsState", testPause},
		{"FilesAreUpdated", testFiles},
		{"ANewContainerGetsItsData", testData},
		{"ExecPassesStreamsAndExitCode", testExec},
		{"LogsAreTheContainersOutput", testLogs},
		{"ForeignContainerIsLeftAlone", testForeignContainer},
		{"ForeignNetworkIsLeftAlone", testForeignNetwork},
		{"ForeignVolumeIsLeftAlone", testForeignVolume},
		{"ClustersOfOneNameLiveSideBySide", testSameName},
		{"WithoutAnIDNothingIsRemoved", testNoID},
		{"ClustersWithoutSuffixKeepTheirNames", testNoSuffix},
		{"ImagesAreListedByAllTheirNamesExceptItsOwn", testImageNames},
		{"TakenSubnetIsAConflict", testTakenSubnet},
		{"NetworksTellTheAPIPort", testAPIPort},
		{"IdleNetworkWithOtherSettingsIsRecreated", testChangedNetwork},
		{"ListIsByClusterInOrder", testList},
		{"RemovingNodeRemovesItsVolume", testRemoveNode},
		{"RemovingIsRepeatableAndTouchesOneCluster", testRemoveCluster},
		{"BrokenPayloadIsFilledAgain", testBrokenPayload},
		{"NodeNeedsItsPayload", testNoPayload},
		{"PayloadWrittenTwiceAtOnceIsWhole", testConcurrentPayload},
		{"PruneKeepsWhatIsUsedOrWanted", testPrune},
		{"CancelledStartLeavesNothing", testCancel},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &suite{Harness: h, d: h.Driver(t), p: NewPayload(t, h.Program, rand.Text())}
			t.Cleanup(func() { _ = s.d.Close() })
			c.test(t, s)
		})
	}
}

// cluster plans a cluster of n nodes, and has it removed at the end; its network and payload exist.
func (s *suite) cluster(t *testing.T, n int) *cluster.Spec {
	t.Helper()
	return s.made(t, s.plan(t, n))
}

// namesake is another cluster of the same name.
func (s *suite) namesake(t *testing.T, of *cluster.Spec) *cluster.Spec {
	t.Helper()
	spec := s.plan(t, len(of.Nodes))
	spec.Name = of.Name
	for i := range spec.Nodes {
		spec.Nodes[i].Name = of.Nodes[i].Name
	}
	return s.made(t, spec)
}

// made makes network and payload of a planned cluster.
func (s *suite) made(t *testing.T, spec *cluster.Spec) *cluster.Spec {
	t.Helper()
	spec.Replan()
	for range 10 {
		err := s.d.EnsureNetwork(t.Context(), spec)
		if fault.KindOf(err) == fault.Conflict { // somebody else's test has it
			spec.Subnet = randomSubnet(t)
			spec.Replan()
			continue
		}
		must(t, err)
		break
	}
	must(t, s.d.EnsurePayload(t.Context(), s.p.Payload, nil))
	return spec
}

// plan plans a cluster that is removed at the end.
func (s *suite) plan(t *testing.T, n int) *cluster.Spec {
	t.Helper()
	id := strings.ToLower(rand.Text())
	spec := &cluster.Spec{
		Version: cluster.SpecVersion, Name: "bt-" + id[len(id)-8:], ID: id, Suffix: id[:cluster.SuffixLength],
		Subnet: randomSubnet(t), MTU: 1390, APIPort: 7443,
	}
	for i := range n {
		spec.Nodes = append(spec.Nodes, cluster.Node{Index: i + 1})
	}
	spec.Replan()
	t.Cleanup(func() {
		// Removal has to work while the test's own context has ended.
		d := s.Driver(t)
		defer d.Close()
		if err := d.RemoveCluster(context.Background(), spec.ID); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
	return spec
}

func randomSubnet(t *testing.T) netip.Prefix {
	n, err := rand.Int(rand.Reader, big.NewInt(256))
	must(t, err)
	a := TestRange.Addr().As4()
	a[2] = byte(n.Int64())
	return netip.PrefixFrom(netip.AddrFrom4(a), 24)
}

// node is the wanted node of an index, with one file.
func (s *suite) node(spec *cluster.Spec, index int) node.NodeSpec {
	return node.NodeSpec{
		Spec: spec, Node: spec.Nodes[index-1], Payload: s.p.Hash, Image: s.p.ImageRef,
		Files: []node.File{{Path: "/etc/bonsai/pki/test.key", Mode: 0o600, Data: []byte("first")}},
	}
}

// start ensures the node and returns what List says of it.
func (s *suite) start(t *testing.T, n node.NodeSpec) node.Container {
	t.Helper()
	must(t, s.d.EnsureNode(t.Context(), n))
	return s.find(t, node.ContainerName(n.Spec, n.Node))
}

func (s *suite) find(t *testing.T, name string) node.Container {
	t.Helper()
	all, err := s.d.List(t.Context(), "")
	must(t, err)
	for _, c := range all {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("no container %s in %v", name, all)
	return node.Container{}
}

// run executes a guest command and returns its code and outputs.
func (s *suite) run(t *testing.T, container string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code, err := s.d.Exec(t.Context(), container, node.Exec{
		Cmd: append([]string{entrypoint}, args...), Env: []string{"COLOUR=green"}, Stdout: &out, Stderr: &errs,
	})
	must(t, err)
	return code, out.String(), errs.String()
}

// output is run for commands that have to succeed.
func (s *suite) output(t *testing.T, container string, args ...string) string {
	t.Helper()
	code, out, errs := s.run(t, container, args...)
	if code != 0 {
		t.Fatalf("%v in %s: exit code %d: %s", args, container, code, errs)
	}
	return out
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantKind(t *testing.T, err error, kind fault.Kind, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("got no error, want %s", kind)
	}
	if got := fault.KindOf(err); got != kind {
		t.Fatalf("got kind %s (%v), want %s", got, err, kind)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("got %q, want it to name %q", err, w)
		}
	}
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, fmt.Sprint(got), fmt.Sprint(want))
	}
}
