package bootstrap

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/node"
	"bonsai/bootstrap/plan"
	"bonsai/bootstrap/spawn"
	"bonsai/bootstrap/statedir"
)

// Limits of the waits of a start on a quiet machine; Env.Scale multiplies them.
const (
	daemonLimit = 45 * time.Second
	nodesLimit  = 90 * time.Second
	// unreachableAfter is when a node that is not Ready is checked for whether it reaches the API server at all.
	unreachableAfter = 8 * time.Second
	cleanupLimit     = 30 * time.Second
)

// Want returns the desired state of a cluster whose current state is current, on a machine with this env. It is a
// function of values; its error is returned unchanged, and nothing has changed then.
type Want func(current plan.State, env plan.Environment) (plan.State, error)

// Apply changes an existing cluster as wanted, and returns what it changed; verb names the command for others that find
// the cluster busy. It blocks until the changes have been made, including that nodes that it starts are Ready. If it
// fails, or ctx ends, the cluster is restored (except with Run.Keep, and except data of removed nodes).
func (m *Manager) Apply(ctx context.Context, verb, name string, want Want, run Run) (plan.Plan, error) {
	return m.change(ctx, verb, name, want, run, parts{engine: true})
}

// parts are what differs between changes.
type parts struct {
	// engine connects to the container engine. Without it, changes must not affect nodes.
	engine bool
	// before runs when the changes are planned, and before any is made. It undoes what it did if it fails; after undoes it
	// if the changes cannot be made. Either may be nil.
	before, after func(context.Context, *operation) error
	// finally runs when the changes have been made, which its error does not undo. It may be nil.
	finally func(context.Context, *operation) error
}

// change implements Apply.
func (m *Manager) change(ctx context.Context, verb, name string, want Want, run Run, p parts) (plan.Plan, error) {
	o := m.operation(verb, name, run)
	defer o.close()
	lock, err := o.state.LockExisting(ctx, verb)
	if err != nil {
		return plan.Plan{}, err
	}
	defer func() { _ = lock.Release() }()
	if err := o.lookAround(); err != nil {
		return plan.Plan{}, err
	}
	if p.engine {
		if err := o.connect(ctx); err != nil {
			return plan.Plan{}, err
		}
	}
	if err := o.plan(want); err != nil || len(o.Changes) == 0 {
		return o.Plan, err
	}
	if err := o.checkLimits(ctx); err != nil {
		return o.Plan, err
	}
	if !o.leavesPaused() {
		if err := o.wake(ctx); err != nil {
			return o.Plan, err
		}
	}
	if p.before != nil {
		if err := p.before(ctx, o); err != nil {
			return o.Plan, o.explain(ctx, err)
		}
	}
	if err := o.apply(ctx); err != nil {
		err = o.failed(ctx, err)
		if p.after != nil && !o.run.Keep {
			err = errors.Join(err, p.after(ctx, o))
		}
		return o.Plan, err
	}
	if p.finally != nil {
		return o.Plan, p.finally(ctx, o)
	}
	return o.Plan, nil
}

// operation is one run of Start or of Apply.
type operation struct {
	*Manager
	verb    string
	run     Run
	rec     *recorder
	state   statedir.Cluster
	existed bool        // it existed before this run; set by lookAround
	paused  bool        // the cluster is paused; set by lookAround
	driver  node.Driver // nil if no node is touched
	engine  node.EngineInfo
	// containers of the cluster before this run, and networks of the engine; empty without driver.
	containers []node.Container
	networks   []node.Network
	plan.Plan
	choice choice
	// outdated are the running parts that use certificates which are no longer those on disk.
	outdated struct {
		daemon bool
		nodes  []string
	}
	// held are the nodes whose pods wait until this run has filled them with images, arrived those that know already that it
	// has; filled says that all have been. See awaitImages.
	held      map[string]bool
	arrived   []string
	filled    bool
	rolled    []string       // nodes that were replaced one after the other, each of which was waited for
	daemon    *spawn.Process // set if this run spawned it
	restoring restoring
	// context is kubectl's current context if it leads to the cluster; empty until the kubeconfig was written.
	context string
}

