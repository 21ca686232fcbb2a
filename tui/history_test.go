package tui

import (
	"testing"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

func TestHistoryOfAPod(t *testing.T) {
	s := shop()
	r := openCart(t, s, 120, 40)
	r.keys("left") // the last tab
	r.shows("[History]", "12:04:31  kubelet changed it", `status.phase  "Pending" → "Running"`,
		"12:04:01  kubectl set image (jane) changed it", `spec.containers[cart].image  "cart:1.4.1" → "cart:1.4.2"`, "spec.paused  true → removed", `metadata.labels.a → "b"`,
		"2026-03-13 11:04:31  kube-controller-manager (replicaset-controller) created it", "everything is recorded since 2026-03-13 10:04:31")
	r.keys("/", `"set image"`, "enter")
	r.shows("1 of 1")
}

func TestHistoryThatIsNotThere(t *testing.T) {
	s := shop()
	s.history = func() (cluster.History, error) { return cluster.History{}, nil }
	r := openCart(t, s, 120, 40)
	r.keys("left")
	r.shows("[History]", "no change is recorded")
	s.update(func() {
		s.history = func() (cluster.History, error) {
			return cluster.History{}, fault.Newf(fault.State, "changes of objects are not recorded")
		}
	})
	r.keys("right", "left")
	r.shows("[History]", "no change is recorded") // what was known stays
}
