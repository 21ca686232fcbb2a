// Package daemon is the process behind a running cluster: it runs the control plane, and answers at the local API, over
// which CLI and terminal UI see into the cluster. It never talks to the container engine.
//
// The process is the unit of restart. When a component exits unexpectedly, the daemon writes why and exits too; its
// guardian creates a new one. Its contents are passed in as Parts, so that this package links nothing of Kubernetes;
// cmd/bonsai assembles the real ones. Begin reading at Run; backend.go has the answers that package observe does not
// give.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/client-go/tools/cache"

	"bonsai/bootstrap"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/gatewaytable"
	"bonsai/bootstrap/idle"
	"bonsai/bootstrap/lastwords"
	"bonsai/bootstrap/localapi"
	"bonsai/bootstrap/localca"
	"bonsai/bootstrap/ports"
	"bonsai/bootstrap/routes"
	"bonsai/bootstrap/spawn"
	"bonsai/bootstrap/statedir"
	"bonsai/bootstrap/wait"
	"bonsai/controlplane/dashboard"
	"bonsai/controlplane/names"
	"bonsai/controlplane/observe"
	"bonsai/controlplane/registry"
)

// ControlPlane is a running control plane.
type ControlPlane interface {
	observe.ControlPlane
	// Apply makes a changed plan true without a restart.
	Apply(ctx context.Context, spec cluster.Spec) error
	// KeepNodes keeps the Node objects as planned until ctx ends. informer follows them, trimmed, and is not its to stop.
	KeepNodes(ctx context.Context, informer cache.SharedIndexInformer) error
	// ShowComponents keeps the pods that show the components, as KeepNodes does with nodes.
	ShowComponents(ctx context.Context, informer cache.SharedIndexInformer) error
	// CopyStore writes a consistent copy of all objects to what begin returns.
	CopyStore(ctx context.Context, begin func(cluster.StoreCopy) (io.Writer, error)) error
	// DialService connects to a port of a Service, NAMESPACE/NAME.
	DialService(ctx context.Context, service string, port int) (net.Conn, error)
	// DialInside connects to the address of a pod, a Service or a node.
	DialInside(ctx context.Context, network, address string) (net.Conn, error)
	// Pause ends controllers and scheduler, and waits; Resume runs them again.
	Pause() error
	Resume()
	// Failed delivers the error of a component that exited without being stopped.
	Failed() <-chan error
	// Stop ends it in order, and waits.
	Stop()
}

// Addons are what a cluster has besides Kubernetes.
type Addons interface {
	observe.Addons
	// Run keeps them as they are wanted until ctx ends, and waits for what it started.
	Run(ctx context.Context)
	// Reload makes a changed plan known.
	Reload(spec cluster.Spec)
}

// Parts are what a daemon runs.
type Parts struct {
	// Addons can be asked at once; Run is called when the control plane is ready.
	Addons Addons
	// HostDNS is what programs of this machine get answered about the cluster.
	HostDNS func() cluster.HostDNS
	// Start starts the control plane and returns when that is ready, without controllers and scheduler if Options.Paused is not
	// nil. It reports each step to events.
	Start func(ctx context.Context, events func(cluster.Event)) (ControlPlane, error)
}

// Calls are what its parts call of a daemon, at any time.
type Calls struct {
	// Changed says that an addon does differently.
	Changed func()
	// Use says that a user begins to use the cluster, and returns when it is not paused; done says that the use has ended. what
	// is for the log.
	Use func(ctx context.Context, what string) (done func(), err error)
	// Names is where Services have names on this machine; Hosts replaces the other hosts that have one.
	Names func() cluster.Names
	Hosts func([]gatewaytable.NamedHost)
	// Sign makes a certificate for a host, of the CA that all clusters of this user share. It returns the same one until that is
	// about to expire.
	Sign func(ctx context.Context, host string) (chain, key []byte, err error)
	// Dashboard is where the dashboard is.
	Dashboard func() cluster.Dashboard
	// Registry is where the registry and the cache are.
	Registry func() cluster.RegistryStatus
}

