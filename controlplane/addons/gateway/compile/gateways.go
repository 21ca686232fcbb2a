package compile

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"bonsai/bootstrap/cluster"
)

// gateway is one that is served here.
type gateway struct {
	object    *gatewayv1.Gateway
	listeners []*gatewayListener
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

// gatewayListener is one listener of a Gateway.
type gatewayListener struct {
	spec     *gatewayv1.Listener
	hostname string
	kinds    []gatewayv1.RouteGroupKind
	// signed says that the certificates of its hosts come from the local CA.
	signed bool
	// ports are where it is served: at the nodes' addresses, and inner, behind the Gateway's own address. inner is 0 if it has none.
	ports []*port
	inner uint16
	// problem is why it serves nothing; the zero value if it does.
	problem, conflict, refs refusal
	// attached are the routes with their hosts, each once, however many of its references lead here.
	attached map[routeKey][]string
}

// routeKey is a route of any kind.
type routeKey struct {
	kind string
	Key
}

// refusal is the reason and message of a condition that is not as it should be.
type refusal struct{ reason, message string }

func (l *gatewayListener) usable() bool {
	return l.problem == refusal{} && l.conflict == refusal{} && len(l.ports) > 0
}

// ownKind is what a listener serves.
func routeKind(kind string) gatewayv1.RouteGroupKind {
	return gatewayv1.RouteGroupKind{Group: new(gatewayv1.Group(gatewayv1.GroupName)), Kind: gatewayv1.Kind(kind)}
}

// served are the kinds of routes by a listener's protocol.
func served(protocol gatewayv1.ProtocolType) []string {
	switch protocol {
	case gatewayv1.HTTPProtocolType, gatewayv1.HTTPSProtocolType:
		return []string{httpKind, grpcKind}
	case gatewayv1.TLSProtocolType:
		return []string{tlsKind}
	}
	return nil
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
	for _, g := range list {
		b.attached[keyOf(g)] = b.gateway(g)
	}
}

func (b *builder) gateway(object *gatewayv1.Gateway) *gateway {
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
	if l.signed = how == terminated && b.signedHere(l.spec); l.signed {
		var refs refusal
		if certificates, refs = b.hostCertificate(l.hostname); refs != (refusal{}) {
			l.refs, l.problem = refs, refusal{string(gatewayv1.ListenerReasonInvalid), refs.message}
			return
		}
	} else if how == terminated {
		var refs refusal
		if certificates, refs = b.listenerCertificates(g.object, l.spec); refs.reason != "" {
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

// listener reads one, as far as it does not depend on others.
func (b *builder) listener(spec *gatewayv1.Listener) *gatewayListener {
	l := &gatewayListener{spec: spec, kinds: []gatewayv1.RouteGroupKind{}, attached: map[routeKey][]string{}}
	if spec.Hostname != nil {
		l.hostname = strings.ToLower(string(*spec.Hostname))
	}
	own := served(spec.Protocol)
	if own == nil {
		l.problem = refusal{string(gatewayv1.ListenerReasonUnsupportedProtocol), fmt.Sprintf("protocol %s is not served here", spec.Protocol)}
	}
	if spec.Protocol == gatewayv1.TLSProtocolType && (spec.TLS == nil || spec.TLS.Mode == nil || *spec.TLS.Mode != gatewayv1.TLSModePassthrough) {
		l.problem = refusal{string(gatewayv1.ListenerReasonUnsupportedValue), "a listener with protocol TLS has to have the mode Passthrough"}
		return l // it supports no kind of route
	}
	if spec.Protocol == gatewayv1.HTTPSProtocolType && spec.TLS != nil && spec.TLS.Mode != nil && *spec.TLS.Mode != gatewayv1.TLSModeTerminate {
		l.problem = refusal{string(gatewayv1.ListenerReasonUnsupportedValue), "TLS is terminated by a listener with protocol HTTPS"}
	}
	if spec.AllowedRoutes == nil || len(spec.AllowedRoutes.Kinds) == 0 {
		for _, kind := range own {
			l.kinds = append(l.kinds, routeKind(kind))
		}
		return l
	}
	for _, k := range spec.AllowedRoutes.Kinds {
		if (k.Group == nil || *k.Group == gatewayv1.GroupName) && slices.Contains(own, string(k.Kind)) {
			l.kinds = append(l.kinds, routeKind(string(k.Kind)))
		} else {
			l.refs = refusal{string(gatewayv1.ListenerReasonInvalidRouteKinds), fmt.Sprintf("routes of kind %s are not served by a listener with protocol %s", k.Kind, spec.Protocol)}
		}
	}
	if len(l.kinds) == 0 && l.problem == (refusal{}) {
		l.problem = refusal{string(gatewayv1.ListenerReasonInvalid), l.refs.message}
	}
	return l
}

// markConflicts marks listeners of one Gateway that cannot be told apart, or that use a port in two ways.
func markConflicts(list []*gatewayListener) {
	for i, a := range list {
		for _, b := range list[i+1:] {
			if a.spec.Port != b.spec.Port || a.problem != (refusal{}) || b.problem != (refusal{}) {
				continue
			}
			var r refusal
			switch {
			case a.spec.Protocol != b.spec.Protocol:
				r = refusal{string(gatewayv1.ListenerReasonProtocolConflict), fmt.Sprintf("listeners %s and %s use port %d with different protocols", a.spec.Name, b.spec.Name, a.spec.Port)}
			case a.hostname == b.hostname:
				r = refusal{string(gatewayv1.ListenerReasonHostnameConflict), fmt.Sprintf("listeners %s and %s have the same port and host name", a.spec.Name, b.spec.Name)}
			default:
				continue
			}
			a.conflict, b.conflict = r, r
		}
	}
}

// listenerCertificates are those of a listener that can be used; the refusal is about those that cannot.
func (b *builder) listenerCertificates(of *gatewayv1.Gateway, spec *gatewayv1.Listener) (list []int, r refusal) {
	if spec.TLS == nil || len(spec.TLS.CertificateRefs) == 0 {
		return nil, refusal{string(gatewayv1.ListenerReasonInvalidCertificateRef), "it names no certificate"}
	}
	for _, ref := range spec.TLS.CertificateRefs {
		index, problem := b.reference(of, ref, string(gatewayv1.ListenerReasonInvalidCertificateRef))
		if problem.reason != "" {
			r = problem
			continue
		}
		list = append(list, index)
	}
	return list, r
}

// reference follows a Gateway's reference to a Secret with a certificate; invalid is the reason if that is not possible.
func (b *builder) reference(of *gatewayv1.Gateway, ref gatewayv1.SecretObjectReference, invalid string) (int, refusal) {
	to := Key{of.Namespace, string(ref.Name)}
	if ref.Namespace != nil {
		to.Namespace = string(*ref.Namespace)
	}
	if ref.Group != nil && *ref.Group != "" || ref.Kind != nil && *ref.Kind != "Secret" {
		return noCertificate, refusal{invalid, fmt.Sprintf("certificate %s is not a Secret", to)}
	}
	if !b.granted("Gateway", gatewayv1.GroupName, of.Namespace, "Secret", to) {
		return noCertificate, refusal{string(gatewayv1.ListenerReasonRefNotPermitted), fmt.Sprintf("no ReferenceGrant in %s allows the reference to Secret %s", to.Namespace, to)}
	}
	index, err := b.certificate(to)
	if err != nil {
		return noCertificate, refusal{invalid, err.Error()}
	}
	return index, refusal{}
}

// admits reports whether routes of a namespace may attach.
func (b *builder) admits(g *gateway, l *gatewayListener, namespace string) bool {
	from := gatewayv1.NamespacesFromSame
	var selector *metav1.LabelSelector
	if a := l.spec.AllowedRoutes; a != nil && a.Namespaces != nil {
		if a.Namespaces.From != nil {
			from = *a.Namespaces.From
		}
		selector = a.Namespaces.Selector
	}
	switch from {
	case gatewayv1.NamespacesFromAll:
		return true
	case gatewayv1.NamespacesFromSame:
		return namespace == g.object.Namespace
	case gatewayv1.NamespacesFromSelector:
		s, err := metav1.LabelSelectorAsSelector(selector)
		ns := b.namespaces[namespace]
		return err == nil && ns != nil && s.Matches(labels.Set(ns.Labels))
	}
	return false
}

// gatewayStatuses writes what became of the Gateways, after the routes were attached.
func (b *builder) gatewayStatuses() {
	for key, g := range b.attached {
		b.out.Gateways[key] = b.gatewayStatus(g)
	}
}

func (b *builder) gatewayStatus(g *gateway) gatewayv1.GatewayStatus {
	var status gatewayv1.GatewayStatus
	old, generation := g.object.Status, g.object.Generation
	shared := map[netip.Addr]bool{}
	usable, programmed := 0, 0
	failure := ""
	for _, l := range g.listeners {
		up, message := b.listening(l)
		for _, a := range up {
			shared[a] = true
		}
		if l.usable() {
			usable++
		}
		if len(up) > 0 {
			programmed++
		} else if failure == "" {
			failure = message
		}
		status.Listeners = append(status.Listeners, b.listenerStatus(g, l, len(up) > 0, message))
	}
	front, fronted := b.out.Fronts[frontKey(g.object)]
	own := b.ownAddress(g)
	add := func(a netip.Addr) {
		status.Addresses = append(status.Addresses, gatewayv1.GatewayStatusAddress{Type: new(gatewayv1.IPAddressType), Value: a.String()})
	}
	switch {
	case fronted && own.IsValid():
		add(own)
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
	case usable == 0:
		accepted(false, gatewayv1.GatewayReasonListenersNotValid, "no listener is valid")
	case usable < len(g.listeners):
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
	case g.refused != "" || usable == 0:
		done(false, gatewayv1.GatewayReasonInvalid, "nothing of it can be served")
	case programmed == 0 && len(b.in.Nodes) == 0:
		done(false, gatewayv1.GatewayReasonNoResources, "the cluster has no nodes")
	case programmed == 0:
		done(false, gatewayv1.GatewayReasonPending, failure)
	case fronted && !own.IsValid():
		done(false, gatewayv1.GatewayReasonAddressNotAssigned, fmt.Sprintf("Service %s has no address yet", front.Service))
	default:
		done(true, gatewayv1.GatewayReasonProgrammed, failure)
	}
	return status
}

func (b *builder) listenerStatus(g *gateway, l *gatewayListener, up bool, message string) gatewayv1.ListenerStatus {
	status := gatewayv1.ListenerStatus{Name: l.spec.Name, SupportedKinds: l.kinds, AttachedRoutes: int32(len(l.attached))}
	var old []metav1.Condition
	for _, o := range g.object.Status.Listeners {
		if o.Name == l.spec.Name {
			old = o.Conditions
		}
	}
	set := func(kind gatewayv1.ListenerConditionType, ok bool, reason, message string) {
		b.condition(&status.Conditions, old, g.object.Generation, string(kind), ok, reason, message)
	}
	if r := l.conflict; r.reason != "" {
		set(gatewayv1.ListenerConditionConflicted, true, r.reason, r.message)
		set(gatewayv1.ListenerConditionAccepted, false, r.reason, r.message)
	} else {
		set(gatewayv1.ListenerConditionConflicted, false, string(gatewayv1.ListenerReasonNoConflicts), "")
		switch r := l.problem; r.reason {
		case "", string(gatewayv1.ListenerReasonInvalid): // what it refers to is wrong, which ResolvedRefs says
			set(gatewayv1.ListenerConditionAccepted, true, string(gatewayv1.ListenerReasonAccepted), "")
		default:
			set(gatewayv1.ListenerConditionAccepted, false, r.reason, r.message)
		}
	}
	if r := l.refs; r.reason != "" {
		set(gatewayv1.ListenerConditionResolvedRefs, false, r.reason, r.message)
	} else {
		set(gatewayv1.ListenerConditionResolvedRefs, true, string(gatewayv1.ListenerReasonResolvedRefs), "")
	}
	switch {
	case !l.usable():
		set(gatewayv1.ListenerConditionProgrammed, false, string(gatewayv1.ListenerReasonInvalid), "it is not valid")
	case !up:
		set(gatewayv1.ListenerConditionProgrammed, false, string(gatewayv1.ListenerReasonPending), message)
	default:
		set(gatewayv1.ListenerConditionProgrammed, true, string(gatewayv1.ListenerReasonProgrammed), message)
	}
	return status
}

// listening returns the addresses at which a listener's port is served, and what is wrong on the other nodes.
func (b *builder) listening(l *gatewayListener) ([]netip.Addr, string) {
	if !l.usable() {
		return nil, ""
	}
	if l.inner != 0 {
		return b.serving(l.inner)
	}
	return b.serving(uint16(l.spec.Port))
}

// serving returns the addresses of the nodes that serve a port, and what is wrong on the first other one.
func (b *builder) serving(number uint16) (up []netip.Addr, message string) {
	for _, n := range b.in.Nodes {
		switch {
		case slices.Contains(n.Report.Listening, number):
			up = append(up, n.Address)
		case message != "":
		case n.Report.Failed[number] != "":
			message = fmt.Sprintf("node %s cannot listen on port %d: %s", n.Name, number, n.Report.Failed[number])
		case n.Reported:
			message = fmt.Sprintf("node %s does not listen on port %d yet", n.Name, number)
		default:
			message = fmt.Sprintf("node %s has not reported yet", n.Name)
		}
	}
	return up, message
}
