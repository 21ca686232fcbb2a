package nodeimages

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"bonsai/bootstrap/cluster"
)

func TestFill(t *testing.T) {
	at := func(second int) time.Time { return time.Unix(int64(second), 0) }
	loaded := func(name, target string, second int) cluster.NodeImage {
		return cluster.NodeImage{Name: name, Target: target, Loaded: true, Updated: at(second)}
	}
	pulled := func(name string) cluster.NodeImage { return cluster.NodeImage{Name: name, Target: "p"} }
	for _, tt := range []struct {
		name     string
		have     map[string][]cluster.NodeImage
		targets  []string
		recorded map[string]string
		stored   string
		want     string
	}{
		{
			"a new node gets what was loaded, and not what was pulled",
			map[string][]cluster.NodeImage{"1": {loaded("a", "x", 1), loaded("a@x", "x", 1), pulled("p")}, "2": nil, "3": nil},
			[]string{"2", "3"}, map[string]string{"a": "x", "a@x": "x"}, "x", "[{[2 3] [a a@x]}] map[] []",
		},
		{
			"nothing is missing",
			map[string][]cluster.NodeImage{"1": {loaded("a", "x", 1)}, "2": {loaded("a", "x", 2)}},
			[]string{"1", "2"}, map[string]string{"a": "x"}, "x", "[] map[] []",
		},
		{
			"a node that was away has an old image",
			map[string][]cluster.NodeImage{"1": {loaded("a", "y", 5)}, "2": {loaded("a", "x", 1)}},
			[]string{"1", "2"}, map[string]string{"a": "y"}, "xy", "[{[2] [a]}] map[] []",
		},
		{
			"no node has it any more, and the store does",
			map[string][]cluster.NodeImage{"1": {pulled("p")}, "2": nil},
			[]string{"1", "2"}, map[string]string{"a": "x"}, "x", "[{[1 2] [a]}] map[] []",
		},
		{
			"only a node has it",
			map[string][]cluster.NodeImage{"1": {loaded("a", "x", 1)}, "2": {loaded("a", "w", 0), loaded("b", "y", 1)}, "3": nil},
			[]string{"3"}, map[string]string{"a": "", "b": "y"}, "", "[{[3] [a b]}] map[1:[a] 2:[b]] []",
		},
		{
			"a node that is not a target stays as it is",
			map[string][]cluster.NodeImage{"1": {loaded("a", "x", 1)}, "2": nil},
			[]string{"1"}, map[string]string{"a": "x"}, "x", "[] map[] []",
		},
		{
			"nobody has it any more",
			map[string][]cluster.NodeImage{"1": {pulled("p")}},
			[]string{"1"}, map[string]string{"a": "", "b": "x", "p": ""}, "", "[] map[] [a b]",
		},
	} {
		f := Fill(tt.have, tt.targets, tt.recorded, func(target string) bool { return strings.Contains(tt.stored, target) })
		if got := fmt.Sprint(f.Deliveries, f.Adoptions, f.Lost); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}
