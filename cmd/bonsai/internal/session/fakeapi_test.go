package session

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"bonsai/bootstrap/statedir"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// limit is how long a test waits for anything.
const limit = 20 * time.Second

// newSession is a Session whose API server is the given handler.
func newSession(t *testing.T, handler http.Handler) *Session {
	t.Helper()
	server := httptest.NewServer(handler)
	s := New(Options{Name: "dev", State: statedir.Dir{Root: t.TempDir()}})
	t.Cleanup(func() {
		s.Close()
		server.CloseClientConnections()
		server.Close()
	})
	pointTo(t, s, server.URL)
	return s
}

// pointTo writes the cluster's kubeconfig.
func pointTo(t *testing.T, s *Session, url string) {
	t.Helper()
	if err := s.state().Create(); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","current-context":"a","clusters":[{"name":"a","cluster":{"server":%q}}],
		"contexts":[{"name":"a","context":{"cluster":"a","user":"a"}}],"users":[{"name":"a","user":{}}]}`, url)
	if err := os.WriteFile(s.state().Kubeconfig(), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// script answers the requests of one path one after the other, each with its own function.
type script struct {
	t     *testing.T
	steps chan http.HandlerFunc
}

func newScript(t *testing.T, steps ...http.HandlerFunc) *script {
	s := &script{t, make(chan http.HandlerFunc, len(steps))}
	for _, step := range steps {
		s.steps <- step
	}
	return s
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case step := <-s.steps:
		step(w, r)
	default:
		<-r.Context().Done() // a quiet watch
	}
}

// answer is a step that writes text.
func answer(t *testing.T, check func(r *http.Request) error, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if check != nil {
			if err := check(r); err != nil {
				t.Errorf("%s %s: %v", r.Method, r.URL, err)
			}
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, text)
	}
}

// failure is a step that answers with a Status.
func failure(code int, reason string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		fmt.Fprint(w, status(code, reason))
	}
}

func status(code int, reason string) string {
	return fmt.Sprintf(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":%q,"code":%d,"message":"no"}`, reason, code)
}

// feed is a step whose answer is what comes over a channel, until that is closed.
func feed(lines <-chan string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		for {
			select {
			case line, ok := <-lines:
				if !ok {
					return
				}
				fmt.Fprintln(w, line)
				w.(http.Flusher).Flush()
			case <-r.Context().Done():
				return
			}
		}
	}
}

func wantParam(name, want string) func(*http.Request) error {
	return func(r *http.Request) error {
		if got := r.URL.Query().Get(name); got != want {
			return fmt.Errorf("%s is %q, want %q", name, got, want)
		}
		return nil
	}
}
