package componentlog

import (
	"errors"
	"io"
	"slices"
	"testing"
	"time"
)

func TestLineTime(t *testing.T) {
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.Local)
	for line, want := range map[string]time.Time{
		`I0102 11:00:00.250000 server.go:1] hello`:        time.Date(2026, 1, 2, 11, 0, 0, 250_000_000, time.Local),
		`E1231 23:00:00.000000 server.go:1] last year`:    time.Date(2025, 12, 31, 23, 0, 0, 0, time.Local),
		`time="2026-01-02T10:00:00Z" level=info msg="hi"`: time.Date(2026, 1, 2, 10, 0, 0, 0, time.UTC),
		`{"level":"warn","ts":"2026-01-02T10:00:00.5Z"}`:  time.Date(2026, 1, 2, 10, 0, 0, 500_000_000, time.UTC),
		`goroutine 1 [running]:`:                          {},
		``:                                                {},
	} {
		if got := LineTime([]byte(line), now); !got.Equal(want) {
			t.Errorf("%q: %s, want %s", line, got, want)
		}
	}
}

func TestEachLineGetsWholeLines(t *testing.T) {
	var got []string
	w := EachLine(func(line []byte) error {
		got = append(got, string(line))
		return nil
	})
	for _, part := range []string{"a", "b\n", "\nc\nd", "e", "\nnot finished"} {
		if n, err := io.WriteString(w, part); n != len(part) || err != nil {
			t.Fatalf("wrote %d bytes of %q, %v", n, part, err)
		}
	}
	if want := []string{"ab\n", "\n", "c\n", "de\n"}; !slices.Equal(got, want) {
		t.Errorf("lines are %q, want %q", got, want)
	}
	stop := errors.New("stop")
	if _, err := io.WriteString(EachLine(func([]byte) error { return stop }), "a\nb\n"); !errors.Is(err, stop) {
		t.Errorf("an error of each is returned as %v", err)
	}
}
