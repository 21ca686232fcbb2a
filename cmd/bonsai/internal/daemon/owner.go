package daemon

import (
	"context"
	"log/slog"
	"time"

	"bonsai/bootstrap/statedir"
)

const (
	// ownerLook is the pause between two looks at whether the owner runs: as long as a cluster may outlive it.
	ownerLook = 500 * time.Millisecond
	// deleteAgain is the pause after a delete that was not possible, for example because another command works on the cluster.
	deleteAgain = 2 * time.Second
)

// owner ends a cluster that is for one process with it. A pipe to that process would tell at once, and would be lost when a
// guardian restarts the daemon; so it looks.
type owner struct {
	read   func() *statedir.Process
	delete func(context.Context) error
	log    *slog.Logger
	// changed has room for one; it has a value when the owner may be another.
	changed chan struct{}
}

func newOwner(read func() *statedir.Process, remove func(context.Context) error, log *slog.Logger) *owner {
	return &owner{read: read, delete: remove, log: log, changed: make(chan struct{}, 1)}
}

// reload has run read again who the owner is. It does not block.
func (o *owner) reload() {
	select {
	case o.changed <- struct{}{}:
	default:
	}
}

// runs says whether a process runs, as far as is known.
func runs(p *statedir.Process) bool {
	fate := p.Fate()
	return fate == statedir.Running || fate == statedir.Elsewhere
}

// run deletes the cluster when its owner has ended, and returns when ctx ends; the delete ends this process. A cluster without
// an owner costs nothing.
func (o *owner) run(ctx context.Context) {
	of := o.read()
	var look <-chan time.Time
	for {
		if of != nil && look == nil {
			look = time.After(ownerLook)
		}
		select {
		case <-ctx.Done():
			return
		case <-o.changed:
			of, look = o.read(), nil
			continue
		case <-look:
		}
		if look = nil; runs(of) {
			continue
		}
		// A start may have recorded another one, and says so here when it is done.
		if of = o.read(); of == nil || runs(of) {
			continue
		}
		o.log.Info("the process that the cluster is for has ended: it is deleted", "pid", of.PID)
		if err := o.delete(ctx); err != nil && ctx.Err() == nil {
			o.log.Warn("the cluster cannot be deleted yet", "err", err)
			look = time.After(deleteAgain)
		}
	}
}
