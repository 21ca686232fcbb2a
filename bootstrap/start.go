package bootstrap

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/kubeconfig"
	"bonsai/bootstrap/node"
	"bonsai/bootstrap/pki"
	"bonsai/bootstrap/statedir"
)

// Limits of the waits of a start on a quiet machine; Env.Scale multiplies them.
const (
	daemonLimit = 45 * time.Second
	nodesLimit  = 90 * time.Second
	// unreachableAfter is when a node that is not Ready is asked whether it reaches the API server at all.
	unreachableAfter = 8 * time.Second
	cleanupLimit     = 30 * time.Second
)

// StartOptions is what the user asked for. Zero values mean "as it is", or the default for a new cluster.
type StartOptions struct {
	Name string
	// Nodes is nil to keep the number of nodes, DefaultNodes for a new cluster.
	Nodes             *int
	KubernetesVersion string
	Registries        cluster.Registries
	APIPort           int
	Subnet            netip.Prefix
	// CPUs and MemoryBytes limit each new node.
	CPUs        float64
	MemoryBytes int64
	// UpstreamHooks runs upstream's bootstrap hooks in place of bonsai's.
	UpstreamHooks bool
	// Addons are enabled; all others stay as they are. The names have been checked.
	Addons []string
	// Keep leaves everything in place when the start fails.
	Keep bool
	// NoWait returns as soon as the API server is ready, without waiting for nodes.
	NoWait bool
	// Foreground keeps the daemon attached: its output goes to this process's stderr, and Start returns after it
	// was stopped, by the end of ctx or from elsewhere.
	Foreground bool
	// Events is told what happens; it may be nil and must not block.
	Events func(cluster.Event)
	// Started is called when the cluster is ready; for Foreground, which returns much later.
	Started func(*cluster.Timeline)
}

// start is one run of Start.
type start struct {
	*Manager
	opts     StartOptions
	rec      *recorder
	state    statedir.Cluster
	driver   node.Driver // nil for a cluster without nodes
	engine   node.EngineInfo
	existing *cluster.Spec
	running  bool // the daemon lived before
	spec     cluster.Spec
	daemon   *daemonProcess // set if this run spawned it
}

// Plan returns the spec that a Start with these options would make true. Nothing is changed.
func (m *Manager) Plan(ctx context.Context, o StartOptions) (cluster.Spec, error) {
	s := &start{Manager: m, opts: o, rec: newRecorder("plan", nil), state: m.env.Dir.Cluster(o.Name)}
	defer s.close()
	if err := s.lookAround(ctx); err != nil {
		return cluster.Spec{}, err
	}
	err := s.plan(ctx)
	return s.spec, err
}

// Start makes the cluster exist and run as the options ask, and returns the record of how it went. It blocks until
// every node is Ready. When it fails, or ctx ends, what this run made is gone again (but for Keep).
func (m *Manager) Start(ctx context.Context, o StartOptions) (*cluster.Timeline, error) {
	s := &start{Manager: m, opts: o, rec: newRecorder("start", o.Events), state: m.env.Dir.Cluster(o.Name)}
	defer s.close()

	existed := s.state.Exists()
	lock, err := s.state.Lock(ctx, "start")
	if err != nil {
		return nil, err
	}
	defer func() { _ = lock.Release() }()
	if err := s.lookAround(ctx); err != nil {
		return nil, errors.Join(err, s.forget(existed))
	}
	if err := kubeconfig.Check(); err != nil { // and not when all else is done
		return nil, errors.Join(err, s.forget(existed))
	}
	if err := s.plan(ctx); err != nil {
		return nil, errors.Join(err, s.forget(existed))
	}

	if err := s.run(ctx); err != nil {
		err = s.explain(ctx, err)
		if !o.Keep {
			err = errors.Join(err, s.undo(ctx))
		}
		return s.rec.timeline(), err
	}
	timeline := s.rec.timeline()
	if err := s.state.SaveTimeline(timeline); err != nil {
		s.rec.warn("timeline", err.Error())
	}
	if o.Started != nil {
		o.Started(timeline)
	}
	if o.Foreground && s.daemon != nil {
		return timeline, s.attend(ctx, lock)
	}
	return timeline, nil
}

func (s *start) close() {
	if s.driver != nil {
		_ = s.driver.Close()
	}
}

