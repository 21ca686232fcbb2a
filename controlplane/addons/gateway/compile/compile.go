// Package compile turns the objects of Ingress and Gateway API into what the data plane does, and into the status of each of
// these objects. It is pure: equal input gives equal output, and nothing is read or written.
//
// What it decides is in the specifications of Kubernetes' Ingress (https://kubernetes.io/docs/concepts/services-networking/ingress/)
// and of Gateway API (the comments in sigs.k8s.io/gateway-api/apis/v1). Begin reading at Compile.
package compile

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/gatewaytable"
)

// Controller is the name in the classes that are served here.
const Controller = "gateway.bonsai.io/controller"

// Class is the name of the addon's own IngressClass and GatewayClass.
const Class = cluster.GatewayClass

// The ports of Ingresses.
const (
	plainPort  = 80
	securePort = 443
)

// Input is what there is. Nothing of it is changed.
type Input struct {
	// Now is the time of conditions that change.
	Now time.Time

	Ingresses      []*networkingv1.Ingress
	IngressClasses []*networkingv1.IngressClass

	GatewayClasses []*gatewayv1.GatewayClass
	Gateways       []*gatewayv1.Gateway
	HTTPRoutes     []*gatewayv1.HTTPRoute
	GRPCRoutes     []*gatewayv1.GRPCRoute
	TLSRoutes      []*gatewayv1.TLSRoute
	Grants         []*gatewayv1.ReferenceGrant
	// ListenerSets are nil if the definitions that there are do not have them.
	ListenerSets []*gatewayv1.ListenerSet

	BackendTLSPolicies []*gatewayv1.BackendTLSPolicy
	// ConfigMaps have certificates of CAs (CAKey).
	ConfigMaps []*corev1.ConfigMap

	Namespaces []*corev1.Namespace
	Services   []*corev1.Service
	Slices     []*discoveryv1.EndpointSlice
	// Secrets are those of type kubernetes.io/tls.
	Secrets []*corev1.Secret

	// Nodes are the data planes.
	Nodes []Node
	// Pool are the addresses that the addon loadbalancer gives to Services. Without any, all Gateways share the nodes' addresses.
	Pool []cluster.AddressRange
	// ProxyFrom are the addresses whose connections may begin with the PROXY protocol.
	ProxyFrom []cluster.AddressRange

	// Sign makes a certificate for a host that names none; nil if nobody can. For a host it returns the same one each time, until that
	// is to be replaced.
	Sign func(host string) (chain, key []byte, err error)
}

// Node is the data plane of a node, with its newest report.
type Node struct {
	Name    string
	Address netip.Addr
	// Reported is false until it has reported.
	Reported bool
	Report   gatewaytable.Report
}

// Key is the namespace and name of an object, and orders objects as the specifications do.
type Key struct{ Namespace, Name string }

func (k Key) String() string {
	if k.Namespace == "" {
		return k.Name
	}
	return k.Namespace + "/" + k.Name
}

func keyOf(o metav1.Object) Key { return Key{o.GetNamespace(), o.GetName()} }

// Output is what to do, and what to report about the objects that are served here. Objects that are not in it belong to
// other controllers.
type Output struct {
	Table gatewaytable.Table

	Classes    map[Key]gatewayv1.GatewayClassStatus
	Gateways   map[Key]gatewayv1.GatewayStatus
	HTTPRoutes map[Key]gatewayv1.RouteStatus
	GRPCRoutes map[Key]gatewayv1.RouteStatus
	TLSRoutes  map[Key]gatewayv1.RouteStatus
	Ingresses  map[Key]networkingv1.IngressLoadBalancerStatus

	ListenerSets map[Key]gatewayv1.ListenerSetStatus

	// BackendTLSPolicies are the ancestors that are Gateways of this controller.
	BackendTLSPolicies map[Key]gatewayv1.PolicyStatus

	// Fronts are the Services that Gateways have to have, by their keys.
	Fronts map[Key]Front

	// Warnings are mistakes in objects that have no condition for them, sorted.
	Warnings []Warning
}

// Warning is a mistake in an Ingress.
type Warning struct {
	Of      Key
	Reason  string // in the form of an Event's
	Message string
}

// Compile decides everything. It fails only if the table cannot be encoded.
func Compile(in Input) (Output, error) {
	b := newBuilder(in)
	b.ingresses()
	b.policies()
	b.gateways()
	b.routes()
	b.finish()
	return b.out, b.out.Table.Seal()
}

