package gate

import (
	"testing"
	"testing/synctest"
)

func TestCloseTellsAndWaitsForThoseInside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New()
		if !g.Enter() {
			t.Fatal("an open gate lets nobody in")
		}
		closed := false
		go func() {
			g.Close()
			closed = true
		}()
		<-g.Closing()
		synctest.Wait()
		if closed || g.Enter() {
			t.Errorf("closed %v with somebody inside, or somebody came in", closed)
		}
		g.Leave()
		synctest.Wait()
		if !closed {
			t.Error("it waits although nobody is inside")
		}
	})
}