// lookAround finds out what is there, without changing anything.
func (s *start) lookAround(ctx context.Context) error {
	if s.state.Exists() {
		spec, err := s.state.LoadSpec()
		if err != nil {
			return err
		}
		s.existing = spec
	}
	s.running = s.state.DaemonAlive()
	nodes := cluster.DefaultNodes
	if s.existing != nil {
		nodes = len(s.existing.Nodes)
	}
	if s.opts.Nodes != nil {
		nodes = *s.opts.Nodes
	}
	if nodes == 0 {
		return nil
	}
	return s.rec.step("engine", "Container engine", func(func(string)) error {
		driver, err := s.env.Driver()
		if err != nil {
			return err
		}
		s.driver = driver
		if s.engine, err = driver.Ping(ctx); err != nil {
			return err
		}
		for _, w := range s.engine.Warnings {
			s.rec.warn("engine", w)
		}
		return nil
	})
}

// plan fills s.spec. An API-only cluster plans its network as well, for nodes that come later.
func (s *start) plan(ctx context.Context) error {
	around := surroundings{
		taken: hostNetworks(), portFree: portFree, freePort: freePort(), id: strings.ToLower(rand.Text()[:12]),
		embedded: s.env.Kubernetes, mtu: s.engine.MTU,
	}
	names, err := s.List()
	if err != nil {
		return err
	}
	for _, name := range names {
		if other, err := s.env.Dir.Cluster(name).LoadSpec(); err == nil && name != s.opts.Name {
			around.taken = append(around.taken, other.Subnet)
		}
	}
	if s.driver != nil {
		networks, err := s.driver.Networks(ctx)
		if err != nil {
			return err
		}
		for _, n := range networks {
			around.taken = append(around.taken, n.Subnets...)
		}
	}
	s.spec, err = plan(s.opts, s.existing, s.running, around)
	return err
}

// run makes the plan true.
func (s *start) run(ctx context.Context) error {
	if err := s.rec.step("pki", "Certificates", func(func(string)) error {
		if err := s.state.Create(); err != nil {
			return err
		}
		if err := s.state.CreateSocketDir(); err != nil {
			return err
		}
		if err := s.state.SaveSpec(&s.spec); err != nil {
			return err
		}
		return pki.Ensure(s.state.PKI(), s.spec)
	}); err != nil {
		return err
	}

	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.ensureDaemon(gctx) })
	g.Go(func() error { return s.ensureNodes(gctx) })
	if err := g.Wait(); err != nil {
		return err
	}
	if !s.opts.NoWait {
		if err := s.waitNodes(ctx); err != nil {
			return err
		}
	}
	return s.rec.step("kubeconfig", "kubeconfig", func(func(string)) error { return s.writeKubeconfig(ctx) })
}

// ensureNodes makes payload, network and containers exist and run.
func (s *start) ensureNodes(ctx context.Context) error {
	if s.driver == nil {
		return nil
	}
	payload, err := s.env.Payload()
	if err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		return s.rec.step("payload", "Node payload", func(waitingFor func(string)) error {
			last := time.Time{}
			return s.driver.EnsurePayload(gctx, payload, func(done, total int64) {
				if now := time.Now(); now.Sub(last) > 200*time.Millisecond && total > 0 {
					last = now
					waitingFor(fmt.Sprintf("copying into the engine: %d of %d MB", done>>20, total>>20))
				}
			})
		})
	})
	g.Go(func() error {
		return s.rec.step("network", "Network "+s.spec.Subnet.String(), func(func(string)) error {
			return s.driver.EnsureNetwork(gctx, &s.spec)
		})
	})
	if err := g.Wait(); err != nil {
		return err
	}
	g, gctx = errgroup.WithContext(ctx)
	for _, n := range s.spec.Nodes {
		g.Go(func() error {
			return s.rec.step("container/"+n.Name, "Container "+n.Name, func(func(string)) error {
				files, err := s.nodeFiles(n)
				if err != nil {
					return err
				}
				return s.driver.EnsureNode(gctx, node.NodeSpec{Spec: &s.spec, Node: n, Payload: payload.Hash, Image: payload.ImageRef, Files: files})
			})
		})
	}
	return g.Wait()
}

// nodeFiles are the configuration and the certificates of one node.
func (s *start) nodeFiles(n cluster.Node) ([]node.File, error) {
	server := fmt.Sprintf("https://%s", netip.AddrPortFrom(s.spec.Gateway, uint16(s.spec.APIPort)))
	config, err := json.MarshalIndent(s.spec.NodeConfigFor(n, server, s.env.Scale), "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode configuration of node %s: %w", n.Name, err)
	}
	files := []node.File{{Path: cluster.NodeConfigFile, Mode: 0o600, Data: config}}
	certificates, err := pki.NodeFiles(s.state.PKI(), n)
	if err != nil {
		return nil, err
	}
	for name, data := range certificates {
		files = append(files, node.File{Path: cluster.NodePKIDir + "/" + name, Mode: 0o600, Data: data})
	}
	return files, nil
}

