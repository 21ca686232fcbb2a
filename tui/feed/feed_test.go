package feed

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
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// drained counts the announcements of a hub, and drains it at each of them.
func drained(t *testing.T, pace time.Duration) (*Hub, *int) {
	ctx, cancel := context.WithCancel(t.Context())
	h, n := NewHub(ctx, pace), 0
	h.Go(func() {
		h.Pump(func() {
			n++
			h.Drain()
		})
	})
	t.Cleanup(func() {
		cancel()
		h.Wait()
	})
	return h, &n
}

func TestNewsAreMergedAndPaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, announced := drained(t, 100*time.Millisecond)
		var got [][]int
		b := NewBox(h, func(old, new []int) []int { return append(old, new...) }, func(v []int) { got = append(got, v) })
		b.Put([]int{0})
		synctest.Wait()
		for i := 1; i < 50; i++ { // within one pause
			b.Put([]int{i})
			time.Sleep(time.Millisecond)
		}
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		if len(got) != 2 || len(got[0]) != 1 || len(got[1]) != 49 || *announced != 2 {
			t.Errorf("%d announcements of %v", *announced, got)
		}
		h.SetPace(time.Millisecond)
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		if *announced != 2 {
			t.Errorf("%d announcements without news", *announced)
		}
	})
}

func TestABoxWithoutMergeKeepsTheNewest(t *testing.T) {
	h := NewHub(t.Context(), 0)
	var got []string
	b := NewBox(h, nil, func(v string) { got = append(got, v) })
	b.Put("a")
	b.Put("b")
	h.Drain()
	h.Drain()
	if !slices.Equal(got, []string{"b"}) {
		t.Errorf("got %q", got)
	}
}

func TestAFeedIsFollowedWhileSomebodyLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _ := drained(t, 0)
		running := 0
		f := New(h, func(ctx context.Context, _ func()) error {
			running++
			defer func() { running-- }()
			<-ctx.Done()
			return ctx.Err()
		}, func(err error) { t.Errorf("state %v", err) })
		for _, step := range []struct {
			do   func()
			want int
		}{{func() {}, 0}, {f.Use, 1}, {f.Use, 1}, {f.Leave, 1}, {f.Again, 1}, {f.Leave, 0}, {f.Again, 0}, {f.Use, 1}, {f.Leave, 0}} {
			step.do()
			synctest.Wait()
			if running != step.want {
				t.Errorf("%d runs with %d users, want %d", running, f.Users(), step.want)
			}
		}
	})
}

func TestAFeedTriesAgainAndSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _ := drained(t, 0)
		began := time.Now()
		var tries []time.Duration
		var states []string
		f := New(h, func(ctx context.Context, healthy func()) error {
			tries = append(tries, time.Since(began))
			switch len(tries) {
			case 1:
				return nil
			case 2, 3, 4, 5, 6:
				return errors.New("down")
			}
			healthy()
			healthy()
			<-ctx.Done()
			return ctx.Err()
		}, func(err error) { states = append(states, fmt.Sprint(err)) })
		f.Use()
		time.Sleep(time.Minute)
		f.Leave()
		synctest.Wait()
		want := []time.Duration{0, 200, 600, 1400, 3000, 5000, 7000}
		for i := range want {
			want[i] *= time.Millisecond
		}
		if !slices.Equal(tries, want) {
			t.Errorf("tries at %v, want %v", tries, want)
		}
		if got := strings.Join(states, ", "); got != "it ended, down, down, down, down, down, <nil>" {
			t.Errorf("states %s", got)
		}
	})
}

func TestAPanicEndsTheHub(t *testing.T) {
	h := NewHub(t.Context(), 0)
	h.Go(func() { <-h.Context().Done() })
	h.Go(func() { panic("oops") })
	h.Wait()
	if c := h.Crash(); c == nil || c.Reason != "oops" || !strings.Contains(c.Stack, "feed_test.go") {
		t.Errorf("crash %+v", c)
	}
}
