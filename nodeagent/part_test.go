package nodeagent

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"bonsai/bootstrap/cluster"
)

// moody is a part that fails a number of times before it serves.
type moody struct {
	failures int
	runs     int
}

func (m *moody) Name() string                 { return "moody" }
func (m *moody) Handler() http.Handler        { return http.NotFoundHandler() }
func (m *moody) Component() cluster.Component { return cluster.Component{Name: "moody"} }
func (m *moody) Run(ctx context.Context) error {
	if m.runs++; m.runs <= m.failures {
		return errors.New("no")
	}
	<-ctx.Done()
	return ctx.Err()
}

func TestAPartThatFailsIsRunAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &moody{failures: 2}
		a := &agent{log: slog.New(slog.DiscardHandler), parts: []Part{p}}
		ctx, cancel := context.WithCancel(t.Context())
		stop := a.startParts(ctx)
		time.Sleep(2*partPause + time.Millisecond) // of the bubble's clock
		synctest.Wait()
		if p.runs != 3 {
			t.Errorf("it ran %d times, want 3", p.runs)
		}
		// The end of the agent's context is not that of its parts: pods that are being stopped still need them.
		cancel()
		synctest.Wait()
		if p.runs != 3 {
			t.Errorf("it ran %d times after the context ended", p.runs)
		}
		stop()
	})
}

// quiet is a part that works only when it is asked.
type quiet struct{}

func (quiet) Name() string          { return "quiet" }
func (quiet) Handler() http.Handler { return http.NotFoundHandler() }

func TestAPartThatOnlyAnswersIsNotRunAndHasNoState(t *testing.T) {
	a := &agent{log: slog.New(slog.DiscardHandler), parts: []Part{quiet{}}}
	a.startParts(t.Context())()
	if h := a.handlers(); h["quiet"] == nil {
		t.Errorf("handlers of %v, want that of quiet", h)
	}
	if c := a.partComponents(); len(c) != 0 {
		t.Errorf("it has the state %v", c)
	}
}
