package cluster

import (
	"strings"
	"testing"
)

func TestParseTaint(t *testing.T) {
	for text, want := range map[string]string{
		"gpu=yes:NoSchedule": "", "gpu:NoExecute": "", "example.com/gpu:PreferNoSchedule": "",
		"gpu": "no effect", "gpu:Never": "Never", ":NoSchedule": "no name", "a b:NoSchedule": "may only", "Example/x:NoSchedule": "DNS name",
	} {
		got, err := ParseTaint(text)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
		if err == nil && got.String() != text {
			t.Errorf("%q is read as %s", text, got)
		}
	}
}

func TestParseNodeLabels(t *testing.T) {
	got, err := ParseNodeLabels([]string{"zone=a", "topology.kubernetes.io/zone=eu_1", "empty="})
	if err != nil || len(got) != 3 || got["topology.kubernetes.io/zone"] != "eu_1" || got["empty"] != "" {
		t.Errorf("got %v, %v", got, err)
	}
	for text, want := range map[string]string{
		"zone": "no value", "zone=a b": "may only", "zone=-a": "begin and end", "/x=1": "DNS name", "=1": "no name",
		"zone=" + strings.Repeat("a", 64): "at most 63", "node-role.kubernetes.io/control-plane=": "its own", "kubernetes.io/hostname=x": "its own",
	} {
		if _, err := ParseNodeLabels([]string{text}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	if _, err := ParseNodeLabels([]string{"zone=a", "zone=b"}); err == nil || !strings.Contains(err.Error(), `"a" and "b"`) {
		t.Errorf("twice: %v", err)
	}
}

func TestAnOlderSpecIsUpgraded(t *testing.T) {
	s := planned(2)
	s.Version = 3
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	s.Upgrade()
	if s.Version != SpecVersion || s.Nodes[0].Role() != RoleControlPlane || s.Nodes[1].Role() != RoleWorker {
		t.Errorf("upgraded to %+v", s)
	}
	// One of this version keeps what it says: its first node may have been deleted.
	s = planned(2)
	s.Nodes = s.Nodes[1:]
	if s.Upgrade(); s.Nodes[0].Role() != RoleWorker {
		t.Errorf("changed to %+v", s.Nodes)
	}
}
