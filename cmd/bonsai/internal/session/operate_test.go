package session

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/statedir"
)

// operator is a Session whose executable is a shell script.
func operator(t *testing.T, text string) (*Session, string) {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "bonsai")
	if err := os.WriteFile(program, []byte("#!/bin/sh\ncd "+dir+"\n"+text), 0o700); err != nil {
		t.Fatal(err)
	}
	return New(Options{Name: "dev", State: statedir.Dir{Root: filepath.Join(dir, "home")}, Executable: program}), dir
}

func TestAnOperationReportsItsSteps(t *testing.T) {
	s, _ := operator(t, `
[ "$*" = "start --nodes 2 -p dev -o json" ] || exit 9
[ "$BONSAI_HOME" != "" ] && [ "$(ls -A $BONSAI_HOME)" = "" ] || exit 8
echo '{"kind":"started","step":"etcd","title":"etcd","time":"2026-08-01T10:00:00Z"}'
echo "note: a word" >&2
printf '{"kind":"done","step":"etcd","time":"2026-08-01T10:00:01Z"}'
`)
	var got []string
	err := s.Operate(t.Context(), []string{"start", "--nodes", "2"}, func(e cluster.Event) { got = append(got, string(e.Kind)+" "+e.Step+" "+e.Detail) })
	slices.Sort(got)
	if want := []string{"done etcd ", "progress start note: a word", "started etcd "}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v", got, err)
	}
}

// TestPrintedErrorsAreFaults: verbs without JSON fail with their own words and kind, too.
func TestPrintedErrorsAreFaults(t *testing.T) {
	s, _ := operator(t, `
echo "a line before"
echo "error: pull images on dev-1" >&2
echo "  cause: no such host" >&2
echo "    at all" >&2
echo "  | evidence" >&2
echo "  hint: try again:  bonsai image pull x" >&2
echo "error: pull images on dev-2" >&2
exit 25`)
	err := s.Operate(t.Context(), []string{"image", "pull", "x"}, func(cluster.Event) {})
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || len(joined.Unwrap()) != 2 {
		t.Fatalf("%v", err)
	}
	first := fault.Problem(joined.Unwrap()[0])
	if first.Summary != "pull images on dev-1" || first.Cause != "no such host\nat all" || first.Kind != string(fault.Image) || !slices.Equal(first.Evidence, []string{"evidence"}) ||
		first.HintText() != "try again:  bonsai image pull x" {
		t.Errorf("%+v", first)
	}
	if second := joined.Unwrap()[1]; second.Error() != "pull images on dev-2" || fault.KindOf(second) != fault.Image {
		t.Errorf("%v", second)
	}
}

func TestArgumentsOfAnotherCommandStayLast(t *testing.T) {
	s := New(Options{Name: "dev"})
	for _, test := range []struct{ given, want []string }{
		{[]string{"addons", "enable", "dns"}, []string{"addons", "enable", "dns", "-p", "dev", "-o", "json"}},
		{[]string{"addons", "list"}, []string{"addons", "list", "-p", "dev"}},
		{[]string{"node", "add", "--count", "2"}, []string{"node", "add", "--count", "2", "-p", "dev", "-o", "json"}},
		{[]string{"node", "list"}, []string{"node", "list", "-p", "dev"}},
		{[]string{"stop", "-p", "ci"}, []string{"stop", "-p", "ci", "-o", "json"}},
		{[]string{"kubectl", "--", "get", "-p", "pods"}, []string{"kubectl", "-p", "dev", "--", "get", "-p", "pods"}},
		{[]string{"kubectl", "--", "get", "pods"}, []string{"kubectl", "-p", "dev", "--", "get", "pods"}},
	} {
		if got := s.arguments(test.given); !slices.Equal(got, test.want) {
			t.Errorf("%q becomes %q", test.given, got)
		}
	}
}

func TestAnOperationFailsWithItsOwnFault(t *testing.T) {
	s, _ := operator(t, `
echo '{"kind":"failed","step":"stop","time":"2026-08-01T10:00:00Z","problem":{"kind":"Internal","severity":"error","summary":"less exact"}}'
echo '{"kind":"ClusterBusy","severity":"error","summary":"cluster dev is busy","hint":"wait"}' >&2
exit 12
`)
	err := s.Operate(t.Context(), []string{"stop"}, func(cluster.Event) {})
	if f, ok := errors.AsType[*fault.Fault](err); !ok || f.Kind != fault.Busy || fault.Problem(f).HintText() != "wait" {
		t.Errorf("got %#v", err)
	}
	s, _ = operator(t, "echo 'some text'; exit 1\n")
	err = s.Operate(t.Context(), []string{"image", "load", "x.tar"}, func(e cluster.Event) {
		if e.Kind != cluster.StepProgress || e.Detail != "some text" {
			t.Errorf("event %+v", e)
		}
	})
	if f, ok := errors.AsType[*fault.Fault](err); !ok || f.Kind != fault.Internal || !slices.Equal(f.Evidence, []string{"some text"}) {
		t.Errorf("got %#v", err)
	}
}

func TestAnInterruptedOperationCleansUp(t *testing.T) {
	s, dir := operator(t, `
trap 'echo cleaned > cleaned; echo "{\"kind\":\"Canceled\",\"severity\":\"error\",\"summary\":\"interrupted\"}" >&2; exit 130' INT
echo '{"kind":"started","step":"etcd","time":"2026-08-01T10:00:00Z"}'
while :; do sleep 0.02; done
`)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := s.Operate(ctx, []string{"start"}, func(cluster.Event) { cancel() })
	if fault.KindOf(err) != fault.Canceled {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "cleaned")); err != nil {
		t.Error(err)
	}
}

func TestADetachedOperationGoesOn(t *testing.T) {
	s, dir := operator(t, `
echo '{"kind":"started","step":"etcd","time":"2026-08-01T10:00:00Z"}'
while [ ! -e go ]; do sleep 0.02; done
echo '{"kind":"done","step":"etcd","time":"2026-08-01T10:00:00Z"}'
ps -o sid= -p $$ > end; mv end ended
`)
	ctx, cancel := context.WithCancelCause(t.Context())
	err := s.Operate(ctx, []string{"start"}, func(cluster.Event) { cancel(cluster.ErrDetach) })
	if !errors.Is(err, cluster.ErrDetach) {
		t.Fatalf("got %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(limit); ; <-time.After(10 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(dir, "ended")); err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("it did not go on")
		}
	}
}
