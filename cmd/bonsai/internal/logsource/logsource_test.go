package logsource

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTailBeginsAtTheRightLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.log")
	for _, size := range []int{0, 1, 7, 40_000} { // the last is more than one block
		for _, end := range []string{"\n", ""} {
			var all []string
			for i := range size {
				all = append(all, fmt.Sprintf("line %d", i))
			}
			text := strings.Join(all, "\n")
			if size > 0 {
				text += end
			}
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, n := range []int{-1, 0, 1, 3, 7, 8, 20_000} {
				want := text
				if n >= 0 && n < size {
					want = strings.Join(all[size-n:], "\n")
					if n > 0 {
						want += end
					}
				}
				var out bytes.Buffer
				if err := Host(t.Context(), path, Range{Lines: n}, &out); err != nil || out.String() != want {
					t.Errorf("%d lines, last %d, end %q: got %d bytes, %v, want %d", size, n, end, out.Len(), err, len(want))
				}
			}
		}
	}
}

// TestFollowSeesGrowthAndRotation waits for each line before it makes the next.
func TestFollowSeesGrowthAndRotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.log")
	appendTo := func(text string) {
		f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err == nil {
			_, err = f.WriteString(text)
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	appendTo("old\none\n")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- Host(ctx, path, Range{Lines: 1, Follow: true}, w) }()
	want := func(text string) {
		t.Helper()
		got := make([]byte, len(text))
		if _, err := io.ReadFull(r, got); err != nil || string(got) != text {
			t.Fatalf("got %q, %v, want %q", got, err, text)
		}
	}
	want("one\n")
	appendTo("two\n")
	want("two\n")
	appendTo("three\n")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	appendTo("four\n")
	want("three\nfour\n")
	if err := os.WriteFile(path, []byte("5\n"), 0o600); err != nil { // cut short in place
		t.Fatal(err)
	}
	want("5\n")
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
