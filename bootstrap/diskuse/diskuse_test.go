package diskuse

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestOf(t *testing.T) {
	dir := t.TempDir()
	of := func(path string) int64 {
		t.Helper()
		n, err := Of(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	empty := of(dir)
	big := filepath.Join(dir, "big")
	if err := os.WriteFile(big, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	one := of(dir) - empty
	if one < 1<<20 || one > 2<<20 {
		t.Errorf("a file of 1 MiB takes %d", one)
	}
	if got := of(big); got != one {
		t.Errorf("the file alone takes %d, want %d", got, one)
	}

	// Neither another name of the same file nor a link to what is elsewhere takes room.
	if err := os.Link(big, filepath.Join(dir, "again")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/usr", filepath.Join(dir, "usr")); err != nil {
		t.Fatal(err)
	}
	if got := of(dir) - empty; got < one || got > one+64<<10 {
		t.Errorf("with links it takes %d, want about %d", got, one)
	}

	// A hole takes no room.
	sparse := filepath.Join(dir, "sparse")
	if err := os.WriteFile(sparse, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(sparse, 1<<30); err != nil {
		t.Fatal(err)
	}
	if got := of(sparse); got > 1<<20 {
		t.Errorf("a hole takes %d", got)
	}

	if got := of(filepath.Join(dir, "nothing")); got != 0 {
		t.Errorf("what does not exist takes %d", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Of(ctx, dir); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
