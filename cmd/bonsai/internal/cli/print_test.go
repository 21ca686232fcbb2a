package cli

import (
	"testing"

	"bonsai/bootstrap/cluster"
)

// A line about an object begins with its name, unless the sentence has the name itself.
func TestSubject(t *testing.T) {
	for _, tc := range []struct{ object, summary, want string }{
		{"node/dev-1", "the kubelet of dev-1 does not answer", ""},
		{"node/dev-1", "the node is gone: dev-1.", ""},
		{"node/dev-1", "its range belongs to dev-12", "node dev-1: "},
		{"node/dev-1", "the kubelet does not answer", "node dev-1: "},
		{"namespace/a", "a-b is being deleted", "namespace a: "},
		{"component/etcd/member", "etcd is full", ""},
	} {
		if got := subject(cluster.Problem{Object: tc.object, Summary: tc.summary}); got != tc.want {
			t.Errorf("%s, %q: %q, want %q", tc.object, tc.summary, got, tc.want)
		}
	}
}
