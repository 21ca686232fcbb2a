// Package dnsaddon is cluster DNS: one server per node, which answers the cluster's names with what the API server
// reports and forwards all others to the node's own resolvers.
//
// A question is processed as follows: server reads it from a socket; rules, the user's own, may answer or change it;
// zone has the names of Services, endpoints and pods; forward asks upstreams and caches their answers. watch keeps zone
// and configuration up to date, feed publishes the questions, api exposes everything over HTTP.
//
// The server is a part of the node agent, which knows nothing of DNS: the methods of DNS are those of a
// nodeagent.Part. Begin reading at New and DNS.Run.
package dnsaddon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"bonsai/bootstrap/cluster"
	"bonsai/dnsaddon/api"
	"bonsai/dnsaddon/corefile"
	"bonsai/dnsaddon/feed"
	"bonsai/dnsaddon/forward"
	"bonsai/dnsaddon/rules"
	"bonsai/dnsaddon/server"
	"bonsai/dnsaddon/watch"
	"bonsai/dnsaddon/zone"
)

// Config holds the settings of a node's DNS server.
type Config struct {
	Node string
	// Zone and NodeIP are what pods learn about the node besides its name; Zone may be empty.
	Zone   string
	NodeIP netip.Addr
	Domain string
	// API reaches the API server; it need not answer yet.
	API *rest.Config
	// Listen are the addresses for pods, NodeListen those that answer without the cluster's names.
	Listen, NodeListen []netip.AddrPort
	// Metrics is where metrics and health are served over HTTP; nowhere if it is not valid.
	Metrics netip.AddrPort
	// Allow are the sources that get answers, other than Except.
	Allow  []netip.Prefix
	Except netip.Addr
	// Reverse are the cluster's own ranges: their reverse names are never forwarded.
	Reverse []netip.Prefix
	// Host is the address of host.bonsai.internal.
	Host netip.Addr
	// ResolvConf names the file with the node's own resolvers and search domains, as the engine wrote it.
	ResolvConf string
	// Lead makes lookups of the node itself lead here, to NodeListen, with these search domains, or else to where the engine
	// leads them. It is called when the machine's resolvers are known, and after each change. It may be nil.
	Lead func(here bool, search []string) error
	// Search is what pods get of the search domains: one of cluster.DNSSearchAuto and its siblings, or empty. Give is called with
	// those that they should get whenever that changes, by the machine or, with Auto, by what is found below a domain.
	Search string
	Give   func(domains []string) error
	Log    *slog.Logger
}

// DNS is the DNS server of one node. Its methods may be called from any goroutine, before Run and after it too.
type DNS struct {
	cfg  Config
	log  *slog.Logger
	feed *feed.Feed
	http http.Handler
	// up is the running server; nil while there is none.
	up atomic.Pointer[running]

	// configuring guards the next, and what of running belongs to it. It is taken before mu.
	configuring sync.Mutex
	machine     cluster.Resolvers

	mu     sync.Mutex // guards what follows
	health api.Health
	since  time.Time
	// changed is closed and replaced when health changes.
	changed chan struct{}
	// sources are the ConfigMaps in effect, problems what is wrong with them.
	sources  []string
	problems []cluster.Problem
	// resolver is what is wrong with the machine's.
	resolver []cluster.Problem
	// omitted are the search domains that pods do not get, and wildcards the problems about them.
	omitted   []string
	wildcards []cluster.Problem
}

// running is everything that one Run created.
type running struct {
	store   *zone.Store
	forward *forward.Forwarder
	// node forwards the questions to the node's own resolver: the user's configuration of cluster DNS does not affect
	// it.
	node    *forward.Forwarder
	server  *server.Server
	watcher *watch.Watcher
	started time.Time
	engine  node

	// Guarded by DNS.mu: the search domains of the node, or of the machine by now. searched has room for one; it has a value when
	// they have changed.
	search   []string
	searched chan struct{}

	// Guarded by DNS.configuring: the user's configuration in effect, and from what it was read.
	reader     *corefile.Reader
	sources    corefile.Sources
	configured bool
	config     corefile.Config
}

const (
	// recordTTL is how many seconds answers about the cluster may be cached, as with kubeadm's Corefile.
	recordTTL = 30
	// The check that names are answered is repeated soon, because only the answer is missing.
	firstProof, lastProof = 5 * time.Millisecond, time.Second
	proofLimit            = time.Second
)

// New returns a server that does nothing yet.
func New(cfg Config) *DNS {
	d := &DNS{
		cfg: cfg, log: cfg.Log.With("component", "dns"), feed: feed.New(cfg.Node),
		health: api.Health{Phase: cluster.PhaseStarting, Reason: "not started yet"}, changed: make(chan struct{}), since: time.Now(),
	}
	d.http = api.New(d)
	return d
}

// Name is the component's.
func (d *DNS) Name() string { return cluster.DNSAddon }

// Handler exposes the server over HTTP.
func (d *DNS) Handler() http.Handler { return d.http }

// Component returns the server's state.
func (d *DNS) Component() cluster.Component {
	d.mu.Lock()
	defer d.mu.Unlock()
	return cluster.Component{Name: d.Name(), Phase: d.health.Phase, Reason: d.health.Reason, Since: d.since, PID: os.Getpid()}
}

