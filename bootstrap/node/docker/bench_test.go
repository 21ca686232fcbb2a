package docker_test

import (
	"context"
	"crypto/rand"
	"errors"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/client"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/node"
	"bonsai/bootstrap/node/docker"
	"bonsai/bootstrap/node/nodetest"
)

// BenchmarkThreeNodes measures the engine's part of a start, a restart and a delete.
func BenchmarkThreeNodes(b *testing.B) {
	d, err := docker.Connect(os.Getenv, docker.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	if _, err := d.Ping(b.Context()); err != nil {
		b.Skipf("needs a Docker engine: %v", err)
	}
	guest, err := program()
	if err != nil {
		b.Fatal(err)
	}
	p := nodetest.NewPayload(b, guest, rand.Text())
	spec := &cluster.Spec{Version: 1, Name: "bt-bench", ID: rand.Text(), Subnet: netip.MustParsePrefix("10.215.0.0/24")}
	spec.Nodes = []cluster.Node{{Index: 1}, {Index: 2}, {Index: 3}}
	spec.Replan()
	phase := func(name string, f func() error) {
		began := time.Now()
		if err := f(); err != nil {
			b.Fatal(name, err)
		}
		b.ReportMetric(float64(time.Since(began).Milliseconds()), name+"-ms")
	}
	parallel := func(f func(cluster.Node) error) func() error {
		return func() error {
			var wg sync.WaitGroup
			errs := make([]error, len(spec.Nodes))
			for i, n := range spec.Nodes {
				wg.Go(func() { errs[i] = f(n) })
			}
			wg.Wait()
			return errors.Join(errs...)
		}
	}
	ctx := context.Background()
	ensure := parallel(func(n cluster.Node) error {
		return d.EnsureNode(ctx, node.NodeSpec{Spec: spec, Node: n, Payload: p.Hash, Image: p.ImageRef,
			Files: []node.File{{Path: "/etc/bonsai/node.json", Mode: 0o600, Data: []byte("{}")}}})
	})
	for b.Loop() {
		phase("payload-first", func() error { return d.EnsurePayload(ctx, p.Payload, nil) })
		phase("network", func() error { return d.EnsureNetwork(ctx, spec) })
		phase("nodes", ensure)
		phase("nodes-again", ensure)
		phase("list", func() error { _, err := d.List(ctx, spec.ID); return err })
		phase("stop", parallel(func(n cluster.Node) error { return d.StopNode(ctx, n.Name, 5*time.Second) }))
		phase("restart", ensure)
		phase("delete", func() error { return d.RemoveCluster(ctx, spec.ID) })
		other, err := docker.Connect(os.Getenv, docker.Options{})
		if err != nil {
			b.Fatal(err)
		}
		phase("payload-present", func() error { return other.EnsurePayload(ctx, p.Payload, nil) })
		phase("ping", func() error { _, err := other.Ping(ctx); return err })
		_ = other.Close()
	}
	// Nothing but this benchmark's own payload: everybody else's may be in use.
	api, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		b.Fatal(err)
	}
	own := &engine{hashes: map[string]bool{p.Hash: true}, aged: true}
	cleaner := docker.New(lens{api, own}, docker.Options{})
	defer cleaner.Close()
	if err := cleaner.PrunePayloads(ctx, "none"); err != nil {
		b.Error(err)
	}
}
