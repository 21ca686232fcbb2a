// Package bootstrap manages the life of a cluster on this machine: start, stop, delete, repair and status.
//
// Everything that changes a cluster follows the same steps. A start:
//
//  1. lock the cluster, so that one command at a time works on it (Start);
//  2. look around: what exists of the cluster, the engine, its networks, the ports (lookAround, connect);
//  3. plan: package plan resolves the wish to a wanted spec and finds the changes up to there, as values; what cannot
//     be is refused now, before anything has changed (prepareStart);
//  4. apply the changes, and repair what is missing (apply): write certificates and the spec, then, side by side, the
//     daemon with the control plane (a detached process of this executable) and, in the engine, the payload volume,
//     the network and the node containers;
//  5. wait until every node reports Ready to the API server, and one answers cluster names (waitNodes);
//  6. merge the kubeconfig and keep the timeline.
//
// Apply is the same for other verbs, and touches only what changes. If a step fails or the context ends, what this run
// created is removed again (failed), and the error is a fault with the relevant log lines. A second Start of a running
// cluster goes through the same steps and repairs what is missing.
package bootstrap

import (
	"cmp"
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/hostdns"
	"bonsai/bootstrap/localapi"
	"bonsai/bootstrap/localca/truststore"
	"bonsai/bootstrap/node"
	"bonsai/bootstrap/plan"
	"bonsai/bootstrap/routes"
	"bonsai/bootstrap/statedir"
	"bonsai/bootstrap/wait"
)

// Env holds a Manager's dependencies; all fields except Scale, Machine, Host, Trust and Log are required.
type Env struct {
	Dir statedir.Dir
	// Driver connects to the container engine. It is not called by operations on a cluster without nodes.
	Driver func() (node.Driver, error)
	// Payload is what the nodes of this executable share.
	Payload func() (node.Payload, error)
	// PlanningLock is the file by which new clusters of all state folders take turns; see statedir.LockPlanning.
	PlanningLock string
	// Machine is this machine with its limits. Nil: they are not looked at.
	Machine Machine
	// Host is this machine as Doctor looks at it; only that needs it.
	Host Host
	// Trust is this machine as the local CA is brought to it. Nil: this machine.
	Trust truststore.Machine
	// Executable is spawned as the daemon.
	Executable string
	// Kubectl runs the kubectl of this executable on a cluster, and returns what it said. Only manifests need it.
	Kubectl func(ctx context.Context, cluster string, args []string, stdin io.Reader) (said string, err error)
	// Manifests reads the objects at an absolute path or a URL, for a start without the file that names them. Nil: they wait for
	// the next command that has it.
	Manifests func(ctx context.Context, source string) ([]plan.Manifest, error)
	// Redact writes a copy of etcd's data file to a new file, without the values of Secrets. Only Bundle needs it.
	Redact func(from, to string) error
	// Adopt makes a daemon that was just spawned outlive the unit or session in which it was started; name is unique to its
	// cluster. moved reports whether it is in a unit of its own then. Nil: it stays.
	Adopt func(ctx context.Context, name string, pid int) (moved bool, err error)
	// Resolver is this machine, whose resolver may be configured to ask for a cluster's names.
	Resolver hostdns.System
	// Kubernetes is the version of the linked components ("v1.37.2").
	Kubernetes string
	// Scale multiplies every limit on a wait.
	Scale wait.Scale
	// Log gets at debug level what is done: steps, requests to the daemon, changes, files. Nil: none.
	Log *slog.Logger
}

// Manager runs the operations. It keeps no state of its own and is safe for concurrent use.
type Manager struct{ env Env }

// New returns a Manager. It does nothing yet.
func New(env Env) *Manager {
	env.Log = cmp.Or(env.Log, slog.New(slog.DiscardHandler))
	return &Manager{env: env}
}

// clientOf asks the daemon of a cluster.
func (m *Manager) clientOf(state statedir.Cluster) *localapi.Client {
	return localapi.NewClient(state.APISocket()).LogTo(m.env.Log)
}

// wrote logs that a file was written.
func (m *Manager) wrote(path string) { m.env.Log.Debug("file written", "path", path) }

// limit bounds ctx by a scaled duration; what names the wait in the error.
func (m *Manager) limit(ctx context.Context, d time.Duration, what string) (context.Context, context.CancelFunc) {
	return m.env.Scale.Limit(ctx, d, what)
}

// List names all clusters that have a folder here.
func (m *Manager) List() ([]string, error) { return m.env.Dir.Clusters() }

// portFree reports whether nothing listens on 127.0.0.1:port.
func portFree(port int) bool {
	l, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// freePort asks the kernel for a free port.
func freePort() int {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return 0
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

// hostNetworks are the address ranges that this machine's interfaces are in: VPNs, LANs, other bridges.
func hostNetworks() []netip.Prefix {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var ranges []netip.Prefix
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() && !p.Addr().IsLoopback() {
			ranges = append(ranges, p.Masked())
		}
	}
	return ranges
}

// routed are the ranges that this machine reaches. Without them, which no case is known of, a start goes on.
func (o *operation) routed() []netip.Prefix {
	all, err := routes.Read()
	if err != nil {
		o.rec.warn("plan", err.Error())
	}
	var ranges []netip.Prefix
	for _, r := range all {
		ranges = append(ranges, r.To)
	}
	return ranges
}

// nodeReady reports whether a node's kubelet has reported Ready after since. Heartbeats have whole seconds.
func nodeReady(s cluster.Snapshot, name string, since time.Time) bool {
	for _, n := range s.Nodes {
		if n.Name == name {
			return n.Ready && !n.Heartbeat.Before(since.Truncate(time.Second))
		}
	}
	return false
}
