package agentapi

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"bonsai/bootstrap/cluster"
)

func TestLogsAreOfComponentsOnly(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "logs"), 0o700); err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{"secret.log": "secret", "logs/kubelet.log": "a\nb\nc\n"} {
		if err := os.WriteFile(filepath.Join(dir, path), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	api := New(Config{LogDir: filepath.Join(dir, "logs"), Log: slog.New(slog.DiscardHandler)}).api()
	for path, want := range map[string]struct {
		code int
		body string
	}{
		"kubelet?lines=2":        {200, "b\nc\n"},
		"kubelet?lines=-1":       {200, "a\nb\nc\n"},
		"kubelet?lines=0":        {200, ""},
		"kubelet":                {400, ""},
		"containerd?lines=1":     {404, "containerd has not written a log yet\n"},
		"..%2fsecret?lines=1":    {400, ""},
		"%2e%2e%2fx?lines=1":     {400, ""},
		"Kubelet%20x?lines=1":    {400, ""},
		"kubelet?lines=many":     {400, ""},
		"kubelet%00.log?lines=1": {400, ""},
	} {
		r := httptest.NewRecorder()
		api.ServeHTTP(r, httptest.NewRequest(http.MethodGet, "/v1/logs/"+path, nil))
		if r.Code != want.code || want.code != 400 && r.Body.String() != want.body {
			t.Errorf("%s: %d %q, want %d %q", path, r.Code, r.Body, want.code, want.body)
		}
	}
}

// TestComponentsAreSentWhenTheyChange: at once if their supervisor sees it, and otherwise when their health is checked.
func TestComponentsAreSentWhenTheyChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		now, changed, asked := cluster.Component{Name: "kube-proxy", Phase: cluster.PhaseRunning}, make(chan struct{}), 0
		set := func(phase cluster.Phase, seen bool) {
			mu.Lock()
			defer mu.Unlock()
			if now.Phase = phase; seen {
				close(changed)
				changed = make(chan struct{})
			}
		}
		s := New(Config{Log: slog.New(slog.DiscardHandler), Components: func(context.Context) ([]cluster.Component, <-chan struct{}) {
			mu.Lock()
			defer mu.Unlock()
			asked++
			return []cluster.Component{now}, changed
		}})
		ctx, cancel := context.WithCancel(t.Context())
		r, w := newPipe()
		done := make(chan struct{})
		go func() {
			s.components(w, httptest.NewRequest(http.MethodGet, "/v1/components", nil).WithContext(ctx))
			close(done)
		}()
		lines := bufio.NewScanner(r)
		next := func(want cluster.Phase) {
			t.Helper()
			if !lines.Scan() || !strings.Contains(lines.Text(), string(want)) {
				t.Fatalf("got %q, want %s", lines.Text(), want)
			}
		}
		next(cluster.PhaseRunning)
		set(cluster.PhaseFailed, true)
		next(cluster.PhaseFailed)
		set(cluster.PhaseRunning, false)
		next(cluster.PhaseRunning)
		set(cluster.PhaseDegraded, false)
		next(cluster.PhaseDegraded)
		cancel()
		<-done
		if asked > 20 {
			t.Errorf("health was checked %d times", asked)
		}
	})
}

// answerTo is a ResponseWriter whose body is read elsewhere.
type answerTo struct {
	*io.PipeWriter
	header http.Header
}

func newPipe() (io.Reader, *answerTo) {
	r, w := io.Pipe()
	return r, &answerTo{w, http.Header{}}
}

func (p *answerTo) Header() http.Header { return p.header }
func (*answerTo) WriteHeader(int)       {}
func (*answerTo) Flush()                {}