// builder is one run.
type builder struct {
	in  Input
	out Output

	namespaces map[string]*corev1.Namespace
	services   map[Key]*corev1.Service
	slices     map[Key][]*discoveryv1.EndpointSlice
	secrets    map[Key]*corev1.Secret

	backendAt     map[string]int
	certificateAt map[Key]certified
	signedAt      map[string]certified // by host
	unsecured     map[string]Key       // hosts of TLS without a Secret, and an Ingress that has them

	policyOf    map[target][]*policy // the first counts
	allPolicies []*policy

	ports    map[uint16]*port
	innerOf  map[uint16]innerPort
	inner    map[innerPort]uint16
	attached map[Key]*gateway // by the Gateway's key
	sets     map[Key]*listenerSet
	served   []*networkingv1.Ingress
}

func newBuilder(in Input) *builder {
	b := &builder{
		in: in, namespaces: map[string]*corev1.Namespace{}, services: map[Key]*corev1.Service{},
		slices: map[Key][]*discoveryv1.EndpointSlice{}, secrets: map[Key]*corev1.Secret{},
		backendAt: map[string]int{}, certificateAt: map[Key]certified{}, signedAt: map[string]certified{}, unsecured: map[string]Key{},
		policyOf: map[target][]*policy{}, ports: map[uint16]*port{}, attached: map[Key]*gateway{}, sets: map[Key]*listenerSet{}, innerOf: map[uint16]innerPort{}, inner: map[innerPort]uint16{},
		out: Output{
			Classes: map[Key]gatewayv1.GatewayClassStatus{}, Gateways: map[Key]gatewayv1.GatewayStatus{},
			HTTPRoutes: map[Key]gatewayv1.RouteStatus{}, GRPCRoutes: map[Key]gatewayv1.RouteStatus{}, Ingresses: map[Key]networkingv1.IngressLoadBalancerStatus{},
			TLSRoutes: map[Key]gatewayv1.RouteStatus{}, Fronts: map[Key]Front{}, BackendTLSPolicies: map[Key]gatewayv1.PolicyStatus{},
			ListenerSets: map[Key]gatewayv1.ListenerSetStatus{},
		},
	}
	for _, n := range in.Namespaces {
		b.namespaces[n.Name] = n
	}
	for _, s := range in.Services {
		b.services[keyOf(s)] = s
	}
	for _, s := range in.Slices {
		k := Key{s.Namespace, s.Labels[discoveryv1.LabelServiceName]}
		b.slices[k] = append(b.slices[k], s)
	}
	for _, s := range in.Secrets {
		b.secrets[keyOf(s)] = s
	}
	return b
}

// sorted are objects in the order in which they have precedence: the oldest first, and those of one second by name.
func sorted[T metav1.Object](list []T) []T {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b T) int { return older(a, b) })
	return list
}

func older(a, b metav1.Object) int {
	return cmp.Or(
		a.GetCreationTimestamp().Compare(b.GetCreationTimestamp().Time),
		cmp.Compare(a.GetNamespace(), b.GetNamespace()),
		cmp.Compare(a.GetName(), b.GetName()),
	)
}

// mode is what is done with the connections of a port.
type mode int

const (
	unencrypted mode = iota
	terminated
	passedThrough
)

// port collects what is served on a port.
type port struct {
	mode mode
	// public is the port that clients connect to, if it is another one.
	public   uint16
	clients  *gatewaytable.Clients
	owner    Key // the first Gateway that has it, or empty for Ingresses
	fallback bool
	names    map[string][]int
	groups   map[Key]*group // by Gateway, the empty key for Ingresses
	order    []Key
}

type group struct {
	listeners map[string]*listener // by host name
}

type listener struct {
	hosts map[hostKey][]candidate
}

type hostKey struct {
	name     string
	oneLabel bool
}

// candidate is a rule with what its precedence depends on.
type candidate struct {
	rule gatewaytable.Rule
	// rank is that of a routeRule. Rules of gRPC share no host with others.
	rank  [2]int
	of    metav1.Object
	order int
	// last puts it after all others of the host: a default backend.
	last bool
}

// open returns the port, nil if it is used in another mode.
func (b *builder) open(number uint16, how mode, owner Key) *port {
	p := b.ports[number]
	if p == nil {
		p = &port{mode: how, owner: owner, names: map[string][]int{}, groups: map[Key]*group{}}
		b.ports[number] = p
	}
	if p.mode != how {
		return nil
	}
	return p
}

func (p *port) listener(owner Key, hostname string) *listener {
	g := p.groups[owner]
	if g == nil {
		g = &group{listeners: map[string]*listener{}}
		p.groups[owner] = g
		p.order = append(p.order, owner)
	}
	l := g.listeners[hostname]
	if l == nil {
		l = &listener{hosts: map[hostKey][]candidate{}}
		g.listeners[hostname] = l
	}
	return l
}

func (l *listener) add(host hostKey, c candidate) {
	l.hosts[host] = append(l.hosts[host], c)
}

