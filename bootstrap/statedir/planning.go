package statedir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/gofrs/flock"

	"bonsai/bootstrap/fault"
)

// PlanningLock is the file that LockPlanning takes in the product. All users and state folders of this machine share it,
// so it does not depend on the environment.
const PlanningLock = "/tmp/bonsai-planning.lock"

// LockPlanning waits until no other process on this machine chooses ports and networks for a cluster, or until ctx
// ends. The file at path is created for all users if it is missing. Every user who can read it can hold it, so a caller
// limits the wait and has to be able to continue without the lock.
func LockPlanning(ctx context.Context, path string) (*Lock, error) {
	for {
		l, err := lockShared(ctx, path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			err = createShared(path)
		case errors.Is(err, errMoved): // somebody tidied up
			err = nil
		case err == nil:
			return l, nil
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, fault.New(fault.State, "take turns with other starts by "+path, err)
		}
	}
}

// lockShared locks an existing file. In a folder that everybody writes to, the kernel refuses O_CREATE on files of
// others (fs.protected_regular), and the name may be anything: a link, or a pipe without a writer.
func lockShared(ctx context.Context, path string) (*Lock, error) {
	f := flock.New(path, flock.SetFlag(os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK))
	locked, err := f.TryLockContext(ctx, 20*time.Millisecond)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if !locked {
		return nil, errors.Join(context.Cause(ctx), f.Close())
	}
	ours, err := f.Stat()
	switch {
	case err != nil:
	case !ours.Mode().IsRegular():
		err = fmt.Errorf("it is not a regular file but %s", ours.Mode())
	default:
		if there, statErr := os.Lstat(path); statErr != nil || !os.SameFile(ours, there) {
			err = errMoved
		}
	}
	if err != nil {
		return nil, errors.Join(err, f.Unlock())
	}
	return &Lock{f: f}, nil
}

// createShared creates the file for all users. It appears with its final mode: with that of a strict umask, another
// user could not open it.
func createShared(path string) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".bonsai-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	if err := errors.Join(f.Chmod(0o666), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
