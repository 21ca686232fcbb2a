// Package spawntest lets the executable of a test be a daemon, as a process of its own: to those that start, watch and end it, it
// lives as the real one does.
package spawntest

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"

	"bonsai/bootstrap/lastwords"
	"bonsai/bootstrap/spawn"
	"bonsai/bootstrap/statedir"
)

// Daemon is the daemon of one cluster.
type Daemon struct {
	State statedir.Cluster
	// Stop ends it in order, as SIGTERM does.
	Stop context.CancelFunc
}

// Ready reports to the process that has started it that it listens.
func (d Daemon) Ready() error {
	fd, err := strconv.Atoi(os.Getenv(spawn.EnvReadyFD))
	if err != nil {
		return err
	}
	_, err = os.NewFile(uintptr(fd), "ready").Write([]byte{1})
	return err
}

// Run is the life of the daemon of a cluster in the environment's state folder: it holds the daemon's lock, and leaves as its last
// words the error of serve, which runs until ctx ends. locked is called before, when nothing else has been done; it may be nil.
func Run(name string, locked func(Daemon), serve func(ctx context.Context, d Daemon) error) (err error) {
	dir, err := statedir.Home()
	if err != nil {
		return err
	}
	d := Daemon{State: dir.Cluster(name)}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	d.Stop = stop
	lock, err := d.State.LockDaemon(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Release() }()
	if locked != nil {
		locked(d)
	}
	words, err := lastwords.Open(filepath.Join(d.State.Dir(), spawn.CrashFile))
	if err != nil {
		return err
	}
	if err := serve(ctx, d); err != nil {
		words.Say(err.Error())
		return err
	}
	return words.Withdraw()
}
