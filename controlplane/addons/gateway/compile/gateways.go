package compile

import (
	"fmt"
	"net/netip"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"bonsai/bootstrap/cluster"
)

// gateway is one that is served here.
type gateway struct {
	object *gatewayv1.Gateway
	// listeners are its own, and after them those of the ListenerSets that it takes.
	listeners []*gatewayListener
	sets      []*listenerSet
	// refused is why none of it is served: it asks for an address or for parameters that there are not.
	refused gatewayv1.GatewayConditionReason
	// requested is the address of its own that it asks for; onNodes says that it asks for those of nodes, the ones in nodes.
	requested netip.Addr
	onNodes   bool
	nodes     []netip.Addr
	// client is its certificate for backends, noCertificate if it has none; clientRefs is why it cannot have the one that it names.
	client     int
	clientRefs refusal
	// insecure says that certificates of clients are asked for and not verified.
	insecure bool
}

// routeKey is a route of any kind.
type routeKey struct {
	kind string
	Key
}

// refusal is the reason and message of a condition that is not as it should be.
type refusal struct{ reason, message string }

// routeKind is a kind of routes, as a listener names it.
func routeKind(kind string) gatewayv1.RouteGroupKind {
	return gatewayv1.RouteGroupKind{Group: new(gatewayv1.Group(gatewayv1.GroupName)), Kind: gatewayv1.Kind(kind)}
}

// reserved are ports of the node's own programs. Whoever listened there while such a program restarts would keep it from coming back.
var reserved = map[uint16]string{
	cluster.KubeletPort: "the kubelet", cluster.AgentPort: "bonsai's agent", cluster.DNSPort: "cluster DNS", cluster.DNSMetricsPort: "cluster DNS",
}

// gateways reads the classes and Gateways that are meant for this controller, and opens the ports.
func (b *builder) gateways() {
	ours := map[string]bool{}
	for _, c := range b.in.GatewayClasses {
		if c.Spec.ControllerName != Controller {
			continue
		}
		ours[c.Name] = true
		var status gatewayv1.GatewayClassStatus
		b.condition(&status.Conditions, c.Status.Conditions, c.Generation, string(gatewayv1.GatewayClassConditionStatusAccepted), true,
			string(gatewayv1.GatewayClassReasonAccepted), "it is served by bonsai")
		for _, name := range Features {
			status.SupportedFeatures = append(status.SupportedFeatures, gatewayv1.SupportedFeature{Name: gatewayv1.FeatureName(name)})
		}
		b.out.Classes[keyOf(c)] = status
	}
	var list []*gatewayv1.Gateway
	for _, g := range sorted(b.in.Gateways) {
		if ours[string(g.Spec.GatewayClassName)] {
			list = append(list, g)
		}
	}
	b.reserveInner(list)
	wanted := b.listenerSets()
	for _, g := range list {
		b.attached[keyOf(g)] = b.gateway(g, wanted[keyOf(g)])
	}
}

func (b *builder) gateway(object *gatewayv1.Gateway, sets []*listenerSet) *gateway {
	g := &gateway{object: object, client: noCertificate}
	b.addresses(g)
	b.clientCertificate(g)
	if i := object.Spec.Infrastructure; i != nil && i.ParametersRef != nil {
		g.refused = gatewayv1.GatewayReasonInvalidParameters
	}
	for i := range object.Spec.Listeners {
		g.listeners = append(g.listeners, b.listener(&object.Spec.Listeners[i]))
	}
	markConflicts(g.listeners)
	for _, s := range sets {
		b.addListenerSet(g, s)
	}
	fronted := b.fronted(g)
	for _, l := range g.listeners {
		if g.refused == "" && l.problem == (refusal{}) && l.conflict == (refusal{}) {
			b.openFor(g, l, fronted)
		}
	}
	if fronted {
		b.front(g)
	}
	return g
}

// addresses reads which addresses a Gateway asks for.
func (b *builder) addresses(g *gateway) {
	for _, a := range g.object.Spec.Addresses {
		if a.Type != nil && *a.Type != gatewayv1.IPAddressType {
			g.refused = gatewayv1.GatewayReasonUnsupportedAddress
			return
		}
		if a.Value == "" {
			continue
		}
		address, err := netip.ParseAddr(a.Value)
		switch {
		case err == nil && slices.ContainsFunc(b.in.Nodes, func(n Node) bool { return n.Address == address }):
			g.onNodes, g.nodes = true, append(g.nodes, address)
		case err == nil && !g.requested.IsValid() && slices.ContainsFunc(b.in.Pool, func(r cluster.AddressRange) bool { return r.Contains(address) }):
			g.requested = address
		default:
			g.refused = gatewayv1.GatewayReasonAddressNotUsable
		}
	}
	if g.onNodes && g.requested.IsValid() { // it has the one or the others
		g.refused = gatewayv1.GatewayReasonAddressNotUsable
	}
}

