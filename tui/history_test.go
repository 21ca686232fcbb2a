package tui

import (
	"encoding/json"
	"slices"
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

func TestRevert(t *testing.T) {
	s := shop()
	r := openCart(t, s, 120, 40)
	r.keys("left")
	r.shows("[History]", "jane")
	r.keys("j", "j", "j", "R") // on a field of the change before
	r.shows("make pod shop/cart-7d9f4-x2k as it was at 11:04:31?", "spec.replicas  3 → 2", `metadata.labels.team  "shop" → –`, "cluster: dev", "Revert")
	r.keys("enter") // Cancel is the default
	r.keys("R")
	r.shows("Revert")
	r.keys("right", "enter")
	r.shows("pod shop/cart-7d9f4-x2k is as it was at 11:04:31")
	s.mu.Lock()
	defer s.mu.Unlock()
	if want := []string{"pods./shop/cart-7d9f4-x2k@41"}; !slices.Equal(s.reverted, want) {
		t.Errorf("reverted were %q, want %q", s.reverted, want)
	}
}

func TestRevertOfADeletedObject(t *testing.T) {
	s := shop()
	s.history = func() (cluster.History, error) {
		return cluster.History{Changes: []cluster.Change{{
			Revision: 12, Time: fakeNow, Change: cluster.ChangeDeleted,
			ObjectName: cluster.ObjectName{APIVersion: "apps/v1", Kind: "Deployment", Resource: "deployments", Namespace: "shop", Name: "web"}, Who: "kubectl delete",
		}}}, nil
	}
	s.revert = func(bool) (cluster.Reverted, error) {
		return cluster.Reverted{Change: cluster.ChangeCreated, At: fakeNow}, nil
	}
	r := newRig(t, s, 120, 40)
	r.settled()
	r.u.push(newChangesPage(r.u))
	r.shows("Deployment/web", "was deleted")
	r.keys("R")
	r.shows("it does not exist; it is created again as it was, as a new object")
	r.keys("right", "enter")
	r.shows("deployment shop/web was created again")
	r.keys("esc", "L")
	r.shows("bonsai revert deployments.apps/web -p dev -n shop")
	s.update(func() {
		if want := []string{"deployments.apps/shop/web@0"}; !slices.Equal(s.reverted, want) {
			t.Errorf("reverted were %q, want %q", s.reverted, want)
		}
	})
}

func TestRevertThatIsNotPossible(t *testing.T) {
	s := shop()
	s.revert = func(bool) (cluster.Reverted, error) { return cluster.Reverted{At: fakeNow}, nil }
	r := openCart(t, s, 120, 40)
	r.keys("left")
	r.shows("kubelet changed it")
	r.keys("R")
	r.shows("pod shop/cart-7d9f4-x2k is like that")
	s.update(func() {
		s.revert = func(bool) (cluster.Reverted, error) {
			return cluster.Reverted{}, fault.Newf(fault.Refused, "a policy forbids it")
		}
	})
	r.keys("R")
	r.shows("failed: revert pod shop/cart-7d9f4-x2k", "a policy forbids it")

	read := newRig(t, shop(), 120, 40, func(o *Options) { o.ReadOnly = true })
	read.settled()
	read.u.push(newChangesPage(read.u))
	read.shows("CHANGES", "jane")
	read.keys("R")
	read.shows("bonsai ui runs with --readonly")
}
