package entrance

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"bonsai/bootstrap/cluster"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// port is what answers, or does not.
type port struct {
	mu    sync.Mutex // guards what follows
	err   error
	hangs bool
}

func (p *port) ready(ctx context.Context) error {
	p.mu.Lock()
	err, hangs := p.err, p.hangs
	p.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	return err
}

func (p *port) is(err error, hangs bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err, p.hangs = err, hangs
}

func parts() []cluster.Component {
	return []cluster.Component{{Name: "etcd", Phase: cluster.PhaseRunning}, {Name: "api", Phase: cluster.PhaseRunning}}
}

func TestARunningComponentThatLetsNobodyInIsDegraded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &port{}
		c := New("api", p.ready, 1)
		judged := func() cluster.Component {
			list := parts()
			c.Judge(list)
			if list[0].Phase != cluster.PhaseRunning {
				t.Error("etcd is judged, too")
			}
			return list[1]
		}
		if c.Ask(t.Context()) || judged().Phase != cluster.PhaseRunning {
			t.Error("all is well, and it is not judged so")
		}
		p.is(errors.New("refused"), false)
		if !c.Ask(t.Context()) {
			t.Error("a refusal is not news")
		}
		began := time.Now()
		time.Sleep(time.Minute)
		if c.Ask(t.Context()) {
			t.Error("the same refusal is news")
		}
		if got := judged(); got.Phase != cluster.PhaseDegraded || got.Reason != "refused" || !got.Since.Equal(began) {
			t.Errorf("refused: %+v", got)
		}
		p.is(nil, true)
		begin := time.Now()
		c.Ask(t.Context())
		if took := time.Since(begin); took != askLimit {
			t.Errorf("it asked for %s", took)
		}
		if got := judged(); got.Phase != cluster.PhaseDegraded || got.Reason == "" {
			t.Errorf("no answer: %+v", got)
		}
		p.is(nil, false)
		if !c.Ask(t.Context()) || judged().Phase != cluster.PhaseRunning {
			t.Error("it answers again, and is not judged so")
		}
	})
}

func TestWhatHasEndedIsNotJudged(t *testing.T) {
	p := &port{err: errors.New("refused")}
	c := New("api", p.ready, 1)
	c.Ask(t.Context())
	list := []cluster.Component{{Name: "api", Phase: cluster.PhaseFailed, Reason: "its own"}}
	if c.Judge(list); list[0].Phase != cluster.PhaseFailed || list[0].Reason != "its own" {
		t.Errorf("got %+v", list[0])
	}
}

func TestWhoLeavesIsNotAnAnswer(t *testing.T) {
	p := &port{hangs: true}
	c := New("api", p.ready, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if c.Ask(ctx) {
		t.Error("a client that left is news")
	}
	list := parts()
	if c.Judge(list); list[1].Phase != cluster.PhaseRunning {
		t.Errorf("got %+v", list[1])
	}
}

func TestWaitOutlastsAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &port{err: errors.New("too many open files")}
		c := New("api", p.ready, 1)
		time.AfterFunc(2950*time.Millisecond, func() { p.is(nil, false) })
		begin := time.Now()
		if err := c.Wait(t.Context()); err != nil || time.Since(begin) != 3*time.Second {
			t.Errorf("after %s: %v", time.Since(begin), err)
		}
		p.is(errors.New("too many open files"), false)
		begin = time.Now()
		if err := c.Wait(t.Context()); err == nil || err.Error() != "too many open files" || time.Since(begin) != waitLimit {
			t.Errorf("after %s: %v", time.Since(begin), err)
		}
	})
}