// openFor opens the ports of a listener.
func (b *builder) openFor(g *gateway, l *gatewayListener, fronted bool) {
	how := map[gatewayv1.ProtocolType]mode{gatewayv1.HTTPSProtocolType: terminated, gatewayv1.TLSProtocolType: passedThrough}[l.spec.Protocol]
	var certificates []int
	if l.signed = l.terminates && b.signedHere(l.spec); l.signed {
		var refs refusal
		if certificates, refs = b.hostCertificate(l.hostname); refs != (refusal{}) {
			l.refs, l.problem = refs, refusal{string(gatewayv1.ListenerReasonInvalid), refs.message}
			return
		}
	} else if l.terminates {
		var refs refusal
		if certificates, refs = b.listenerCertificates(l.owner(g), l.spec); refs.reason != "" {
			l.refs = refs
		}
		if len(certificates) == 0 {
			l.problem = refusal{string(gatewayv1.ListenerReasonInvalid), refs.message}
			return
		}
	}
	owner, number := keyOf(g.object), uint16(l.spec.Port)
	clients, wanted := b.clients(g, l)
	if wanted && clients == nil {
		return
	}
	if wanted && !fronted {
		l.problem = refusal{string(gatewayv1.ListenerReasonUnsupportedValue), "certificates of clients can only be required at an address of the Gateway's own, which the addon loadbalancer gives"}
		return
	}
	if fronted {
		if inner := b.innerFor(innerPort{owner, number}); inner != 0 {
			if p := b.open(inner, how, owner); p != nil {
				p.public, p.clients, l.inner, l.ports = number, clients, inner, append(l.ports, p)
			}
		}
	}
	b.openShared(l, owner, how, wanted)
	for _, p := range l.ports {
		if _, taken := p.names[l.hostname]; !taken && len(certificates) > 0 { // by an older Gateway
			p.names[l.hostname] = certificates
		}
		p.listener(owner, l.hostname) // also without any route: it takes the requests of its host
	}
}

// openShared opens a listener's port at the nodes' addresses, unless it is for certain clients only: who may connect is known at the
// Gateway's own address.
func (b *builder) openShared(l *gatewayListener, owner Key, how mode, restricted bool) {
	number := uint16(l.spec.Port)
	if restricted {
		return
	}
	problem := ""
	if of := reserved[number]; of != "" {
		problem = fmt.Sprintf("port %d of nodes is that of %s", number, of)
	} else if p := b.open(number, how, owner); p != nil {
		l.ports = append(l.ports, p)
	} else {
		problem = fmt.Sprintf("port %d is already used with another protocol", number)
	}
	if problem != "" && l.inner == 0 {
		l.problem = refusal{string(gatewayv1.ListenerReasonPortUnavailable), problem}
	}
}

// gatewayStatuses writes what became of the Gateways, after the routes were attached.
func (b *builder) gatewayStatuses() {
	for key, g := range b.attached {
		b.out.Gateways[key] = b.gatewayStatus(g)
	}
}

// tally is what the listeners of one Gateway or ListenerSet are together. The failure is that of the first one that is not up.
type tally struct {
	all, usable, up int
	failure         string
}

// listenerStatus is the status of a listener, which it adds to the tally; before are the conditions that it had.
func (b *builder) listenerStatus(t *tally, l *gatewayListener, up bool, message string, before []metav1.Condition, generation int64) gatewayv1.ListenerStatus {
	t.all++
	if l.usable() {
		t.usable++
	}
	if up {
		t.up++
	} else if t.failure == "" {
		t.failure = message
	}
	return gatewayv1.ListenerStatus{
		Name: l.spec.Name, SupportedKinds: l.kinds, AttachedRoutes: int32(len(l.attached)), Conditions: b.listenerConditions(l, before, generation, up, message),
	}
}

