package localapi

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

// Drain repeats what was requested as its progress.
func (b *backend) Drain(_ context.Context, r cluster.DrainRequest, send func(cluster.DrainProgress) error) error {
	for _, n := range r.Nodes {
		if err := send(cluster.DrainProgress{Node: n, Detail: r.Limit.String()}); err != nil {
			return err
		}
	}
	return b.failure()
}

func (b *backend) Uncordon(_ context.Context, nodes []string) error {
	if !slices.Equal(nodes, []string{"dev-1", "dev-2"}) {
		return errors.New("other nodes were named")
	}
	return b.failure()
}

func TestDrainRoundTrip(t *testing.T) {
	b := newBackend()
	c, _, _ := serve(t, b)
	r := cluster.DrainRequest{Nodes: []string{"dev-1", "dev-2"}, Limit: time.Minute}
	var got []cluster.DrainProgress
	drain := func() error {
		got = nil
		return c.Drain(t.Context(), r, func(p cluster.DrainProgress) error { got = append(got, p); return nil })
	}
	if want := []cluster.DrainProgress{{Node: "dev-1", Detail: "1m0s"}, {Node: "dev-2", Detail: "1m0s"}}; drain() != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	if err := c.Uncordon(t.Context(), r.Nodes); err != nil {
		t.Error(err)
	}
	b.fail(fault.Newf(fault.Blocked, "1 thing would be lost").WithEvidence("pod default/a"))
	err := drain()
	if p := fault.Problem(err); fault.KindOf(err) != fault.Blocked || !slices.Equal(p.Evidence, []string{"pod default/a"}) || len(got) != 2 {
		t.Errorf("got %v after %+v", err, got)
	}
	if err := c.Uncordon(t.Context(), r.Nodes); fault.KindOf(err) != fault.Blocked {
		t.Errorf("got %v", err)
	}
}

func (b *backend) Leave(_ context.Context, node string) ([]cluster.ServingPod, error) {
	return []cluster.ServingPod{{Namespace: "default", Name: node, UID: "1"}}, b.failure()
}

// Await repeats the names of the pods as its progress.
func (b *backend) Await(_ context.Context, node string, pods []cluster.ServingPod, send func(cluster.DrainProgress) error) error {
	for _, p := range pods {
		if err := send(cluster.DrainProgress{Node: node, Detail: p.Name}); err != nil {
			return err
		}
	}
	return b.failure()
}

func TestHandoverRoundTrip(t *testing.T) {
	b := newBackend()
	c, _, _ := serve(t, b)
	pods, err := c.Leave(t.Context(), "dev-1")
	if want := []cluster.ServingPod{{Namespace: "default", Name: "dev-1", UID: "1"}}; err != nil || !slices.Equal(pods, want) {
		t.Errorf("got %v, %v", pods, err)
	}
	var got []cluster.DrainProgress
	if err := c.Await(t.Context(), "dev-2", pods, func(p cluster.DrainProgress) error { got = append(got, p); return nil }); err != nil {
		t.Error(err)
	}
	if want := []cluster.DrainProgress{{Node: "dev-2", Detail: "dev-1"}}; !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	b.fail(fault.Newf(fault.Node, "it is gone"))
	if _, err := c.Leave(t.Context(), "dev-1"); fault.KindOf(err) != fault.Node {
		t.Errorf("got %v", err)
	}
	if err := c.Await(t.Context(), "dev-1", nil, nil); fault.KindOf(err) != fault.Node {
		t.Errorf("got %v", err)
	}
}
