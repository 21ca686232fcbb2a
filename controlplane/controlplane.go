// Package controlplane runs etcd, kube-apiserver, kube-controller-manager and kube-scheduler, all unmodified
// upstream code, inside the calling process.
//
// There can be one per process: feature gates, metrics and several registries of Kubernetes are process-wide, and
// upstream ends the process on some failures. Restarting means a new process; only controllers and scheduler can be stopped and
// run again, while nobody uses the cluster (Pause). Begin reading at Start.
package controlplane

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // what client-go measures goes nowhere otherwise; upstream's programs import it, too
	_ "k8s.io/component-base/metrics/prometheus/version"  // the metric kubernetes_build_info, as in upstream's programs

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/footprint"
	"bonsai/bootstrap/wait"
	"bonsai/controlplane/addons"
	"bonsai/controlplane/agents"
	"bonsai/controlplane/config"
	"bonsai/controlplane/internal/apiserver"
	"bonsai/controlplane/internal/etcd"
	"bonsai/controlplane/internal/listener"
	"bonsai/controlplane/internal/relay"
	"bonsai/controlplane/mirror"
	"bonsai/controlplane/nodes"
	"bonsai/controlplane/observe/birth"
	"bonsai/controlplane/observe/history"
	"bonsai/controlplane/observe/load/traffic"
	"bonsai/controlplane/observe/objects"
	"bonsai/controlplane/tunnel"
)

// Names of the components, as in Components and in the events of a start.
const (
	Etcd              = cluster.Etcd
	APIServer         = cluster.APIServer
	ControllerManager = cluster.ControllerManager
	Scheduler         = cluster.Scheduler
)

// Limits on a quiet machine; Options.Scale multiplies them.
const (
	etcdLimit  = 15 * time.Second
	readyLimit = 30 * time.Second
	stopLimit  = 5 * time.Second
)

// memoryTarget is where the garbage collector starts to work harder. The idle heap is near 100 MB.
const memoryTarget = 400 << 20

// gcPercent trades CPU for memory: an idle control plane allocates a few MB a minute with a live heap of 110 MB.
const gcPercent = 25

// startGCPercent is for the start, which needs time more than memory.
const startGCPercent = 250

const settleTime = 8 * time.Second

// Options are the dependencies and settings of Start.
type Options struct {
	Config config.Config
	// Events is called for each step; it must not block and may be called by several goroutines.
	Events func(cluster.Event)
	Log    *slog.Logger
	// LogHandler receives what one component logs through its context.
	LogHandler func(component string) slog.Handler
	// EtcdLog receives etcd's own log, lines of JSON.
	EtcdLog io.Writer
	// Say is called with the reason before etcd ends the process.
	Say func(reason string)
	// ApplyAddons makes the objects of addons, beside bonsai's own and before the cluster calls itself ready; it may be
	// nil. Of the control plane it is given, only Client, LoopbackConfig, Agents and Groups may be used yet. It is repeated while
	// it fails, and a start fails with it.
	ApplyAddons func(ctx context.Context, cp *ControlPlane) error
	// NodeRules are the rights of the parts of addons on nodes.
	NodeRules addons.NodeRules
	// PoliciesEnforced says whether NetworkPolicies are; nil: they are not.
	PoliciesEnforced func() bool
	// Mirror shows the components as pods; nil if they are not shown.
	Mirror *mirror.Keeper
	// Restore replaces all objects by those of a checkpoint first; nil: they stay. If the process ends before Start has
	// returned without an error, the next one has the old objects again.
	Restore *Restore
	// HistoryDir is the folder in which changes of objects are recorded; empty if they are not.
	HistoryDir string
	// Archive serves the objects of Restore as they are, to be looked at only: etcd and the API server run alone, nothing is
	// made to fit, and no request may change anything.
	Archive bool
	// Use is called when a user begins to use the API, and returns when the cluster is not paused; done says that this use has
	// ended. what is for the log. It may be nil.
	Use func(ctx context.Context, what string) (done func(), err error)
	// Paused starts neither controllers nor scheduler; Resume does.
	Paused bool
	// Scale multiplies every limit, for slow machines.
	Scale wait.Scale
}

// ControlPlane is a running control plane.
type ControlPlane struct {
	opts     Options
	listener *listener.Listener
	relay    *relay.Relay
	roots    *x509.CertPool // the cluster's CA
	etcd     *etcd.Server
	server   *apiserver.Server
	dialer   *tunnel.Dialer
	agents   *agents.Client
	client   kubernetes.Interface
	objects  objects.Clients
	nodes    *nodes.Keeper
	births   *birth.Recorder
	writers  history.Writers
	history  *history.History // nil if nothing is recorded
	traffic  traffic.Counters
	groups   apiserver.Groups

	// Each part has its own context, so that they can be stopped in order.
	stopAPI     context.CancelFunc
	apiDone     chan struct{}
	watching    sync.WaitGroup // for the listener's end
	stopHistory func()
	clients     clients
	// restored ends what is left of a restore when the control plane stops.
	restored struct {
		stop    context.CancelFunc
		running sync.WaitGroup
	}

	stopShrinking func()

	failed chan error // receives the error of the first component that exits unexpectedly
	// began is before the first line that a component writes to its log.
	began time.Time

	mu         sync.Mutex // guards components
	components map[string]cluster.Component
}

