// Package guardian restarts the daemon of a cluster when it ends and nobody asked for that.
//
// The guardian is a process of its own, and not the daemon's parent: it waits for the daemon's lock, which the kernel
// releases however the daemon ends. So the two are equals. The daemon starts a guardian when the control plane is ready,
// and another one if that dies (Keep); the guardian starts a daemon when that dies (Run). Either can be killed at any time
// without consequences for the other.
//
// It never works against a user, by two rules. The file running.json says whether the cluster is meant to run; whatever
// ends a daemon on purpose removes it first. And a daemon is started under the cluster's operation lock, like everything
// that changes a cluster. A guardian that is not needed ends on its own, also if the cluster's folder is deleted.
//
// What it saw and did is in restarts.json. Begin reading at Run.
package guardian

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/componentlog"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/lastwords"
	"bonsai/bootstrap/spawn"
	"bonsai/bootstrap/statedir"
	"bonsai/bootstrap/wait"
)

const (
	// firstPause follows the second end of a daemon in a row; after the first there is none.
	firstPause = time.Second
	lastPause  = 5 * time.Minute
	// healthy is how long a daemon must have run for the pauses to start over.
	healthy = 30 * time.Second
	// look is the pause between two looks at what is wanted, while the guardian waits to restart the daemon.
	look = 200 * time.Millisecond
	// listenLimit bounds the start of a daemon up to its local API, which takes a fraction of a second.
	listenLimit = 45 * time.Second
)

// Options are what Run needs.
type Options struct {
	State statedir.Cluster
	// Scale multiplies the limits on waits.
	Scale wait.Scale
	Log   *slog.Logger
}

