package componentlog

import (
	"bufio"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTailBeginsAtTheWantedLine(t *testing.T) {
	long := strings.Repeat("x", 70<<10) // longer than a block
	for _, tc := range []struct {
		text  string
		lines int
		want  string
	}{
		{"a\nb\nc\n", -1, "a\nb\nc\n"},
		{"a\nb\nc\n", 0, ""},
		{"a\nb\nc\n", 2, "b\nc\n"},
		{"a\nb\nc", 2, "b\nc"},
		{"a\nb\n", 9, "a\nb\n"},
		{"", 3, ""},
		{"a\n" + long + "\nc\n", 2, long + "\nc\n"},
		{"a\n\n\n", 2, "\n\n"},
	} {
		path := filepath.Join(t.TempDir(), "log")
		if err := os.WriteFile(path, []byte(tc.text), 0o600); err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		if err := Tail(t.Context(), path, tc.lines, false, &got); err != nil || got.String() != tc.want {
			t.Errorf("Tail(%.10q, %d) = %.20q, %v, want %.20q", tc.text, tc.lines, got.String(), err, tc.want)
		}
	}
}

func TestTailFollowsThroughARotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	write := func(text string) {
		t.Helper()
		f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	write("one\n")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- Tail(ctx, path, 1, true, w); _ = w.Close() }()
	in := bufio.NewReader(r)
	expect := func(want string) {
		t.Helper()
		if got, err := in.ReadString('\n'); err != nil || got != want {
			t.Fatalf("read %q, %v, want %q", got, err, want)
		}
	}
	expect("one\n")
	write("two\n")
	expect("two\n")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	write("three\n")
	expect("three\n")
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Tail = %v at the end of its context", err)
	}
}
