package daemon

import (
	"context"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/wait"
)

const (
	// wakeLimit bounds how long requests wait for a paused cluster. It is below the limit that the API server sets on them.
	wakeLimit = 30 * time.Second
	// busyPause is the pause between two attempts to wake a cluster on which another command works, such as the one that
	// pauses it.
	busyPause = 200 * time.Millisecond
)

// paused is how the cluster came to be paused, nil if it is not.
func (d *daemon) paused() *cluster.Pause {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.pause
}

func (d *daemon) setPaused(p *cluster.Pause) {
	d.mu.Lock()
	d.pause = p
	d.mu.Unlock()
	d.Notify()
}

// Pause implements localapi.PauseBackend.
func (d *daemon) Pause(_ context.Context, ifIdle bool) error {
	if err := d.Ready(); err != nil {
		return err
	}
	d.pausing.Lock()
	defer d.pausing.Unlock()
	if !ifIdle {
		d.idle.SetPaused(true)
	} else if !d.idle.PauseIdle() {
		return fault.Newf(fault.Busy, "cluster %q is in use", d.State.Name)
	}
	p := d.State.Paused() // written by whoever pauses it
	if p == nil {
		p = &cluster.Pause{Since: time.Now(), Auto: ifIdle}
	}
	d.setPaused(p) // from here on nothing that nodes do not answer is a problem
	d.stopAct()
	return d.running().Pause()
}

// Resume implements localapi.PauseBackend.
func (d *daemon) Resume(context.Context) error {
	if err := d.Ready(); err != nil {
		return err
	}
	d.pausing.Lock()
	defer d.pausing.Unlock()
	if d.ending {
		return fault.Newf(fault.NotRunning, "the control plane of %s is stopping", d.State.Name)
	}
	control := d.running()
	control.Resume()
	if d.stopActing == nil {
		d.stopActing = d.act(control)
	}
	d.setPaused(nil)
	d.idle.SetPaused(false)
	return nil
}

// stopAct ends what act has started, if it runs, and waits. d.pausing is held.
func (d *daemon) stopAct() {
	if d.stopActing != nil {
		d.stopActing()
		d.stopActing = nil
	}
}

// actNoMore is stopAct at the end of the daemon.
func (d *daemon) actNoMore() {
	d.pausing.Lock()
	defer d.pausing.Unlock()
	d.ending = true
	d.stopAct()
}

// running is the control plane, once it is ready.
func (d *daemon) running() ControlPlane {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.control
}

// wake unpauses the cluster for a request. It waits while another command works on the cluster, or this process starts.
func (d *daemon) wake(ctx context.Context) error {
	for {
		err := d.Unpause(ctx)
		switch fault.KindOf(err) {
		case fault.Busy: // it is being paused, for example
		case fault.NotRunning: // this process has not become ready yet
		default:
			return err
		}
		if wait.Pause(ctx, busyPause) != nil {
			return err
		}
		if d.paused() == nil {
			return nil // by the other command
		}
	}
}
