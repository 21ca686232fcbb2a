// Package supervise keeps a child process running: it starts it, writes its output to a log file of bounded size,
// restarts it with growing pauses when it exits, and stops it gracefully.
//
// Signals go only to the process itself, never to its group: what a child leaves running (containerd's shims, and with
// them the pods) is meant to outlive it. Begin reading at Process.
package supervise

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/componentlog"
)

// Spec describes one child process.
type Spec struct {
	// Name is the component's name in status output.
	Name string
	// Path and Args are the command.
	Path string
	Args []string
	// Env returns the whole environment of the process. It is called at each start of it.
	Env func() []string
	// LogFile gets the child's output. The folder must exist.
	LogFile string
	// OwnMounts gives the child its own mount namespace. Mounts in shared places still reach both sides; what the child
	// makes private first is seen by the child alone.
	OwnMounts bool
	// Check, if set, is called before each start. Its error is why the child does not run; it is tried again later.
	Check func(ctx context.Context) error
	// Grace is the time between SIGTERM and SIGKILL when the process has to stop.
	Grace time.Duration
	// Ready, if set, blocks until the child serves or ctx ends; until then it counts as starting.
	Ready func(ctx context.Context) error
	// OnChange, if set, is called after each change of the status, never concurrently.
	OnChange func(cluster.Component)
	// MinPause and MaxPause bound the pause before a restart; zero means the defaults.
	MinPause, MaxPause time.Duration
}

const (
	defaultMinPause = 100 * time.Millisecond
	defaultMaxPause = 10 * time.Second
	// A child that ran this long before it exited counts as healthy: the pause starts over.
	healthyAfter = 10 * time.Second
	// slowAfter is when a child that does not serve yet is worth a look at its log: one that hangs has said why.
	slowAfter = 2 * time.Second
	// lookBack is how much of a log's end is searched for the reason of a failure.
	lookBack = 64 << 10
)

// Process is a supervised child. Its methods may be called from any goroutine.
type Process struct {
	spec Spec
	log  *slog.Logger

	mu     sync.Mutex // guards the rest; held while OnChange runs, which keeps its calls in order
	status cluster.Component
	begin  int64 // where the newest child's part of the log begins
	// started is when the newest child was started, zero once it has exited; ended is when the one before exited.
	started, ended time.Time
}

// New returns a process that is not started yet.
func New(spec Spec, log *slog.Logger) *Process {
	if spec.MinPause == 0 {
		spec.MinPause = defaultMinPause
	}
	if spec.MaxPause == 0 {
		spec.MaxPause = defaultMaxPause
	}
	return &Process{
		spec: spec, log: log.With("component", spec.Name),
		status: cluster.Component{Name: spec.Name, Phase: cluster.PhaseStopped},
	}
}

// Status returns the latest observation. Its Reason holds what the child has printed last about why it failed, also while
// it is started again, or does not get on with its start.
func (p *Process) Status() cluster.Component {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.status
	if c.Phase == cluster.PhaseStarting && c.Reason == "" && time.Since(c.Since) > slowAfter {
		c.Reason = p.lastWords()
	}
	return c
}

// lastWords is the reason for a failure in the newest child's part of the log, empty if there is none. p.mu is held.
func (p *Process) lastWords() string {
	f, err := os.Open(p.spec.LogFile)
	if err != nil {
		return ""
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return ""
	}
	begin := p.begin
	if info.Size() < begin {
		begin = 0 // it was rotated meanwhile
	}
	begin = max(begin, info.Size()-lookBack)
	text, _ := io.ReadAll(io.NewSectionReader(f, begin, info.Size()-begin)) // what can be read of it is better than nothing
	return componentlog.LastWords(string(text))
}

// Run keeps the child running until ctx ends, then stops it and returns once it is gone.
func (p *Process) Run(ctx context.Context) {
	// The kernel sends a child its parent-death signal when the thread that created it ends, so that thread must live
	// as long as this call.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	pause := p.spec.MinPause
	reason := ""
	for restarts := 0; ; restarts++ {
		started := time.Now()
		err := p.once(ctx, restarts, reason)
		if ctx.Err() != nil {
			p.set(cluster.Component{Phase: cluster.PhaseStopped, Restarts: restarts})
			return
		}
		if time.Since(started) >= healthyAfter {
			pause = p.spec.MinPause
		}
		p.mu.Lock()
		reason = p.lastWords()
		p.mu.Unlock()
		if reason == "" {
			reason = err.Error()
		} else {
			reason += " (" + err.Error() + ")"
		}
		p.log.Warn("component exited, restarting it", "cause", reason, "ran", time.Since(started).Round(time.Millisecond), "pause", pause)
		p.set(cluster.Component{Phase: cluster.PhaseFailed, Restarts: restarts, Reason: reason})
		select {
		case <-ctx.Done():
			p.set(cluster.Component{Phase: cluster.PhaseStopped, Restarts: restarts})
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, p.spec.MaxPause)
	}
}

