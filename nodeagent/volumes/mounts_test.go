package volumes

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestAMountInAVolumeIsNotEmptied(t *testing.T) {
	s := New(t.TempDir(), 0)
	path, err := s.Ensure("pvc-1")
	if err != nil {
		t.Fatal(err)
	}
	elsewhere, inside := t.TempDir(), filepath.Join(path, "deep", "inside")
	file := filepath.Join(elsewhere, "data")
	if err := errors.Join(os.WriteFile(file, []byte("precious"), 0o600), os.MkdirAll(inside, 0o700)); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount(elsewhere, inside, "", syscall.MS_BIND, ""); errors.Is(err, os.ErrPermission) {
		t.Skip("only root may mount")
	} else if err != nil {
		t.Fatal(err)
	}
	removed := s.Remove("pvc-1")
	if err := syscall.Unmount(inside, 0); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(file); err != nil || string(data) != "precious" {
		t.Errorf("what was mounted is %q, %v", data, err)
	}
	if !errors.Is(removed, ErrMounted) {
		t.Errorf("Remove: %v, want %v", removed, ErrMounted)
	}
	if err := s.Remove("pvc-1"); err != nil {
		t.Errorf("after it was unmounted: %v", err)
	}
}
