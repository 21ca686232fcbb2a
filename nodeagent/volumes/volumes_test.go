package volumes

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAVolumeIsAFolderThatEverybodyMayWriteTo(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077))
	dir := filepath.Join(t.TempDir(), "not", "there", "yet")
	s := New(dir, 0)
	path, err := s.Ensure("pvc-1")
	if err != nil || path != filepath.Join(dir, "pvc-1") {
		t.Fatalf("Ensure = %q, %v", path, err)
	}
	if info, err := os.Lstat(path); err != nil || info.Mode() != os.ModeDir|0o777 {
		t.Errorf("mode is %v (%v), want drwxrwxrwx", info.Mode(), err)
	}
	if info, err := os.Lstat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder around it has mode %v (%v), want 0700", info.Mode(), err)
	}
	got, err := s.List()
	if err != nil || len(got.Volumes) != 1 || got.Volumes[0] != "pvc-1" || got.FreeBytes == 0 || got.TotalBytes < got.FreeBytes {
		t.Errorf("List = %+v, %v", got, err)
	}
}

func TestEnsureLeavesAVolumeInUseAlone(t *testing.T) {
	s := New(t.TempDir(), 0)
	path, err := s.Ensure("pvc-1")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(path, "data")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o700); err != nil { // as databases do
		t.Fatal(err)
	}
	s.floor = math.MaxUint64 // nothing new has to fit
	if again, err := s.Ensure("pvc-1"); err != nil || again != path {
		t.Errorf("Ensure = %q, %v", again, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode is %v (%v) now, want 0700 as before", info.Mode(), err)
	}
	if data, err := os.ReadFile(file); err != nil || string(data) != "precious" {
		t.Errorf("the volume holds %q, %v", data, err)
	}
}

func TestEnsureFinishesWhatAKilledAgentBegan(t *testing.T) {
	s := New(t.TempDir(), 0)
	if err := os.Mkdir(filepath.Join(s.dir, ".pvc-1"), 0o700); err != nil {
		t.Fatal(err)
	}
	if r, err := s.List(); err != nil || len(r.Volumes) != 0 {
		t.Errorf("List = %+v, %v; want no half-made volume", r, err)
	}
	path, err := s.Ensure("pvc-1")
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o777 {
		t.Errorf("mode is %v (%v)", info.Mode(), err)
	}
	if left, _ := os.ReadDir(s.dir); len(left) != 1 {
		t.Errorf("%v lie there, want the volume alone", left)
	}
}

func TestRemoveTakesEverythingAndNothingElse(t *testing.T) {
	s := New(t.TempDir(), 0)
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, []byte("not ours"), 0o600); err != nil {
		t.Fatal(err)
	}
	kept, err := s.Ensure("pvc-2")
	if err != nil {
		t.Fatal(err)
	}
	path, err := s.Ensure("pvc-1")
	if err != nil {
		t.Fatal(err)
	}
	deep := filepath.Join(path, "a", "b")
	if err := os.MkdirAll(deep, 0o755); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{"file": outside, "dir": filepath.Dir(outside), "up": "../../pvc-2"} {
		if err := os.Symlink(target, filepath.Join(deep, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(deep, 0o500); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 { // as in a node: files of any owner
		if err := os.Lchown(deep, 1234, 1234); err != nil {
			t.Fatal(err)
		}
	} else if err := os.Chmod(deep, 0o700); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time there is nothing to do
		if err := s.Remove("pvc-1"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the volume is still there: %v", err)
	}
	for _, p := range []string{outside, kept} {
		if _, err := os.Lstat(p); err != nil {
			t.Errorf("removed what a link led to: %v", err)
		}
	}
}

func TestNothingToRemove(t *testing.T) {
	if err := New(filepath.Join(t.TempDir(), "never-made"), 0).Remove("pvc-1"); err != nil {
		t.Error(err)
	}
}

func TestNamesCannotLeadElsewhere(t *testing.T) {
	parent := t.TempDir()
	s := New(filepath.Join(parent, "volumes"), 0)
	victim := filepath.Join(parent, "victim")
	if err := errors.Join(os.Mkdir(s.dir, 0o700), os.Mkdir(victim, 0o700)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", ".", "..", "../victim", "a/b", "/victim", ".pvc-1", "pvc-", "PVC", "a\x00b", "a\n", strings.Repeat("a", 254)} {
		if _, err := s.Ensure(name); !errors.Is(err, ErrName) {
			t.Errorf("Ensure(%q) = %v, want ErrName", name, err)
		}
		if err := s.Remove(name); !errors.Is(err, ErrName) {
			t.Errorf("Remove(%q) = %v, want ErrName", name, err)
		}
	}
	// What somebody with access to the disk put there is not followed either.
	if err := os.Symlink("../victim", filepath.Join(s.dir, "link")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Ensure("link"); err == nil {
		t.Error("a link passes for a volume")
	}
	if r, err := s.List(); err != nil || len(r.Volumes) != 0 {
		t.Errorf("List = %+v, %v; want no link in it", r, err)
	}
	if err := s.Remove("link"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(victim); err != nil {
		t.Errorf("the link's target: %v", err)
	}
}

func TestNoRoom(t *testing.T) {
	s := New(t.TempDir(), math.MaxUint64)
	_, err := s.Ensure("pvc-1")
	if !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "MiB are free") {
		t.Errorf("Ensure = %v, want that the disk is full and how much is free", err)
	}
	if left, _ := os.ReadDir(s.dir); len(left) != 0 {
		t.Errorf("%v lie there after a refusal", left)
	}
}

func TestErrorsOfTheDiskAreNamed(t *testing.T) {
	for _, c := range []struct{ cause, want error }{
		{syscall.EROFS, ErrReadOnly}, {syscall.ENOSPC, ErrFull}, {syscall.EDQUOT, ErrFull}, {syscall.EIO, syscall.EIO},
	} {
		got := New("/d", 0).explain("try", &os.PathError{Op: "mkdirat", Path: "x", Err: c.cause})
		if !errors.Is(got, c.want) || !strings.HasPrefix(got.Error(), "try: ") {
			t.Errorf("%v becomes %v, want %v", c.cause, got, c.want)
		}
	}
	if err := New("/d", 0).explain("try", nil); err != nil {
		t.Errorf("no error becomes %v", err)
	}
}

func TestManyAtOnce(t *testing.T) {
	s := New(t.TempDir(), 0)
	var all sync.WaitGroup
	for i := range 32 {
		all.Go(func() {
			name := fmt.Sprintf("pvc-%d", i%8) // four callers each
			if _, err := s.Ensure(name); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for i := range 16 {
		all.Go(func() {
			if err := s.Remove(fmt.Sprintf("pvc-%d", i%8)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if left, _ := os.ReadDir(s.dir); len(left) != 0 {
		t.Errorf("%v are left", left)
	}
}
