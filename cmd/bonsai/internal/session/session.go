// Package session provides what the terminal UI needs, for one cluster: it implements tui.Session with the cluster's
// daemon, its API server, its container engine and its folder. The dashboard, in the daemon, gets the objects of the API from it.
//
// A Session opens nothing in advance and survives stops and starts of its cluster: each call looks up where the cluster
// is. It writes to no standard stream, because those belong to the UI. Begin reading at New and at connect.go;
// follow.go keeps everything that changes up to date.
package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/localapi"
	"bonsai/bootstrap/node"
	"bonsai/bootstrap/statedir"
	"bonsai/bootstrap/wait"
)

// Engine is what a Session needs of *bootstrap.Manager.
type Engine interface {
	List() ([]string, error)
	Status(ctx context.Context, name string) (cluster.Snapshot, error)
	Watch(ctx context.Context, name string, f func(cluster.Snapshot) error) error
	Addons(ctx context.Context, name string) ([]cluster.AddonStatus, error)
	Ports(ctx context.Context, name string) ([]cluster.PortStatus, error)
	Checkpoints(name string) ([]cluster.Checkpoint, error)
	// Wake unpauses a paused cluster; of any other it asks nothing.
	Wake(ctx context.Context, name string, events func(cluster.Event)) error
	Doctor(ctx context.Context, fix bool) ([]cluster.Check, error)
}

// Options define which cluster a Session is for, and its dependencies.
type Options struct {
	// Name of the cluster, which need not exist.
	Name   string
	State  statedir.Dir
	Engine Engine
	// Driver connects to the container engine; a Session closes what it opened. It is only called for what happens in
	// nodes.
	Driver func() (node.Driver, error)
	// Addons are those that this executable has.
	Addons []cluster.AddonDescription
	// Executable runs operations: this program.
	Executable string
	// Client names the program to the API server, after cluster.OwnAgentPrefix; "ui" if empty.
	Client string
	// KeepLog leaves the log of Kubernetes' libraries as it is: the process has other uses for it.
	KeepLog bool
	// Scale multiplies the limit of every wait.
	Scale wait.Scale
}

// Session is one cluster as seen from outside. Its methods are documented in the UI's interface, tui.Session.
type Session struct {
	o Options

	mu   sync.Mutex // guards conn and host
	conn *conn
	// host is whether this machine reaches the nodes' addresses; nil until the engine was asked.
	host *bool
}

// quietKlog exists because klog has one logger per process, which cannot be set while it is used.
var quietKlog sync.Once

// New returns a Session. Nothing is opened yet. Unless Options.KeepLog is set, Kubernetes' libraries no longer log in this process.
func New(o Options) *Session {
	if !o.KeepLog {
		quietKlog.Do(func() { klog.SetLogger(logr.Discard()) })
	}
	o.Client = cmp.Or(o.Client, "ui")
	return &Session{o: o}
}

// Close closes idle connections. Calls in progress end with their contexts, and must have ended before.
func (s *Session) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		s.conn.close()
		s.conn = nil
	}
}

// Name of the cluster.
func (s *Session) Name() string { return s.o.Name }

func (s *Session) state() statedir.Cluster { return s.o.State.Cluster(s.o.Name) }

// daemon asks the cluster's daemon. Where its socket is may change with a start.
func (s *Session) daemon() *localapi.Client { return localapi.NewClient(s.state().APISocket()) }

// limit bounds ctx by a scaled duration; what names the wait in the error.
func (s *Session) limit(ctx context.Context, d time.Duration, what string) (context.Context, context.CancelFunc) {
	d = s.o.Scale.Of(d)
	cause := fault.New(fault.Timeout, "", &wait.Timeout{After: d, For: what}).Advise("", cluster.Bonsai("status"))
	return context.WithTimeoutCause(ctx, d, cause)
}

// withDriver runs f with a connection to the container engine.
func (s *Session) withDriver(f func(node.Driver) error) (err error) {
	d, err := s.o.Driver()
	if err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, d.Close()) }()
	return f(d)
}

// withNode runs f with a connection to the container engine and the container of a node.
func (s *Session) withNode(ctx context.Context, name string, f func(node.Driver, node.Container) error) error {
	spec, err := s.state().LoadSpec()
	if err != nil {
		return err
	}
	return s.withDriver(func(d node.Driver) error {
		c, err := node.Find(ctx, d, spec, name)
		if err != nil {
			return err
		}
		return f(d, c)
	})
}

// hostReachesNodes reports whether addresses of nodes can be dialled from this machine. Without an answer it is false,
// and the next call asks again.
func (s *Session) hostReachesNodes(ctx context.Context) bool {
	s.mu.Lock()
	known := s.host
	s.mu.Unlock()
	if known != nil {
		return *known
	}
	ctx, cancel := s.limit(ctx, 3*time.Second, "an answer from the container engine")
	defer cancel()
	var reaches bool
	err := s.withDriver(func(d node.Driver) error {
		info, err := d.Ping(ctx)
		reaches = info.HostReachesNodes
		return err
	})
	if err != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.host = &reaches
	return reaches
}

// explain turns an error of any source into one that a user can act on, with this cluster's name in the hint.
func (s *Session) explain(ctx context.Context, op string, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", op, context.Cause(ctx))
	}
	if f, ok := errors.AsType[*fault.Fault](err); ok {
		if f.Kind == fault.NotRunning {
			f.Advice = []cluster.Advice{cluster.Advise("", cluster.Bonsai("start").Cure())}
		}
		return err
	}
	return s.apiFault(op, err)
}
