package componentstatus

import (
	"maps"
	"slices"
	"testing"

	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/kubernetes/pkg/probe"

	"bonsai/bootstrap/cluster"
)

func TestServersHaveUpstreamsNames(t *testing.T) {
	got := servers([]cluster.Component{
		{Name: "etcd", Phase: cluster.PhaseRunning}, {Name: "kube-apiserver", Phase: cluster.PhaseRunning},
		{Name: "kube-controller-manager", Phase: cluster.PhaseRunning}, {Name: "kube-scheduler", Phase: cluster.PhaseRunning},
	}, make([]storagebackend.Config, 1))
	if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, []string{"controller-manager", "etcd-0", "scheduler"}) {
		t.Errorf("names are %v", names)
	}
}

func TestACheckSaysWhyAComponentDoesNotRun(t *testing.T) {
	for _, tc := range []struct {
		c    cluster.Component
		want probe.Result
		text string // of the error
	}{
		{cluster.Component{Phase: cluster.PhaseRunning}, probe.Success, ""},
		{cluster.Component{Phase: cluster.PhaseStarting}, probe.Failure, "it is starting"},
		{cluster.Component{Phase: cluster.PhaseFailed, Reason: "exited unexpectedly"}, probe.Failure, "it has failed: exited unexpectedly"},
	} {
		got, _, err := component{tc.c}.DoServerCheck()
		text := ""
		if err != nil {
			text = err.Error()
		}
		if got != tc.want || text != tc.text {
			t.Errorf("%s: %s %q, want %s %q", tc.c.Phase, got, text, tc.want, tc.text)
		}
	}
}