const (
	stepDNS = "dns"
	// apiServiceName exists in every cluster; a node that answers it knows the cluster's records.
	apiServiceName = "kubernetes.default.svc." + cluster.ClusterDomain
)

// waitNodes returns when every planned node is Ready and cluster names are answered on one of them, with one step per
// node and one for DNS.
func (s *start) waitNodes(ctx context.Context) error {
	if len(s.spec.Nodes) == 0 {
		return nil
	}
	ctx, cancel := s.limit(ctx, nodesLimit, "all nodes to get Ready and answer DNS")
	defer cancel()
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	begin := time.Now()
	for _, n := range s.spec.Nodes {
		s.rec.emit(cluster.Event{Kind: cluster.StepStarted, Step: "node/" + n.Name, Title: "Node " + n.Name, Detail: "waits for its kubelet to report Ready"})
	}
	names := s.spec.Wants(cluster.DNSAddon, true)
	if names {
		s.rec.emit(cluster.Event{Kind: cluster.StepStarted, Step: stepDNS, Title: "Cluster DNS", Detail: "waits for a node to answer " + apiServiceName})
	}
	var probes sync.WaitGroup
	defer probes.Wait()
	defer giveUp(nil)
	probes.Go(func() { s.watchContainers(ctx, giveUp) })
	probes.Go(func() { s.watchReachability(ctx, giveUp) })

	since, err := s.containersStarted(ctx)
	if err != nil {
		return err
	}
	ready := map[string]bool{}
	answered := !names
	errAllReady := errors.New("all nodes are ready")
	err = s.client().Watch(ctx, func(snapshot cluster.Snapshot) error {
		for _, n := range s.spec.Nodes {
			if !ready[n.Name] && nodeReady(snapshot, n.Name, since[n.Name]) {
				ready[n.Name] = true
				s.rec.emit(cluster.Event{Kind: cluster.StepDone, Step: "node/" + n.Name, Elapsed: time.Since(begin)})
			}
		}
		if !answered && slices.ContainsFunc(snapshot.Nodes, func(n cluster.NodeStatus) bool { return n.DNS == cluster.PhaseRunning }) {
			answered = true
			s.rec.emit(cluster.Event{Kind: cluster.StepDone, Step: stepDNS, Elapsed: time.Since(begin)})
		}
		if answered && len(ready) == len(s.spec.Nodes) {
			return errAllReady
		}
		return nil
	})
	if errors.Is(err, errAllReady) {
		return nil
	}
	if err == nil {
		err = errors.New("the daemon ended")
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	var missing []string
	for _, n := range s.spec.Nodes {
		if !ready[n.Name] {
			missing = append(missing, n.Name)
			s.rec.emit(cluster.Event{Kind: cluster.StepFailed, Step: "node/" + n.Name, Detail: err.Error(), Elapsed: time.Since(begin)})
		}
	}
	if !answered {
		missing = append(missing, "cluster DNS")
		s.rec.emit(cluster.Event{Kind: cluster.StepFailed, Step: stepDNS, Detail: err.Error(), Elapsed: time.Since(begin)})
	}
	if f, ok := errors.AsType[*fault.Fault](err); ok {
		return f
	}
	return fault.New(fault.Node, "wait for "+strings.Join(missing, ", "), err)
}

// containersStarted tells when each node's container started.
func (s *start) containersStarted(ctx context.Context) (map[string]time.Time, error) {
	containers, err := s.driver.List(ctx, s.spec.ID)
	if err != nil {
		return nil, err
	}
	started := map[string]time.Time{}
	for _, c := range containers {
		started[c.Node] = c.Started
	}
	return started, nil
}

// writeKubeconfig merges the context of this cluster into the user's kubeconfig.
func (s *start) writeKubeconfig(context.Context) error {
	entry, err := s.kubeconfigEntry(s.state, &s.spec)
	if err != nil {
		return err
	}
	if err := statedir.WriteFile(s.state.Kubeconfig(), entry.File()); err != nil {
		return err
	}
	if server := kubeconfig.Displaced(entry); server != "" {
		s.rec.warn("kubeconfig", fmt.Sprintf("kubectl's context %q led to another cluster, at %s; it leads to this one now", entry.Name, server))
	}
	_, err = kubeconfig.Merge(entry)
	return err
}