// precedes is the order of rules of one host.
func precedes(a, b candidate) int {
	x, y := a.rule, b.rule
	return cmp.Or(
		compareBool(!a.last, !b.last),
		cmp.Compare(b.rank[0], a.rank[0]),
		cmp.Compare(b.rank[1], a.rank[1]),
		compareBool(x.Path.Kind == gatewaytable.PathExact, y.Path.Kind == gatewaytable.PathExact),
		cmp.Compare(len(y.Path.Value), len(x.Path.Value)),
		compareBool(x.Path.Kind == gatewaytable.PathRegex, y.Path.Kind == gatewaytable.PathRegex),
		compareBool(x.Method != "", y.Method != ""),
		cmp.Compare(len(y.Headers), len(x.Headers)),
		cmp.Compare(len(y.Query), len(x.Query)),
		older(a.of, b.of),
		cmp.Compare(a.order, b.order),
	)
}

// compareBool puts true first.
func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// moreSpecific orders host names: exact ones before those with a wildcard, longer ones first, and none last.
func moreSpecific(a, b string) int {
	return cmp.Or(
		compareBool(a != "" && !isWildcard(a), b != "" && !isWildcard(b)),
		cmp.Compare(len(b), len(a)),
		cmp.Compare(a, b),
	)
}

func isWildcard(host string) bool { return strings.HasPrefix(host, "*.") }

// finish writes the table.
func (b *builder) finish() {
	b.sign()
	for number, p := range b.ports {
		out := gatewaytable.Port{Number: number, Public: p.public, TLS: p.mode != unencrypted, Passthrough: p.mode == passedThrough, Fallback: p.fallback, Clients: p.clients}
		for name, certificates := range p.names {
			out.Names = append(out.Names, gatewaytable.ServerName{Name: name, Certificates: certificates})
		}
		slices.SortFunc(out.Names, func(a, b gatewaytable.ServerName) int { return moreSpecific(a.Name, b.Name) })
		for _, owner := range p.order {
			out.Groups = append(out.Groups, p.groups[owner].table())
		}
		b.out.Table.Ports = append(b.out.Table.Ports, out)
	}
	slices.SortFunc(b.out.Table.Ports, func(x, y gatewaytable.Port) int { return cmp.Compare(x.Number, y.Number) })
	for _, r := range b.in.ProxyFrom {
		b.out.Table.ProxyFrom = append(b.out.Table.ProxyFrom, gatewaytable.Range{First: r.First, Last: r.Last})
	}
	b.gatewayStatuses()
	b.ingressStatuses()
	b.policyStatuses()
	slices.SortFunc(b.out.Warnings, func(x, y Warning) int {
		return cmp.Or(cmp.Compare(x.Of.String(), y.Of.String()), cmp.Compare(x.Reason, y.Reason), cmp.Compare(x.Message, y.Message))
	})
	b.out.Warnings = slices.Compact(b.out.Warnings)
}

func (g *group) table() gatewaytable.Group {
	var out gatewaytable.Group
	for hostname, l := range g.listeners {
		table := gatewaytable.Listener{Hostname: hostname}
		for host, candidates := range l.hosts {
			slices.SortStableFunc(candidates, precedes)
			h := gatewaytable.Host{Name: host.name, OneLabel: host.oneLabel}
			for _, c := range candidates {
				h.Rules = append(h.Rules, c.rule)
			}
			table.Hosts = append(table.Hosts, h)
		}
		slices.SortFunc(table.Hosts, func(a, b gatewaytable.Host) int {
			return cmp.Or(moreSpecific(a.Name, b.Name), compareBool(a.OneLabel, b.OneLabel))
		})
		out.Listeners = append(out.Listeners, table)
	}
	slices.SortFunc(out.Listeners, func(a, b gatewaytable.Listener) int { return moreSpecific(a.Hostname, b.Hostname) })
	return out
}

func (b *builder) warn(of Key, reason, format string, args ...any) {
	b.out.Warnings = append(b.out.Warnings, Warning{of, reason, fmt.Sprintf(format, args...)})
}

// condition adds one to a list that is to become a status. Its time is that of the old status, as long as it has not changed.
func (b *builder) condition(list *[]metav1.Condition, old []metav1.Condition, generation int64, kind string, ok bool, reason, message string) {
	c := metav1.Condition{
		Type: kind, Status: metav1.ConditionFalse, Reason: reason, Message: message, ObservedGeneration: generation,
		LastTransitionTime: metav1.NewTime(b.in.Now.Truncate(time.Second)),
	}
	if ok {
		c.Status = metav1.ConditionTrue
	}
	for _, o := range old {
		if o.Type == kind && o.Status == c.Status && !o.LastTransitionTime.IsZero() {
			c.LastTransitionTime = o.LastTransitionTime
		}
	}
	*list = append(*list, c)
}
