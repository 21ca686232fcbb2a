package imagestore

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"
	"testing/iotest"
)

// Content is stored whatever its size is and however it comes, and not if its reader fails.
func TestPut(t *testing.T) {
	store := New(t.TempDir())
	release, err := store.Use(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	for _, size := range []int{0, 1, copySize - 1, copySize, copySize + 1, 3*copySize + 7} {
		content := make([]byte, size)
		for i := range content {
			content[i] = byte(i % 251)
		}
		want := fmt.Sprintf("sha256:%x", sha256.Sum256(content))
		for how, r := range map[string]io.Reader{
			"at once": bytes.NewReader(content), "in parts": iotest.HalfReader(bytes.NewReader(content)), "with its end": iotest.DataErrReader(bytes.NewReader(content)),
		} {
			b, err := store.Put(r, "")
			if err != nil || b.Size != int64(size) || b.Digest != want {
				t.Errorf("%d bytes %s: got %+v, %v, want %s", size, how, b, err, want)
			}
			if stored, err := os.ReadFile(store.path(want)); err != nil || !bytes.Equal(stored, content) {
				t.Errorf("%d bytes %s: %d are stored, %v", size, how, len(stored), err)
			}
		}
		for _, cause := range []error{io.ErrUnexpectedEOF, errors.New("the disk is gone")} {
			if b, err := store.Put(io.MultiReader(bytes.NewReader(content), iotest.ErrReader(cause)), ""); !errors.Is(err, cause) {
				t.Errorf("%d bytes and %v: got %+v, %v", size, cause, b, err)
			}
		}
	}
	if left, err := os.ReadDir(store.partial()); err != nil || len(left) > 0 {
		t.Errorf("%d files are left, %v", len(left), err)
	}
}

func BenchmarkPut(b *testing.B) {
	store := New(b.TempDir())
	release, err := store.Use(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	defer release()
	content := make([]byte, 200<<20)
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		if _, err := store.Put(bytes.NewReader(content), ""); err != nil {
			b.Fatal(err)
		}
	}
}
