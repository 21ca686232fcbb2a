package statedir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/gofrs/flock"

	"bonsai/bootstrap/atomicfile"
	"bonsai/bootstrap/cluster"
)

// Intent says that a cluster is meant to run, in running.json: from the moment when its control plane is ready until
// somebody stops it. A crash, and a restart of the machine, leave it in place.
type Intent struct {
	// Executable is the one whose daemon ran last.
	Executable string    `json:"executable"`
	Since      time.Time `json:"since"`
}

func (c Cluster) intentFile() string { return c.path("running.json") }

// Intent returns the record; false if the cluster is not meant to run.
func (c Cluster) Intent() (i Intent, ok bool) {
	ok = c.loadJSON(c.intentFile(), &i)
	return i, ok
}

// SaveIntent records that the cluster is meant to run.
func (c Cluster) SaveIntent(executable string) error {
	return c.saveJSON(c.intentFile(), Intent{Executable: executable, Since: time.Now()})
}

// DropIntent records that the cluster is not meant to run, nor to be paused. Everything that ends a daemon on purpose calls it
// first.
func (c Cluster) DropIntent() error {
	if err := c.DropPause(); err != nil {
		return err
	}
	return remove("record that cluster "+c.Name+" is not meant to run", c.dir, c.intentFile())
}

// Restarts returns the guardian's record, nil if there is none.
func (c Cluster) Restarts() *cluster.Restarts {
	var r cluster.Restarts
	if !c.loadJSON(c.path("restarts.json"), &r) {
		return nil
	}
	return &r
}

// SaveRestarts writes the guardian's record.
func (c Cluster) SaveRestarts(r cluster.Restarts) error {
	return c.saveJSON(c.path("restarts.json"), r)
}

// WriteGuardian writes the guardian's program into the cluster's folder and returns its path.
func (c Cluster) WriteGuardian(program []byte) (path string, err error) {
	path = c.path("guardian")
	if err := atomicfile.Write(path, program, 0o700, atomicfile.Options{}); err != nil {
		return "", wrap("write "+path, c.dir, err)
	}
	return path, nil
}

// GuardianLock is held by the guardian of a cluster while it runs.
type GuardianLock struct {
	*Lock
	path string
}

// LockGuardian takes the guardian's lock; nil without an error if another guardian has it. The cluster's folder has to
// exist.
func (c Cluster) LockGuardian() (*GuardianLock, error) {
	path := c.path("guardian.lock")
	l, err := tryLock(path)
	if err != nil {
		return nil, wrap("lock the guardian of cluster "+c.Name, c.dir, err)
	}
	if l == nil {
		return nil, nil
	}
	return &GuardianLock{Lock: l, path: path}, nil
}

// Valid reports whether the lock still protects the cluster: its folder has not been deleted or replaced.
func (l *GuardianLock) Valid() bool {
	ours, err := l.f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(l.path)
	return err == nil && os.SameFile(ours, there)
}

// GuardianAlive reports whether the cluster has a guardian.
func (c Cluster) GuardianAlive() bool { return locked(c.path("guardian.lock")) }

// locked reports whether another process has the lock of a file.
func locked(path string) bool {
	if _, err := os.Stat(path); err != nil {
		return false
	}
	f := flock.New(path)
	// Shared, so that two callers do not take each other for the holder.
	free, err := f.TryRLock()
	if free {
		_ = f.Unlock()
	}
	return err == nil && !free
}

// AwaitDaemonEnd blocks until no daemon of the cluster runs, at no cost: the kernel wakes it. Nothing else ends it.
func (c Cluster) AwaitDaemonEnd() error {
	f, err := os.Open(c.path("daemon.lock"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("wait for the daemon of cluster %s to end: %w", c.Name, err)
	}
	defer func() { _ = f.Close() }() // which also releases the lock
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_SH)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
