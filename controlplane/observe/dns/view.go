// Package dns shows cluster DNS at work: it queries the DNS servers of all nodes through their agents and combines the
// answers, in which the clients are pods and not addresses.
//
// Nothing runs without requests. Watching a log opens one stream per node, and one informer of pods for all watchers
// together; both end with the last of them. Begin reading at View; log.go merges the streams, names.go knows the pods,
// resolver.go what a pod's resolver does with a name.
package dns

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/wait"
	"bonsai/controlplane/agents"
	"bonsai/controlplane/observe/objects"
)

// answerLimit bounds a request to the API server.
const answerLimit = time.Second

// Agents query the DNS servers of nodes through their agents. They limit every wait for an answer.
type Agents interface {
	DNSStatus(ctx context.Context, n cluster.Node) (cluster.DNSStatus, error)
	DNSFlush(ctx context.Context, n cluster.Node) (entries int, err error)
	DNSLookup(ctx context.Context, n cluster.Node, q cluster.DNSLookup) (cluster.DNSLookupResult, error)
	DNSLog(ctx context.Context, n cluster.Node, fold bool, connected func(), each func(cluster.DNSQuery)) error
}

// Options are the dependencies of a View.
type Options struct {
	// Cluster is its name, for hints.
	Cluster string
	// Pods is the range of pods, Server the address of the Service of cluster DNS.
	Pods   netip.Prefix
	Server netip.Addr
	// Nodes returns the nodes that the cluster currently has.
	Nodes  func() []cluster.Node
	Agents Agents
	// Objects has the pods, for the names of clients; Client gets a single one.
	Objects *objects.Store
	Client  kubernetes.Interface
	Log     *slog.Logger
	// Scale multiplies the limits on waits.
	Scale wait.Scale
}

// View answers requests about cluster DNS. Its errors are faults. It is safe for concurrent use.
type View struct {
	Options
	pods podWatch
}

// New returns a View. It starts nothing.
func New(o Options) *View {
	return &View{Options: o, pods: podWatch{objects: o.Objects}}
}

// DNSStatus queries the servers of all nodes. One that does not answer has PhaseUnknown and the reason.
func (v *View) DNSStatus(ctx context.Context) ([]cluster.DNSStatus, error) {
	return v.statusOf(ctx, v.Nodes()), nil
}

func (v *View) statusOf(ctx context.Context, nodes []cluster.Node) []cluster.DNSStatus {
	all := make([]cluster.DNSStatus, len(nodes))
	onNodes(nodes, func(i int, n cluster.Node) {
		var err error
		if all[i], err = v.Agents.DNSStatus(ctx, n); err != nil {
			all[i] = cluster.DNSStatus{Phase: cluster.PhaseUnknown, Reason: err.Error()}
		}
		all[i].Node = n.Name
		for j, p := range all[i].Problems { // a node does not know which cluster its commands are for
			all[i].Problems[j] = p.For(v.Cluster)
		}
	})
	return all
}

// DNSFlush removes cached answers on one node, or on all if node is empty.
func (v *View) DNSFlush(ctx context.Context, node string) ([]cluster.DNSFlushed, error) {
	nodes, err := v.selectNodes(node)
	if err != nil {
		return nil, err
	}
	all := make([]cluster.DNSFlushed, len(nodes))
	onNodes(nodes, func(i int, n cluster.Node) {
		all[i].Node = n.Name
		entries, err := v.Agents.DNSFlush(ctx, n)
		if err != nil {
			all[i].Reason = err.Error()
		}
		all[i].Entries = entries
	})
	return all, nil
}

// onNodes calls f for all nodes in parallel.
func onNodes(nodes []cluster.Node, f func(i int, n cluster.Node)) {
	var wg sync.WaitGroup
	for i, n := range nodes {
		wg.Go(func() { f(i, n) })
	}
	wg.Wait()
}

// selectNodes returns the node of that name, or all for "".
func (v *View) selectNodes(name string) ([]cluster.Node, error) {
	nodes := v.Nodes()
	if name == "" {
		return nodes, nil
	}
	i := slices.IndexFunc(nodes, func(n cluster.Node) bool { return n.Name == name })
	if i < 0 {
		var names []string
		for _, n := range nodes {
			names = append(names, n.Name)
		}
		return nil, fault.Newf(fault.NodeNotFound, "cluster %q has no node %q", v.Cluster, name).
			Advisef("its nodes: %s", strings.Join(names, ", "))
	}
	return nodes[i : i+1], nil
}

// DNSLookup queries one server. A name that does not exist is not an error.
func (v *View) DNSLookup(ctx context.Context, q cluster.DNSQuestion) (a cluster.DNSAnswer, err error) {
	client := defaultClient()
	if q.Pod != "" {
		if client, err = v.clientFor(ctx, q.Pod); err != nil {
			return a, err
		}
	}
	status, err := v.chooseServer(ctx, q.Node, client.node)
	if err != nil {
		return a, err
	}
	if q.Node != "" && client.node != "" && q.Node != client.node {
		client.notes = append(client.notes, "the pod is on node "+client.node+", whose server it asks first")
	}
	a.Pod, a.Notes = q.Pod, client.notes
	a.Asked = cluster.DNSLookup{Name: q.Name, Type: q.Type, TCP: q.TCP, Client: client.address}
	if !q.Plain {
		a.Asked.Search, a.Asked.Ndots = client.search(status.Search), client.ndots
	}
	nodes, err := v.selectNodes(status.Node)
	if err != nil {
		return a, err
	}
	a.DNSLookupResult, err = v.Agents.DNSLookup(ctx, nodes[0], a.Asked)
	if err != nil {
		if refused, ok := errors.AsType[*agents.Error](err); ok && refused.Status == http.StatusBadRequest {
			return a, fault.New(fault.Usage, "", refused)
		}
		return a, fault.New(fault.Addon, "ask the DNS server of "+status.Node, err)
	}
	a.Node = status.Node
	return a, nil
}

// chooseServer returns the status of the wanted node's server, otherwise of the likely one's, otherwise of the best
// available.
func (v *View) chooseServer(ctx context.Context, wanted, likely string) (cluster.DNSStatus, error) {
	if wanted == "" {
		wanted = likely
	}
	nodes, err := v.selectNodes(wanted)
	if err != nil {
		return cluster.DNSStatus{}, err
	}
	all := v.statusOf(ctx, nodes)
	for _, phase := range []cluster.Phase{cluster.PhaseRunning, cluster.PhaseDegraded, cluster.PhaseStarting} {
		for _, s := range all {
			if s.Phase == phase {
				return s, nil
			}
		}
	}
	var reasons []string
	for _, s := range all {
		reasons = append(reasons, s.Node+": "+s.Reason)
	}
	if len(all) == 0 {
		return cluster.DNSStatus{}, fault.Newf(fault.Addon, "the cluster has no nodes, and without them no DNS").
			Advise("add some", cluster.Bonsai("start").With("--nodes", "1").Of(v.Cluster).Change())
	}
	f := fault.New(fault.Addon, "ask a DNS server", errors.New(strings.Join(reasons, "; ")))
	if wanted != "" {
		return cluster.DNSStatus{}, f.Advise("ask another node's with --node; see those of the cluster", cluster.Bonsai("dns", "status").Of(v.Cluster))
	}
	return cluster.DNSStatus{}, f.Advise("", cluster.Bonsai("status").Of(v.Cluster))
}