// Start runs the control plane and returns when it is ready: /readyz passes, which includes the default roles and the
// planned Node objects, and controllers and scheduler run. The listener is open from the start, so that early nodes
// wait instead of failing. On error everything that was started has been stopped.
func Start(ctx context.Context, o Options) (_ *ControlPlane, err error) {
	cp := &ControlPlane{opts: o, began: time.Now(), apiDone: make(chan struct{}), failed: make(chan error, 4), components: map[string]cluster.Component{}, births: birth.NewRecorder(birth.Limit)}
	for _, name := range cluster.ControlPlaneComponents() {
		cp.set(name, cluster.PhaseStarting, "")
	}
	if cp.listener, err = listener.Listen(ctx, o.Config.Spec.APIPort, listener.MostConnections(), o.Log); err != nil {
		return nil, fmt.Errorf("listen on the API port: %w", err)
	}
	defer func() {
		if err != nil {
			cp.stop()
		}
	}()
	if err := cp.listener.Add(ctx, o.Config.Spec.Gateway); err != nil {
		// Without nodes it is not needed; with nodes their start reports that they cannot reach the API server.
		o.Log.Warn("no API listener on the node network", "address", o.Config.Spec.Gateway, "err", err)
	}
	cp.relay = relay.New(o.Log, o.Scale)
	if err := cp.relay.Serve(ctx, o.Config.Spec); err != nil {
		o.Log.Warn("nodes cannot pull through the proxy", "err", err)
	}
	if err := cp.writeFiles(); err != nil {
		return nil, err
	}
	if err := cp.newDialer(); err != nil {
		return nil, err
	}

	// Starting allocates about 400 MB of short-lived OpenAPI and routing tables; collecting rarely saves time. Not
	// collecting at all scatters the live heap between the garbage, which costs 50 MB permanently.
	debug.SetGCPercent(startGCPercent)
	defer func() {
		debug.SetGCPercent(gcPercent)
		debug.SetMemoryLimit(memoryTarget)
		// Controllers and watch caches fill up for a few more seconds; then the start's garbage is returned to the
		// system.
		cp.stopShrinking = footprint.ShrinkAfter(settleTime, func(err error) { o.Log.Warn("memory of the start was not released", "err", err) })
	}()

	etcdReady, etcdFailed, built := make(chan error, 1), make(chan error, 1), make(chan error, 1)
	go func() { // buildAPIServer waits for its end
		err := cp.startEtcd(ctx)
		if err != nil {
			etcdFailed <- err
		}
		etcdReady <- err
	}()
	go func() { built <- cp.buildAPIServer(ctx, etcdReady) }()
	select {
	case err := <-built:
		if err != nil {
			return nil, err
		}
	case err := <-etcdFailed:
		// Upstream's part of the build waits twenty seconds for etcd. The process exits before that.
		return nil, err
	}
	if err := cp.runAPIServer(ctx); err != nil {
		return nil, err
	}
	if err := cp.endRestore(); err != nil {
		return nil, err
	}
	if !o.Archive {
		cp.runHistory()
		if o.Paused {
			cp.beginPause(time.Time{})
		} else {
			cp.Resume()
		}
	}
	return cp, nil
}

// Client has all rights and never leaves the process.
func (cp *ControlPlane) Client() kubernetes.Interface { return cp.client }

// ObjectClients have the rights of Client.
func (cp *ControlPlane) ObjectClients() objects.Clients { return cp.objects }

// LoopbackConfig is the configuration behind Client.
func (cp *ControlPlane) LoopbackConfig() *rest.Config { return cp.server.LoopbackConfig() }

// Agents asks the agents of nodes.
func (cp *ControlPlane) Agents() *agents.Client { return cp.agents }

// Groups serves groups of the API in this process; see addons.Groups.
func (cp *ControlPlane) Groups() addons.Groups { return &cp.groups }

// Births records how the newest pods came to be.
func (cp *ControlPlane) Births() *birth.Recorder { return cp.births }

// Failed delivers the error of a component that exited although it was not stopped. The process should exit then.
func (cp *ControlPlane) Failed() <-chan error { return cp.failed }

// Answers asks the API server whether it is ready, through the port that users use. It blocks until that answers or ctx
// ends; the error says why it does not, as far as this process knows.
func (cp *ControlPlane) Answers(ctx context.Context) error {
	err := listener.Ready(ctx, cp.listener.Addr().String(), cp.roots)
	if trouble := cp.listener.Trouble(); err != nil && trouble != nil {
		return fmt.Errorf("%w (%w)", err, trouble)
	}
	return err
}

