package mirror

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"bonsai/bootstrap/componentlog"
)

const logText = `time=2026-11-29T12:00:00.000Z level=INFO msg=a component=dns
time=2026-11-29T12:00:01.000Z level=INFO msg=b component=podnet
time=2026-11-29T12:00:02.000Z level=INFO msg=c component=dns
  more of c component=dns
time=2026-11-29T12:00:03.000Z level=INFO msg=d component=podnet
time=2026-11-29T12:00:04.000Z level=INFO msg=e component=dns
`

func testLog(t *testing.T) (Log, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.log")
	if err := os.WriteFile(path, []byte(logText), 0o600); err != nil {
		t.Fatal(err)
	}
	return Log{known: true, tail: func(ctx context.Context, lines int, follow bool, w io.Writer) error {
		return componentlog.Tail(ctx, path, lines, follow, w)
	}}, path
}

func TestALogIsSelectedAsKubectlDoes(t *testing.T) {
	at := func(s int) time.Time { return time.Date(2026, 11, 29, 12, 0, s, 0, time.UTC) }
	a, b, c, more, d, e := "msg=a", "msg=b", "msg=c", "more of c", "msg=d", "msg=e"
	for name, tc := range map[string]struct {
		only    string
		started time.Time
		q       Query
		want    []string
	}{
		"all":                         {"", time.Time{}, Query{Lines: -1}, []string{a, b, c, more, d, e}},
		"the last two":                {"", time.Time{}, Query{Lines: 2}, []string{d, e}},
		"none":                        {"", time.Time{}, Query{Lines: 0}, nil},
		"of one component":            {"component=dns", time.Time{}, Query{Lines: -1}, []string{a, c, more, e}},
		"the last of one component":   {"component=dns", time.Time{}, Query{Lines: 2}, []string{more, e}},
		"more than there are":         {"component=dns", time.Time{}, Query{Lines: 9}, []string{a, c, more, e}},
		"none of one component":       {"component=dns", time.Time{}, Query{Lines: 0}, nil},
		"a component without lines":   {"component=x", time.Time{}, Query{Lines: 5}, nil},
		"since":                       {"", time.Time{}, Query{Lines: -1, Since: at(2)}, []string{c, more, d, e}},
		"previous":                    {"", at(2), Query{Lines: -1, Previous: true, Follow: true}, []string{a, b}},
		"the last of the previous":    {"", at(4), Query{Lines: 2, Previous: true}, []string{more, d}},
		"the previous of a component": {"component=dns", at(4), Query{Lines: 1, Previous: true}, []string{more}},
	} {
		l, _ := testLog(t)
		l.started = tc.started
		if tc.only != "" {
			l.only = []byte(tc.only)
		}
		var out bytes.Buffer
		if err := l.Copy(t.Context(), tc.q, &out); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var lines [][]byte
		if out.Len() > 0 {
			lines = bytes.Split(bytes.TrimSuffix(out.Bytes(), []byte("\n")), []byte("\n"))
		}
		ok := len(lines) == len(tc.want)
		for i := range min(len(lines), len(tc.want)) {
			ok = ok && bytes.Contains(lines[i], []byte(tc.want[i]))
		}
		if !ok {
			t.Errorf("%s: got\n%swant %q", name, &out, tc.want)
		}
	}
}

func TestWithoutARestartThereIsNoPreviousLog(t *testing.T) {
	for _, started := range []time.Time{{}, time.Date(2026, 11, 29, 11, 0, 0, 0, time.UTC)} {
		l, _ := testLog(t)
		l.started = started
		if err := l.Copy(t.Context(), Query{Lines: -1, Previous: true}, io.Discard); !errors.Is(err, ErrNoPrevious) {
			t.Errorf("started %s: %v, want ErrNoPrevious", started, err)
		}
	}
}

func TestBeforeAnyNewsNothingIsSaidOfAPreviousRun(t *testing.T) {
	l, _ := testLog(t)
	l.known = false
	if err := l.Copy(t.Context(), Query{Lines: -1, Previous: true}, io.Discard); !errors.Is(err, errUnknown) {
		t.Errorf("%v, want errUnknown", err)
	}
}

func TestTimestampsAndALimit(t *testing.T) {
	l, _ := testLog(t)
	var out bytes.Buffer
	if err := l.Copy(t.Context(), Query{Lines: 4, Timestamps: true}, &out); err != nil {
		t.Fatal(err)
	}
	// A line without a time has that of the one before it.
	if want := "2026-11-29T12:00:02Z time="; !bytes.HasPrefix(out.Bytes(), []byte(want)) || !bytes.Contains(out.Bytes(), []byte("\n2026-11-29T12:00:02Z   more of c")) {
		t.Errorf("got %s", &out)
	}
	out.Reset()
	if err := l.Copy(t.Context(), Query{Lines: -1, Limit: 70, Follow: true}, &out); err != nil || out.String() != logText[:70] {
		t.Errorf("got %q, %v", &out, err)
	}
}

// TestALogIsFollowed: new lines come until the reader leaves.
func TestALogIsFollowed(t *testing.T) {
	l, path := testLog(t)
	l.only = []byte("component=dns")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- l.Copy(ctx, Query{Lines: 1, Follow: true}, w)
		_ = w.Close()
	}()
	got := make([]byte, 0, 1000)
	read := func(until string) {
		t.Helper()
		buf := make([]byte, 100)
		for !bytes.Contains(got, []byte(until)) {
			n, err := r.Read(buf)
			if err != nil {
				t.Fatalf("after %q: %v", got, err)
			}
			got = append(got, buf[:n]...)
		}
	}
	read("msg=e")
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("msg=f component=podnet\nmsg=g component=dns\n"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	read("msg=g")
	if bytes.Contains(got, []byte("msg=f")) || bytes.Contains(got, []byte("msg=c")) {
		t.Errorf("got %q", got)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("the end of the reader is an error: %v", err)
	}
}
