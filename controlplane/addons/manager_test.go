package addons

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/bootstrap/cluster"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestDefaultsAreAppliedAndOthersAreNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, newMemory(), nil, newThing("a", true), newThing("b", false), newThing("c", true, "a"))
		w.has(t, "a-1", "a-2", "c-1", "c-2")
		w.is(t, "a=installing", "b=disabled", "c=installing")
		w.run(t)
		defer w.end()
		w.is(t, "a=running", "b=disabled", "c=running")
	})
}

func TestEnableAndDisableWhileRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ends []string
		b := &controller{thing: newThing("b", false)}
		w := begin(t, newMemory(), nil, newThing("a", true), b)
		b.run = func(ctx context.Context, _ Cluster) error {
			<-ctx.Done()
			ends = append(ends, fmt.Sprintf("ended with %v", w.store.names()))
			return ctx.Err()
		}
		w.run(t)
		defer w.end()
		if got := w.choose(map[string]bool{"b": true}); got[1] != cluster.AddonInstalling {
			t.Errorf("right after Reload b is %s", got[1])
		}
		synctest.Wait()
		w.is(t, "a=running", "b=running")
		w.has(t, "a-1", "a-2", "b-1", "b-2")

		if got := w.choose(map[string]bool{"b": false}); got[1] != cluster.AddonRemoving {
			t.Errorf("right after Reload b is %s", got[1])
		}
		synctest.Wait()
		time.Sleep(time.Second)
		w.is(t, "a=running", "b=disabled")
		w.has(t, "a-1", "a-2")
		if want := []string{"ended with [a-1 a-2 b-1 b-2]"}; !slices.Equal(ends, want) {
			t.Errorf("the controller %v, want %v: before its objects are deleted", ends, want)
		}
	})
}

// TestValuesAreAppliedWhileRunning: an addon whose values change has its objects applied again, those that it has no more are
// removed, and it runs only afterwards. Others are left alone.
func TestValuesAreAppliedWhileRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newThing("a", true)
		w := begin(t, newMemory(), nil, a, newThing("b", true), newThing("c", false))
		w.run(t)
		defer w.end()
		w.is(t, "a=running", "b=running", "c=disabled")
		w.passing.Lock()
		a.has("a-1", "a-3")
		w.Reload(cluster.Spec{Name: "dev", AddonValues: map[string]map[string]string{"a": {"size": "3"}, "c": {"size": "4"}}})
		w.is(t, "a=installing", "b=running", "c=disabled")
		w.passing.Unlock()
		synctest.Wait()
		time.Sleep(time.Second)
		w.is(t, "a=running", "b=running", "c=disabled")
		w.has(t, "a-1", "a-3", "b-1", "b-2")
		if a, c := w.status("a"), w.status("c"); a.Values["size"] != "3" || c.Values["size"] != "4" {
			t.Errorf("the statuses have the values %v and %v", a.Values, c.Values)
		}
		applied := len(w.store.story())
		w.Reload(cluster.Spec{Name: "dev", AddonValues: map[string]map[string]string{"a": {"size": "3"}, "c": {"size": "4"}}, APIPort: 7443})
		w.is(t, "a=running", "b=running", "c=disabled")
		synctest.Wait()
		if story := w.store.story()[applied:]; slices.ContainsFunc(story, func(s string) bool { return strings.HasPrefix(s, "delete") }) {
			t.Errorf("another plan with the same values does %v", story)
		}
	})
}

func TestWhatIsNotWantedGoesAtTheNextStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemory()
		s.put(mapRef("b-1"), "b")       // enabled in an earlier life, disabled while the cluster was stopped
		s.put(mapRef("a-old"), "a")     // of an earlier version of a
		s.put(mapRef("x"), "unknown")   // of an addon that this version does not know
		s.put(mapRef("somebody's"), "") // no addon's
		s.put(mapRef("a-1"), "a")       // made in an earlier life
		w := begin(t, s, nil, newThing("a", true), newThing("b", false))
		w.run(t)
		defer w.end()
		synctest.Wait()
		time.Sleep(time.Second)
		w.has(t, "a-1", "a-2", "somebody's", "x")
		w.is(t, "a=running", "b=disabled")
	})
}

