package diagnose_test

import (
	"strings"
	"testing"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/observe/problems/diagnose"
)

func TestStore(t *testing.T) {
	problems := func(s cluster.Store) []cluster.Problem {
		return diagnose.Parts(cluster.Snapshot{Name: "dev", Store: &s})
	}
	if got := problems(cluster.Store{Size: 79 << 20, Quota: 100 << 20}); len(got) != 0 {
		t.Errorf("at 79%%: %+v", got)
	}
	shares := []cluster.StoreShare{{Resource: "configmaps", Bytes: 70 << 20, Versions: 70}, {Resource: "/fill/", Bytes: 5 << 20, Versions: 1}}
	for name, tc := range map[string]struct {
		store                  cluster.Store
		severity               cluster.Severity
		summary, cause, advice string
	}{
		"nearly full": {cluster.Store{Size: 80 << 20, Quota: 100 << 20, Shares: shares}, cluster.SeverityWarning,
			"etcd is 80% full: 80 MB of 100 MB", "it is taken by configmaps 70 MB (70 versions), /fill/ 5 MB (1 version)",
			"bonsai kubectl -p dev -- get configmaps --all-namespaces"},
		"full": {cluster.Store{Size: 90 << 20, Quota: 100 << 20, ReadOnly: true, Shares: shares[1:]}, cluster.SeverityError,
			"etcd is full (100 MB) and refuses all writes: nothing can be created or changed", "it is taken by /fill/ 5 MB (1 version)",
			"bonsai start -p dev"},
	} {
		t.Run(name, func(t *testing.T) {
			got := problems(tc.store)
			if len(got) != 1 || got[0].Kind != cluster.ProblemStore || got[0].Severity != tc.severity || got[0].Summary != tc.summary ||
				got[0].Cause != tc.cause || !strings.Contains(got[0].HintText(), tc.advice) {
				t.Errorf("got %+v\n%s", got, got[0].HintText())
			}
		})
	}
}
