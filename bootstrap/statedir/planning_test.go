package statedir

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"bonsai/bootstrap/fault"
)

func TestPlanningIsOneAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	var inside, most atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			l, err := LockPlanning(t.Context(), path)
			if err != nil {
				t.Error(err)
				return
			}
			if n := inside.Add(1); n > 1 {
				most.Store(n)
			}
			inside.Add(-1)
			if err := errors.Join(l.Release(), l.Release()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := most.Load(); n > 0 {
		t.Errorf("%d had the lock at once", n)
	}
}

func TestOtherUsersMayTakeThePlanningLock(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077))
	path := filepath.Join(t.TempDir(), "lock")
	l, err := LockPlanning(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Release() }()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o666 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestPlanningLockThatIsRemovedGuardsNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	first, err := LockPlanning(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	second, err := LockPlanning(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(first.Release(), second.Release()); err != nil {
		t.Error(err)
	}
}

func TestWaitForThePlanningLockEnds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	l, err := LockPlanning(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Release() }()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := LockPlanning(ctx, path); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the end of the wait", err)
	}
}

// Anybody may put something into a folder for all.
func TestPlanningLockIsAFile(t *testing.T) {
	for what, plant := range map[string]func(path string) error{
		"a link":   func(path string) error { return os.Symlink(filepath.Join(filepath.Dir(path), "elsewhere"), path) },
		"a pipe":   func(path string) error { return syscall.Mkfifo(path, 0o666) },
		"a folder": func(path string) error { return os.Mkdir(path, 0o700) },
	} {
		path := filepath.Join(t.TempDir(), "lock")
		if err := plant(path); err != nil {
			t.Fatal(err)
		}
		if _, err := LockPlanning(t.Context(), path); fault.KindOf(err) != fault.State {
			t.Errorf("%s: got %v, want it to be refused", what, err)
		}
		if _, err := os.Lstat(filepath.Join(filepath.Dir(path), "elsewhere")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: something was made elsewhere (%v)", what, err)
		}
	}
}

func TestClearKeepsTheLock(t *testing.T) {
	c := Dir{Root: t.TempDir()}.Cluster("dev")
	lock, err := c.Lock(t.Context(), "start")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Release() }()
	if err := errors.Join(c.Create(), os.WriteFile(c.SpecFile(), []byte("{}"), 0o600), os.WriteFile(filepath.Join(c.PKI(), "ca.crt"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := c.Clear(); err != nil {
		t.Fatal(err)
	}
	if c.Exists() {
		t.Error("the spec is left")
	}
	if _, err := os.Stat(c.PKI()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("certificates are left (%v)", err)
	}
	if _, err := c.Lock(t.Context(), "delete"); fault.KindOf(err) != fault.Busy {
		t.Errorf("another command got the lock: %v", err)
	}
}