func (m *Manager) operation(verb, name string, run Run) *operation {
	return &operation{Manager: m, verb: verb, run: run, rec: newRecorder(verb, run.Events, m.env.Log), state: m.env.Dir.Cluster(name)}
}

func (o *operation) close() {
	if o.driver != nil {
		_ = o.driver.Close()
	}
}

// lookAround reads what the state folder knows about the cluster.
func (o *operation) lookAround() error {
	if o.existed = o.state.Exists(); o.existed {
		spec, err := o.state.LoadSpec()
		if err != nil {
			return err
		}
		o.Current.Spec = spec
	}
	o.Current.Running = o.state.DaemonAlive()
	o.paused = o.Current.Running && o.state.Paused() != nil
	return nil
}

// connect determines what the engine has, of this cluster and of others.
func (o *operation) connect(ctx context.Context) error {
	return o.rec.step("engine", "Container engine", func(func(string)) error {
		driver, err := o.env.Driver()
		if err != nil {
			return err
		}
		o.driver = driver
		if o.engine, err = driver.Ping(ctx); err != nil {
			return err
		}
		if o.engine.Apart {
			return fault.Newf(fault.Unreachable, "bonsai runs in a container with a network of its own: the nodes, beside it in the engine, cannot reach the API server in it").
				Advise("run that container in this machine's network", cluster.Program("docker", "run").With("--network", "host").On("IMAGE").Fill("IMAGE").Change()).
				Advise("or start an API server without nodes", cluster.Bonsai("start").Of(o.state.Name).With("--nodes", "0").Change())
		}
		for _, w := range o.engine.Warnings {
			o.rec.warn("engine", w)
		}
		g, gctx := errgroup.WithContext(ctx)
		g.Go(func() (err error) { o.networks, err = driver.Networks(gctx); return err })
		g.Go(func() (err error) {
			if o.Current.Spec == nil {
				return nil
			}
			o.containers, err = driver.List(gctx, o.Current.Spec.ID)
			return err
		})
		if err := g.Wait(); err != nil || o.Current.Spec == nil {
			return err
		}
		o.Current.Down = map[string]bool{}
		for _, n := range o.Current.Spec.Nodes {
			o.Current.Down[n.Name] = true
		}
		for _, c := range o.containers {
			if c.Running || c.Paused() && o.paused {
				delete(o.Current.Down, c.Node)
			}
		}
		return nil
	})
}

// plan gets the desired state and plans the changes.
func (o *operation) plan(want Want) error {
	env, err := o.environment()
	if err != nil {
		return err
	}
	wanted, err := want(o.Current, env)
	if err != nil {
		return err
	}
	if err := errors.Join(plan.CheckProcessors(o.Current, wanted, env), o.checkMounts(wanted)); err != nil {
		return err
	}
	o.Plan, err = plan.New(o.Current, wanted)
	for _, c := range o.Changes {
		o.env.Log.Debug("plan", "cluster", o.state.Name, "change", c.String())
	}
	return err
}

// environment is what planning has to know about this machine. An API-only cluster plans its network as well, for nodes
// that are added later.
func (o *operation) environment() (plan.Environment, error) {
	env := plan.Environment{
		Taken: hostNetworks(), Routed: o.routed(), ID: strings.ToLower(rand.Text()[:12]), Kubernetes: o.env.Kubernetes,
		CPUs: o.engine.CPUs,
	}
	if !o.Current.Running {
		env.PortFree = portFree
	}
	if !slices.ContainsFunc(o.containers, func(c node.Container) bool { return c.Running }) {
		env.MTU = o.engine.MTU // the MTU of a network in use cannot be changed
	}
	return env, o.reserve(&env)
}

