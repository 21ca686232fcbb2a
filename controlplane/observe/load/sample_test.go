package load

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestSample(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "dev-1", "dev-2")
		f.agents["dev-1"].cores, f.agents["dev-2"].cores = 2, 0.5
		if got := f.view.Sample(t.Context()); len(got) > 0 {
			t.Errorf("the first sample has %+v", got)
		}
		time.Sleep(30 * time.Second)
		got := f.view.Sample(t.Context())
		if len(got) != 2 || got[0].Node != "dev-1" || got[0].CPU != 2 || got[1].CPU != 0.5 || got[0].Memory != 5 || len(got[0].Pods) > 0 {
			t.Errorf("the second one has %+v", got)
		}
		if n := f.agents["dev-1"].asked; n != 2 || f.meters > 0 {
			t.Errorf("the node was asked %d times, the control plane is measured %d times", n, f.meters)
		}
		// One that does not answer is missing, and has no CPU in the sample after that.
		f.mu.Lock()
		f.agents["dev-2"].hangs = true
		f.mu.Unlock()
		time.Sleep(30 * time.Second)
		if got = f.view.Sample(t.Context()); len(got) != 1 {
			t.Errorf("without an answer there is %+v", got)
		}
		f.mu.Lock()
		f.agents["dev-2"].hangs = false
		f.mu.Unlock()
		if got = f.view.Sample(t.Context()); len(got) != 1 {
			t.Errorf("the first one after that has %+v", got)
		}
		time.Sleep(30 * time.Second)
		if got = f.view.Sample(t.Context()); len(got) != 2 {
			t.Errorf("the second one after that has %+v", got)
		}
	})
}