// Main is the guardian as a program.
func Main(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("guardian", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // the error says the same
	name := flags.String("cluster", cluster.DefaultName, "name of the cluster")
	if err := flags.Parse(args); err != nil {
		return fault.New(fault.Usage, "", err)
	}
	dir, err := statedir.Home()
	if err != nil {
		return err
	}
	state := dir.Cluster(*name)
	log := componentlog.File(state.LogFile("guardian"))
	defer func() { _ = log.Close() }()
	return Run(ctx, Options{State: state, Scale: wait.FromEnv(), Log: slog.New(slog.NewTextHandler(log, nil))})
}

// Run guards the daemon of a cluster until the cluster is not meant to run any more, or its daemon ends in order. It
// returns at once if the cluster has a guardian. While it waits for the end of a running daemon, ctx does not end it.
func Run(ctx context.Context, o Options) error {
	lock, err := o.State.LockGuardian()
	if err != nil || lock == nil {
		return err
	}
	defer func() { _ = lock.Release() }()
	g := &guardian{Options: o, lock: lock}
	if r := o.State.Restarts(); r != nil {
		g.record = *r
	}
	o.Log.Info("guarding the control plane")
	for {
		if err := o.State.AwaitDaemonEnd(); err != nil {
			return err
		}
		if why := g.dismissed(); why != "" {
			o.Log.Info("the guardian ends", "why", why)
			return nil
		}
		if err := g.restart(ctx); err != nil {
			return err
		}
	}
}

// guardian is the state of Run.
type guardian struct {
	Options
	lock   *statedir.GuardianLock
	record cluster.Restarts
	// quick counts the daemons in a row that did not run for long.
	quick int
	// started is the daemon that this guardian started last; nil if there is none.
	started *spawn.Process
	// restarting is set between an end of the daemon and its successful start. What a failed try leaves says nothing about
	// whether the cluster is meant to run.
	restarting bool
}

// dismissed says why a guardian is not needed; "" if it is.
func (g *guardian) dismissed() string {
	_, wanted := g.State.Intent()
	switch {
	case !g.State.Exists():
		return "the cluster was deleted"
	case !g.lock.Valid():
		return "the cluster's folder was replaced"
	case !wanted:
		return "the cluster is not meant to run"
	case !g.restarting && !g.State.DaemonAlive() && endedInOrder(g.State):
		return "the control plane ended in order"
	}
	return ""
}

// restart records how the daemon ended, and starts another one, or waits until somebody else has. It returns early if the
// guardian is not needed any more, and with an error if ctx ends.
func (g *guardian) restart(ctx context.Context) error {
	g.restarting = true
	defer func() { g.restarting = false }()
	end := g.postMortem(time.Now())
	if end.Ran >= g.Scale.Of(healthy) {
		g.quick = 0
	}
	g.record.Add(end)
	pause := PauseAfter(g.quick)
	g.quick++
	g.record.Next = time.Now().Add(pause)
	g.Log.Warn("the control plane exited unexpectedly", "ran", end.Ran, "reason", end.Reason, "exit", end.Exit, "restart in", pause)
	g.save()
	for {
		if err := g.pause(ctx, time.Until(g.record.Next)); err != nil {
			return err
		}
		if g.State.DaemonAlive() || g.dismissed() != "" {
			break // somebody was faster
		}
		err := g.start(ctx)
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if fault.KindOf(err) == fault.Busy {
			continue // a command is working on the cluster, and may start the daemon or delete all of it
		}
		pause := PauseAfter(g.quick)
		g.quick++
		g.Log.Error("the control plane cannot be started", "err", err, "next try in", pause)
		g.record.List[0].Error, g.record.Next = err.Error(), time.Now().Add(pause)
		g.save()
	}
	g.record.Next, g.record.List[0].Error = time.Time{}, ""
	if g.State.Exists() {
		g.save()
	}
	return nil
}

// start starts a daemon under the operation lock, and returns when its local API listens.
func (g *guardian) start(ctx context.Context) error {
	lock, err := g.State.LockExisting(ctx, "restart")
	if err != nil {
		return err
	}
	defer func() { _ = lock.Release() }()
	intent, wanted := g.State.Intent()
	if !wanted || g.State.DaemonAlive() {
		return nil
	}
	was, _ := g.State.Daemon()
	p, err := spawn.Start(spawn.Daemon{Executable: intent.Executable, State: g.State})
	if err != nil {
		return err
	}
	g.started = p
	ctx, cancel := g.Scale.Limit(ctx, listenLimit, "the daemon's local API")
	defer cancel()
	switch err := p.Listening(ctx); {
	case errors.Is(err, spawn.ErrExited):
		reason, _ := lastwords.Read(crashFile(g.State))
		return errors.New(cmp.Or(reason, componentlog.PanicIn(componentlog.LastTroubles(g.State.LogFile("daemon"), logLines)), exitOf(p)))
	case err != nil:
		p.Kill()
		<-p.Done
		return fmt.Errorf("start the control plane: %w", err)
	}
	if was.Cgroup == "" { // as its predecessor and this guardian, it is in a unit of its own
		if err := g.State.DaemonMoved(); err != nil {
			g.Log.Warn("the daemon's control group is not recorded", "err", err)
		}
	}
	g.Log.Info("the control plane was restarted", "pid", p.PID())
	return nil
}

// pause waits for d, or until the daemon runs again or the guardian is not needed.
func (g *guardian) pause(ctx context.Context, d time.Duration) error {
	for until := time.Now().Add(d); time.Now().Before(until); {
		if err := wait.Pause(ctx, min(look, time.Until(until))); err != nil {
			return err
		}
		if g.State.DaemonAlive() || g.dismissed() != "" {
			return nil
		}
	}
	return nil
}

// save writes the record. On a full disk, which may be why the daemon ended, it is written with the next change.
func (g *guardian) save() {
	if err := g.State.SaveRestarts(g.record); err != nil {
		g.Log.Warn("the record of restarts is not saved", "err", err)
	}
}

// PauseAfter is the pause before a daemon is restarted, after so many that did not run for long.
func PauseAfter(quick int) time.Duration {
	if quick == 0 {
		return 0
	}
	pause := firstPause
	for range quick - 1 {
		if pause *= 2; pause >= lastPause {
			return lastPause
		}
	}
	return pause
}
