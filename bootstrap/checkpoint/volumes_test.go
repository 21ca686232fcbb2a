package checkpoint

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bonsai/bootstrap/cluster"
)

// saveVolume saves a checkpoint with the data of claims on the second node.
func (f Folder) saveVolume(name string, minutes int, write func(io.Writer) error) (cluster.Checkpoint, error) {
	c := cluster.Checkpoint{Name: name, Created: at.Add(-time.Duration(minutes) * time.Minute), WithVolumes: true}
	return f.Save(c, spec(), func(w io.Writer) (cluster.StoreCopy, error) {
		_, err := w.Write(data)
		return cluster.StoreCopy{Objects: 5}, err
	}, Volume{Place: 1, Node: "dev-2", Write: write})
}

func text(s string) func(io.Writer) error {
	return func(w io.Writer) error { _, err := io.WriteString(w, s); return err }
}

// noise cannot be compressed.
func noise(n int) func(io.Writer) error {
	return func(w io.Writer) error {
		x := uint32(1)
		buffer := make([]byte, 4096)
		for ; n > 0; n -= len(buffer) {
			for i := range buffer {
				x = x*1664525 + 1013904223
				buffer[i] = byte(x >> 24)
			}
			if _, err := w.Write(buffer); err != nil {
				return err
			}
		}
		return nil
	}
}

func TestVolumes(t *testing.T) {
	f := folder(t)
	f.Limits.VolumeBytes = 1 << 20
	saved, err := f.saveVolume("a", 0, text("data of claims"))
	if err != nil || len(saved.Volumes) != 1 || saved.VolumeBytes() != 14 || saved.Volumes[0].Node != "dev-2" {
		t.Fatalf("saved %+v, %v", saved, err)
	}
	if _, _, err := f.Verify(t.Context(), "a"); err != nil {
		t.Error(err)
	}
	other := folder(t)
	other.Limits = f.Limits
	if err := other.Import(f, "a", "b"); err != nil {
		t.Fatal(err)
	}
	for folder, name := range map[Folder]string{f: "a", other: "b"} {
		r, err := folder.OpenVolume(name, 1)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err := errors.Join(err, r.Close()); err != nil || string(got) != "data of claims" {
			t.Errorf("%s has %q, %v", name, got, err)
		}
	}
	if _, err := f.OpenVolume("a", 0); !errors.Is(err, ErrNotFound) {
		t.Errorf("a node without data: %v", err)
	}
	path := filepath.Join(f.Path, "a", volumeFile(1))
	if err := errors.Join(os.Remove(path), os.WriteFile(path, []byte("something else"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.Verify(t.Context(), "a"); !errors.Is(err, ErrDamaged) {
		t.Errorf("damaged data: %v", err)
	}
	if err := f.Delete("a"); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(f.Path); err != nil || len(left) > 0 {
		t.Errorf("left are %v, %v", left, err)
	}
}

func TestVolumesAreBounded(t *testing.T) {
	f := folder(t)
	f.Limits.VolumeBytes = 1 << 20
	if _, err := f.saveVolume("a", 9, noise(600<<10)); err != nil {
		t.Fatal(err)
	}
	if _, err := f.saveVolume("b", 8, noise(600<<10)); !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "dev-2") {
		t.Errorf("more than all may have: %v", err)
	}
	failed := errors.New("the node is gone")
	if _, err := f.saveVolume("c", 7, func(io.Writer) error { return failed }); !errors.Is(err, failed) {
		t.Errorf("a copy that fails: %v", err)
	}
	if left, err := os.ReadDir(f.Path); err != nil || len(left) != 1 {
		t.Errorf("left are %v, %v", left, err)
	}
	if err := f.save(t, "objects", 6); err != nil { // data of claims takes no room from objects
		t.Error(err)
	}
	if err := f.Delete("a"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.saveVolume("b", 5, noise(600<<10)); err != nil {
		t.Errorf("after one was deleted: %v", err)
	}
}

// Of bonsai's own checkpoints with data the newest stays, and the one that is about to be restored.
func TestAutomaticVolumes(t *testing.T) {
	f := folder(t)
	f.Limits.VolumeBytes = 1 << 20
	for i, name := range []string{"auto-1", "auto-2"} {
		if _, err := f.saveVolume(name, 9-i, text("a")); err != nil {
			t.Fatal(err)
		}
	}
	if got := f.names(t); !slices.Equal(got, []string{"auto-2"}) {
		t.Errorf("there are %v", got)
	}
	f.Spare = "auto-2"
	if _, err := f.saveVolume("auto-3", 7, text("a")); err != nil {
		t.Fatal(err)
	}
	f.must(t, "auto-4", 6)
	f.must(t, "auto-5", 5)
	if got := f.names(t); !slices.Equal(got, []string{"auto-5", "auto-4", "auto-2"}) {
		t.Errorf("there are %v", got)
	}
}
