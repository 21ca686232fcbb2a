package daemon

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"bonsai/bootstrap/statedir"
)

// ended is a process that has.
func ended(t *testing.T) *statedir.Process {
	t.Helper()
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p, err := statedir.ProcessOf(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	return &p
}

func TestAClusterEndsWithItsOwner(t *testing.T) {
	gone := ended(t)
	this, err := statedir.ProcessOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var of atomic.Pointer[statedir.Process]
		of.Store(&this)
		deleted := 0
		o := newOwner(of.Load, func(context.Context) error {
			if deleted++; deleted == 1 {
				return errors.New("another command works on it")
			}
			cancel() // as the delete does, which ends this process
			return nil
		}, slog.New(slog.DiscardHandler))
		done := make(chan struct{})
		go func() { o.run(ctx); close(done) }()
		time.Sleep(time.Hour)
		if deleted > 0 {
			t.Error("the cluster was deleted while its owner runs")
		}
		of.Store(gone)
		time.Sleep(time.Hour)
		if deleted > 0 {
			t.Error("the owner was read again although nobody said that it is another")
		}
		o.reload()
		<-done
		if deleted != 2 {
			t.Errorf("delete was called %d times, want again after the one that failed", deleted)
		}
	})
}

// TestAClusterThatIsForAnotherProcessByNow: a start has recorded that, and has not come as far as to say it here.
func TestAClusterThatIsForAnotherProcessByNow(t *testing.T) {
	gone := ended(t)
	this, err := statedir.ProcessOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for name, next := range map[string]*statedir.Process{"another": &this, "none": nil} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			var of atomic.Pointer[statedir.Process]
			of.Store(gone)
			o := newOwner(of.Load, func(context.Context) error {
				t.Errorf("it was deleted, and the owner is %s", name)
				cancel()
				return nil
			}, slog.New(slog.DiscardHandler))
			done := make(chan struct{})
			go func() { o.run(ctx); close(done) }()
			synctest.Wait()
			of.Store(next)
			time.Sleep(time.Hour)
			cancel()
			<-done
		})
	}
}

func TestAClusterForNobodyStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		o := newOwner(func() *statedir.Process { return nil }, func(context.Context) error {
			t.Error("it was deleted")
			return nil
		}, slog.New(slog.DiscardHandler))
		done := make(chan struct{})
		go func() { o.run(ctx); close(done) }()
		time.Sleep(time.Hour)
		cancel()
		<-done
	})
}
