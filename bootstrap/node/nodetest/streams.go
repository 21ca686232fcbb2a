package nodetest

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/node"
)

func testExec(t *testing.T, s *suite) {
	c := s.start(t, s.node(s.cluster(t, 1), 1))
	code, _, _ := s.run(t, c.Name, "exit", "7")
	equal(t, "exit code", code, 7)
	_, stdout, stderr := s.run(t, c.Name, "both")
	equal(t, "stdout", stdout, "to stdout")
	equal(t, "stderr", stderr, "to stderr")
	equal(t, "env", s.output(t, c.Name, "env", "COLOUR"), "green")

	var out bytes.Buffer
	input := strings.Repeat("leaf ", 100_000)
	code, err := s.d.Exec(t.Context(), c.Name, node.Exec{
		Cmd: []string{entrypoint, "upper"}, Stdin: strings.NewReader(input), Stdout: &out,
	})
	must(t, err)
	if code != 0 || out.String() != strings.ToUpper(input) {
		t.Errorf("got code %d and %d bytes, want 0 and the input in upper case", code, out.Len())
	}
	_, err = s.d.Exec(t.Context(), "bt-no-such-node", node.Exec{Cmd: []string{entrypoint}})
	wantKind(t, err, fault.NodeNotFound)
	must(t, s.d.StopNode(t.Context(), c.Name, grace))
	_, err = s.d.Exec(t.Context(), c.Name, node.Exec{Cmd: []string{entrypoint}})
	wantKind(t, err, fault.NotRunning)
}

func testLogs(t *testing.T, s *suite) {
	n := s.node(s.cluster(t, 1), 1)
	c := s.start(t, n)
	line := "node " + c.Node + " is up\n"
	followed := newLines()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	var followErr error
	wg.Go(func() { followErr = s.d.Logs(ctx, c.Name, 0, true, followed) })
	followed.await(t, ctx, line) // the guest has written it by now
	must(t, s.d.StopNode(t.Context(), c.Name, grace))
	wg.Wait() // following ends with the container
	must(t, followErr)

	must(t, s.d.EnsureNode(t.Context(), n))
	s.output(t, c.Name, "env", "COLOUR") // by then the guest's first line is out
	must(t, s.d.StopNode(t.Context(), c.Name, grace))
	var all, last bytes.Buffer
	must(t, s.d.Logs(t.Context(), c.Name, 0, false, &all))
	must(t, s.d.Logs(t.Context(), c.Name, 1, false, &last))
	equal(t, "all", all.String(), line+line)
	equal(t, "the last line", last.String(), line)
	wantKind(t, s.d.Logs(t.Context(), "bt-no-such-node", 0, false, &all), fault.NodeNotFound)
}

// lines is a writer that can be waited on.
type lines struct {
	mu    sync.Mutex // guards text
	text  string
	grown chan struct{}
}

func newLines() *lines { return &lines{grown: make(chan struct{}, 1)} }

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	l.text += string(b)
	l.mu.Unlock()
	select {
	case l.grown <- struct{}{}:
	default:
	}
	return len(b), nil
}

func (l *lines) await(t *testing.T, ctx context.Context, want string) {
	t.Helper()
	for {
		l.mu.Lock()
		have := strings.Contains(l.text, want)
		l.mu.Unlock()
		if have {
			return
		}
		select {
		case <-l.grown:
		case <-ctx.Done():
			t.Fatalf("never read %q", want)
		}
	}
}
