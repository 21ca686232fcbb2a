// Package netpolicy enforces the cluster's NetworkPolicies and ClusterNetworkPolicies on one node, in the kernel, by a table of nftables.
//
// It follows the API server (watch.go): the ConfigMap by which the addon is enabled and which says whether there are
// ClusterNetworkPolicies, policies, and, only while there are any, pods and namespaces; and the container runtime, which knows the
// addresses of the node's own pods first (sandboxes.go). Package rules computes the table, and package table brings its changes into
// the kernel, each in one transaction. Nothing of it stops with the agent: a new one replaces the table at once when it knows
// everything, and until then what is there stays. Begin reading at Part.Run.
package netpolicy

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/rest"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/wait"
	"bonsai/nodeagent/netpolicy/rules"
	"bonsai/nodeagent/netpolicy/table"
)

const (
	// repairEvery is how often the table is compared with what it should be, in case others flush it.
	repairEvery = 3 * time.Second
	// firstRetry doubles up to lastRetry while the kernel refuses the rules.
	firstRetry, lastRetry = 200 * time.Millisecond, 5 * time.Second
	// applyLimit bounds one change; nft takes milliseconds for hundreds of rules.
	applyLimit = 20 * time.Second
	// After each change there is a rest, idle times as long as it took and maxRest at most, so that a storm of events costs a
	// fraction of a core.
	idle    = 4
	maxRest = 500 * time.Millisecond
	// patience is how long something may be missing before that is reported, if everything was in force: with the first policy,
	// pods have to be read, which takes a moment.
	patience = time.Second
)

// Config holds the settings.
type Config struct {
	Node   string
	NodeIP netip.Addr
	// API reaches the API server; it need not answer yet.
	API *rest.Config
	// Runtime is the socket of the container runtime.
	Runtime string
	// Resolver and DNSPort are where the DNS server of the node answers besides the address of its Service.
	Resolver netip.Addr
	DNSPort  uint16
	// Scale multiplies limits on waits, for slow machines.
	Scale wait.Scale
	Log   *slog.Logger
}

// Part enforces the policies; it is a nodeagent.Runner. Its methods may be called from any goroutine.
type Part struct {
	cfg   Config
	log   *slog.Logger
	table kernel
	http  http.Handler
	kick  chan struct{} // of one; holds a value when something has changed

	// These are followed: policies while the addon is enabled, ClusterNetworkPolicies while it says that there are any, pods while there
	// are policies of either kind, nodes while one selects them.
	policies, cluster, pods, nodes *toggle

	mu    sync.Mutex // guards what follows
	world rules.State
	known known
	// applied is what the kernel has, nil for no rules.
	applied *rules.Ruleset
	// health has a phase since then; changed is closed and replaced when it changes.
	health  cluster.NetworkPolicyHealth
	since   time.Time
	changed chan struct{}
}

// known is which parts of the world are complete.
type known struct {
	// config says that it is known whether the addon is enabled; enabled that it is.
	config, enabled, policies bool
	// flagged says that there are ClusterNetworkPolicies, and cluster that they are known.
	flagged, cluster bool
	// These are known only while there are policies. runtime may be given up.
	dns, pods, namespaces, runtime bool
	// selected says that nodes have to be known, and nodes that they are.
	selected, nodes bool
}

// kernel is where the rules go: a table.Table.
type kernel interface {
	Apply(ctx context.Context, next *rules.Ruleset) (changed bool, err error)
	Check() error
	// Drops is what has been dropped; it may be called from any goroutine.
	Drops() ([]rules.Drop, error)
}

// New returns the part of a node. It starts nothing.
func New(cfg Config) *Part { return newPart(cfg, table.New()) }

func newPart(cfg Config, k kernel) *Part {
	p := &Part{
		cfg: cfg, log: cfg.Log.With("component", cluster.NetworkPolicyAddon), table: k, kick: make(chan struct{}, 1),
		policies: newToggle(), cluster: newToggle(), pods: newToggle(), nodes: newToggle(), changed: make(chan struct{}), since: time.Now(),
		world: rules.State{
			Node: cfg.Node, NodeIP: cfg.NodeIP, DNS: rules.DNS{Resolver: cfg.Resolver, Port: cfg.DNSPort},
			Namespaces: map[string]labels.Set{}, Pods: map[rules.Key]rules.Pod{}, Policies: map[rules.Key]rules.Policy{},
			ClusterPolicies: map[string]rules.ClusterPolicy{}, Nodes: map[string]rules.Node{},
		},
	}
	p.health = cluster.NetworkPolicyHealth{Phase: cluster.PhaseStarting, Reason: "not started yet"}
	p.http = newHandler(p)
	return p
}

// Name is that of the addon.
func (p *Part) Name() string { return cluster.NetworkPolicyAddon }

// Handler exposes the health over HTTP.
func (p *Part) Handler() http.Handler { return p.http }

