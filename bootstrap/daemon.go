package bootstrap

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"bonsai/bootstrap/buildinfo"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/componentlog"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/lastwords"
	"bonsai/bootstrap/localapi"
	"bonsai/bootstrap/node"
	"bonsai/bootstrap/plan"
	"bonsai/bootstrap/spawn"
	"bonsai/bootstrap/statedir"
)

// adoptLimit bounds what systemd does within milliseconds, in a start that goes on without it.
const adoptLimit = 2 * time.Second

// guardianLimit bounds the end of a guardian, which has nothing to do for it.
const guardianLimit = time.Second

// StepControlPlane is the last event of a daemon's start: done when the API server is ready and all components run.
const StepControlPlane = "controlplane"

func (o *operation) client() *localapi.Client { return o.clientOf(o.state) }

// ensureDaemon spawns the control plane's process, or makes the running one read the changed spec, and returns when the
// API server is ready. A cluster that should be stopped has none.
func (o *operation) ensureDaemon(ctx context.Context) error {
	if !o.Wanted.Running {
		return nil
	}
	ctx, cancel := o.limit(ctx, daemonLimit, "the control plane to get ready")
	defer cancel()
	if with := o.restartsWith(); o.Current.Running && with != "" {
		if err := o.rec.step("daemon", "Control plane (restarting with "+with+")", func(func(string)) error { return o.stopDaemon(ctx, o.state) }); err != nil {
			return err
		}
	} else if o.Current.Running && o.restoring.checkpoint != "" {
		if err := o.rec.step("daemon/stop", "Control plane (stopping)", func(func(string)) error { return o.stopDaemon(ctx, o.state) }); err != nil {
			return err
		}
	} else if o.Current.Running {
		gone := false
		err := o.rec.step("daemon", "Control plane (already running)", func(waitingFor func(string)) error {
			err := o.reload(ctx)
			if fault.KindOf(errors.Unwrap(err)) != fault.NotRunning {
				return err
			}
			// Whoever stopped it, a stop or a restore, was killed before it had ended.
			waitingFor("it is stopping")
			gone = true
			return o.state.WaitDaemonGone(ctx)
		})
		if err != nil || !gone {
			return err
		}
	}
	title := "Control plane"
	if o.restoring.checkpoint != "" {
		title += " with the objects of checkpoint " + o.restoring.checkpoint
	}
	return o.rec.step("daemon", title, func(func(string)) error {
		d, err := o.spawn(ctx)
		if err != nil {
			return err
		}
		o.daemon = d
		o.adopt(ctx)
		// The daemon's own steps (etcd, API server…) become ours.
		ready, reason := false, error(nil)
		var listens sync.Once
		err = o.client().Events(ctx, func(e cluster.Event) error {
			// Before its first step the daemon has opened the API port, or has failed.
			listens.Do(o.choice.seen)
			if e.Kind == cluster.StepFailed && reason == nil {
				reason = errors.New(e.Detail) // the first is the cause; the others follow from it
			}
			if e.Step == StepControlPlane {
				ready = e.Kind == cluster.StepDone
				return nil
			}
			o.rec.emit(e)
			return nil
		})
		if !ready {
			return o.daemonFailure(ctx, reason, err)
		}
		return nil
	})
}

// restartsWith is what a running daemon has to be restarted for; empty if it can stay.
func (o *operation) restartsWith() string {
	switch {
	case o.outdated.daemon:
		return "new certificates"
	case o.Restarts(plan.PartControlPlane):
		return "other settings"
	case o.rec.operation == "start" && o.otherBuild():
		return "this version of bonsai"
	}
	return ""
}

// otherBuild reports whether the daemon is of another executable than the one that would be started now. Nodes are of this one
// after a start, and no control plane may be older than its nodes.
func (o *operation) otherBuild() bool {
	d, ok := o.state.Daemon()
	build := buildinfo.Build(o.env.Executable)
	return ok && build != "" && d.Build != build
}

// adopt makes the daemon outlive what started it, where that is possible: without it the cluster works as well, until the
// unit ends in which this command runs.
func (o *operation) adopt(ctx context.Context) {
	if o.env.Adopt == nil || o.run.Foreground {
		return
	}
	ctx, cancel := o.limit(ctx, adoptLimit, "systemd to give the control plane a unit")
	defer cancel()
	moved, err := o.env.Adopt(ctx, node.NetworkName(o.Wanted.Spec), o.daemon.PID())
	if moved {
		err = errors.Join(err, o.state.DaemonMoved())
	}
	if err != nil {
		o.env.Log.Debug("the control plane may end with the unit of this command", "err", err)
	}
}

// reload makes a running daemon read the spec again, and returns when it has applied it.
func (o *operation) reload(ctx context.Context) error {
	err := o.waitServing(ctx)
	if err == nil {
		err = o.client().Reload(ctx)
	}
	if fault.KindOf(err) == fault.Conflict { // a port that it should listen on is taken
		return err
	}
	if err != nil {
		return fault.New(fault.ControlPlane, "have the running control plane read its new plan", err).
			Advise("restart it", cluster.Bonsai("stop").Of(o.state.Name).Change(), cluster.Bonsai("start").Of(o.state.Name).Change())
	}
	return nil
}

