package localapi

import (
	"context"
	"errors"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

// flowBackend sends one Flows, or nothing but an error.
type flowBackend struct{ failed error }

var someFlows = cluster.Flows{
	Time: time.Unix(1000, 0).UTC(), Since: time.Unix(990, 0).UTC(), Nodes: map[string]string{"dev-2": "away"},
	Flows: []cluster.Flow{{
		From: cluster.FlowEnd{Kind: cluster.FlowPod, Namespace: "shop", Name: "web", Address: netip.MustParseAddr("10.244.1.5")},
		To:   cluster.FlowEnd{Kind: cluster.FlowOutside, Address: netip.MustParseAddr("192.0.2.1")}, Proto: "TCP", Port: 443,
		Address: netip.MustParseAddr("192.0.2.1"), Asked: "example.com", Open: 1, Last: time.Unix(999, 0).UTC(),
	}},
}

func (b *flowBackend) Flows(ctx context.Context, send func(cluster.Flows) error) error {
	if b.failed != nil {
		return b.failed
	}
	if err := send(someFlows); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func TestFlows(t *testing.T) {
	c, _, _ := serve(t, newBackend())
	enough := errors.New("enough")
	if err := c.Flows(t.Context(), func(f cluster.Flows) error {
		if !reflect.DeepEqual(f, someFlows) {
			t.Errorf("got %+v", f)
		}
		return enough
	}); !errors.Is(err, enough) {
		t.Errorf("the reader's own error: %v", err)
	}
	b := newBackend()
	b.flowBackend.failed = fault.Newf(fault.NotRunning, "still starting")
	c, _, _ = serve(t, b)
	if err := c.Flows(t.Context(), func(cluster.Flows) error { return nil }); fault.KindOf(err) != fault.NotRunning {
		t.Errorf("an error at once: %v", err)
	}
}

func (b *flowBackend) Why(_ context.Context, q cluster.WhyQuestion) (cluster.Why, error) {
	return cluster.Why{To: q.To, Ends: cluster.WhyTopic(q.From), Steps: []cluster.WhyStep{{Topic: cluster.WhyName, State: cluster.WhyFailed, Saw: q.Port}}}, b.failed
}

func TestWhy(t *testing.T) {
	b := newBackend()
	c, _, _ := serve(t, b)
	q := cluster.WhyQuestion{From: "shop/web", To: "db", Port: "5432"}
	if way, err := c.Why(t.Context(), q); err != nil || way.To != "db" || way.Ends != "shop/web" || way.Steps[0].Saw != "5432" {
		t.Errorf("got %+v, %v", way, err)
	}
	b = newBackend()
	b.flowBackend.failed = fault.Newf(fault.ObjectNotFound, "no such pod")
	c, _, _ = serve(t, b)
	if _, err := c.Why(t.Context(), q); fault.KindOf(err) != fault.ObjectNotFound {
		t.Errorf("an end that does not exist: %v", err)
	}
}