// Run answers until ctx ends. It fails at once if it cannot listen on an address.
func (d *DNS) Run(ctx context.Context) (err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r, err := d.assemble()
	if err != nil {
		return err
	}
	d.setHealth(api.Health{Phase: cluster.PhaseStarting, Reason: "waiting for the records of the API server"})
	d.configuring.Lock()
	d.useMachine(r)
	d.up.Store(r)
	d.configuring.Unlock()
	var parts sync.WaitGroup
	defer func() {
		cancel(nil)
		parts.Wait()
		d.up.Store(nil)
		reason := "stopped"
		if err != nil {
			reason = err.Error()
		}
		d.setHealth(api.Health{Phase: cluster.PhaseFailed, Reason: reason})
	}()
	parts.Go(func() { r.forward.Run(ctx) })
	parts.Go(func() { r.node.Run(ctx) })
	parts.Go(func() {
		if err := r.watcher.Run(ctx); err != nil {
			cancel(err)
		}
	})
	parts.Go(func() { d.proveReady(ctx, r) })
	parts.Go(func() { d.examineSearch(ctx, r) })
	if err := r.server.Run(ctx); err != nil {
		return err
	}
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// assemble creates everything that one Run needs and starts nothing.
func (d *DNS) assemble() (*running, error) {
	engine, err := readNode(d.cfg.ResolvConf)
	if err != nil {
		// Cluster names are answered anyway; everything that needs an upstream fails at once.
		d.log.Warn("the node's own resolvers are unknown", "cause", err)
	}
	registry := prometheus.NewRegistry()
	programming := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "coredns_kubernetes_dns_programming_duration_seconds",
		Help:    "Time from the change of a pod or Service until its endpoints are answered.",
		Buckets: prometheus.ExponentialBuckets(0.001, 2, 20),
	}, []string{"service_kind"})
	if err := registry.Register(programming); err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	zoneDefaults := zone.Options{
		Domain: d.cfg.Domain, TTL: recordTTL, Reverse: d.cfg.Reverse,
		NameServer: metav1.NamespaceSystem + "/kube-dns",
	}
	for _, l := range d.cfg.Listen {
		zoneDefaults.Local = append(zoneDefaults.Local, l.Addr())
	}
	r := &running{
		started: time.Now(),
		store:   zone.NewStore(zoneDefaults),
		forward: forward.New(forward.Options{Log: d.log}),
		node:    forward.New(forward.Options{Log: d.log}),
		engine:  engine, search: engine.search, searched: make(chan struct{}, 1),
		reader: &corefile.Reader{Defaults: corefile.Defaults{Zone: zoneDefaults}},
	}
	r.server = server.New(server.Options{
		Zone: r.store, Forward: r.forward, NodeForward: r.node, Feed: d.feed,
		Listen: d.cfg.Listen, NodeListen: d.cfg.NodeListen, Metrics: d.cfg.Metrics, Allow: d.cfg.Allow, Except: d.cfg.Except, Host: d.cfg.Host,
		Node: server.Node{Name: d.cfg.Node, Zone: d.cfg.Zone, Address: d.cfg.NodeIP},
		Log:  d.log, Registry: registry,
	})
	r.watcher = watch.New(d.cfg.API, r.store,
		func(s corefile.Sources) []cluster.Problem { return d.configure(r, s) },
		func(kind string, took time.Duration) { programming.WithLabelValues(kind).Observe(took.Seconds()) }, d.log)
	return r, nil
}

// configure applies the user's configuration and returns what is wrong with it.
func (d *DNS) configure(r *running, s corefile.Sources) []cluster.Problem {
	d.configuring.Lock()
	defer d.configuring.Unlock()
	return d.configureLocked(r, s)
}

// configureLocked is configure while d.configuring is held.
func (d *DNS) configureLocked(r *running, s corefile.Sources) []cluster.Problem {
	config, problems := r.reader.Read(s)
	if !r.configured || !config.Equal(r.config) {
		r.store.SetOptions(config.Zone)
		r.forward.Configure(config.Forward)
		r.server.SetRules(rules.New(config), rules.NewLog(config, d.log))
		d.log.Info("configuration is in effect", "sources", config.Sources, "problems", len(problems))
	}
	r.configured, r.config, r.sources = true, config, s
	d.mu.Lock()
	d.sources, d.problems = config.Sources, problems
	d.mu.Unlock()
	return problems
}

// proveReady waits until the records are complete and then asks over the network for a name that every cluster has.
// Only when that is answered does the server count as running.
func (d *DNS) proveReady(ctx context.Context, r *running) {
	for _, ready := range []<-chan struct{}{r.server.Ready(), r.watcher.Synced()} {
		select {
		case <-ctx.Done():
			return
		case <-ready:
		}
	}
	question := new(dns.Msg).SetQuestion(dns.Fqdn("kubernetes.default.svc."+d.cfg.Domain), dns.TypeA)
	for pause := firstProof; ctx.Err() == nil; pause = min(2*pause, lastProof) {
		reply, err := prove(ctx, d.cfg.Listen, question)
		if err == nil && reply.Rcode == dns.RcodeSuccess && len(reply.Answer) > 0 {
			break
		}
		if err == nil {
			err = fmt.Errorf("%s is answered with %s", question.Question[0].Name, dns.RcodeToString[reply.Rcode])
		}
		d.setHealth(api.Health{Phase: cluster.PhaseStarting, Reason: err.Error()})
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
	// Problems of its configuration do not make it a worse choice for pods.
	d.setHealth(api.Health{Phase: cluster.PhaseRunning})
	d.log.Info("cluster names are answered", "sinceStart", time.Since(r.started).Round(time.Millisecond))
}

// prove asks the first address, as any client would.
func prove(ctx context.Context, listen []netip.AddrPort, question *dns.Msg) (*dns.Msg, error) {
	if len(listen) == 0 {
		return nil, errors.New("no address to answer at")
	}
	client := dns.Client{Timeout: proofLimit}
	reply, _, err := client.ExchangeContext(ctx, question, listen[0].String())
	return reply, err
}
