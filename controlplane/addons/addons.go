// Package addons runs what a cluster has besides Kubernetes itself: DNS, storage and everything else that its user
// enables.
//
// An addon is one folder below this one: a description, its objects in the cluster, a health check, and, if it needs
// one, a controller that runs in this process. The Manager does the rest. It applies the objects of enabled addons and
// restores them if they are changed, removes those that are no longer wanted, keeps controllers running, and observes:
// a state here is what was observed, never what was requested.
//
// Which addons are wanted is Spec.Addons, on top of each addon's default; what is chosen about them is Spec.AddonValues, on top
// of the defaults of their settings, which are part of each description. The objects of an addon are found by its
// label and by the field manager that applied them, so nothing else has to be remembered. User data (claims, volumes,
// namespaces) is never removed.
//
// Begin reading at Addon and Manager.
package addons

import (
	"context"
	"log/slog"
	"net/http"

	apidiscoveryv2 "k8s.io/api/apidiscovery/v2"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/wait"
	"bonsai/controlplane/agents"
)

const (
	// FieldManager applies an addon's objects. A Runner that writes fields of its own uses another one.
	FieldManager = "bonsai-addons"
	// Label holds, on each object of an addon, the addon's name.
	Label = "addons.bonsai.io/name"
)

// Addon is one addon. Its methods may be called from several goroutines.
type Addon interface {
	// Describe is constant, and cheap enough for every command line.
	Describe() cluster.AddonDescription
	// Objects are the API objects of the addon, with TypeMeta; it makes no requests. The Manager labels, applies and
	// prunes them. Fields that are left empty belong to others, such as the addon's Runner. They are asked for again when a
	// value of the addon changes.
	Objects(Cluster) []runtime.Object
	// Health returns the state of the addon now that its objects exist: running, degraded, or installing if it has
	// never worked so far. Reason and advice explain what is not running. It answers from what is known in this process
	// or from the API server, within ctx, and does not contact nodes.
	Health(ctx context.Context, c Cluster) (state cluster.AddonState, reason string, advice []cluster.Advice)
}

// Runner is an addon with a controller. Run is called once the objects exist and ends with ctx. If it returns earlier,
// it is called again after a growing pause, and its error is the addon's reason until then.
type Runner interface {
	Run(ctx context.Context, c Cluster) error
}

// Remover is an addon that leaves more behind than its objects. Remove takes it back while the addon is not wanted, after its
// controller has ended and before its objects are deleted. It is repeated in every pass, and has to be cheap when there is nothing
// to do. An error is the reason why the addon is still being removed.
type Remover interface {
	Remove(ctx context.Context, c Cluster) error
}

// Definer is an addon with resource definitions. They are not among its objects: when it is disabled they stay, because all
// resources of these kinds would go with them.
type Definer interface {
	// Define creates what is missing and returns once it is served. It is called before each time that the objects are applied, so
	// it is cheap when nothing is missing.
	Define(ctx context.Context, c Cluster) error
}

// OnDemand is an addon that a cluster has as soon as something in it needs it, unless its user has enabled or disabled it. Its
// description says so, too.
type OnDemand interface {
	// Needed returns nil once something needs the addon; it may wait for that until ctx ends. Then the addon stays, until the
	// cluster is started the next time.
	Needed(ctx context.Context, c Cluster) error
}

// NodePart is an addon with a part on every node, inside the agent (nodeagent.Part), that asks the API. All agents get the
// rights of all parts, as parts run whether their addons are enabled or not.
type NodePart interface {
	NodeRules() NodeRules
}

// NodeRules are rights of node agents: anywhere in the cluster, and in the namespace kube-system.
type NodeRules struct{ Cluster, System []rbacv1.PolicyRule }

// NodeRulesOf are the rights that the parts of these addons need.
func NodeRulesOf(all []Addon) (rules NodeRules) {
	for _, a := range all {
		if p, ok := a.(NodePart); ok {
			of := p.NodeRules()
			rules.Cluster, rules.System = append(rules.Cluster, of.Cluster...), append(rules.System, of.System...)
		}
	}
	return rules
}

// NodePhases is an addon with a part on every node that knows how each of them is, by the node's name.
type NodePhases interface {
	Nodes() map[string]cluster.Phase
}

// Groups serves groups of the API in this process, without a Service or a pod behind them.
type Groups interface {
	// Serve lets h answer the requests for a group that its APIService, which names no Service, announces, and lists version in
	// discovery, until end is called. The requests have been authorized. Only one addon may serve a group.
	Serve(group string, version apidiscoveryv2.APIVersionDiscovery, h http.Handler) (end func())
}

// Cluster is what addons work on. It is shared: its fields must not be changed.
type Cluster struct {
	// Client, Config and Dynamic have all rights and never leave the process.
	Client  kubernetes.Interface
	Config  *rest.Config
	Dynamic dynamic.Interface
	// Spec is the current plan; Changed returns a channel that is closed when it changes.
	Spec    func() cluster.Spec
	Changed func() <-chan struct{}
	// Notify makes the Manager call Health again and notify its watchers. It never blocks.
	Notify func()
	// Agents asks the agents of nodes.
	Agents *agents.Client
	// Groups serves groups of the API.
	Groups Groups
	Log    *slog.Logger
	// Scale multiplies limits on waits, for slow machines.
	Scale wait.Scale
}
