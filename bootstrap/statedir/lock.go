package statedir

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"time"

	"github.com/gofrs/flock"

	"bonsai/bootstrap/buildinfo"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/wait"
)

// Holder identifies the holder of a lock.
type Holder struct {
	Process
	Operation string    `json:"operation"`
	Since     time.Time `json:"since"`
}

// Lock is a held lock. The kernel releases it when the process ends, however it ends.
type Lock struct {
	f *flock.Flock
	// holder is the file that names the holder; empty if there is none.
	holder string
}

// Release releases the lock; a second call does nothing.
func (l *Lock) Release() error {
	if !l.f.Locked() {
		return nil
	}
	if l.holder != "" {
		_ = os.Remove(l.holder) // the process may go on: nobody should take its operation for unfinished
	}
	return l.f.Unlock()
}

// The cluster can be used a moment before its start is over, and whoever sees that may go on at once: what is about to end
// is waited for.
const (
	busyLimit = 3 * time.Second
	busyPause = 20 * time.Millisecond
)

// Lock takes the cluster's operation lock, which start, stop, delete and every other change hold while they work. It
// waits three seconds for another operation to end; then it returns the fault Busy, naming that one. The cluster's folder is
// created if it is missing.
func (c Cluster) Lock(ctx context.Context, operation string) (*Lock, error) {
	path := c.path("operation.lock")
	for limit := time.Now().Add(busyLimit); ; {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("lock cluster %s: %w", c.Name, err)
		}
		if err := c.Create(); err != nil {
			return nil, err
		}
		l, err := tryLock(path)
		if errors.Is(err, errMoved) {
			continue
		}
		if err != nil {
			return nil, wrap("lock cluster "+c.Name, c.dir, err)
		}
		if l == nil {
			if time.Now().After(limit) {
				return nil, c.busy(path)
			}
			_ = wait.Pause(ctx, busyPause) // the loop looks at ctx
			continue
		}
		l.holder = c.record(path, operation)
		return l, nil
	}
}

// LockExisting is Lock for operations on a cluster that has to exist: the fault is NotFound if it does not, and no folder
// is created.
func (c Cluster) LockExisting(ctx context.Context, operation string) (*Lock, error) {
	if !c.Exists() {
		return nil, NotFound(c.Name)
	}
	l, err := c.Lock(ctx, operation)
	if err == nil && !c.Exists() { // it was deleted just now
		err = errors.Join(NotFound(c.Name), c.Remove(), l.Release())
	}
	if err != nil {
		return nil, err
	}
	return l, nil
}

func (c Cluster) busy(path string) error {
	h, ok := readHolder(path)
	if !ok || h.Fate() != Running { // it is in another pid namespace, where its number is valid
		return fault.Newf(fault.Busy, "another bonsai command is working on cluster %s", c.Name).
			Advise("wait for it to end, then try again")
	}
	return fault.Newf(fault.Busy, "cluster %s is busy: bonsai %s (process %d) has been working on it since %s",
		c.Name, h.Operation, h.PID, h.Since.Local().Format(time.TimeOnly)).
		Advise("wait for it to end, or end it", cluster.Program("kill").On(strconv.Itoa(h.PID)).Change())
}

// Working reports whether the process that took the operation lock last is still running: an operation may be in
// progress. One in a container that shares the folder is not seen.
func (c Cluster) Working() bool {
	h, ok := readHolder(c.path("operation.lock"))
	return ok && h.Fate() == Running
}

// LockDaemon takes the lock that the cluster's daemon holds while it runs, and records the process in daemon.json.
// Because DaemonAlive takes the lock for an instant, it retries for a moment before it gives up with the fault Busy.
func (c Cluster) LockDaemon(ctx context.Context) (*Lock, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	f := flock.New(c.path("daemon.lock"), flock.SetPermissions(0o600))
	locked, err := f.TryLockContext(ctx, 20*time.Millisecond)
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return nil, wrap("lock the daemon of cluster "+c.Name, c.dir, err)
	}
	if !locked {
		d, _ := c.Daemon()
		return nil, fault.Newf(fault.Busy, "cluster %s already has a daemon (process %d)", c.Name, d.PID)
	}
	if err := c.saveJSON(c.path("daemon.json"), Daemon{
		Process: thisProcess(), Started: time.Now(), Certificates: c.Certificates(""), Bonsai: buildinfo.Version, Build: buildinfo.Self(),
	}); err != nil {
		return nil, errors.Join(err, f.Unlock())
	}
	return &Lock{f: f}, nil
}

