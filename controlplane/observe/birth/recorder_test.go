package birth

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"bonsai/bootstrap/cluster"
)

func at(n int) time.Time { return time.Unix(int64(n), 0) }

func pod(n int) Pod { return Pod{"ns", fmt.Sprint("pod-", n), fmt.Sprint("uid-", n)} }

func find(t *testing.T, r *Recorder, p Pod) Record {
	t.Helper()
	got, _, ok := r.Find(p.Namespace, p.Name)
	if !ok {
		t.Fatalf("%s is not known", p.Name)
	}
	return got
}

func TestFirstTimesCount(t *testing.T) {
	r, p := NewRecorder(3), pod(1)
	r.Queued(p, at(1)) // before anybody made it: not ours
	r.Creating(p)
	r.Queued(p, at(2))
	r.Created(p, Call{Who: "kubectl", Span: Span{at(1), at(3)}})
	r.Queued(p, at(4))
	r.Decided(p, Span{at(4), at(5)}, cluster.Decision{})
	r.Decided(p, Span{at(6), at(7)}, cluster.Decision{Node: "n"})
	r.Bound(Pod{Namespace: p.Namespace, Name: p.Name}, Call{Who: "kube-scheduler"})
	r.Reported(p, at(8), Conditions{Sandbox: true})
	if !r.Follows(p.UID) {
		t.Error("a pod that is not ready is not followed")
	}
	r.Reported(p, at(9), Conditions{Sandbox: true, Ready: true})
	r.Reported(p, at(10), Conditions{Ready: true})
	if r.Follows(p.UID) || r.Follows("other") {
		t.Error("pods are followed that are ready or unknown")
	}
	r.Pulling(p, "main", at(8))
	r.Pulling(p, "main", at(9))
	r.Pulled(p, "main", at(10), "pulled")
	r.Pulled(p, "main", at(11), "present")
	r.Pulling(p, "main", at(12))
	got := find(t, r, p)
	if !got.Queued.Equal(at(2)) || got.Created.Who != "kubectl" || got.Bound.Who != "kube-scheduler" {
		t.Errorf("got %+v", got)
	}
	if got.Decision.Node != "n" || got.Decision.Attempts != 2 || !got.Cycle.Begin.Equal(at(6)) {
		t.Errorf("the decision is %+v in %v, want the newest", got.Decision, got.Cycle)
	}
	if !got.Reported.Equal(at(8)) || !got.Sandbox.Equal(at(8)) || !got.Ready.Equal(at(9)) || !got.ContainersReady.IsZero() {
		t.Errorf("got %+v", got)
	}
	if len(got.Pulls) != 1 || !got.Pulls[0].Begin.Equal(at(8)) || !got.Pulls[0].End.Equal(at(10)) || got.Pulls[0].Message != "pulled" {
		t.Errorf("pulls are %+v", got.Pulls)
	}
}

func TestNamesMeanTheNewestPodThatWasMade(t *testing.T) {
	r := NewRecorder(5)
	first, second, refused := Pod{"ns", "web", "1"}, Pod{"ns", "web", "2"}, Pod{"ns", "web", "3"}
	r.Creating(first)
	r.Created(first, Call{})
	r.Creating(second)
	r.Created(second, Call{})
	r.Creating(refused)
	r.NotCreated(refused) // the name is taken
	if got := find(t, r, second); got.UID != "2" {
		t.Errorf("the name means %s", got.UID)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	r := NewRecorder(3)
	for n := range 10 {
		r.Creating(pod(n))
		if n%3 == 1 {
			r.NotCreated(pod(n))
			continue
		}
		r.Created(pod(n), Call{})
	}
	if len(r.pods) > 3 || len(r.newest) != len(r.pods) || len(r.ring) != 3 {
		t.Errorf("%d pods, %d names, ring of %d", len(r.pods), len(r.newest), len(r.ring))
	}
	if _, _, ok := r.Find("ns", "pod-2"); ok {
		t.Error("the oldest is still known")
	}
	find(t, r, pod(9))
	for n := range 40 {
		r.Pulling(pod(9), fmt.Sprint("c", n), at(1))
	}
	if got := find(t, r, pod(9)); len(got.Pulls) != maxPulls {
		t.Errorf("%d pulls are kept", len(got.Pulls))
	}
}

func TestChangesWakeWhoeverWaits(t *testing.T) {
	r, p := NewRecorder(1), pod(1)
	r.Creating(p)
	for what, change := range map[string]func(){
		"news":      func() { r.Queued(p, at(1)) },
		"forgotten": func() { r.Creating(pod(2)) },
	} {
		r.Creating(p)
		_, changed, _ := r.Find(p.Namespace, p.Name)
		select {
		case <-changed:
			t.Errorf("%s: woken without a change", what)
		default:
		}
		change()
		select {
		case <-changed:
		default:
			t.Errorf("%s: not woken", what)
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	r := NewRecorder(8)
	var wg sync.WaitGroup
	for n := range 4 {
		wg.Go(func() {
			for i := range 200 {
				p := pod(i%10 + n)
				r.Creating(p)
				r.Decided(p, Span{}, cluster.Decision{})
				r.Pulling(p, "main", at(i))
				got, _, _ := r.Find(p.Namespace, p.Name)
				_ = len(got.Pulls)
			}
		})
	}
	wg.Wait()
}

func BenchmarkBirth(b *testing.B) {
	r := NewRecorder(Limit)
	verdicts := []cluster.NodeVerdict{{Node: "n1", Scores: map[string]int64{"a": 1}}, {Node: "n2"}}
	for n := 0; b.Loop(); n++ {
		p := Pod{"ns", "web", fmt.Sprint(n)}
		r.Creating(p)
		r.Created(p, Call{})
		r.Queued(p, at(1))
		r.Decided(p, Span{}, cluster.Decision{Verdicts: verdicts})
		r.Bound(p, Call{})
		r.Reported(p, at(1), Conditions{Ready: true})
	}
}
