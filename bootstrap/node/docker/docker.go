// Package docker runs bonsai's nodes as containers of a Docker engine. It is the only package that knows Docker's API,
// and implements node.Driver.
//
// Begin reading at Driver.EnsureNode (ensure.go); every setting of a node's container is in containerConfig
// (config.go), grant.go determines what the engine can grant, and payload.go explains how the payload gets into a
// volume that is either complete or ignored.
package docker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/user"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/client"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/node"
	"bonsai/bootstrap/wait"
)

// minAPI is Docker 20.10's: the first with private cgroup namespaces, which nodes on cgroup v1 need.
const minAPI = "1.41"

// Limits of single calls, for a quick machine; Options.Scale multiplies them.
const (
	pingLimit  = 10 * time.Second // to notice an engine that hangs
	callLimit  = 30 * time.Second // anything that neither moves data nor waits for processes
	startLimit = time.Minute      // making and starting a container on a loaded machine
	dataLimit  = 20 * time.Minute // writing the data of claims, which may be gigabytes, into one
	copyLimit  = 3 * time.Minute  // moving the payload of about hundred megabytes
	goneLimit  = 30 * time.Second // removals: a container's processes, mounts and endpoints have to end first
	// releaseLimit bounds a command that detaches devices; a hung node must not delay its removal for long.
	releaseLimit = 3 * time.Second
)

// pollPause is the pause between two checks of something that ends on its own.
const pollPause = 50 * time.Millisecond

// Options are the settings of a Driver; the zero value works.
type Options struct {
	Log *slog.Logger // nil: none
	// Scale multiplies every limit on a wait.
	Scale wait.Scale
}

// Driver implements node.Driver. Create one with New or Connect.
type Driver struct {
	api   client.APIClient
	log   *slog.Logger
	scale wait.Scale

	mu      sync.Mutex        // guards what follows
	granted *grant            // nil until known
	volumes map[string]string // payload hash → volume that was seen whole
}

var _ node.Driver = (*Driver)(nil)

// New returns a driver that uses a client, which it closes. It makes no requests yet.
func New(api client.APIClient, o Options) *Driver {
	return &Driver{
		api: api, log: cmp.Or(o.Log, slog.New(slog.DiscardHandler)), scale: o.Scale,
		volumes: map[string]string{},
	}
}

// Close releases the connections.
func (d *Driver) Close() error { return d.api.Close() }

// within limits a call and returns the function that ends the limit. The cause contains the limit, so that an error
// says how long the engine was waited for.
func (d *Driver) within(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	return d.scale.Limit(ctx, limit, "an answer from Docker")
}

// cleanup is a context for undoing our own work: it outlives ctx, but not forever.
func (d *Driver) cleanup(ctx context.Context) (context.Context, context.CancelFunc) {
	return d.within(context.WithoutCancel(ctx), goneLimit)
}

// whole is a context for a call that creates something. If it were interrupted, the engine would finish it after we had
// looked for what to undo. It fails if ctx has ended already.
func (d *Driver) whole(ctx context.Context) (context.Context, context.CancelFunc, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	ctx, cancel := d.within(context.WithoutCancel(ctx), startLimit)
	return ctx, cancel, nil
}

// until repeats look with a pause until it returns done, fails, or ctx ends.
func until(ctx context.Context, look func() (done bool, err error)) error {
	tick := time.NewTicker(pollPause)
	defer tick.Stop()
	for {
		if done, err := look(); done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// failure turns an error of the client into a fault. ctx is the one of the failed call: the client reports
// cancellation and limits in many shapes, the context in one.
func (d *Driver) failure(ctx context.Context, op string, err error) error {
	if err == nil {
		return nil
	}
	if f, ok := errors.AsType[*fault.Fault](err); ok {
		return f
	}
	host := d.api.DaemonHost()
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return fault.New(fault.Canceled, op, err)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fault.New(fault.Timeout, op, context.Cause(ctx)).
			Advise("see whether Docker answers", cluster.Program("docker", "ps")).
			Advise("on a slow machine, set BONSAI_WAIT_SCALE=5")
	case errors.Is(err, fs.ErrPermission) && client.IsErrConnectionFailed(err):
		return fault.New(fault.EnginePermission, op, fmt.Errorf("this user may not use Docker at %s: %w", host, err)).
			Advise("join the group that may use Docker, then log out and in again", cluster.Program("sudo", "usermod", "-aG", "docker").On(userName()).Change())
	case client.IsErrConnectionFailed(err), isDial(err):
		return fault.New(fault.EngineDown, op, err).
			Advise("start Docker", cluster.Program("sudo", "systemctl", "start", "docker").Change()).
			Advise("or start Docker Desktop").
			Advise("then see whether it answers", cluster.Program("docker", "version"))
	}
	return fault.New(fault.Engine, op, err)
}

// userName is the user of this process, for a command to copy.
func userName() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return os.Getenv("USER")
}

// isDial reports whether no connection was established; hijacked connections (exec) report it without the client's own
// type.
func isDial(err error) bool {
	dial, ok := errors.AsType[*net.OpError](err)
	return ok && dial.Op == "dial"
}

// absent drops the error that says that the object does not exist.
func absent(err error) error {
	if errdefs.IsNotFound(err) {
		return nil
	}
	return err
}
