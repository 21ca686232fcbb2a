package nodetest

import (
	"errors"
	"sync"
	"testing"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/node"
)

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