// Store returns how full etcd is. It may take a second once that is a problem.
func (cp *ControlPlane) Store() cluster.Store { return cp.etcd.Store() }

// Components returns the state of each component.
func (cp *ControlPlane) Components() []cluster.Component {
	cp.mu.Lock()
	defer cp.mu.Unlock()
	var list []cluster.Component
	for _, name := range cluster.ControlPlaneComponents() {
		list = append(list, cp.components[name])
	}
	return list
}

// KeepNodes keeps the Node objects as planned until ctx ends: one that somebody deletes comes back. informer follows
// Node objects; the caller starts and stops it.
func (cp *ControlPlane) KeepNodes(ctx context.Context, informer cache.SharedIndexInformer) error {
	return cp.nodes.Run(ctx, informer)
}

// ShowComponents keeps the pods that show the components until ctx ends. informer follows Node objects; the caller starts and
// stops it.
func (cp *ControlPlane) ShowComponents(ctx context.Context, informer cache.SharedIndexInformer) error {
	if cp.opts.Mirror == nil {
		return nil
	}
	return cp.opts.Mirror.Run(ctx, mirror.Source{Client: cp.client, Agents: cp.agents, Components: cp.Components, Nodes: informer})
}

// Apply makes a changed plan true without a restart: the Node objects, the listener on a new gateway.
func (cp *ControlPlane) Apply(ctx context.Context, spec cluster.Spec) error {
	if err := cp.listener.Add(ctx, spec.Gateway); err != nil {
		return fmt.Errorf("listen on %s: %w", spec.Gateway, err)
	}
	if err := cp.relay.Serve(ctx, spec); err != nil {
		cp.opts.Log.Warn("nodes cannot pull through the proxy", "err", err)
	}
	cp.dialer.SetNodes(spec.Nodes)
	if cp.opts.Mirror != nil {
		defer cp.opts.Mirror.Reload(spec)
	}
	return cp.nodes.Reload(ctx, spec)
}

// Stop stops everything in order: controllers and scheduler, the API server with its open watches, and etcd last, after
// its clients. It blocks until all have ended, about two seconds at most.
func (cp *ControlPlane) Stop() { cp.stop() }

func (cp *ControlPlane) stop() {
	for _, c := range cp.Components() {
		cp.set(c.Name, cluster.PhaseStopping, "")
	}
	if cp.stopShrinking != nil {
		cp.stopShrinking()
	}
	cp.clients.mu.Lock()
	cp.clients.stop(cp.opts.Scale.Of(stopLimit)) // the process exits next; only goroutines are lost
	cp.clients.mu.Unlock()
	if cp.restored.stop != nil {
		cp.restored.stop()
		waitAtMost(cp.opts.Scale.Of(stopLimit), cp.restored.running.Wait)
	}
	if cp.stopAPI != nil {
		cp.stopAPI()
		// Watches would delay the server for its whole grace period of two seconds; no client needs them any more.
		cut := time.AfterFunc(cp.opts.Scale.Of(200*time.Millisecond), cp.listener.CloseConnections)
		waitAtMost(cp.opts.Scale.Of(stopLimit), func() { <-cp.apiDone })
		cut.Stop()
		cp.watching.Wait()
	}
	_ = cp.listener.Close()
	if cp.relay != nil {
		cp.relay.Close()
	}
	if cp.agents != nil {
		cp.agents.Close()
	}
	if cp.stopHistory != nil { // the last changes have been made
		cp.stopHistory()
	}
	if cp.etcd != nil {
		cp.etcd.Stop()
	}
}

func waitAtMost(limit time.Duration, wait func()) {
	done := make(chan struct{})
	go func() { wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(limit): // the process exits next; only the goroutine is lost
	}
}

func (cp *ControlPlane) fail(name string, err error) {
	if err == nil {
		err = errors.New("exited unexpectedly")
	}
	cp.set(name, cluster.PhaseFailed, err.Error())
	cp.failed <- fmt.Errorf("%s: %w", name, err)
}

// set changes the state of a component; one that the user has left out is off, whatever happens to the others.
func (cp *ControlPlane) set(name string, phase cluster.Phase, reason string) {
	cp.mu.Lock()
	defer cp.mu.Unlock()
	if spec := &cp.opts.Config.Spec; !spec.Runs(name) {
		cp.components[name] = cluster.Component{Name: name, Phase: cluster.PhaseOff}
		return
	}
	c := cluster.Component{Name: name, Phase: phase, Reason: reason, Since: time.Now(), Started: cp.began, PID: os.Getpid()}
	if phase == cluster.PhaseFailed {
		c.Started, c.Ended = time.Time{}, c.Since
	}
	cp.components[name] = c
}
