package load

import (
	"reflect"
	"testing"
	"time"

	"bonsai/bootstrap/cluster"
)

func TestBetween(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	before := cluster.NodeCounters{Clock: 100 * time.Second, CPU: 10 * time.Second, Pods: []cluster.PodCounters{{UID: "old", CPU: 4 * time.Second, Memory: 1}, {UID: "gone", CPU: time.Second, Memory: 1}, {UID: "again", CPU: 9 * time.Second, Memory: 1}}}
	after := cluster.NodeCounters{
		Time: at, Clock: 102 * time.Second, CPU: 13 * time.Second, CPUs: 4, Memory: 5, MemoryLimit: 6, DiskUsed: 7, DiskSize: 8,
		Pods: []cluster.PodCounters{{UID: "again", CPU: time.Second, Memory: 2}, {UID: "new", CPU: 500 * time.Millisecond, Memory: 3}, {UID: "old", CPU: 5 * time.Second, Memory: 4}},
	}
	want := cluster.NodeUsage{
		Time: at, CPU: 1.5, CPUs: 4, Memory: 5, MemoryLimit: 6, DiskUsed: 7, DiskSize: 8,
		Pods: []cluster.PodUsage{{UID: "again", CPU: 0.5, Memory: 2}, {UID: "new", CPU: 0.25, Memory: 3}, {UID: "old", CPU: 0.5, Memory: 4}},
	}
	if got := between(before, after); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	for _, clock := range []time.Duration{100 * time.Second, time.Second} { // the same reading, another boot
		after.Clock = clock
		if got := between(before, after); got.CPU != 0 || got.Pods[0].CPU != 0 || got.Memory != 5 {
			t.Errorf("after no time: %+v", got)
		}
	}
}
