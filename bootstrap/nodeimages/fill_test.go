package nodeimages

import (
	"fmt"
	"testing"
	"time"

	"bonsai/bootstrap/cluster"
)

func TestTransfers(t *testing.T) {
	at := func(second int) time.Time { return time.Unix(int64(second), 0) }
	loaded := func(name, target string, second int) cluster.NodeImage {
		return cluster.NodeImage{Name: name, Target: target, Loaded: true, Updated: at(second)}
	}
	pulled := func(name string) cluster.NodeImage { return cluster.NodeImage{Name: name, Target: "p"} }
	for _, tt := range []struct {
		name            string
		have            map[string][]cluster.NodeImage
		targets, loaded []string
		want            string
	}{
		{
			"a new node gets what was loaded, and not what was pulled",
			map[string][]cluster.NodeImage{"1": {loaded("a", "x", 1), loaded("a@x", "x", 1), pulled("p")}, "2": nil, "3": nil},
			[]string{"2", "3"}, []string{"a"}, "[{1 [2 3] [a a@x]}] []",
		},
		{
			"nothing is missing",
			map[string][]cluster.NodeImage{"1": {loaded("a", "x", 1)}, "2": {loaded("a", "x", 2)}},
			[]string{"1", "2"}, []string{"a"}, "[] []",
		},
		{
			"a node that was away has an old image",
			map[string][]cluster.NodeImage{"1": {loaded("a", "y", 5)}, "2": {loaded("a", "x", 1)}},
			[]string{"1", "2"}, []string{"a"}, "[{1 [2] [a]}] []",
		},
		{
			"images of two nodes",
			map[string][]cluster.NodeImage{"1": {loaded("a", "x", 1)}, "2": {loaded("b", "y", 1)}, "3": nil},
			[]string{"3"}, []string{"a", "b"}, "[{1 [3] [a]} {2 [3] [b]}] []",
		},
		{
			"a node that is not a target stays as it is",
			map[string][]cluster.NodeImage{"1": {loaded("a", "x", 1)}, "2": nil},
			[]string{"1"}, []string{"a"}, "[] []",
		},
		{
			"no node has it any more",
			map[string][]cluster.NodeImage{"1": {pulled("p")}},
			[]string{"1"}, []string{"a", "b", "p"}, "[] [a b]",
		},
	} {
		transfers, lost := Transfers(tt.have, tt.targets, tt.loaded)
		if got := fmt.Sprint(transfers, lost); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}