// Options are what Run needs.
type Options struct {
	State statedir.Cluster
	Spec  cluster.Spec
	// Parts makes what the daemon runs.
	Parts func(Calls) (Parts, error)
	// KubernetesVersion is what runs ("v1.37.2"), Emulated the minor that it emulates, if any.
	KubernetesVersion, Emulated string
	Log                         *slog.Logger
	// Words keeps the cause of an unexpected exit for the commands that come after.
	Words *lastwords.Record
	// Guard keeps a guardian beside this process until ctx ends; it is called when the control plane is ready. Nil: none.
	Guard func(ctx context.Context)
	// Paused is how the cluster came to be paused, nil if it is not.
	Paused *cluster.Pause
	// Pause and Unpause do what the commands of these names do; Pause is refused if somebody uses the cluster.
	Pause, Unpause func(ctx context.Context) error
	// Delete deletes the cluster, this process included, when the process that it is for has ended. Nil: it stays.
	Delete func(ctx context.Context) error
	// Dashboard is what the dashboard shows besides what this package knows.
	Dashboard DashboardParts
	// Scale multiplies the limits on waits.
	Scale wait.Scale
}

// daemon implements localapi.Backend.
type daemon struct {
	*observe.Observer
	Options
	parts Parts
	stop  context.CancelFunc
	story story
	ports *ports.Forwarder
	names *names.Server
	// issuer signs for the names on loopback, and delivered for the gateway: its key goes to the nodes.
	issuer, delivered *localca.Issuer
	board             *dashboard.Server
	images            *registry.Server
	// asked says that the local API was asked to stop the daemon.
	asked atomic.Bool
	idle  *idle.Keeper
	owner *owner
	// reloading is held by Reload, pausing by Pause and Resume.
	reloading, pausing sync.Mutex
	// stopActing ends what act has started; nil while the cluster is paused. ending says that it is not started again. pausing
	// guards both.
	stopActing func()
	ending     bool

	mu      sync.Mutex // guards the rest
	spec    cluster.Spec
	control ControlPlane   // nil until it is ready
	pause   *cluster.Pause // nil if the cluster is not paused
}

var _ localapi.Backend = (*daemon)(nil)

// Run runs the daemon of a cluster until ctx ends, the local API is asked to stop it, or a component of the control plane
// exits on its own. The cause of an unexpected exit is the last word of the process; after an orderly end there is none.
// The caller has locked the cluster for the daemon.
func Run(ctx context.Context, o Options) error {
	d := &daemon{Options: o, spec: o.Spec, pause: o.Paused, story: newStory(), issuer: localca.NewIssuer(o.State.LocalCA()), delivered: localca.NewIssuer(o.State.LocalCA())}
	d.idle = idle.New(idle.Options{
		Paused: o.Paused != nil, After: o.Spec.AutoPause, Pause: o.Pause, Unpause: d.wake, Limit: wakeLimit, Scale: o.Scale, Log: o.Log,
	})
	d.owner = newOwner(o.State.Owner, o.Delete, o.Log)
	err := d.run(ctx)
	if err != nil && !errors.Is(err, context.Canceled) { // stopped while it started, it has nothing to explain
		o.Words.Say(err.Error())
		o.Log.Error("the daemon failed", "err", err)
		return err
	}
	return errors.Join(err, o.Words.Withdraw())
}

