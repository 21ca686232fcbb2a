package nodeagent

import (
	"context"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"bonsai/bootstrap/cluster"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func testHealth(t *testing.T) *health {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &health{client: &http.Client{Transport: transport}, limit: 10 * time.Second}
}

func TestJudge(t *testing.T) {
	well := true
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !well {
			http.Error(w, "PLEG is not healthy", http.StatusInternalServerError)
		}
	}))
	defer server.Close()
	h := testHealth(t)
	for _, c := range []struct {
		phase cluster.Phase
		well  bool
		want  cluster.Phase
	}{
		{cluster.PhaseRunning, true, cluster.PhaseRunning},
		{cluster.PhaseRunning, false, cluster.PhaseDegraded},
		{cluster.PhaseFailed, false, cluster.PhaseFailed}, // the process's own reason says more
	} {
		well = c.well
		got := cluster.Component{Phase: c.phase}
		if h.judge(t.Context(), &got, server.URL); got.Phase != c.want || (got.Reason != "") != (c.want == cluster.PhaseDegraded) {
			t.Errorf("a component that is %s and well %v counts as %+v", c.phase, c.well, got)
		}
	}
}

func TestHealthIsAskedWithinItsLimit(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-release:
		}
	}))
	defer server.Close()
	defer close(release)
	h := testHealth(t)
	h.limit = time.Millisecond
	if err := h.check(context.Background(), server.URL); err == nil {
		t.Error("a server that never answers counts as healthy")
	}
}

func TestStartsAreCounted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "starts")
	for want := range 3 {
		if got := countStart(path); got != want {
			t.Errorf("start %d has %d before it", want, got)
		}
	}
}
