package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/node"
	"bonsai/bootstrap/plan"
	"bonsai/bootstrap/statedir"
)

const (
	// turnLimit bounds the wait for other starts that are choosing. Each takes as long as the engine needs for a network
	// and a daemon until it listens.
	turnLimit = time.Minute
	// turnPatience is how long that wait is not worth a word.
	turnPatience = 200 * time.Millisecond
	// maxChoices is how often a new cluster chooses a subnet and a port before it fails because they are taken.
	maxChoices = 4
)

// choice is what a new cluster chooses for itself: a subnet, and the port of its API server. One start of the machine
// chooses at a time, and the next one when what was chosen is taken where it can see that. What it cannot see, such as a
// route or a program that comes at the same moment, shows when it is used; then something else is chosen.
type choice struct {
	turn   *statedir.Lock
	unseen atomic.Int32 // parts of what was chosen that others cannot see yet
	// subnets and ports were chosen before, and are taken.
	subnets []netip.Prefix
	ports   []int
}

// takeTurn waits until nobody else is choosing. Without the lock, whatever the reason, a start goes on: in nearly all
// cases nobody else is choosing, and in the others it chooses again.
func (o *operation) takeTurn(ctx context.Context) error {
	take := func(limit time.Duration) (err error) {
		limited, cancel := o.limit(ctx, limit, "other starts to choose their ports and networks")
		defer cancel()
		o.choice.turn, err = statedir.LockPlanning(limited, o.env.PlanningLock)
		return err
	}
	err := take(turnPatience)
	if err != nil && errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		err = o.rec.step("turn", "Other starts choose their ports and networks", func(func(string)) error { return take(turnLimit) })
	}
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		o.rec.warn("turn", err.Error()+"; this start goes on without waiting for others")
	}
	return nil
}

// seen says that one more part of what was chosen is visible to others. After the last one it is their turn.
func (c *choice) seen() {
	if c.unseen.Add(-1) == 0 {
		c.endTurn()
	}
}

// endTurn lets others choose. It may be called at any time, and repeated.
func (c *choice) endTurn() {
	if c.turn != nil {
		_ = c.turn.Release() // the kernel does it at the end of the process
	}
}

// choose plans a start; that of a new cluster while nobody else does.
func (o *operation) choose(ctx context.Context, w plan.Wish) error {
	if o.Current.Spec != nil {
		return o.plan(w.Started)
	}
	if err := o.takeTurn(ctx); err != nil {
		return err
	}
	if o.driver != nil { // others may have made networks since the first look
		networks, err := o.driver.Networks(ctx)
		if err != nil {
			return err
		}
		o.networks = networks
	}
	if err := o.plan(w.Started); err != nil {
		return err
	}
	o.choice.unseen.Store(1) // the port
	if len(o.Wanted.Spec.Nodes) > 0 {
		o.choice.unseen.Add(1) // the network
	}
	return nil
}

// errPortTaken says that somebody listens where the API server has to.
var errPortTaken = errors.New("the API server's port is taken")

// chooseAgain reports whether a new cluster failed because of something that it chose and that is taken, and has it choose
// something else: what it made is gone then.
func (o *operation) chooseAgain(ctx context.Context, w plan.Wish, err error) (again bool, undoErr error) {
	port, network := errors.Is(err, errPortTaken) && w.APIPort == 0, errors.Is(err, node.ErrTaken) && !w.Subnet.IsValid()
	if o.Current.Spec != nil || !port && !network || ctx.Err() != nil || len(o.choice.subnets)+len(o.choice.ports)+1 >= maxChoices {
		return false, nil
	}
	spec := o.Wanted.Spec
	if port {
		o.choice.ports = append(o.choice.ports, spec.APIPort)
	} else {
		o.choice.subnets = append(o.choice.subnets, spec.Subnet)
	}
	o.rec.warn("plan", err.Error()+"; choosing again")
	o.choice.endTurn()
	ctx, cancel := o.limit(ctx, cleanupLimit, "the cleanup")
	defer cancel()
	if o.daemon != nil {
		undoErr = o.kill(ctx, o.daemon)
		o.daemon = nil
	}
	if o.driver != nil {
		undoErr = errors.Join(undoErr, o.driver.RemoveCluster(ctx, spec.ID))
	}
	return true, errors.Join(undoErr, o.state.Clear())
}

// reserve adds to the environment what other clusters have, running or not, and what was chosen before in vain.
func (o *operation) reserve(env *plan.Environment) error {
	names, err := o.List()
	if err != nil {
		return err
	}
	for _, name := range names {
		if other, err := o.env.Dir.Cluster(name).LoadSpec(); err == nil && name != o.state.Name {
			env.Taken = append(env.Taken, other.Subnet)
			env.Reserved = append(env.Reserved, other.APIPort)
		}
	}
	for _, n := range o.networks {
		env.Taken = append(env.Taken, n.Subnets...)
		if o.Current.Spec == nil || n.ClusterID != o.Current.Spec.ID {
			env.Reserved = append(env.Reserved, n.APIPort)
		}
	}
	env.Taken = append(env.Taken, o.choice.subnets...)
	env.Reserved = append(env.Reserved, o.choice.ports...)
	for range 100 {
		if env.FreePort = freePort(); !slices.Contains(env.Reserved, env.FreePort) {
			break
		}
	}
	return nil
}

// portTaken is the fault of a daemon that could not listen.
func (o *operation) portTaken(cause error) *fault.Fault {
	f := fault.New(fault.Conflict, "start the control plane", fmt.Errorf("%w: %w", errPortTaken, cause))
	f.Advice = plan.PortAdvice(*o.Wanted.Spec, o.Current.Spec != nil, cluster.Bonsai("start").With("--api-port", "PORT").Fill("PORT"))
	return f
}
