package daemon

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/component-base/version"

	"bonsai/bootstrap"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/componentlog"
	"bonsai/bootstrap/localapi"
	"bonsai/bootstrap/statedir"
	"bonsai/bootstrap/wait"
	"bonsai/controlplane"
	"bonsai/controlplane/addons"
	"bonsai/controlplane/observe/birth"
	"bonsai/controlplane/observe/dns"
	"bonsai/controlplane/observe/load"
	"bonsai/controlplane/observe/problems"
)

// daemon implements localapi.Backend.
type daemon struct {
	state statedir.Cluster
	log   *slog.Logger
	logs  *componentlog.Set
	scale wait.Scale
	stop  context.CancelFunc
	// addons is the manager of the addons; it is there before anybody asks.
	addons *addons.Manager
	// reloading is held by Reload.
	reloading sync.Mutex

	mu       sync.Mutex // guards everything below
	spec     cluster.Spec
	cp       *controlplane.ControlPlane // nil until the control plane is ready
	nodes    corelisters.NodeLister
	dnsView  *dns.View // nil as long as cp is, as are loadView, problems, births and begun
	loadView *load.View
	problems *problems.View
	births   *birth.View
	begun    time.Time
	agents   map[string]agentState
	events   []cluster.Event
	finished bool // no more events will come
	// changed is closed and replaced whenever something above or a Node object changes.
	changed chan struct{}
}

// agentState is what a node's agent last said of itself.
type agentState struct {
	Components []cluster.Component `json:"components"`
	err        error
}

// agentLimit bounds a question to one agent; all are asked at once.
const agentLimit = time.Second

// watchInterval is how often agents are asked while somebody watches.
const watchInterval = 2 * time.Second

// attach begins to follow the Node objects. The returned function ends that and waits for it.
func (d *daemon) attach(cp *controlplane.ControlPlane) (stop func(), err error) {
	factory := informers.NewSharedInformerFactoryWithOptions(cp.Client(), 0, informers.WithTransform(trim))
	informer := factory.Core().V1().Nodes()
	changed := func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.notify()
	}
	if _, err := informer.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { changed() }, UpdateFunc: func(any, any) { changed() }, DeleteFunc: func(any) { changed() },
	}); err != nil {
		return nil, fmt.Errorf("watch nodes: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	factory.StartWithContext(ctx)
	var keeping sync.WaitGroup
	keeping.Go(func() {
		if err := cp.Nodes().Run(ctx, informer.Informer()); err != nil {
			d.log.Error("node objects that somebody deletes do not come back", "err", err)
		}
	})
	d.mu.Lock()
	defer d.mu.Unlock()
	dns, load := d.newDNSView(cp), d.newLoadView(cp)
	d.begun = time.Now()
	problems, births := d.newProblemView(cp), d.newBirthView(cp)
	d.cp, d.nodes, d.dnsView, d.loadView, d.problems, d.births = cp, informer.Lister(), dns, load, problems, births
	d.notify()
	return func() {
		cancel()
		keeping.Wait()
		problems.Close()
		births.Close()
		dns.Close()
		load.Close()
		factory.Shutdown()
	}, nil
}

// trim drops what nobody here reads and takes most of a Node's memory.
func trim(object any) (any, error) {
	if n, ok := object.(*corev1.Node); ok {
		n.ManagedFields, n.Status.Images = nil, nil
	}
	return object, nil
}

// notify wakes whoever watches; d.mu is held.
func (d *daemon) notify() {
	close(d.changed)
	d.changed = make(chan struct{})
}

func (d *daemon) event(e cluster.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.events = append(d.events, e)
	d.notify()
}

// Snapshot asks every agent, looks at addons and workloads and tells what is known.
func (d *daemon) Snapshot(ctx context.Context) cluster.Snapshot {
	var looking sync.WaitGroup
	looking.Go(func() { d.addons.Observe(ctx) })
	var workloads []cluster.Problem
	if view := d.problemView(); view != nil {
		looking.Go(func() { workloads = view.Once(ctx) })
	}
	d.askAgents(ctx)
	looking.Wait()
	s, _ := d.snapshot()
	return withProblems(s, workloads)
}

// Watch tells what is known at once and then whenever it changed. Agents are asked every two seconds meanwhile.
func (d *daemon) Watch(ctx context.Context, send func(cluster.Snapshot) error) error {
	ask := time.NewTicker(watchInterval)
	defer ask.Stop()
	var workloads *problems.Watcher
	defer func() {
		if workloads != nil {
			workloads.Close()
		}
	}()
	for {
		s, changed := d.snapshot()
		if workloads == nil && d.settled(s) {
			workloads = d.problemView().Watch()
		}
		var problems []cluster.Problem
		var news <-chan struct{}
		if workloads != nil {
			problems, news = workloads.Problems()
		}
		if err := send(withProblems(s, problems)); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-news:
		case <-ask.C:
			d.askAgents(ctx)
		}
	}
}

