// Package spawn starts the daemon of a cluster as a process of its own, which outlives the one that started it. A start
// and the guardian use it. Begin reading at Start.
package spawn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/lastwords"
	"bonsai/bootstrap/statedir"
)

// EnvReadyFD names the variable with the number of a file descriptor on which a spawned daemon reports that its local
// API listens: one byte, then closed.
const EnvReadyFD = "BONSAI_READY_FD"

// CrashFile is where a daemon that exits unexpectedly leaves its reason, in the cluster's folder.
const CrashFile = "crash.txt"

// FlagGuarded makes the daemon keep a guardian, which restarts it if it ends unexpectedly.
const FlagGuarded = "--guarded"

// Daemon is what to start.
type Daemon struct {
	Executable string
	State      statedir.Cluster
	// Attached connects the daemon to this process's stderr and terminal, and leaves it without a guardian.
	Attached bool
	// Restore is the checkpoint whose objects it starts with; empty: those that are there. A guardian never sets it: a
	// daemon that failed to start with a checkpoint is followed by one with the objects of before.
	Restore string
}

// Process is a daemon that this process started.
type Process struct {
	// Done is closed when it has ended; Err is set then.
	Done chan struct{}
	Err  error

	cmd   *exec.Cmd
	ready *os.File
}

// ErrExited means that the daemon ended before its local API listened.
var ErrExited = errors.New("the daemon exited")

// Start starts the daemon. The caller calls Listening next, and holds the cluster's operation lock until it returns.
func Start(d Daemon) (*Process, error) {
	// What an earlier daemon has left is outdated.
	if err := lastwords.Forget(filepath.Join(d.State.Dir(), CrashFile)); err != nil {
		return nil, fault.New(fault.State, "remove what the previous daemon left", err)
	}
	cmd := exec.Command(d.Executable, "role", "daemon", "--cluster", d.State.Name)
	if d.Restore != "" {
		cmd.Args = append(cmd.Args, "--restore", d.Restore)
	}
	root := filepath.Dir(filepath.Dir(d.State.Dir()))
	cmd.Env = append(os.Environ(), statedir.EnvHome+"="+root, EnvReadyFD+"=3")
	cmd.Dir = d.State.Dir() // not the user's folder, which could not be unmounted then
	if d.Attached {
		cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
		// Ctrl-C is the caller's to handle: it stops the cluster in order.
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	} else {
		cmd.Args = append(cmd.Args, FlagGuarded)
		log, err := os.OpenFile(d.State.LogFile("daemon"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC|os.O_APPEND, 0o600) // the daemon appends, too
		if err != nil {
			return nil, fault.New(fault.State, "open the daemon's log", err)
		}
		defer func() { _ = log.Close() }()
		cmd.Stdout, cmd.Stderr = log, log
		// A session of its own: closing the terminal must not end the cluster.
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	}
	ready, child, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("create the ready pipe: %w", err)
	}
	cmd.ExtraFiles = []*os.File{child}
	err = cmd.Start()
	_ = child.Close()
	if err != nil {
		_ = ready.Close()
		return nil, fault.New(fault.Internal, "spawn the daemon", err)
	}
	p := &Process{Done: make(chan struct{}), cmd: cmd, ready: ready}
	go func() { // ends with the process, which usually outlives this one
		p.Err = cmd.Wait()
		close(p.Done)
	}()
	return p, nil
}

// Listening returns once the daemon's local API listens. It returns ErrExited if the process has ended, and the cause of
// ctx if that ended before; the process runs on then.
func (p *Process) Listening(ctx context.Context) error {
	defer func() { _ = p.ready.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = p.ready.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	_, err := p.ready.Read(make([]byte, 1))
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF):
		<-p.Done // it exited, which closed the pipe without a byte
		return ErrExited
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return err
}

// PID is its number.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Kill kills the process at once; false if it had ended already.
func (p *Process) Kill() bool { return p.cmd.Process.Kill() == nil }
