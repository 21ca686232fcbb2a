package addons

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// onDemand is an addon that is needed once its channel is closed.
type onDemand struct {
	*thing
	needed  chan struct{}
	asked   int
	failing error
	defined int
}

func (a *onDemand) Needed(ctx context.Context, _ Cluster) error {
	a.asked++
	if err := a.failing; err != nil {
		a.failing = nil
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-a.needed:
		return nil
	}
}

func (a *onDemand) Define(context.Context, Cluster) error {
	a.defined++
	return nil
}

func newOnDemand(name string) *onDemand {
	a := &onDemand{thing: newThing(name, false), needed: make(chan struct{})}
	a.OnDemand = true
	return a
}

func TestAnAddonComesOnDemand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newOnDemand("b")
		b.failing = errors.New("the API server is busy")
		w := begin(t, newMemory(), nil, newThing("a", true), b)
		w.run(t)
		defer w.end()
		time.Sleep(time.Minute)
		synctest.Wait()
		w.is(t, "a=running", "b=disabled")
		if b.asked != 2 || b.defined != 0 {
			t.Errorf("it was asked %d times, and defined %d times", b.asked, b.defined)
		}
		close(b.needed)
		synctest.Wait()
		w.is(t, "a=running", "b=running")
		w.has(t, "a-1", "a-2", "b-1", "b-2")
		if b.defined == 0 {
			t.Error("its definitions are missing")
		}

		w.choose(map[string]bool{"b": false}) // what the user says counts more
		time.Sleep(time.Second)
		synctest.Wait()
		w.is(t, "a=running", "b=disabled")
		w.has(t, "a-1", "a-2")
		w.choose(nil)
		time.Sleep(time.Second)
		synctest.Wait()
		w.is(t, "a=running", "b=running")
	})
}

func TestNothingIsAskedOfAnAddonThatIsChosen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, chosen := range []bool{true, false} {
			b := newOnDemand("b")
			w := begin(t, newMemory(), map[string]bool{"b": chosen}, b)
			w.run(t)
			time.Sleep(time.Minute)
			synctest.Wait()
			w.is(t, map[bool]string{true: "b=running", false: "b=disabled"}[chosen])
			if b.asked != 0 {
				t.Errorf("chosen %v: it was asked %d times", chosen, b.asked)
			}
			w.end()
		}
	})
}
