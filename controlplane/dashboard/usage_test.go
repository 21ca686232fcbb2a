package dashboard

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bonsai/bootstrap/cluster"
)

func TestNodesAreSampledWhileItIsEnabled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := shop()
		r := newRig(t, w).logIn(false)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			r.s.sample(ctx)
		}()
		time.Sleep(2*time.Hour + time.Second)
		w.mu.Lock()
		if want := int(2*time.Hour/usageInterval) + 1; w.sampled != want {
			t.Errorf("sampled %d times, want %d", w.sampled, want)
		}
		w.mu.Unlock()
		if n := len(r.s.used.all()); n != int(usageSpan/usageInterval)+1 {
			t.Errorf("%d samples are kept", n)
		}
		body := r.get("/nodes").Body.String()
		for _, want := range []string{"The last hour", `<path d="M0.0 67.5L`, "now 0.50, at most 0.50, of 2.00", "100 MiB, of 2.0 GiB", "not measured yet; a sample"} { // dev-2 does not answer
			if !strings.Contains(body, want) {
				t.Errorf("no %q in %s", want, body)
			}
		}
		stop()
		<-done
		before := w.sampled
		time.Sleep(time.Hour)
		if w.sampled != before {
			t.Error("it is still sampled")
		}
		r.s.Close()
	})
}

func TestPlots(t *testing.T) {
	now := at.Add(time.Hour)
	point := func(before time.Duration, cpu float64) usagePoint {
		return usagePoint{now.Add(-before), []cluster.NodeUsage{{Node: "dev-1", CPU: cpu, CPUs: 2, Memory: 1 << 30, MemoryLimit: 2 << 30}}}
	}
	cpu, memory, ok := plotsOf([]usagePoint{
		point(time.Hour, 0), point(time.Hour-usageInterval, 2), // as high as the plot
		point(30*time.Minute, 1), // alone
		point(20*time.Minute, 1), point(20*time.Minute-usageInterval, 1), point(20*time.Minute-2*usageInterval, 3),
	}, "dev-1", now)
	if want := []string{"M0.0 90.0L4.0 30.0", "M320.0 60.0L324.0 60.0L328.0 0.0"}; !ok || strings.Join(cpu.Lines, " ") != strings.Join(want, " ") {
		t.Errorf("CPU is %q, want %q", cpu.Lines, want)
	}
	if cpu.Most != "3.00" || cpu.Now != "" || cpu.Limit != "2.00" || memory.Limit != "2.0 GiB" {
		t.Errorf("%+v, %+v", cpu, memory)
	}
	if _, _, ok := plotsOf([]usagePoint{point(0, 1)}, "dev-1", now); ok {
		t.Error("one sample is a plot")
	}
	if _, _, ok := plotsOf([]usagePoint{point(0, 1), point(1, 1)}, "dev-2", now); ok {
		t.Error("a node without samples has a plot")
	}
}
