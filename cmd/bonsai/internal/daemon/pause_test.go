package daemon

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

// pauses gives a daemon commands that pause and unpause it, as the real ones do.
func pauses(h *house, o *Options) {
	o.Pause = func(ctx context.Context) error { return h.client.Pause(ctx, true) }
	o.Unpause = func(ctx context.Context) error {
		h.note("nodes run")
		return errors.Join(h.client.Resume(ctx), h.state.DropPause())
	}
}

// noted are the notes so far.
func (h *house) noted() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.notes)
}

func (h *house) snapshot() cluster.Snapshot {
	h.t.Helper()
	s, err := h.client.Snapshot(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

func TestAPausedClusterIsWokenByAUser(t *testing.T) {
	h := runWith(t, pauses)
	h.start <- nil
	h.steps()
	if err := h.state.SavePause(cluster.Pause{Since: time.Now().Add(-time.Minute), Auto: true}); err != nil {
		t.Fatal(err)
	}
	if err := h.client.Pause(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	notes := h.noted()
	if i, j := slices.Index(notes, "addons end"), slices.Index(notes, "components end"); i < 0 || j < i || !slices.Contains(notes, "nodes are kept no longer") {
		t.Errorf("what acts does not end before the components: %q", notes)
	}
	s := h.snapshot()
	if s.Phase != cluster.PhasePaused || s.APIServer != cluster.PhasePaused || s.Paused == nil || !s.Paused.Auto || time.Since(s.Paused.Since) < time.Minute ||
		s.Nodes[0].Host != cluster.PhasePaused || s.Nodes[0].Kubelet != cluster.PhasePaused || len(s.Problems) > 0 {
		t.Errorf("a paused cluster is shown as %+v", s)
	}
	done, err := h.use(t.Context(), "a test")
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	if s := h.snapshot(); s.Phase != cluster.PhaseRunning || s.Paused != nil {
		t.Errorf("after a use it is shown as %+v", s)
	}
	after := h.noted()[len(notes):]
	if i, j := slices.Index(after, "nodes run"), slices.Index(after, "components run"); i != 0 || j < i {
		t.Errorf("components do not run after the nodes: %q", after)
	}
}

func TestADaemonStartsPaused(t *testing.T) {
	h := runWith(t, func(h *house, o *Options) {
		pauses(h, o)
		o.Paused = &cluster.Pause{Since: time.Now()}
	})
	h.start <- nil
	h.steps()
	if s := h.snapshot(); s.Phase != cluster.PhasePaused {
		t.Errorf("it is shown as %+v", s)
	}
	if slices.Contains(h.noted(), "addons run") {
		t.Errorf("something acts: %q", h.noted())
	}
	if err := h.client.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := h.snapshot(); s.Phase != cluster.PhaseRunning {
		t.Errorf("it is shown as %+v", s)
	}
}

func TestAClusterInUseDoesNotPauseForIdleness(t *testing.T) {
	h := runWith(t, pauses)
	if err := h.client.Pause(t.Context(), false); fault.KindOf(err) != fault.NotRunning {
		t.Errorf("before it is ready: %v", err)
	}
	h.start <- nil
	h.steps()
	done, err := h.use(t.Context(), "a test")
	if err != nil {
		t.Fatal(err)
	}
	if err := h.client.Pause(t.Context(), true); fault.KindOf(err) != fault.Busy {
		t.Errorf("while it is in use: %v", err)
	}
	if s := h.snapshot(); s.Phase != cluster.PhaseRunning {
		t.Errorf("it is shown as %+v", s)
	}
	done()
}
