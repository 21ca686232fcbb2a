package idle

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fixture is a cluster that takes a second to pause and to unpause.
type fixture struct {
	*Keeper
	began time.Time
	stop  func()

	mu    sync.Mutex // guards the rest
	notes []string
	// fails is what the next attempts end with.
	fails error
}

func (f *fixture) failsWith(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fails = err
}

func (f *fixture) failure() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fails
}

func begin(t *testing.T, o Options) *fixture {
	f := &fixture{began: time.Now()}
	does := func(what string, paused bool) func(context.Context) error {
		return func(ctx context.Context) error {
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			if err := f.failure(); err != nil {
				f.note(what + " fails")
				return err
			}
			if paused && !f.PauseIdle() {
				f.note(what + " refused")
				return errors.New("in use")
			}
			f.SetPaused(paused)
			f.note(what)
			return nil
		}
	}
	o.Pause, o.Unpause, o.Log = does("pause", true), does("unpause", false), slog.New(slog.DiscardHandler)
	if o.Limit == 0 {
		o.Limit = 10 * time.Second
	}
	f.Keeper = New(o)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { f.Run(ctx); close(done) }()
	f.stop = func() {
		cancel()
		<-done
		f.Close()
	}
	return f
}

func (f *fixture) note(what string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.notes = append(f.notes, what+" at "+time.Since(f.began).String())
}

func (f *fixture) wants(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	if !slices.Equal(f.notes, want) {
		t.Errorf("got %q, want %q", f.notes, want)
	}
}

// use is one use that lasts so long; it says how long it had to wait.
func (f *fixture) use(t *testing.T, lasts time.Duration) (waited time.Duration) {
	t.Helper()
	began := time.Now()
	done, err := f.Use(t.Context(), "a test")
	if err != nil {
		t.Error(err)
		return 0
	}
	waited = time.Since(began)
	time.Sleep(lasts)
	done()
	done() // which counts once
	return waited
}

func TestAnIdleClusterPausesAndAUseWakesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := begin(t, Options{After: time.Minute})
		defer f.stop()
		time.Sleep(50 * time.Second)
		if w := f.use(t, 0); w != 0 {
			t.Errorf("a running cluster made its user wait for %s", w)
		}
		time.Sleep(time.Hour)
		f.wants(t, "pause at 1m51s")
		if w := f.use(t, 0); w != time.Second {
			t.Errorf("a paused cluster made its user wait for %s", w)
		}
		time.Sleep(50 * time.Second)
		f.wants(t, "pause at 1m51s", "unpause at 1h0m51s")
		time.Sleep(time.Hour)
		f.wants(t, "pause at 1m51s", "unpause at 1h0m51s", "pause at 1h1m52s")
	})
}

func TestAUseThatLastsKeepsTheClusterAwake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := begin(t, Options{After: time.Minute})
		defer f.stop()
		f.use(t, time.Hour)
		time.Sleep(59 * time.Second)
		f.wants(t)
		time.Sleep(3 * time.Second)
		f.wants(t, "pause at 1h1m1s")
	})
}

func TestAUseWhileItPausesIsNotPaused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := begin(t, Options{After: time.Minute})
		defer f.stop()
		time.Sleep(60*time.Second + 500*time.Millisecond)
		f.use(t, 0)
		time.Sleep(time.Second)
		f.wants(t, "pause refused at 1m1s")
		time.Sleep(2 * time.Minute)
		f.wants(t, "pause refused at 1m1s", "pause at 2m2s")
	})
}

func TestUsesShareOneWaking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := begin(t, Options{Paused: true})
		defer f.stop()
		waited := make(chan time.Duration, 3)
		for i := range 3 {
			go func() {
				time.Sleep(time.Duration(i) * 100 * time.Millisecond)
				waited <- f.use(t, 0)
			}()
		}
		if all := []time.Duration{<-waited, <-waited, <-waited}; slices.Max(all) != time.Second || slices.Min(all) != 800*time.Millisecond {
			t.Errorf("they waited for %s", all)
		}
		f.wants(t, "unpause at 1s")
	})
}

func TestAClusterThatCannotBeWoken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := begin(t, Options{Paused: true})
		defer f.stop()
		broken := errors.New("no engine")
		f.failsWith(broken)
		if _, err := f.Use(t.Context(), "a test"); !errors.Is(err, broken) {
			t.Errorf("got %v", err)
		}
		f.failsWith(nil) // the next one tries again
		f.use(t, 0)
		f.wants(t, "unpause fails at 1s", "unpause at 2s")
	})
}

func TestWaitsHaveLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := begin(t, Options{Paused: true, Limit: 500 * time.Millisecond})
		defer f.stop()
		if _, err := f.Use(t.Context(), "a test"); err == nil || err.Error() != "timed out after 500ms waiting for the cluster to wake" {
			t.Errorf("got %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := f.Use(ctx, "a test"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("of somebody who gives up: %v", err)
		}
	})
}

func TestTheLimitChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := begin(t, Options{})
		defer f.stop()
		time.Sleep(time.Hour)
		f.wants(t)
		f.SetAfter(time.Minute)
		time.Sleep(30 * time.Second)
		f.SetAfter(time.Minute) // the same again changes nothing
		time.Sleep(32 * time.Second)
		f.wants(t, "pause at 1h1m1s")
		f.SetPaused(false)
		f.SetAfter(0)
		time.Sleep(time.Hour)
		f.wants(t, "pause at 1h1m1s")
	})
}

func TestAPauseThatFailsIsTriedAgainLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := begin(t, Options{After: time.Minute})
		defer f.stop()
		f.failsWith(errors.New("another command works on the cluster"))
		time.Sleep(90 * time.Second)
		f.failsWith(nil)
		time.Sleep(time.Minute)
		f.wants(t, "pause fails at 1m1s", "pause at 2m2s")
	})
}

func TestCloseEndsAWaking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := begin(t, Options{Paused: true})
		ended := make(chan error)
		go func() {
			_, err := f.Use(t.Context(), "a test")
			ended <- err
		}()
		time.Sleep(500 * time.Millisecond)
		go f.stop()
		if err := <-ended; !errors.Is(err, context.Canceled) || time.Since(f.began) != 500*time.Millisecond {
			t.Errorf("the use ended after %s with %v", time.Since(f.began), err)
		}
		synctest.Wait()
		if _, err := f.Use(t.Context(), "a test"); !errors.Is(err, errClosed) {
			t.Errorf("a use after the end: %v", err)
		}
		f.SetPaused(false)
		f.use(t, 0) // which needs nobody
	})
}