// Component returns the state; none while the addon is disabled.
func (p *Part) Component() cluster.Component {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known.config && !p.known.enabled {
		return cluster.Component{}
	}
	return cluster.Component{Name: p.Name(), Phase: p.health.Phase, Reason: p.health.Reason, Since: p.since, PID: os.Getpid()}
}

// Health returns the state, and a channel that is closed when it changes.
func (p *Part) Health() (cluster.NetworkPolicyHealth, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.health, p.changed
}

// Run enforces until ctx ends, and leaves the table as it is then.
func (p *Part) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var following sync.WaitGroup
	defer following.Wait()
	defer cancel(nil)
	p.report(cluster.PhaseStarting, "waiting for the API server")
	following.Go(func() {
		if err := p.follow(ctx); err != nil {
			cancel(err)
		}
	})
	p.work(ctx)
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		p.report(cluster.PhaseFailed, cause.Error())
		return cause
	}
	return nil
}

// work applies what has changed, one change after the other.
func (p *Part) work(ctx context.Context) {
	check := time.NewTicker(repairEvery)
	defer check.Stop()
	retry := firstRetry
	var again <-chan time.Time
	var lacking time.Time // since when something is missing
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.kick:
		case <-again:
		case <-check.C:
			err := p.table.Check()
			if err == nil {
				continue
			}
			p.log.Warn("somebody changed the rules of NetworkPolicies; restoring them", "found", err)
		}
		again = nil
		took, missing, err := p.enforce(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			p.log.Error("NetworkPolicies cannot be enforced", "cause", err, "retry", retry)
			p.report(cluster.PhaseFailed, err.Error())
			again = time.After(retry)
			retry = min(2*retry, lastRetry)
		case missing != "":
			if lacking.IsZero() {
				lacking = time.Now()
			}
			if left := p.cfg.Scale.Of(patience) - time.Since(lacking); left > 0 && p.phase() == cluster.PhaseRunning {
				again = time.After(left)
				continue
			}
			p.report(cluster.PhaseStarting, missing)
			continue
		default:
			lacking, retry = time.Time{}, firstRetry
		}
		rest := time.NewTimer(min(idle*took, maxRest))
		select {
		case <-ctx.Done():
		case <-rest.C:
		}
		rest.Stop()
	}
}

// enforce makes the table what it should be by what is known. While something is missing for that, it stays as it is.
func (p *Part) enforce(ctx context.Context) (took time.Duration, missing string, err error) {
	next, missing := p.wanted()
	if missing != "" {
		return 0, missing, nil
	}
	ctx, cancel := p.cfg.Scale.Limit(ctx, applyLimit, "the kernel to take the rules of NetworkPolicies")
	defer cancel()
	began := time.Now()
	changed, err := p.table.Apply(ctx, next.rules)
	took = time.Since(began) + next.took
	if err != nil {
		return took, "", err
	}
	p.mu.Lock()
	p.applied = next.rules
	p.mu.Unlock()
	if changed {
		p.log.Debug("the rules of NetworkPolicies have changed", "took", took)
	}
	if next.enabled {
		p.report(cluster.PhaseRunning, "")
	} else {
		p.report(cluster.PhaseStopped, "the addon is disabled")
	}
	return took, "", nil
}

// wish is what the table should be.
type wish struct {
	rules   *rules.Ruleset
	enabled bool
	took    time.Duration
}

// wanted computes the rules, or says what is missing for that.
func (p *Part) wanted() (w wish, missing string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch k := p.known; {
	case !k.config:
		return w, "waiting for the API server"
	case !k.enabled:
		return w, ""
	case !k.policies || k.flagged && !k.cluster:
		return w, "waiting for the policies of the API server"
	case len(p.world.Policies)+len(p.world.ClusterPolicies) == 0:
		w.enabled = true
		return w, ""
	case !k.dns || !k.pods || !k.namespaces:
		return w, "waiting for the pods of the API server"
	case k.selected && !k.nodes:
		return w, "waiting for the nodes of the API server"
	case !k.runtime:
		return w, "waiting for the container runtime"
	}
	began := time.Now()
	return wish{rules: rules.Compile(&p.world), enabled: true, took: time.Since(began)}, ""
}

// change changes what is known of the world. If f reports that this is news, the rules follow.
func (p *Part) change(f func() (news bool)) {
	p.mu.Lock()
	news := f()
	p.mu.Unlock()
	if !news {
		return
	}
	select {
	case p.kick <- struct{}{}:
	default: // it will look anyway
	}
}

func (p *Part) phase() cluster.Phase {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.health.Phase
}

func (p *Part) report(phase cluster.Phase, reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := cluster.NetworkPolicyHealth{Phase: phase, Reason: reason}
	if p.health == now {
		return
	}
	if p.health.Phase != phase {
		p.since = time.Now()
	}
	p.health = now
	close(p.changed)
	p.changed = make(chan struct{})
}
