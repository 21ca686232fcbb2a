// Package wait limits waits. What takes three seconds on a quiet machine takes minutes in an emulated one, so every
// limit is multiplied by one Scale, and a wait that reaches its limit reports how long it waited, and for what.
package wait

import (
	"context"
	"math"
	"os"
	"strconv"
	"time"
)

// Env is the environment variable that FromEnv reads ("30" in an emulated machine).
const Env = "BONSAI_WAIT_SCALE"

// Scale multiplies limits on waits. Zero and negative values count as 1; values below 1 are for tests.
type Scale float64

// FromEnv reads Env. What is not a number, or less than 1, counts as 1.
func FromEnv() Scale {
	f, err := strconv.ParseFloat(os.Getenv(Env), 64)
	if err != nil || !(f >= 1) || math.IsInf(f, 0) {
		return 1
	}
	return Scale(f)
}

// Of returns a limit for this machine; d is the limit for a quiet one.
func (s Scale) Of(d time.Duration) time.Duration {
	return time.Duration(min(float64(d)*s.factor(), math.MaxInt64/2))
}

// Limit bounds ctx by a scaled limit. Its cause then is a *Timeout, which names what was waited for ("the daemon to
// start", "an answer from Docker").
func (s Scale) Limit(ctx context.Context, d time.Duration, what string) (context.Context, context.CancelFunc) {
	d = s.Of(d)
	return context.WithTimeoutCause(ctx, d, &Timeout{After: d, For: what})
}

// String returns the scale as FromEnv reads it.
func (s Scale) String() string { return strconv.FormatFloat(s.factor(), 'g', -1, 64) }

func (s Scale) factor() float64 {
	if !(s > 0) {
		return 1
	}
	return float64(s)
}

// Pause waits for d, between two tries of something. Its error is the cause of ctx, which ended before. d is not scaled.
func Pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Timeout is the error of a wait that reached its limit. It is a context.DeadlineExceeded.
type Timeout struct {
	After time.Duration
	For   string
}

func (t *Timeout) Error() string {
	return "timed out after " + t.After.Round(time.Millisecond).String() + " waiting for " + t.For
}

// Unwrap makes errors.Is find the error of a context without a cause.
func (t *Timeout) Unwrap() error { return context.DeadlineExceeded }