// once runs the child from start to end and returns why it ended, never nil. reason is why the one before it ended.
func (p *Process) once(ctx context.Context, restarts int, reason string) error {
	log, err := openLog(p.spec.LogFile)
	if err != nil {
		return err
	}
	defer log.Close()
	if info, err := log.File().Stat(); err == nil {
		p.mu.Lock()
		p.begin = info.Size()
		p.mu.Unlock()
	}
	if p.spec.Check != nil {
		if err := p.spec.Check(ctx); err != nil {
			return err
		}
	}
	cmd := exec.Command(p.spec.Path, p.spec.Args...)
	if p.spec.Env != nil {
		cmd.Env = p.spec.Env()
	}
	cmd.Stdout, cmd.Stderr = log.File(), log.File() // files, not pipes: the child keeps writing when we are gone
	cmd.SysProcAttr = &syscall.SysProcAttr{
		// A signal to our group (Ctrl-C in an agent started by hand) is not meant for the child: the order of stopping
		// matters.
		Setpgid: true,
		// If this process is killed, its successor must be able to start the child again.
		Pdeathsig: syscall.SIGKILL,
	}
	if p.spec.OwnMounts {
		// Not Unshareflags, with which Go makes every mount private: volumes that the kubelet mounts must reach the pods.
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWNS
	}
	began := time.Now() // before it can write anything
	if err := cmd.Start(); err != nil {
		return err
	}
	p.setRun(began, time.Time{})
	pid := cmd.Process.Pid
	p.log.Info("component started", "pid", pid)
	phase := cluster.PhaseRunning
	if p.spec.Ready != nil {
		phase = cluster.PhaseStarting
	} else {
		reason = ""
	}
	p.set(cluster.Component{Phase: phase, Restarts: restarts, PID: pid, Reason: reason})

	exited := make(chan struct{})
	ended, end := context.WithCancel(ctx)
	var helpers sync.WaitGroup
	if p.spec.Ready != nil {
		helpers.Go(func() {
			if p.spec.Ready(ended) == nil && ended.Err() == nil {
				p.set(cluster.Component{Phase: cluster.PhaseRunning, Restarts: restarts, PID: pid})
			}
		})
	}
	helpers.Go(func() { log.keepBounded(ended) })
	helpers.Go(func() { p.stopOnEnd(ctx, exited, cmd.Process) })
	err = cmd.Wait()
	p.setRun(time.Time{}, time.Now())
	close(exited)
	end()
	helpers.Wait()
	return describe(err)
}

// stopOnEnd stops the child gracefully once ctx ends.
func (p *Process) stopOnEnd(ctx context.Context, exited <-chan struct{}, child *os.Process) {
	select {
	case <-exited:
		return
	case <-ctx.Done():
	}
	p.set(cluster.Component{Phase: cluster.PhaseStopping, Restarts: p.Status().Restarts, PID: child.Pid})
	_ = child.Signal(syscall.SIGTERM) // fails only if it is gone already
	select {
	case <-exited:
	case <-time.After(p.spec.Grace):
		p.log.Warn("component did not stop in time, killing it", "grace", p.spec.Grace)
		_ = child.Kill()
	}
}

// setRun records that a child was started or, with a zero time, that it has exited. The next status reports it.
func (p *Process) setRun(started, ended time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.started = started
	if !ended.IsZero() {
		p.ended = ended
	}
}

// set publishes a status; since moves only when the phase or the process changes.
func (p *Process) set(c cluster.Component) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.Name, c.Since, c.Started, c.Ended = p.spec.Name, p.status.Since, p.started, p.ended
	if c.Phase != p.status.Phase || c.PID != p.status.PID || c.Since.IsZero() {
		c.Since = time.Now()
	}
	p.status = c
	if p.spec.OnChange != nil {
		p.spec.OnChange(c)
	}
}

func describe(err error) error {
	if err == nil {
		return errors.New("exited with status 0")
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		if s, ok := exit.Sys().(syscall.WaitStatus); ok && s.Signaled() {
			return fmt.Errorf("killed by signal %s", s.Signal())
		}
	}
	return err
}
