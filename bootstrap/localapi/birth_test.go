package localapi

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

func (b *backend) Birth(_ context.Context, namespace, name string, send func(cluster.Birth) error) error {
	b.mu.Lock()
	births, failed := b.births, b.failed
	b.mu.Unlock()
	for _, v := range births {
		v.Namespace, v.Name = namespace, name
		if err := send(v); err != nil {
			return err
		}
	}
	return failed
}

// has makes births what all later calls are sent.
func (b *backend) has(births ...cluster.Birth) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.births = births
}

func TestBirth(t *testing.T) {
	b := newBackend()
	want := []cluster.Birth{
		{Namespace: "shop", Name: "a&b", Steps: []cluster.BirthStep{{Step: "api", Who: "kubectl", End: time.Millisecond, Exact: true}}},
		{Namespace: "shop", Name: "a&b", Ready: true, Scheduling: &cluster.Decision{Node: "n", Verdicts: []cluster.NodeVerdict{
			{Node: "n", Scores: map[string]int64{"Fit": 7}, Total: 7}, {Node: "m", Plugin: "NodeName", Rejected: []string{"no"}},
		}}},
	}
	b.has(want...)
	c, _, _ := serve(t, b)
	var got []cluster.Birth
	collect := func(v cluster.Birth) error { got = append(got, v); return nil }
	if err := c.Birth(t.Context(), "shop", "a&b", collect); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	enough := errors.New("enough")
	if err := c.Birth(t.Context(), "shop", "x", func(cluster.Birth) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("got %v, want the callback's own error", err)
	}
	b.fail(fault.Newf(fault.ControlPlane, "broken"))
	if err := c.Birth(t.Context(), "shop", "x", collect); fault.KindOf(err) != fault.ControlPlane {
		t.Errorf("an error at the end of the stream becomes %v", err)
	}
	b.has()
	b.fail(fault.Newf(fault.ObjectNotFound, "pod shop/x does not exist").Advise("look"))
	err := c.Birth(t.Context(), "shop", "x", collect)
	if fault.KindOf(err) != fault.ObjectNotFound || fault.Problem(err).HintText() != "look" {
		t.Errorf("a pod that does not exist: %v", err)
	}
	if err := c.Birth(t.Context(), "", "x", collect); fault.KindOf(err) != fault.Usage {
		t.Errorf("no namespace: %v", err)
	}
}