// run is the daemon's life.
func (d *daemon) run(ctx context.Context) (err error) {
	ctx, d.stop = context.WithCancel(ctx)
	defer d.stop()
	d.images = d.newRegistry()
	defer d.images.Close()
	var observer atomic.Pointer[observe.Observer] // which needs the addons, and they may have changed before it is there
	var named atomic.Pointer[names.Server]        // which needs the observer, and is asked by an addon
	var boarded atomic.Pointer[dashboard.Server]  // and so does this
	if d.parts, err = d.Parts(Calls{
		Use: d.idle.Use, Names: func() cluster.Names { return named.Load().Status() }, Sign: d.delivered.PEM,
		Dashboard: func() cluster.Dashboard { return boarded.Load().Status() },
		Registry:  func() cluster.RegistryStatus { return d.images.Status() },
		Hosts: func(hosts []gatewaytable.NamedHost) {
			if named.Load().SetHosts(hosts) {
				observer.Load().Notify()
			}
		},
		Changed: func() {
			if o := observer.Load(); o != nil {
				o.Notify()
			}
		},
	}); err != nil {
		return err
	}
	past := d.restarts()
	d.Observer = observe.New(observe.Options{
		Spec: d.currentSpec, Addons: d.parts.Addons, KubernetesVersion: d.KubernetesVersion, Emulated: d.Emulated, Log: d.Log, Scale: d.Scale,
		Beside: func(spec cluster.Spec) []netip.Prefix {
			all, _ := routes.Read() // a problem less is found, then
			return routes.Beside(all, spec.Subnet, spec.PodRange(), spec.ServiceRange())
		},
		Names:  func() cluster.Names { return d.names.Status() },
		Paused: d.paused, Restarts: past, Own: func(now time.Time) []cluster.Problem { return d.ownProblems(past, now) },
	})
	d.names = d.newNames()
	defer d.names.Close()
	named.Store(d.names)
	d.board = d.newDashboard()
	defer d.board.Close()
	boarded.Store(d.board)
	observer.Store(d.Observer)
	defer d.idle.Close()
	d.ports = ports.New(ports.Options{Service: d.dialService, Use: d.idle.Use, Log: d.Log, Scale: d.Scale})
	defer d.ports.Close()
	server, err := localapi.Listen(d.State.APISocket(), d, d.Log)
	if err != nil {
		return err
	}
	defer func() { _ = server.Close() }()
	if err := announce(); err != nil {
		return err
	}
	d.openPorts()

	begin := time.Now()
	control, err := d.parts.Start(ctx, d.story.add)
	if err != nil {
		d.finishStart(cluster.StepFailed, err)
		return err
	}
	d.Log.Info("control plane is ready", "took", time.Since(begin).Round(time.Millisecond))
	d.setControl(control)
	d.Observer.Start(control)
	stopKeeping := d.keep()
	d.pausing.Lock()
	if d.paused() == nil {
		d.stopActing = d.act(control)
	}
	d.pausing.Unlock()
	d.finishStart(cluster.StepDone, nil)

	select {
	case <-ctx.Done():
	case err = <-control.Failed():
	}
	begin = time.Now()
	stopKeeping()
	d.names.Close() // before what it asks
	d.board.Close()
	d.images.Close()
	d.idle.Close() // requests that wait for the cluster to wake would delay the end of the API server
	d.actNoMore()
	d.Observer.Close()
	control.Stop()
	d.Log.Info("control plane has stopped", "took", time.Since(begin).Round(time.Millisecond))
	return err
}

// keep starts keeping certificates valid, and a guardian, and pausing the cluster when nobody uses it. The returned function
// stops that and waits for it.
func (d *daemon) keep() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { d.keepCertificates(ctx) })
	if d.Delete != nil {
		running.Go(func() { d.owner.run(ctx) })
	}
	if d.Guard != nil && !d.asked.Load() {
		running.Go(func() { d.Guard(ctx) })
	}
	running.Go(func() { d.idle.Run(ctx) })
	return func() {
		cancel()
		running.Wait()
	}
}

// act starts keeping addons, Node objects and the pods of components as planned. The returned function stops that and waits
// for it.
func (d *daemon) act(control ControlPlane) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { d.parts.Addons.Run(ctx) })
	running.Go(func() {
		if err := control.KeepNodes(ctx, d.NodeInformer()); err != nil {
			d.Log.Error("node objects that somebody deletes do not come back", "err", err)
		}
	})
	running.Go(func() {
		if err := control.ShowComponents(ctx, d.NodeInformer()); err != nil {
			d.Log.Error("components cannot be shown as pods", "err", err)
		}
	})
	return func() {
		cancel()
		running.Wait()
	}
}

// finishStart ends the story of the start for everybody who listens.
func (d *daemon) finishStart(kind cluster.EventKind, err error) {
	e := cluster.Event{Kind: kind, Step: bootstrap.StepControlPlane, Title: "Control plane", Time: time.Now()}
	if err != nil {
		e.Detail = err.Error()
	}
	d.story.end(e)
}

// restarts is what the guardian has recorded; it does not change while this process runs.
func (d *daemon) restarts() *cluster.Restarts {
	r := d.State.Restarts()
	if r != nil {
		r.Next = time.Time{} // the try that it announces is this process
	}
	return r
}

// ownProblems are those of this process.
func (d *daemon) ownProblems(past *cluster.Restarts, now time.Time) []cluster.Problem {
	if p := bootstrap.RestartProblem(d.State, past, now); p != nil {
		return []cluster.Problem{p.For(d.State.Name)}
	}
	return nil
}

// announce lets the process that spawned this one know that the local API listens.
func announce() error {
	text := os.Getenv(spawn.EnvReadyFD)
	if text == "" {
		return nil // started by hand
	}
	fd, err := strconv.Atoi(text)
	if err != nil {
		return fmt.Errorf("%s is %q, want a number: %w", spawn.EnvReadyFD, text, err)
	}
	pipe := os.NewFile(uintptr(fd), "ready")
	_, err = pipe.Write([]byte{1})
	return errors.Join(err, pipe.Close())
}