func TestObjectsThatAnAddonNoLongerHasArePruned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newThing("a", true)
		w := begin(t, newMemory(), nil, a)
		w.run(t)
		defer w.end()
		a.has("a-2", "a-3")
		time.Sleep(interval + time.Second)
		w.has(t, "a-2", "a-3")
		w.is(t, "a=running")
	})
}

func TestThoseThatNeedOthersGoFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemory()
		w := begin(t, s, nil, newThing("base", true), newThing("roof", true, "wall"), newThing("wall", true, "base"))
		w.run(t)
		defer w.end()
		s.failing("delete ConfigMap kube-system/roof-1", errors.New("no"))
		got := w.choose(map[string]bool{"base": false, "wall": false, "roof": false})
		if slices.Contains(got, cluster.AddonDisabled) {
			t.Errorf("right after Reload they are %s", got)
		}
		synctest.Wait()
		w.is(t, "base=removing", "wall=removing", "roof=removing")
		w.has(t, "base-1", "base-2", "roof-1", "wall-1", "wall-2")
		if got := w.status("base").Reason; got != "waiting for wall, which needs it, to be removed" {
			t.Errorf("base gives as reason %q", got)
		}
		if got := w.status("roof"); got.Reason != "no" || got.HintText() == "" {
			t.Errorf("roof gives as reason %q and hint %q", got.Reason, got.HintText())
		}
		s.failing("delete ConfigMap kube-system/roof-1", nil)
		time.Sleep(5 * time.Second)
		w.has(t)
		w.is(t, "base=disabled", "wall=disabled", "roof=disabled")
		var gone []string
		for _, line := range s.story() {
			if name, ok := strings.CutPrefix(line, "delete ConfigMap kube-system/"); ok {
				gone = append(gone, name[:len(name)-2])
			}
		}
		if gone = slices.Compact(gone); !slices.Equal(gone, []string{"roof", "wall", "base"}) {
			t.Errorf("they were removed in the order %v", gone)
		}
	})
}

func TestWithoutItsNeedAnAddonIsBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, newMemory(), map[string]bool{"a": false}, newThing("a", true), newThing("b", true, "a"), newThing("c", true, "b"))
		w.run(t)
		defer w.end()
		w.has(t)
		w.is(t, "a=disabled", "b=blocked", "c=blocked")
		s := w.status("b")
		if s.Reason != "it needs a, which is disabled" || s.HintText() != "bonsai addons enable a -p dev" {
			t.Errorf("b says %q, %q", s.Reason, s.HintText())
		}
		w.choose(nil)
		synctest.Wait()
		w.is(t, "a=running", "b=running", "c=running")
	})
}

func TestObjectsOfOthersAreLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemory()
		s.put(mapRef("a-1"), "")
		begun := time.Now()
		w := begin(t, s, nil, newThing("a", true))
		if took := time.Since(begun); took > time.Second {
			t.Errorf("the start was held up for %s by something that waiting cannot fix", took)
		}
		w.run(t)
		defer w.end()
		got := w.status("a")
		if got.State != cluster.AddonFailed || got.Reason != "ConfigMap kube-system/a-1 exists already and was not created by bonsai" ||
			got.HintText() != "if it is not needed:  bonsai kubectl -p dev -- delete configmaps a-1 -n kube-system" {
			t.Errorf("a is %+v", got)
		}
		s.drop("a-1") // the user follows the hint
		time.Sleep(interval)
		w.is(t, "a=running")
	})
}

func TestApplyWaitsForAnAPIServerThatIsNotReadyYet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemory()
		s.failing("apply ConfigMap kube-system/a-1", errors.New(`namespaces "kube-system" not found`))
		time.AfterFunc(300*time.Millisecond, func() { s.failing("apply ConfigMap kube-system/a-1", nil) })
		begun := time.Now()
		w := begin(t, s, nil, newThing("a", true))
		if took := time.Since(begun); took < 300*time.Millisecond || took > 400*time.Millisecond {
			t.Errorf("Apply returned after %s", took)
		}
		w.has(t, "a-1", "a-2")
	})
}

func TestOneBrokenAddonHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemory()
		s.failing("apply ConfigMap kube-system/a-1", errors.New("admission says no\nfor two reasons"))
		begun := time.Now()
		w := begin(t, s, nil, newThing("a", true), newThing("b", true))
		if took := time.Since(begun); took > applyLimit+time.Second {
			t.Errorf("Apply returned after %s", took)
		}
		w.run(t)
		defer w.end()
		w.is(t, "a=failed", "b=running")
		if got := w.status("a").Reason; !strings.Contains(got, "admission says no; for two reasons") {
			t.Errorf("a gives as reason %q", got)
		}
		s.failing("apply ConfigMap kube-system/a-1", nil)
		time.Sleep(3 * time.Second)
		w.is(t, "a=running", "b=running")
		// What worked and fails later is not thrown away.
		s.failing("apply ConfigMap kube-system/a-1", errors.New("admission says no"))
		time.Sleep(interval + time.Second)
		w.is(t, "a=degraded", "b=running")
	})
}

func TestWhatSomebodyDeletesComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemory()
		w := begin(t, s, nil, newThing("a", true))
		w.run(t)
		defer w.end()
		s.drop("a-2")
		w.passing.Lock() // or it may be back already
		got := w.Observe(t.Context())[0]
		w.passing.Unlock()
		if got.State != cluster.AddonDegraded || got.Reason != "ConfigMap kube-system/a-2 was deleted and is being restored" {
			t.Errorf("a is %+v", got)
		}
		synctest.Wait()
		w.has(t, "a-1", "a-2")
		w.is(t, "a=running")
		s.drop("a-1") // and without anybody looking
		time.Sleep(interval + time.Second)
		w.has(t, "a-1", "a-2")
	})
}

func TestHealthIsObserved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newThing("a", true)
		a.is(cluster.AddonInstalling, "pods are coming")
		w := begin(t, newMemory(), nil, a)
		w.run(t)
		defer w.end()
		if got := w.status("a"); got.State != cluster.AddonInstalling || got.Reason != "pods are coming" {
			t.Errorf("a is %+v", got)
		}
		a.is(cluster.AddonRunning, "")
		time.Sleep(lookInterval)
		synctest.Wait()
		w.is(t, "a=running")
		// The same words mean something else after it has worked.
		a.is(cluster.AddonInstalling, "pods are gone")
		w.cluster.Notify()
		synctest.Wait()
		w.is(t, "a=degraded")
		since := w.status("a").Since
		time.Sleep(10 * time.Second)
		if got := w.status("a"); !got.Since.Equal(since) || got.Reason != "pods are gone" {
			t.Errorf("a is %+v, want it so since %s", got, since)
		}
	})
}

func TestRunnersAreStartedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun, fails := time.Now(), 3
		var starts []time.Duration
		a := &controller{thing: newThing("a", true)}
		a.run = func(ctx context.Context, _ Cluster) error {
			starts = append(starts, time.Since(begun))
			if len(starts) <= fails {
				return fmt.Errorf("failure %d", len(starts))
			}
			<-ctx.Done()
			return nil
		}
		w := begin(t, newMemory(), nil, a)
		w.run(t)
		if got := w.status("a"); got.State != cluster.AddonDegraded || got.Reason != "its controller failed and is being restarted: failure 1" {
			t.Errorf("a is %+v", got)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if want := []time.Duration{0, 100 * time.Millisecond, 300 * time.Millisecond, 700 * time.Millisecond}; !slices.Equal(starts, want) {
			t.Errorf("it was started at %v, want %v", starts, want)
		}
		w.is(t, "a=degraded")
		time.Sleep(steadyAfter + lookInterval)
		w.is(t, "a=running")
		w.end()
	})
}

func TestARunnerThatReturnsIsStartedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &controller{thing: newThing("a", true), run: func(context.Context, Cluster) error { return nil }}
		w := begin(t, newMemory(), nil, a)
		w.run(t)
		defer w.end()
		if got := w.status("a").Reason; got != "its controller failed and is being restarted: it returned" {
			t.Errorf("a gives as reason %q", got)
		}
	})
}

func TestARunnerThatDoesNotEndIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		a := &controller{thing: newThing("a", true), run: func(context.Context, Cluster) error { <-stuck; return nil }}
		w := begin(t, newMemory(), nil, a)
		w.run(t)
		w.choose(map[string]bool{"a": false})
		time.Sleep(runnerLimit + 100*time.Millisecond)
		if got := w.status("a"); got.State != cluster.AddonRemoving || got.Reason != "its controller does not stop" {
			t.Errorf("a is %+v", got)
		}
		w.has(t, "a-1", "a-2") // what it works on stays for as long as it does
		w.end()                // within a limit as well
		close(stuck)
	})
}

func TestSpecChangesReachAddons(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		news := make(chan int, 1)
		a := &controller{thing: newThing("a", true)}
		a.run = func(ctx context.Context, c Cluster) error {
			select {
			case <-c.Changed():
				news <- len(c.Spec().Nodes)
				<-ctx.Done()
			case <-ctx.Done():
			}
			return nil
		}
		w := begin(t, newMemory(), nil, a)
		w.run(t)
		defer w.end()
		w.Reload(cluster.Spec{Name: "dev", Nodes: make([]cluster.Node, 4)})
		if got := <-news; got != 4 {
			t.Errorf("the addon sees %d nodes, want 4", got)
		}
	})
}

func TestWatchersAreNotifiedOfChangesOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, notified := newThing("a", true), 0
		w := begin(t, newMemory(), nil, a)
		w.opts.Changed = func() { notified++ }
		w.run(t)
		defer w.end()
		before := notified
		for range 3 {
			w.Observe(t.Context())
		}
		if notified != before {
			t.Errorf("watchers were notified %d times without a change", notified-before)
		}
		a.is(cluster.AddonDegraded, "hm")
		w.Observe(t.Context())
		if notified != before+1 {
			t.Errorf("watchers were notified %d times of one change", notified-before)
		}
	})
}

func TestAddonsThatCannotBeAreRefused(t *testing.T) {
	for what, all := range map[string][]Addon{
		"circle":  {newThing("a", true, "b"), newThing("b", true, "a")},
		"unknown": {newThing("a", true, "z")},
		"twice":   {newThing("a", true), newThing("a", true)},
	} {
		if _, err := New(Options{Addons: all}); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}

func TestContains(t *testing.T) {
	type object = map[string]any
	have := object{"a": int64(1), "b": object{"c": "x", "d": true}, "list": []any{object{"n": "1", "more": "m"}, object{"n": "2"}}}
	for what, c := range map[string]struct {
		want any
		ok   bool
	}{
		"nothing":               {object{}, true},
		"all":                   {have, true},
		"a part":                {object{"b": object{"d": true}}, true},
		"parts of a list":       {object{"list": []any{object{"n": "1"}, object{}}}, true},
		"another value":         {object{"a": int64(2)}, false},
		"another type":          {object{"a": "1"}, false},
		"a map for a scalar":    {object{"a": object{}}, false},
		"a field that is not":   {object{"b": object{"e": ""}}, false},
		"a shorter list":        {object{"list": []any{object{"n": "1"}}}, false},
		"another order":         {object{"list": []any{object{"n": "2"}, object{"n": "1"}}}, false},
		"a list for a map":      {object{"b": []any{}}, false},
		"something for nothing": {object{"z": object{}}, false},
	} {
		if got := contains(have, c.want); got != c.ok {
			t.Errorf("%s: %v", what, got)
		}
	}
}

func TestWhatIsSentClaimsOnlyWhatIsSet(t *testing.T) {
	u, err := toUnstructured(&corev1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: metav1.ObjectMeta{Name: "x", Labels: map[string]string{"k": "v"}},
	}, "a")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"apiVersion": "v1", "kind": "Service", "spec": map[string]any{},
		"metadata": map[string]any{"name": "x", "labels": map[string]any{"k": "v", Label: "a"}},
	}
	if got := fmt.Sprint(u.Object); got != fmt.Sprint(want) {
		t.Errorf("got  %s\nwant %s", got, fmt.Sprint(want))
	}
	if _, err := toUnstructured(&corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "x"}}, "a"); err == nil {
		t.Error("an object without its kind was taken")
	}
}
