package loadbalancer

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	discoverylisters "k8s.io/client-go/listers/discovery/v1"
	"k8s.io/client-go/tools/cache"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/wait"
	"bonsai/controlplane/addons"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// network is some nodes with agents, as the network behaves: who announces an address last has it.
type network struct {
	mu     sync.Mutex // guards the rest
	says   map[string]cluster.Announced
	frozen map[string]bool
	moves  int
}

func newNetwork() *network {
	return &network{says: map[string]cluster.Announced{}, frozen: map[string]bool{}}
}

var errDead = errors.New("its agent does not answer")

func (n *network) Announce(ctx context.Context, node cluster.Node, a cluster.Announcement) (cluster.Announced, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	have := n.says[node.Name]
	if n.frozen[node.Name] || a.Sequence <= have.Sequence {
		return cluster.Announced{}, errDead
	}
	now := cluster.Announced{Sequence: a.Sequence, Addresses: []netip.Addr{}}
	for _, one := range a.Addresses {
		now.Addresses = append(now.Addresses, one.Address)
		if slices.Contains(have.Addresses, one.Address) {
			continue
		}
		n.moves++
		for name, other := range n.says {
			other.Addresses = slices.DeleteFunc(slices.Clone(other.Addresses), func(a netip.Addr) bool { return a == one.Address })
			n.says[name] = other
		}
	}
	n.says[node.Name] = now
	return now, ctx.Err()
}

func (n *network) Announced(ctx context.Context, node cluster.Node, each func(cluster.Announced)) error {
	for {
		n.mu.Lock()
		frozen, says := n.frozen[node.Name], n.says[node.Name]
		n.mu.Unlock()
		if !frozen {
			each(says)
		}
		if err := wait.Pause(ctx, 500*time.Millisecond); err != nil {
			return err
		}
	}
}

func (n *network) freeze(node string, frozen bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.frozen[node] = frozen
}

// at is which nodes announce an address.
func (n *network) at(a netip.Addr) (nodes []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for name, says := range n.says {
		if slices.Contains(says.Addresses, a) {
			nodes = append(nodes, name)
		}
	}
	slices.Sort(nodes)
	return nodes
}

// controller is an announcer of a cluster with the nodes n1 to n3, and what it reads.
type controller struct {
	*announcer
	nodes, slices cache.Indexer
	mu            sync.Mutex // guards list
	list          []address
	stop          func()
}

func startController(t *testing.T, n *network) *controller {
	t.Helper()
	c := &controller{nodes: cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{}), slices: cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})}
	spec := cluster.Spec{}
	for _, name := range []string{"n1", "n2", "n3"} {
		spec.Nodes = append(spec.Nodes, cluster.Node{Name: name})
		if err := c.nodes.Add(&corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Status:     corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}},
		}); err != nil {
			t.Fatal(err)
		}
	}
	never := make(chan struct{})
	world := addons.Cluster{
		Spec: func() cluster.Spec { return spec }, Changed: func() <-chan struct{} { return never }, Notify: func() {},
		Log: slog.New(slog.DiscardHandler), Scale: 1,
	}
	c.announcer = newAnnouncer(world, n, corelisters.NewNodeLister(c.nodes), discoverylisters.NewEndpointSliceLister(c.slices), func() []address {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.list
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); c.run(ctx) }()
	c.stop = func() { cancel(); <-ended }
	return c
}

func (c *controller) want(list ...address) {
	c.mu.Lock()
	c.list = list
	c.mu.Unlock()
	c.touch()
}

func TestAnnouncer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		c := startController(t, n)
		a, b := address{Addr: ip("10.1.3.1")}, address{Addr: ip("10.1.3.2")}
		one := func(of address) string {
			t.Helper()
			nodes := n.at(of.Addr)
			if len(nodes) != 1 {
				t.Fatalf("%s is announced by %v", of.Addr, nodes)
			}
			return nodes[0]
		}
		began := time.Now()
		c.want(a, b)
		c.await(t.Context(), a.Addr)
		if took := time.Since(began); took > 10*time.Millisecond {
			t.Errorf("the first address was announced after %s", took)
		}
		synctest.Wait()
		first, second := one(a), one(b)
		if first == second {
			t.Errorf("both are at %s", first)
		}

		// A short pause moves nothing; a long one does, in time, and nothing comes back.
		n.freeze(first, true)
		time.Sleep(1200 * time.Millisecond)
		n.freeze(first, false)
		time.Sleep(5 * time.Second)
		if one(a) != first || n.moves != 2 {
			t.Errorf("a short pause has moved it to %s", one(a))
		}
		n.freeze(first, true)
		time.Sleep(2600 * time.Millisecond)
		synctest.Wait()
		moved := one(a)
		if moved == first {
			t.Error("a frozen node keeps its address for too long")
		}
		n.freeze(first, false)
		time.Sleep(10 * time.Second)
		if one(a) != moved || one(b) != second || n.moves != 3 {
			t.Errorf("addresses are at %s and %s after %d moves", one(a), one(b), n.moves)
		}

		// Another machine announces it: the daemon insists.
		n.mu.Lock()
		says := n.says[moved]
		says.Addresses = nil
		n.says[moved] = says
		n.mu.Unlock()
		time.Sleep(time.Second)
		if one(a) != moved {
			t.Errorf("the lost address went to %s", one(a))
		}

		// Another daemon finds everything as it is, although a node is slow to answer.
		c.stop()
		moves := n.moves
		n.freeze(moved, true)
		c = startController(t, n)
		c.want(a, b)
		time.Sleep(time.Second)
		n.freeze(moved, false)
		time.Sleep(10 * time.Second)
		if one(a) != moved || one(b) != second || n.moves != moves {
			t.Errorf("a new daemon has moved addresses to %s and %s", one(a), one(b))
		}

		// Local: the address goes where the pods are.
		local := address{Addr: a.Addr, local: true, services: []string{"shop/web"}}
		pods := func(node string) {
			t.Helper()
			if err := c.slices.Update(&discoveryv1.EndpointSlice{
				ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-1", Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
				Endpoints:  []discoveryv1.Endpoint{{NodeName: &node, Conditions: discoveryv1.EndpointConditions{Ready: new(true)}}},
			}); err != nil {
				t.Fatal(err)
			}
			c.touch()
			time.Sleep(time.Second)
		}
		c.want(local, b)
		for _, node := range []string{"n1", "n2", "n3"} {
			if pods(node); one(a) != node {
				t.Errorf("the pods are at %s, the address at %s", node, one(a))
			}
		}
		// A node that is excluded announces nothing.
		if err := c.nodes.Update(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n3", Labels: map[string]string{corev1.LabelNodeExcludeBalancers: ""}}}); err != nil {
			t.Fatal(err)
		}
		c.touch()
		time.Sleep(time.Second)
		if one(a) == "n3" {
			t.Error("an excluded node announces an address")
		}

		c.want()
		time.Sleep(time.Second)
		if len(n.at(a.Addr)) != 0 || len(n.at(b.Addr)) != 0 {
			t.Error("addresses of nobody are announced")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if len(c.peers) != 0 {
			t.Errorf("nodes are still followed: %v", c.peers)
		}
		c.stop()
	})
}