// snapshot returns what is known and a channel that is closed when that is no longer all.
func (d *daemon) snapshot() (cluster.Snapshot, <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := cluster.Snapshot{Name: d.spec.Name, Time: time.Now(), APIServer: cluster.PhaseStarting, Phase: cluster.PhaseStarting}
	if d.cp != nil {
		s.KubernetesVersion = version.Get().GitVersion
		s.Emulated = emulated(d.spec.KubernetesVersion)
		s.Components = d.cp.Components()
		i := slices.IndexFunc(s.Components, func(c cluster.Component) bool { return c.Name == controlplane.APIServer })
		s.APIServer, s.Phase = s.Components[i].Phase, s.Components[i].Phase
	}
	s.Addons = enabledAddons(d.addons.Status())
	dns := d.addons.Nodes(cluster.DNSAddon)
	for _, n := range d.spec.Nodes {
		status := cluster.NodeStatus{Name: n.Name, IP: n.IP.String(), Role: "worker", Host: cluster.PhaseUnknown, Kubelet: cluster.PhaseUnknown}
		if d.nodes != nil {
			if object, err := d.nodes.Get(n.Name); err == nil {
				status.Kubelet, status.Heartbeat = kubeletPhase(object)
				status.Ready = status.Kubelet == cluster.PhaseRunning
			}
		}
		agent := d.agents[n.Name]
		if agent.err == nil && len(agent.Components) > 0 {
			status.Host = cluster.PhaseRunning // what answers runs; for the rest somebody has to ask the engine
		}
		status.Components, status.DNS = agent.Components, dns[n.Name]
		s.Nodes = append(s.Nodes, status)
	}
	s.Problems = d.ownProblems(s)
	return s, d.changed
}

// kubeletPhase reads the Ready condition; until the first heartbeat there is none.
func kubeletPhase(n *corev1.Node) (cluster.Phase, time.Time) {
	for _, c := range n.Status.Conditions {
		if c.Type != corev1.NodeReady {
			continue
		}
		switch c.Status {
		case corev1.ConditionTrue:
			return cluster.PhaseRunning, c.LastHeartbeatTime.Time
		case corev1.ConditionFalse:
			return cluster.PhaseDegraded, c.LastHeartbeatTime.Time
		default:
			return cluster.PhaseUnknown, c.LastHeartbeatTime.Time // no heartbeat for some 40 s
		}
	}
	return cluster.PhaseStarting, time.Time{}
}

// askAgents refreshes what the agents say of their children, all at once and within a limit.
func (d *daemon) askAgents(ctx context.Context) {
	d.mu.Lock()
	cp, nodes := d.cp, slices.Clone(d.spec.Nodes)
	d.mu.Unlock()
	if cp == nil {
		return
	}
	ctx, cancel := d.scale.Limit(ctx, agentLimit, "the nodes' agents")
	defer cancel()
	states := make([]agentState, len(nodes))
	var wg sync.WaitGroup
	for i, n := range nodes {
		wg.Go(func() { states[i] = askAgent(ctx, cp, n) })
	}
	wg.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, n := range nodes {
		d.agents[n.Name] = states[i]
	}
}

func askAgent(ctx context.Context, cp *controlplane.ControlPlane, n cluster.Node) (s agentState) {
	client := http.Client{Transport: cp.Dialer().AgentTransport(n)}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("https://%s:%d/v1/state", n.IP, cluster.AgentPort), nil)
	if err != nil {
		return agentState{err: err}
	}
	resp, err := client.Do(req)
	if err != nil {
		return agentState{err: err}
	}
	defer func() { _ = resp.Body.Close() }()
	s.err = json.NewDecoder(resp.Body).Decode(&s)
	return s
}

// Events tells everything that happened since the daemon began, and ends when the start has succeeded or failed.
func (d *daemon) Events(ctx context.Context, send func(cluster.Event) error) error {
	for sent := 0; ; {
		d.mu.Lock()
		fresh, finished, changed := slices.Clone(d.events[sent:]), d.finished, d.changed
		d.mu.Unlock()
		for _, e := range fresh {
			if err := send(e); err != nil {
				return err
			}
		}
		sent += len(fresh)
		if finished {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
	}
}

// Reload reads the spec again and makes it true, as far as that is the control plane's to do. When it returns, Node objects
// are as planned, and the manager of addons knows what is wanted.
func (d *daemon) Reload(ctx context.Context) error {
	// One at a time: else what an interrupted command wanted could win over what took it back.
	d.reloading.Lock()
	defer d.reloading.Unlock()
	spec, err := d.state.LoadSpec()
	if err != nil {
		return err
	}
	d.mu.Lock()
	cp := d.cp
	d.mu.Unlock()
	if cp == nil {
		return fmt.Errorf("the control plane of %s is still starting", spec.Name)
	}
	if err := cp.Apply(ctx, *spec); err != nil {
		return err
	}
	d.mu.Lock()
	d.spec = *spec
	d.notify()
	d.mu.Unlock()
	d.addons.Reload(*spec)
	return nil
}

// Stop ends the daemon; it returns at once.
func (d *daemon) Stop() { d.stop() }

// emulated is the minor to emulate for a wanted version: none for the binary's own.
func emulated(wanted string) string {
	own := strings.TrimPrefix(version.Get().GitVersion, "v")
	if wanted == "" || strings.HasPrefix(own+".", wanted+".") {
		return ""
	}
	return wanted
}

// finishStart ends the story of the start for everybody who listens.
func (d *daemon) finishStart(kind cluster.EventKind, err error) {
	e := cluster.Event{Kind: kind, Step: bootstrap.StepControlPlane, Title: "Control plane", Time: time.Now()}
	if err != nil {
		e.Detail = err.Error()
	}
	d.event(e)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.finished = true
	d.notify()
}

// Logs copies the log of a component of this process.
func (d *daemon) Logs(ctx context.Context, q localapi.LogQuery, w io.Writer) error {
	lines := q.Tail
	if lines <= 0 {
		lines = -1 // all, as LogQuery has it
	}
	return componentlog.Tail(ctx, d.state.LogFile(q.Component), lines, q.Follow, w)
}
