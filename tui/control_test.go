package tui

import (
	"slices"
	"strings"
	"testing"

	"bonsai/bootstrap/cluster"
)

func TestControlPlaneIsDrawn(t *testing.T) {
	r := newRig(t, shop(), 120, 40)
	r.keys("8")
	r.settled()
	r.shows("kube-scheduler", "unschedulable 1", "38 loops", "27/s  p99 9.0ms", "watches 212", "18M, 48 objects", "fsync p99 2.0ms", "dev-3", "kubectl, this screen",
		"etcd stores every object", "1/16")
	r.resize(80, 24)
	r.shows("scheduler    ─ 2.4/s 4.0ms", "kubelets 3", "COMPONENT")
	r.resize(50, 20)
	r.until("a list alone", func(s string) bool { return strings.Contains(s, "kube-apiserver") && !strings.Contains(s, "38 loops") })
}

func TestControlPlaneReportsTrouble(t *testing.T) {
	s := shop()
	s.snapshot.Components[0] = cluster.Component{Name: "etcd", Phase: cluster.PhaseFailed, Restarts: 3, Reason: "no space left on device"}
	s.load.ControlPlane.Links[4].Errors = 2
	r := newRig(t, s, 120, 40)
	r.keys("8")
	r.settled()
	r.shows("✗ etcd", "2.0 errors/s", "no space left on device")
}

func TestControlPlaneWithManyNodes(t *testing.T) {
	for _, nodes := range []int{0, 1, 2, 4, 5, 30} {
		s := shop()
		one := s.snapshot.Nodes[0]
		s.snapshot.Nodes = slices.Repeat([]cluster.NodeStatus{one}, nodes)
		for i := range s.snapshot.Nodes {
			s.snapshot.Nodes[i].Name = strings.Repeat("n", i+1)
		}
		r := newRig(t, s, 120, 40)
		r.keys("8")
		r.until("a picture", func(screen string) bool { return strings.Contains(screen, "kube-scheduler") })
		for _, size := range terminalSizes() {
			r.resize(size[0], size[1])
			r.frame(size[0], size[1])
		}
	}
}

func TestComponentsHaveLogs(t *testing.T) {
	r := newRig(t, shop(), 100, 30)
	r.keys("8")
	r.shows("kube-proxy")
	r.keys("j", "enter")
	r.shows("a line of kube-apiserver")
	r.keys("esc", "G", "l")
	r.shows("a line of kube-proxy")
	if got := r.u.page().crumb(); !strings.Contains(got, "kube-proxy on dev-3") {
		t.Errorf("the log is called %q", got)
	}
}
