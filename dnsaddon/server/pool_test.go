package server

import (
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var (
	alice = netip.MustParseAddr("10.244.0.1")
	bob   = netip.MustParseAddr("10.244.0.2")
)

// poolTest runs jobs that wait for release, and keeps what happened to each.
type poolTest struct {
	*pool
	release chan struct{}

	mu     sync.Mutex
	events []string
}

func newPoolTest(limits poolLimits) *poolTest {
	return &poolTest{pool: newPool(limits), release: make(chan struct{})}
}

func (p *poolTest) note(event string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.events = append(p.events, event)
}

func (p *poolTest) submit(name string, source netip.Addr) {
	p.pool.submit(job{
		source: source, arrived: time.Now(),
		run:    func() { <-p.release; p.note(name) },
		refuse: func(why dropReason) { p.note(name + " " + why.String()) },
	})
	synctest.Wait()
}

func (p *poolTest) happened(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slices.Equal(p.events, want) {
		t.Errorf("happened: %q, want %q", p.events, want)
	}
}

func TestPoolDoesTheNewestFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPoolTest(poolLimits{workers: 1, waiting: 3, perSource: 100, wait: time.Minute})
		for _, name := range []string{"1", "2", "3", "4"} {
			p.submit(name, alice)
		}
		p.happened(t)
		p.submit("5", alice) // one too many: the oldest that waits goes
		p.submit("6", alice)
		p.happened(t, "2 overload", "3 overload")
		close(p.release)
		p.close()
		p.happened(t, "2 overload", "3 overload", "1", "6", "5", "4")
		if len(p.bySource) > 0 {
			t.Errorf("still kept: %v", p.bySource)
		}
	})
}

func TestPoolWorksAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPoolTest(poolLimits{workers: 3, waiting: 3, perSource: 100, wait: time.Minute})
		for _, name := range []string{"1", "2", "3", "4"} {
			p.submit(name, alice)
		}
		for range 3 {
			p.release <- struct{}{}
		}
		synctest.Wait()
		p.mu.Lock()
		if len(p.events) != 3 || slices.Contains(p.events, "4") {
			t.Errorf("happened: %q, want the first three in any order", p.events)
		}
		p.mu.Unlock()
		p.release <- struct{}{}
		p.close()
	})
}

func TestPoolLimitsEachSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPoolTest(poolLimits{workers: 1, waiting: 100, perSource: 2, wait: time.Minute})
		p.submit("alice 1", alice)
		p.submit("alice 2", alice)
		p.submit("alice 3", alice)
		p.submit("bob 1", bob)
		p.happened(t, "alice 3 source")
		p.release <- struct{}{} // alice 1; bob is next
		p.release <- struct{}{}
		synctest.Wait()
		p.submit("alice 4", alice) // has room again
		close(p.release)
		p.close()
		p.happened(t, "alice 3 source", "alice 1", "bob 1", "alice 2", "alice 4")
	})
}

func TestPoolLeavesOutWhatWaitedTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPoolTest(poolLimits{workers: 1, waiting: 100, perSource: 100, wait: time.Second})
		p.submit("1", alice)
		p.submit("2", alice)
		time.Sleep(time.Second)
		p.submit("3", alice)
		time.Sleep(time.Millisecond)
		close(p.release)
		p.close()
		p.happened(t, "1", "3", "2 stale")
	})
}

func TestPoolRefusesAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPoolTest(poolLimits{workers: 1, waiting: 100, perSource: 100, wait: time.Second})
		p.close()
		p.submit("1", alice)
		p.happened(t, "1 closing")
	})
}

func TestJobRingKeepsTheNewest(t *testing.T) {
	r := jobRing{jobs: make([]job, 3)}
	at := func(i int) job { return job{arrived: time.Unix(int64(i), 0)} }
	for i := range 10 {
		loser, lost := r.push(at(i))
		if lost != (i >= 3) || lost && !loser.arrived.Equal(at(i-3).arrived) {
			t.Errorf("push %d: lost %v, %v", i, lost, loser.arrived)
		}
	}
	for i := 9; i >= 7; i-- {
		if j, ok := r.pop(); !ok || !j.arrived.Equal(at(i).arrived) {
			t.Errorf("pop: %v, %v, want %d", j.arrived, ok, i)
		}
	}
	if _, ok := r.pop(); ok {
		t.Error("pop from an empty ring")
	}
}
