package cluster_test

import (
	"slices"
	"strings"
	"testing"

	"bonsai/bootstrap/cluster"
)

func TestComponentsAreNamedWithAndWithoutKube(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string
	}{
		{"etcd,apiserver", []string{cluster.Etcd, cluster.APIServer}},
		{"kube-scheduler, apiserver,etcd", []string{cluster.Etcd, cluster.APIServer, cluster.Scheduler}},
		{"all", cluster.ControlPlaneComponents()},
	} {
		got, err := cluster.ParseComponents([]string{c.text})
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%q: got %v, %v, want %v", c.text, got, err, c.want)
		}
	}
}

func TestWrongComponentsAreNamed(t *testing.T) {
	for text, want := range map[string]string{
		"etcd":                    "cannot be left out",
		"":                        `component "" is not one of`,
		"etcd,apiserver,kubelet":  `component "kubelet" is not one of`,
		"scheduler,apiserver":     "cannot be left out",
		"etcd,apiserver,schedule": `component "schedule" is not one of`,
	} {
		if _, err := cluster.ParseComponents([]string{text}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got the error %v, want %q", text, err, want)
		}
	}
}

func TestAllComponentsRunUnlessSomeAreChosen(t *testing.T) {
	var s cluster.Spec
	if left := s.LeftOut(); len(left) > 0 {
		t.Errorf("a spec without a choice leaves out %v", left)
	}
	s.RunComponents([]string{cluster.Etcd, cluster.APIServer})
	if s.Runs(cluster.Scheduler) || !s.Runs(cluster.Etcd) {
		t.Errorf("components are %v, want etcd and the API server", s.Components)
	}
	s.RunComponents(cluster.ControlPlaneComponents())
	if s.Components != nil {
		t.Errorf("all components are written as %v, want nothing: a later bonsai may have more", s.Components)
	}
}

func TestNodesNeedControllers(t *testing.T) {
	s := cluster.Spec{Name: "dev", Nodes: []cluster.Node{{Name: "dev-1"}}}
	s.RunComponents([]string{cluster.Etcd, cluster.APIServer, cluster.ControllerManager})
	if err := s.CheckComponents(); err != nil {
		t.Errorf("without a scheduler: %v", err)
	}
	s.RunComponents([]string{cluster.Etcd, cluster.APIServer, cluster.Scheduler})
	if err := s.CheckComponents(); err == nil {
		t.Error("nodes without controllers are accepted")
	}
	s.Nodes = nil
	if err := s.CheckComponents(); err != nil {
		t.Errorf("without nodes: %v", err)
	}
}
