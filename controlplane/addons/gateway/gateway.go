// Package gateway is the addon that serves Ingress and Gateway API. This side follows the objects, compiles them (package
// compile) into a table for the data planes and into the status of each object, sends the one to the agents of all nodes and
// writes the other. The data planes themselves run on the nodes (nodeagent/gateway).
//
// A cluster has it as soon as something needs it, unless its user has decided otherwise. Begin reading at Gateway.Run.
package gateway

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/gatewaytable"
	"bonsai/bootstrap/servicename"
	"bonsai/controlplane/addons"
	"bonsai/controlplane/addons/gateway/compile"
)

// Name is the addon's.
const Name = cluster.GatewayAddon

// proxyProtocol is the setting with the addresses whose connections may begin with the PROXY protocol.
const proxyProtocol = "proxyProtocolFrom"

// Gateway is the addon. Create it with New.
type Gateway struct {
	machine Machine
	stopped addons.OnNodes // ends the data planes

	mu    sync.Mutex // guards the rest
	now   *view      // nil while it does not run
	began bool       // it has run in this process
}

// view is what Health answers from.
type view struct {
	nodes []compile.Node
	// problem is why something is not served that should be; empty if there is nothing, or all of it is.
	problem string
}

var (
	_ addons.Addon    = (*Gateway)(nil)
	_ addons.Runner   = (*Gateway)(nil)
	_ addons.Definer  = (*Gateway)(nil)
	_ addons.OnDemand = (*Gateway)(nil)
	_ addons.Remover  = (*Gateway)(nil)
)

// Machine is what the addon uses of the machine that it runs on. Its zero value is for one that is not run.
type Machine struct {
	// Sign makes a certificate for a host that names none, the same one until that is to be replaced.
	Sign func(ctx context.Context, host string) (chain, key []byte, err error)
	// Hosts is called with the hosts below localhost that are served, after each change. They stay when the addon ends with the
	// cluster's other controllers, while that is paused.
	Hosts func([]gatewaytable.NamedHost)
}

// New returns the addon.
func New(m Machine) *Gateway { return &Gateway{machine: m} }

// Describe implements addons.Addon.
func (*Gateway) Describe() cluster.AddonDescription {
	return cluster.AddonDescription{
		Name: Name, Version: "1.0", Maintainer: "bonsai", Description: "Ingress and Gateway API, served on every node",
		Docs: "docs/gateway.md", Delivery: cluster.DeliveryBuiltin, Offline: true, OnDemand: true,
		Settings: []cluster.AddonSetting{{
			Name: proxyProtocol, Type: cluster.SettingRanges, Max: 16,
			Description: "Addresses of load balancers whose connections may begin with the PROXY protocol, as ranges",
			Cost:        "Connections that are open stay as they are",
		}},
	}
}

// Objects implements addons.Addon: the classes.
func (*Gateway) Objects(addons.Cluster) []runtime.Object {
	return []runtime.Object{
		&networkingv1.IngressClass{
			TypeMeta:   metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "IngressClass"},
			ObjectMeta: metav1.ObjectMeta{Name: compile.Class, Annotations: map[string]string{networkingv1.AnnotationIsDefaultIngressClass: "true"}},
			Spec:       networkingv1.IngressClassSpec{Controller: compile.Controller},
		},
		&gatewayv1.GatewayClass{
			TypeMeta:   metav1.TypeMeta{APIVersion: gatewayv1.GroupVersion.String(), Kind: "GatewayClass"},
			ObjectMeta: metav1.ObjectMeta{Name: compile.Class},
			Spec:       gatewayv1.GatewayClassSpec{ControllerName: compile.Controller, Description: new("served by bonsai, on every node")},
		},
	}
}

// Health implements addons.Addon, from what the nodes have reported to Run.
func (g *Gateway) Health(_ context.Context, c addons.Cluster) (cluster.AddonState, string, []cluster.Advice) {
	g.mu.Lock()
	now := g.now
	g.mu.Unlock()
	if now == nil {
		return cluster.AddonInstalling, "its controller is starting", nil
	}
	var silent []string
	for _, n := range now.nodes {
		if !n.Reported {
			silent = append(silent, n.Name)
		}
	}
	switch {
	case len(silent) > 0:
		slices.Sort(silent)
		return cluster.AddonDegraded, fmt.Sprintf("%d of %d nodes answer, not %s", len(now.nodes)-len(silent), len(now.nodes), strings.Join(silent, ", ")),
			[]cluster.Advice{
				cluster.Advise("see why", cluster.Bonsai("logs").On("bonsai-agent").With("--node", silent[0])),
				cluster.Advise("repair what is missing", cluster.Bonsai("start").Change()),
			}
	case now.problem != "":
		return cluster.AddonDegraded, now.problem, []cluster.Advice{cluster.Advise("", cluster.Kubectl("get", "pods").With("-A").With("-o", "wide"))}
	}
	return cluster.AddonRunning, "", nil
}

// show makes the hosts below localhost that a table serves known; none without a table.
func (g *Gateway) show(table *gatewaytable.Table) {
	if g.machine.Hosts == nil {
		return
	}
	var hosts []gatewaytable.NamedHost
	if table != nil {
		hosts = table.HostsBelow("." + servicename.Top)
	}
	g.machine.Hosts(hosts)
}

func (g *Gateway) set(v *view, c addons.Cluster) {
	g.mu.Lock()
	changed := g.now == nil || v == nil || g.now.problem != v.problem || !slices.EqualFunc(g.now.nodes, v.nodes, func(a, b compile.Node) bool {
		return a.Name == b.Name && a.Reported == b.Reported
	})
	g.now = v
	g.mu.Unlock()
	if changed {
		c.Notify()
	}
}
