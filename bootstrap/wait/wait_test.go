package wait

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestNonsenseInTheEnvironmentCountsAsOne(t *testing.T) {
	for value, want := range map[string]Scale{
		"": 1, "5": 5, "1.5": 1.5, "1": 1, "0.1": 1, "0": 1, "-3": 1, "many": 1, "NaN": 1, "Inf": 1, "-Inf": 1, "1e999": 1,
	} {
		t.Setenv(Env, value)
		if got := FromEnv(); got != want {
			t.Errorf("%q: got %v, want %v", value, got, want)
		}
	}
}

func TestOf(t *testing.T) {
	for s, want := range map[Scale]time.Duration{0: 4 * time.Second, -1: 4 * time.Second, 1: 4 * time.Second, 2.5: 10 * time.Second, 0.01: 40 * time.Millisecond} {
		if got := s.Of(4 * time.Second); got != want {
			t.Errorf("%v: got %s, want %s", s, got, want)
		}
	}
	if got := Scale(1e300).Of(time.Hour); got < 365*24*time.Hour {
		t.Errorf("a scale beyond all measure gives %s", got)
	}
}

func TestAWaitThatReachesItsLimitSaysWhatItWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := Scale(3).Limit(t.Context(), 30*time.Second, "the daemon to start")
		defer cancel()
		began := time.Now()
		<-ctx.Done()
		if got := time.Since(began); got != 90*time.Second {
			t.Errorf("ended after %s", got)
		}
		err := context.Cause(ctx)
		if got, want := err.Error(), "timed out after 1m30s waiting for the daemon to start"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Error("it is not the error of a deadline")
		}
	})
}

func TestWhoCancelsIsTheCauseAndNotTheLimit(t *testing.T) {
	parent, cancel := context.WithCancelCause(t.Context())
	mine := errors.New("the user pressed Ctrl-C")
	ctx, end := Scale(0).Limit(parent, time.Hour, "nothing")
	defer end()
	cancel(mine)
	if err := context.Cause(ctx); !errors.Is(err, mine) {
		t.Errorf("got %v", err)
	}
}

func TestAScaleIsANumberInJSONAndReadAgainFromItsText(t *testing.T) {
	data, err := json.Marshal(map[string]Scale{"waitScale": 2.5})
	if err != nil || string(data) != `{"waitScale":2.5}` {
		t.Errorf("got %s, %v", data, err)
	}
	t.Setenv(Env, Scale(2.5).String())
	if got := FromEnv(); got != 2.5 {
		t.Errorf("got %v", got)
	}
	if got := Scale(0).String(); got != "1" {
		t.Errorf("no scale is %q", got)
	}
}

func TestPauseEndsInTimeOrWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		if err := Pause(t.Context(), time.Minute); err != nil || time.Since(began) != time.Minute {
			t.Errorf("got %v after %s", err, time.Since(began))
		}
		mine := errors.New("the user pressed Ctrl-C")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(mine)
		if err := Pause(ctx, time.Hour); !errors.Is(err, mine) {
			t.Errorf("got %v, want the cause", err)
		}
	})
}
