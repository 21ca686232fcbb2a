package localapi

import (
	"context"
	"testing"

	"bonsai/bootstrap/fault"
)

// Pause is refused for an idle one: the cluster of these tests is always in use.
func (b *backend) Pause(_ context.Context, idle bool) error {
	if idle {
		return fault.Newf(fault.Busy, "somebody uses it")
	}
	b.paused = true
	return nil
}

func (b *backend) Resume(context.Context) error {
	b.paused = false
	return nil
}

func TestPauseAndResume(t *testing.T) {
	b := newBackend()
	c, _, _ := serve(t, b)
	if err := c.Pause(t.Context(), true); fault.KindOf(err) != fault.Busy || b.paused {
		t.Errorf("a pause for idleness: %v, paused %t", err, b.paused)
	}
	if err := c.Pause(t.Context(), false); err != nil || !b.paused {
		t.Errorf("a pause: %v, paused %t", err, b.paused)
	}
	if err := c.Resume(t.Context()); err != nil || b.paused {
		t.Errorf("its end: %v, paused %t", err, b.paused)
	}
}
