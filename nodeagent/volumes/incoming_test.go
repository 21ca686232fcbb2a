package volumes

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// nodeDisk is the disk of a node with these files, whose content is their name.
func nodeDisk(t *testing.T, files ...string) (dir string, s *Store) {
	t.Helper()
	dir = t.TempDir()
	for _, f := range files {
		path := filepath.Join(dir, f)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(f), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return dir, New(filepath.Join(dir, "volumes"), 0)
}

func wantFiles(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	var got []string
	_ = filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			rel, _ := filepath.Rel(dir, path)
			got = append(got, rel)
			if data, err := os.ReadFile(path); err != nil || string(data) != want[rel] {
				t.Errorf("%s has %q, %v; want %q", rel, data, err, want[rel])
			}
		}
		return nil
	})
	if len(got) != len(want) {
		t.Errorf("there are %v, want %v", got, want)
	}
}

func TestTake(t *testing.T) {
	dir, s := nodeDisk(t, "volumes/pvc-1/old", "volumes/pvc-2/stays", "incoming-x/pvc-1/new", "incoming-x/pvc-3/more", "incoming-y/pvc-1/unwanted")
	for range 2 {
		if err := s.Take(filepath.Join(dir, "incoming"), "x"); err != nil {
			t.Fatal(err)
		}
		wantFiles(t, dir, map[string]string{
			"volumes/pvc-1/new": "incoming-x/pvc-1/new", "volumes/pvc-2/stays": "volumes/pvc-2/stays", "volumes/pvc-3/more": "incoming-x/pvc-3/more",
		})
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || !slices.Equal(left, []string{filepath.Join(dir, "volumes")}) {
		t.Errorf("left are %v, %v", left, err)
	}
}

func TestTakeNothing(t *testing.T) {
	dir, s := nodeDisk(t, "volumes/pvc-1/old", "incoming-x/pvc-1/new")
	if err := s.Take(filepath.Join(dir, "incoming"), ""); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, dir, map[string]string{"volumes/pvc-1/old": "volumes/pvc-1/old"})
	if err := New(filepath.Join(t.TempDir(), "never-made"), 0).Take(filepath.Join(t.TempDir(), "incoming"), "x"); err != nil {
		t.Errorf("on a node without volumes: %v", err)
	}
}

// An agent that was killed has renamed some.
func TestTakeGoesOn(t *testing.T) {
	for name, files := range map[string][]string{
		"between two volumes": {"volumes/pvc-1/new", "volumes/pvc-2/old", "incoming-x/.replaced/pvc-1/old", "incoming-x/pvc-2/new"},
		"within one":          {"volumes/pvc-1/new", "incoming-x/.replaced/pvc-1/old", "incoming-x/.replaced/pvc-2/old", "incoming-x/pvc-2/new"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, s := nodeDisk(t, files...)
			if err := s.Take(filepath.Join(dir, "incoming"), "x"); err != nil {
				t.Fatal(err)
			}
			wantFiles(t, dir, map[string]string{"volumes/pvc-1/new": "volumes/pvc-1/new", "volumes/pvc-2/new": "incoming-x/pvc-2/new"})
		})
	}
}
