package loadbalancer

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/labels"
	corelisters "k8s.io/client-go/listers/core/v1"
	discoverylisters "k8s.io/client-go/listers/discovery/v1"
	"k8s.io/client-go/tools/cache"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/addons"
)

// announcer decides which node announces which address, and has it do so. Without addresses it does nothing.
type announcer struct {
	c      addons.Cluster
	agents Agents
	nodes  corelisters.NodeLister
	slices discoverylisters.EndpointSliceLister
	// addresses are those in use.
	addresses func() []address

	settle  *time.Timer   // touches when since is long enough ago
	touched chan struct{} // of one; holds a value when something has changed
	running sync.WaitGroup
	peers   map[string]*following
	// since is when nodes began to be followed; known says that what they announced before is known as far as it will be.
	since time.Time
	known bool

	mu      sync.Mutex // guards the rest
	at      map[netip.Addr]string
	changed chan struct{} // closed and replaced when an address may be announced by now
	// announced are the addresses that the nodes which have them announce.
	announced map[netip.Addr]bool
}

// following is a peer and its end.
type following struct {
	*peer
	stop context.CancelFunc
}

func newAnnouncer(c addons.Cluster, a Agents, nodes corelisters.NodeLister, slices discoverylisters.EndpointSliceLister, addresses func() []address) *announcer {
	return &announcer{
		c: c, agents: a, nodes: nodes, slices: slices, addresses: addresses, touched: make(chan struct{}, 1),
		peers: map[string]*following{}, at: map[netip.Addr]string{}, changed: make(chan struct{}), announced: map[netip.Addr]bool{},
	}
}

// touch has everything decided again.
func (a *announcer) touch() {
	select {
	case a.touched <- struct{}{}:
	default:
	}
}

// run works until ctx ends. Nodes go on announcing what they do.
func (a *announcer) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer a.running.Wait()
	defer cancel()
	a.settle = time.AfterFunc(a.c.Scale.Of(silence), a.touch)
	defer a.settle.Stop()
	for {
		changed := a.c.Changed()
		a.decide(ctx)
		select {
		case <-ctx.Done():
			return
		case <-a.touched:
		case <-changed:
		}
	}
}

// decide follows the nodes if there is an address, and says to each what to announce.
func (a *announcer) decide(ctx context.Context) {
	list := a.addresses()
	spec := a.c.Spec()
	a.follow(ctx, spec.ActiveNodes(), len(list) > 0)
	now, heard := a.current()
	// A node that has an address may be about to say so. One that is dead says nothing.
	if a.known = a.known || heard || time.Since(a.since) >= a.c.Scale.Of(silence); !a.known {
		return
	}
	then := place(list, a.candidates(), now, a.pods)
	announced := map[netip.Addr]bool{}
	for name, p := range a.peers {
		alive, _, says := p.state()
		want := []cluster.AnnouncedAddress{}
		for _, one := range list {
			if then[one.Addr] == name {
				want = append(want, cluster.AnnouncedAddress{Address: one.Addr, Ports: one.ports})
				announced[one.Addr] = alive && slices.Contains(says.Addresses, one.Addr)
			}
		}
		p.want(want)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for addr, to := range then {
		if from := a.at[addr]; from != to {
			a.c.Log.Info("a node announces an address of load balancers", "address", addr, "node", to, "before", from)
		}
	}
	a.at = then
	if !maps.Equal(announced, a.announced) {
		a.announced = announced
		close(a.changed)
		a.changed = make(chan struct{})
		a.c.Notify()
	}
}

// follow starts following planned nodes when an address is needed, and stops when they have nothing to announce any more.
func (a *announcer) follow(ctx context.Context, planned []cluster.Node, needed bool) {
	for name, p := range a.peers {
		alive, heard, says := p.state()
		over := !needed && heard && (!alive || len(says.Addresses) == 0)
		if over || !slices.ContainsFunc(planned, p.node.Same) {
			p.stop()
			delete(a.peers, name)
		}
	}
	if !needed {
		return
	}
	if len(a.peers) == 0 {
		a.since, a.known = time.Now(), false
		a.settle.Reset(a.c.Scale.Of(silence))
	}
	for _, n := range planned {
		if a.peers[n.Name] != nil {
			continue
		}
		ctx, stop := context.WithCancel(ctx)
		p := newPeer(n, a.agents, a.c.Scale, a.c.Log, a.touch)
		a.peers[n.Name] = &following{p, stop}
		a.running.Go(func() { p.run(ctx) })
	}
}

// current is where addresses are: as decided before or, after a restart of this process, as nodes say. all reports whether every
// node has said something.
func (a *announcer) current() (now map[netip.Addr]string, all bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now, all = maps.Clone(a.at), true
	for _, name := range slices.Sorted(maps.Keys(a.peers)) {
		_, heard, says := a.peers[name].state()
		all = all && heard
		for _, addr := range says.Addresses {
			if now[addr] == "" {
				now[addr] = name
			}
		}
	}
	return now, all
}

// candidates are the nodes that can announce something.
func (a *announcer) candidates() (list []candidate) {
	for _, name := range slices.Sorted(maps.Keys(a.peers)) {
		alive, _, _ := a.peers[name].state()
		n, err := a.nodes.Get(name)
		if err == nil && excluded(n) {
			continue
		}
		if alive {
			list = append(list, candidate{name, err == nil && isReady(n)})
		}
	}
	return list
}

// excluded reports whether load balancers must not use a node, as upstream's controller sees it.
func excluded(n *corev1.Node) bool {
	v, labelled := n.Labels[corev1.LabelNodeExcludeBalancers]
	return labelled && v != "false"
}

func isReady(n *corev1.Node) bool {
	return slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
}

// pods are the nodes with pods of some Services that take connections.
func (a *announcer) pods(services []string) map[string]bool {
	ready, ending := map[string]bool{}, map[string]bool{}
	for _, key := range services {
		namespace, name, _ := cache.SplitMetaNamespaceKey(key)
		list, err := a.slices.EndpointSlices(namespace).List(labels.SelectorFromSet(labels.Set{discoveryv1.LabelServiceName: name}))
		if err != nil {
			continue // the lister reads memory
		}
		for _, s := range list {
			nodesOf(s, ready, ending)
		}
	}
	if len(ready) == 0 {
		return ending
	}
	return ready
}

// await returns when an address is announced, or ctx ends.
func (a *announcer) await(ctx context.Context, addr netip.Addr) {
	for {
		a.mu.Lock()
		done, changed := a.announced[addr], a.changed
		a.mu.Unlock()
		if done {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}

// silent are the addresses that no node announces.
func (a *announcer) silent() (list []netip.Addr) {
	for _, one := range a.addresses() {
		a.mu.Lock()
		if !a.announced[one.Addr] {
			list = append(list, one.Addr)
		}
		a.mu.Unlock()
	}
	return list
}
