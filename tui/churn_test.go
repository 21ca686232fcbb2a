package tui

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"bonsai/bootstrap/kube"
)

// TestTenThousandPodsUnderChurn has 10,000 pods change, come and go 500 times a second, while somebody moves about: the
// cursor stays on its pod, every picture is exact, and what changed last is visible.
func TestTenThousandPodsUnderChurn(t *testing.T) {
	const changes, perSecond = 1500, 500
	s := &stream{manyPods(10_000), make(chan kube.RowBatch)}
	r := newRigOn(t, s, s.fakeSession, 120, 40)
	r.where = "10,000 pods"
	r.keys("3")
	list := func() *listPage { return r.u.page().(*listPage) }
	r.until("all pods", func(string) bool { return list().grid.Total() >= 10_000 })
	r.keys("ctrl+d", "ctrl+d", "j")
	chosen := list().subjects()[0].ref

	done := make(chan struct{})
	r.u.hub.Go(func() {
		defer close(done)
		rnd := rand.New(rand.NewPCG(8, 9))
		tick := time.NewTicker(time.Second / perSecond)
		defer tick.Stop()
		rows := slices.Clone(s.rows["pods"])
		states := []string{"Running", "Pending", "CrashLoopBackOff", "Terminating"}
		for i := range changes {
			<-tick.C
			at := rnd.IntN(len(rows))
			row := rows[at]
			row.Cells = slices.Clone(row.Cells)
			row.Cells[2] = states[rnd.IntN(len(states))]
			b := kube.RowBatch{Set: []kube.Row{row}}
			switch {
			case row.UID == chosen.UID:
			case i%10 == 0:
				b = kube.RowBatch{Delete: []string{row.UID}}
				rows = slices.Delete(rows, at, at+1)
			case i%10 == 1:
				row.UID, row.Name = fmt.Sprintf("new-%d", i), fmt.Sprintf("new-%d", i)
				row.Cells[0] = row.Name
				b.Set[0] = row
				rows = append(rows, row)
			}
			select {
			case s.batches <- b:
			case <-r.u.hub.Context().Done():
				return
			}
		}
	})
	moves := 0
	for churning := true; churning; {
		select {
		case m := <-r.frames:
			r.handle(m)
		case <-done:
			churning = false
		case <-time.After(waitLimit):
			t.Fatal("no frame comes")
		}
		r.frame(120, 40)
		if got := list().subjects(); len(got) != 1 || got[0].ref.UID != chosen.UID {
			t.Fatalf("the cursor was on %s and is on %v", chosen.Name, got)
		}
		// Somebody goes away and comes back to the pod; nothing is taken in between the two.
		if moves++; moves%10 == 0 {
			r.keys("j", "k")
		}
	}
	last := s.rows["pods"][slices.IndexFunc(s.rows["pods"], func(row kube.Row) bool { return row.UID == chosen.UID })]
	last.Cells = slices.Clone(last.Cells)
	last.Cells[2] = "LastOfAll"
	s.batches <- kube.RowBatch{Set: []kube.Row{last}}
	r.shows("LastOfAll")
	if moves < 20 {
		t.Errorf("there were only %d pictures of %d changes", moves, changes)
	}
}
