package tui

import (
	"encoding/json"
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

func TestChangesOfTheCluster(t *testing.T) {
	s := shop()
	s.history = func() (cluster.History, error) {
		return cluster.History{More: true, Changes: []cluster.Change{
			{Revision: 12, Time: fakeNow, Change: cluster.ChangeDeleted, ObjectName: cluster.ObjectName{Kind: "Secret", Resource: "secrets", Namespace: "shop", Name: "s"}, Manager: "helm"},
			{
				Revision: 11, Time: fakeNow, Change: cluster.ChangeUpdated, ObjectName: cluster.ObjectName{Kind: "Pod", Resource: "pods", Namespace: "shop", Name: "cart-7d9f4-x2k"},
				Who: "kubectl edit", User: "jane", Fields: []cluster.FieldChange{{Path: "metadata.labels.a"}, {Path: "spec.paused", Before: json.RawMessage("true")}},
			},
			{Revision: 10, Time: fakeNow, Change: cluster.ChangeCreated, ObjectName: cluster.ObjectName{Resource: "widgets", Name: "w"}, User: "system:serviceaccount:a:b"},
		}}, nil
	}
	r := newRig(t, s, 140, 30)
	r.settled()
	r.u.push(newChangesPage(r.u))
	r.shows("CHANGES", "the newest 3", "Secret/s", "was deleted", "helm", "Pod/cart-7d9f4-x2k", "spec.paused  true → removed  and 1 more", "kubectl edit (jane)", "widgets/w", "was created", "1/3")
	r.keys("enter")
	r.shows("nothing is known about the type Secret")
	r.keys("j")
	r.shows("2/3")
	r.keys("enter")
	r.shows("[History]", "shop/cart-7d9f4-x2k")
	r.keys("esc")
	r.shows("CHANGES")
	r.keys("/", `"kubectl"`, "enter")
	r.shows("1/1")
}