func (b *builder) gatewayStatus(g *gateway) gatewayv1.GatewayStatus {
	var status gatewayv1.GatewayStatus
	old, generation := g.object.Status, g.object.Generation
	shared := map[netip.Addr]bool{}
	before := map[gatewayv1.SectionName][]metav1.Condition{}
	for _, o := range old.Listeners {
		before[o.Name] = o.Conditions
	}
	var own tally
	for _, l := range g.listeners {
		up, message := b.listening(l)
		for _, a := range up {
			shared[a] = true
		}
		if l.set == nil { // else the status of its ListenerSet has it
			status.Listeners = append(status.Listeners, b.listenerStatus(&own, l, len(up) > 0, message, before[l.spec.Name], generation))
		}
	}
	ready := false
	front, fronted := b.out.Fronts[frontKey(g.object)]
	address := b.ownAddress(g)
	add := func(a netip.Addr) {
		status.Addresses = append(status.Addresses, gatewayv1.GatewayStatusAddress{Type: new(gatewayv1.IPAddressType), Value: a.String()})
	}
	switch {
	case fronted && address.IsValid():
		add(address)
	case fronted:
	default:
		for _, n := range b.in.Nodes { // in their order
			if shared[n.Address] && (!g.onNodes || slices.Contains(g.nodes, n.Address)) {
				add(n.Address)
			}
		}
	}
	accepted := func(ok bool, reason gatewayv1.GatewayConditionReason, message string) {
		b.condition(&status.Conditions, old.Conditions, generation, string(gatewayv1.GatewayConditionAccepted), ok, string(reason), message)
	}
	done := func(ok bool, reason gatewayv1.GatewayConditionReason, message string) {
		b.condition(&status.Conditions, old.Conditions, generation, string(gatewayv1.GatewayConditionProgrammed), ok, string(reason), message)
	}
	switch {
	case g.refused == gatewayv1.GatewayReasonUnsupportedAddress:
		accepted(false, g.refused, "only addresses of type IPAddress are supported")
	case g.refused == gatewayv1.GatewayReasonInvalidParameters:
		accepted(false, g.refused, "infrastructure.parametersRef has no meaning here")
	case g.refused == gatewayv1.GatewayReasonAddressNotUsable:
		accepted(true, gatewayv1.GatewayReasonAccepted, "")
	case own.usable == 0:
		accepted(false, gatewayv1.GatewayReasonListenersNotValid, "no listener is valid")
	case own.usable < own.all:
		accepted(true, gatewayv1.GatewayReasonListenersNotValid, "some listeners are not valid")
	default:
		accepted(true, gatewayv1.GatewayReasonAccepted, "")
	}
	if r := g.clientRefs; r.reason != "" {
		b.condition(&status.Conditions, old.Conditions, generation, string(gatewayv1.GatewayConditionResolvedRefs), false, r.reason, r.message)
	} else if g.client != noCertificate { // a Gateway that refers to nothing has no such condition
		b.condition(&status.Conditions, old.Conditions, generation, string(gatewayv1.GatewayConditionResolvedRefs), true, string(gatewayv1.GatewayReasonResolvedRefs), "")
	}
	if g.insecure {
		b.condition(&status.Conditions, old.Conditions, generation, string(gatewayv1.GatewayConditionInsecureFrontendValidationMode), true,
			string(gatewayv1.GatewayReasonConfigurationChanged), "clients are let in without a certificate, and with any")
	}
	switch {
	case g.refused == gatewayv1.GatewayReasonAddressNotUsable:
		done(false, g.refused, "an address is neither one of this cluster's nodes nor one that load balancers may have, or there is more than one")
	case g.refused != "" || own.usable == 0:
		done(false, gatewayv1.GatewayReasonInvalid, "nothing of it can be served")
	case own.up == 0 && len(b.in.Nodes) == 0:
		done(false, gatewayv1.GatewayReasonNoResources, "the cluster has no nodes")
	case own.up == 0:
		done(false, gatewayv1.GatewayReasonPending, own.failure)
	case fronted && !address.IsValid():
		done(false, gatewayv1.GatewayReasonAddressNotAssigned, fmt.Sprintf("Service %s has no address yet", front.Service))
	default:
		done(true, gatewayv1.GatewayReasonProgrammed, own.failure)
		ready = true
	}
	if b.in.ListenerSets != nil {
		status.AttachedListenerSets = new(b.listenerSetStatuses(g, ready))
	}
	return status
}