// apply makes the planned changes, and repairs what is missing. Once the spec is written, any later start continues
// from there.
func (o *operation) apply(ctx context.Context) error {
	if err := o.commit(ctx); err != nil {
		return err
	}
	if err := o.ensureAll(ctx); err != nil {
		return err
	}
	if !o.touchesNodes() {
		return nil
	}
	var filling sync.WaitGroup
	defer filling.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if !o.filled {
		filling.Go(func() { o.fillImages(ctx) })
	}
	if !o.run.NoWait {
		if err := o.waitNodes(ctx); err != nil {
			return err // which ends the filling
		}
	}
	filling.Wait()
	return nil
}

// ensureAll brings control plane and nodes to the desired state: at the same time, unless it depends on the objects which data
// of claims the nodes have. Nodes of another version that run are replaced when the control plane is ready.
func (o *operation) ensureAll(ctx context.Context) error {
	if r, _, pending := o.state.ClaimsRestore(); pending {
		if err := o.ensureDaemon(ctx); err != nil {
			return err
		}
		if err := o.haltArrivals(ctx, r); err != nil {
			return err
		}
		serving := make(chan struct{})
		close(serving)
		if err := o.ensureNodes(ctx, serving); err != nil {
			return err
		}
		return o.endClaimsRestore(r)
	}
	serving := make(chan struct{})
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		err := o.ensureDaemon(gctx)
		if err == nil {
			close(serving)
		}
		return err
	})
	g.Go(func() error { return o.ensureNodes(gctx, serving) })
	return g.Wait()
}

// commit writes certificates and the spec.
func (o *operation) commit(ctx context.Context) error {
	return o.rec.step("pki", "Certificates", func(func(string)) error {
		if err := o.state.Create(); err != nil {
			return err
		}
		if err := o.state.CreateSocketDir(); err != nil {
			return err
		}
		if err := o.state.SaveSpec(unapplied(o.Current.Spec, *o.Wanted.Spec)); err != nil {
			return err
		}
		o.wrote(o.state.SpecFile())
		if o.restoring.bring != nil {
			if err := o.restoring.bring(ctx, o.state); err != nil {
				return err
			}
		}
		return o.ensureCertificates()
	})
}

// touchesNodes reports whether the plan affects the nodes of a cluster: a start always does, because it repairs them.
func (o *operation) touchesNodes() bool {
	if o.driver == nil {
		return false
	}
	return o.Has(plan.KindCreate, plan.KindStart) || o.rec.operation == "start" || o.Restarts(plan.PartKubelet) || o.Has(plan.KindAddNode, plan.KindRemoveNode,
		plan.KindResizeNode, plan.KindMountNode, plan.KindStopNode, plan.KindStartNode, plan.KindMTU, plan.KindRegistry, plan.KindTrust, plan.KindProxy)
}

// affectedNodes are those that should run and that this run makes so: all of them in a start, which repairs, and if they all
// have to know what changes. Other verbs leave the rest alone.
func (o *operation) affectedNodes() []cluster.Node {
	all := o.wantedNodes()
	if o.rec.operation == "start" || o.Restarts(plan.PartKubelet) || o.Has(plan.KindCreate, plan.KindStart, plan.KindMTU, plan.KindRegistry, plan.KindTrust, plan.KindProxy) {
		return all
	}
	return slices.DeleteFunc(all, func(n cluster.Node) bool {
		changes := func(c plan.Change) bool {
			marks := c.Kind() == plan.KindLabelNode || c.Kind() == plan.KindTaintNode // the daemon does these
			return c.Object() == "node/"+n.Name && !marks
		}
		return !slices.ContainsFunc(o.Changes, changes) && !slices.Contains(o.outdated.nodes, n.Name)
	})
}

// wantedNodes are those that should run.
func (o *operation) wantedNodes() (nodes []cluster.Node) {
	if !o.Wanted.Running {
		return nil
	}
	for _, n := range o.Wanted.Spec.Nodes {
		if !o.Wanted.Down[n.Name] {
			nodes = append(nodes, n)
		}
	}
	return nodes
}