// Daemon is what daemon.json records about the newest daemon, running or not.
type Daemon struct {
	Process
	Started time.Time `json:"started"`
	// Certificates are those that it has read; see Cluster.Certificates.
	Certificates string `json:"certificates,omitempty"`
	// Bonsai is its version, and Build its executable (buildinfo.Self); empty if an older one wrote this.
	Bonsai string `json:"bonsai,omitempty"`
	Build  string `json:"build,omitempty"`
}

// Daemon returns what the newest daemon recorded about itself.
func (c Cluster) Daemon() (Daemon, bool) {
	var d Daemon
	ok := c.loadJSON(c.path("daemon.json"), &d)
	return d, ok
}

// DaemonMoved records that the daemon is in a control group of its own, which ends with it and not before.
func (c Cluster) DaemonMoved() error {
	d, ok := c.Daemon()
	if !ok {
		return nil
	}
	d.Cgroup = ""
	return c.saveJSON(c.path("daemon.json"), d)
}

// DaemonRenewed records that the running daemon uses the certificates that are on disk now, if it used those that were there
// before.
func (c Cluster) DaemonRenewed(before string) error {
	d, ok := c.Daemon()
	if !ok || d.Certificates != before {
		return nil
	}
	d.Certificates = c.Certificates("")
	return c.saveJSON(c.path("daemon.json"), d)
}

// DaemonAlive reports whether the cluster's daemon is running; its lock decides, not its process number.
func (c Cluster) DaemonAlive() bool { return locked(c.path("daemon.lock")) }

// WaitDaemonGone waits until the daemon has exited or ctx ends.
func (c Cluster) WaitDaemonGone(ctx context.Context) error {
	return c.waitFree(ctx, "the daemon", c.DaemonAlive)
}

// WaitGuardianGone waits until the guardian has exited or ctx ends.
func (c Cluster) WaitGuardianGone(ctx context.Context) error {
	return c.waitFree(ctx, "the guardian", c.GuardianAlive)
}

func (c Cluster) waitFree(ctx context.Context, who string, alive func() bool) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for alive() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s of cluster %s to end: %w", who, c.Name, context.Cause(ctx))
		case <-tick.C:
		}
	}
	return nil
}

// errMoved means that the locked file is no longer the one at its path.
var errMoved = errors.New("the lock file was replaced")

// tryLock returns nil without an error if another process has the lock.
func tryLock(path string) (*Lock, error) {
	f := flock.New(path, flock.SetPermissions(0o600))
	locked, err := f.TryLock()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errMoved // the folder has just been deleted
	}
	if err != nil || !locked {
		return nil, err
	}
	// A delete that ended between our open and our lock has removed the file: locking it protects nothing.
	ours, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Unlock())
	}
	if there, err := os.Stat(path); err != nil || !os.SameFile(ours, there) {
		return nil, errors.Join(errMoved, f.Unlock())
	}
	return &Lock{f: f}, nil
}

// record writes the holder beside the lock, for those who find it taken. If that fails, on a full disk, a delete must
// still be able to free space; then at least no earlier holder is named.
func (c Cluster) record(lock, operation string) (path string) {
	path = lock + ".json"
	if err := c.saveJSON(path, Holder{Process: thisProcess(), Operation: operation, Since: time.Now()}); err != nil {
		_ = os.Remove(path)
	}
	return path
}

func readHolder(lock string) (h Holder, ok bool) {
	data, err := os.ReadFile(lock + ".json")
	return h, err == nil && json.Unmarshal(data, &h) == nil && h.PID > 0
}
