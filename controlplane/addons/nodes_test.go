package addons

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"

	"bonsai/bootstrap/cluster"
)

func TestOnNodes(t *testing.T) {
	spec := cluster.Spec{Nodes: []cluster.Node{{Name: "n1"}, {Name: "n2"}, {Name: "n3", Stopped: true}}}
	c := Cluster{Spec: func() cluster.Spec { return spec }, Log: slog.New(slog.DiscardHandler)}
	var o OnNodes
	var mu sync.Mutex // guards asked
	var asked []string
	silent := "n2"
	do := func(want ...string) {
		t.Helper()
		asked = nil
		o.Do(t.Context(), c, func(_ context.Context, n cluster.Node) error {
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, n.Name)
			if n.Name == silent {
				return errors.New("no answer")
			}
			return nil
		})
		if slices.Sort(asked); !slices.Equal(asked, want) {
			t.Errorf("asked were %v, want %v", asked, want)
		}
	}
	do("n1", "n2")
	do("n2")
	silent = ""
	do("n2")
	do()
	spec.Nodes[2].Stopped = false
	do("n3")
	o.Forget()
	do("n1", "n2", "n3")
}