// waitServing waits until a daemon that this run did not spawn has started: the command that did may have just been
// killed.
func (o *operation) waitServing(ctx context.Context) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		ready := false
		err := o.client().Events(ctx, func(e cluster.Event) error {
			ready = ready || e.Step == StepControlPlane && e.Kind == cluster.StepDone
			return nil
		})
		if ready {
			return nil
		}
		if !o.state.DaemonAlive() {
			return errors.Join(errors.New("it has exited"), lastWords(o.state), err)
		}
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		case <-tick.C: // its local API does not listen yet, or it is about to end
		}
	}
}

// revive has the control plane run by the spec on disk: the one that runs, or a new one if this run has ended it.
func (o *operation) revive(ctx context.Context) error {
	if o.daemon == nil && o.state.DaemonAlive() {
		return o.reload(ctx)
	}
	d, err := o.spawn(ctx)
	if err != nil {
		return err
	}
	o.daemon = d
	o.adopt(ctx)
	return o.waitServing(ctx)
}

// daemonEnded says whether the daemon that this run spawned has exited, usually the reason why the connection to it broke.
// It waits a moment for that.
func (o *operation) daemonEnded() bool {
	if o.daemon == nil {
		return false
	}
	select {
	case <-o.daemon.Done:
		return true
	case <-time.After(time.Second):
		return false
	}
}

// daemonFailure returns why the daemon did not become ready: what it reported, or how it exited, or why it did not
// answer.
func (o *operation) daemonFailure(ctx context.Context, said, unheard error) error {
	advice := cluster.Advise("to see its whole log", cluster.Bonsai("start").Of(o.state.Name).With("--keep", "--foreground").Change())
	ended := ctx.Err() == nil && o.daemonEnded()
	lines := componentlog.LastTroubles(o.state.LogFile("daemon"), evidenceLines)
	err := errors.Join(said, unheard)
	switch {
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case ended:
		err = cmp.Or(said, lastWords(o.state), fmt.Errorf("its process exited: %w", exitOf(o.daemon)))
		if killed(o.daemon.Err) {
			advice = killedAdvice()
		}
	}
	if strings.Contains(fmt.Sprint(err), fmt.Sprintf("127.0.0.1:%d: bind: address already in use", o.Wanted.Spec.APIPort)) {
		return o.portTaken(err)
	}
	f := fault.New(fault.ControlPlane, "start the control plane", err).WithEvidence(lines...)
	f.Advice = append(remedies(err, o.state), advice)
	return f
}

// killed reports whether a process was killed by SIGKILL, from outside.
func killed(err error) bool {
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// spawn starts `bonsai role daemon` and returns once its local API listens.
func (o *operation) spawn(ctx context.Context) (*spawn.Process, error) {
	d, err := spawn.Start(spawn.Daemon{
		Executable: o.env.Executable, State: o.state, Attached: o.run.Foreground, Restore: o.restoring.checkpoint,
	})
	if err != nil {
		return nil, err
	}
	if err := d.Listening(ctx); err != nil {
		if !errors.Is(err, spawn.ErrExited) {
			_ = o.kill(context.WithoutCancel(ctx), d)
		}
		o.daemon = d
		return nil, o.daemonFailure(ctx, nil, nil)
	}
	return d, nil
}

func exitOf(d *spawn.Process) error {
	if d.Err == nil {
		return errors.New("without an error")
	}
	return d.Err
}

// kill kills the process at once: unfinished work is removed or unchanged. It leaves no reason to explain, and no
// guardian.
func (o *operation) kill(ctx context.Context, d *spawn.Process) error {
	if err := o.state.DropIntent(); err != nil {
		return err
	}
	running := d.Kill()
	select {
	case <-d.Done:
		if running {
			return errors.Join(lastwords.Forget(crashFile(o.state)), o.waitUnguarded(ctx, o.state))
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the daemon's end: %w", context.Cause(ctx))
	}
}

// waitUnguarded waits for the end of a guardian after that of a daemon that is not meant to run. It ends on its own, and
// within milliseconds, so that nothing depends on it.
func (m *Manager) waitUnguarded(ctx context.Context, state statedir.Cluster) error {
	ctx, cancel := m.limit(ctx, guardianLimit, "the guardian to end")
	defer cancel()
	if err := state.WaitGuardianGone(ctx); err != nil {
		m.env.Log.Debug("the guardian has not ended yet", "err", err)
	}
	return state.DropIntent() // a daemon that became ready meanwhile has written it again
}

// attend waits for the end of an attached daemon, and stops the cluster when ctx ends.
func (o *operation) attend(ctx context.Context, lock *statedir.Lock) error {
	// Other commands may work on the cluster in the meantime, for example stop it.
	if err := lock.Release(); err != nil {
		return err
	}
	select {
	case <-o.daemon.Done:
		if o.daemon.Err != nil {
			return o.daemonFailure(ctx, nil, nil)
		}
		return nil
	case <-ctx.Done():
		return o.Stop(context.WithoutCancel(ctx), o.state.Name, o.run.Events)
	}
}

// stopDaemon asks the cluster's daemon to stop in order, and kills it if it does not. A missing daemon is not an error.
// Afterwards the cluster is not meant to run.
func (m *Manager) stopDaemon(ctx context.Context, state statedir.Cluster) error {
	if err := state.DropIntent(); err != nil {
		return err
	}
	if !state.DaemonAlive() {
		return m.waitUnguarded(ctx, state)
	}
	asked, cancel := m.limit(ctx, daemonStopLimit, "the daemon to end in order")
	defer cancel()
	err := m.clientOf(state).Stop(asked)
	if err == nil {
		if err = state.WaitDaemonGone(asked); err == nil {
			return m.waitUnguarded(ctx, state)
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return m.killDaemon(ctx, state)
}
