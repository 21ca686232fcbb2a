package compile

import (
	"fmt"
	"math"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"bonsai/bootstrap/gatewaytable"
)

// The kinds of parents and routes that are served here.
const (
	gatewayKind     = "Gateway"
	listenerSetKind = "ListenerSet"

	httpKind = "HTTPRoute"
	grpcKind = "GRPCRoute"
	tlsKind  = "TLSRoute"
)

// route is one of any kind, with what all kinds have.
type route struct {
	metav1.Object
	kind      string
	parents   []gatewayv1.ParentReference
	hostnames []gatewayv1.Hostname
	// old is its status, and out where the new one goes to.
	old []gatewayv1.RouteParentStatus
	out map[Key]gatewayv1.RouteStatus
	// read reads its rules, for Gateways with that certificate for backends.
	read func(*routeRules)
}

// routeRules are the rules of one route.
type routeRules struct {
	list []routeRule // in their order
	// refs is about references that cannot be followed, unsupported about what is not possible here.
	refs        refusal
	unsupported string
	// client is the certificate of the Gateway for backends, noCertificate if it has none.
	client int
	// policies are those that are about the Services that the rules lead to.
	policies []*policy
}

// routeRule is a rule with what its precedence depends on besides.
type routeRule struct {
	gatewaytable.Rule
	// rank is of gRPC only: the lengths of the names of the service and the method that it matches.
	rank [2]int
}

// routes attaches the routes of all kinds to the listeners of their Gateways, the oldest first.
func (b *builder) routes() {
	var all []*route
	for _, r := range b.in.HTTPRoutes {
		all = append(all, &route{r, httpKind, r.Spec.ParentRefs, r.Spec.Hostnames, r.Status.Parents, b.out.HTTPRoutes, func(out *routeRules) { b.httpRules(r, out) }})
	}
	for _, r := range b.in.GRPCRoutes {
		all = append(all, &route{r, grpcKind, r.Spec.ParentRefs, r.Spec.Hostnames, r.Status.Parents, b.out.GRPCRoutes, func(out *routeRules) { b.grpcRules(r, out) }})
	}
	for _, r := range b.in.TLSRoutes {
		all = append(all, &route{r, tlsKind, r.Spec.ParentRefs, r.Spec.Hostnames, r.Status.Parents, b.out.TLSRoutes, func(out *routeRules) { b.tlsRules(r, out) }})
	}
	for _, r := range sorted(all) {
		status := gatewayv1.RouteStatus{Parents: []gatewayv1.RouteParentStatus{}}
		read := map[int]*routeRules{}
		for _, ref := range r.parents {
			g, set := b.parent(r.GetNamespace(), ref)
			if g == nil {
				continue
			}
			rules := read[g.client]
			if rules == nil {
				rules = &routeRules{client: g.client}
				read[g.client] = rules
				r.read(rules)
			}
			status.Parents = append(status.Parents, b.attach(r, g, set, ref, rules))
			for _, p := range rules.policies {
				if !slices.Contains(p.ancestors, keyOf(g.object)) {
					p.ancestors = append(p.ancestors, keyOf(g.object))
				}
			}
		}
		// One that was attached here and is not any more has to lose what was written into it.
		had := slices.ContainsFunc(r.old, func(p gatewayv1.RouteParentStatus) bool { return p.ControllerName == Controller })
		if len(status.Parents) > 0 || had {
			r.out[keyOf(r)] = status
		}
	}
}

// parent is the Gateway that a reference leads to, nil if it is not one that is served here, and the ListenerSet if it names one.
func (b *builder) parent(namespace string, ref gatewayv1.ParentReference) (*gateway, *listenerSet) {
	if ref.Group != nil && *ref.Group != gatewayv1.GroupName {
		return nil, nil
	}
	if ref.Namespace != nil {
		namespace = string(*ref.Namespace)
	}
	key := Key{namespace, string(ref.Name)}
	switch {
	case ref.Kind == nil || *ref.Kind == gatewayKind:
		return b.attached[key], nil
	case *ref.Kind == listenerSetKind && b.sets[key] != nil:
		return b.sets[key].gateway, b.sets[key]
	}
	return nil, nil
}

func (b *builder) attach(r *route, g *gateway, set *listenerSet, ref gatewayv1.ParentReference, rules *routeRules) gatewayv1.RouteParentStatus {
	status := gatewayv1.RouteParentStatus{ParentRef: ref, ControllerName: Controller}
	var old []metav1.Condition
	for _, p := range r.old {
		if p.ControllerName == Controller && sameParent(p.ParentRef, ref) {
			old = p.Conditions
		}
	}
	say := func(kind gatewayv1.RouteConditionType, ok bool, reason gatewayv1.RouteConditionReason, message string) {
		b.condition(&status.Conditions, old, r.GetGeneration(), string(kind), ok, string(reason), message)
	}
	reason, message := b.place(r, g, set, ref, rules)
	switch {
	case reason != gatewayv1.RouteReasonAccepted:
		say(gatewayv1.RouteConditionAccepted, false, reason, message)
	case rules.unsupported != "":
		say(gatewayv1.RouteConditionAccepted, false, gatewayv1.RouteReasonUnsupportedValue, rules.unsupported)
	default:
		say(gatewayv1.RouteConditionAccepted, true, gatewayv1.RouteReasonAccepted, "")
	}
	if rules.refs.reason != "" {
		say(gatewayv1.RouteConditionResolvedRefs, false, gatewayv1.RouteConditionReason(rules.refs.reason), rules.refs.message)
	} else {
		say(gatewayv1.RouteConditionResolvedRefs, true, gatewayv1.RouteReasonResolvedRefs, "")
	}
	return status
}

func sameParent(a, b gatewayv1.ParentReference) bool {
	return equal(a.Group, b.Group) && equal(a.Kind, b.Kind) && equal(a.Namespace, b.Namespace) && a.Name == b.Name &&
		equal(a.SectionName, b.SectionName) && equal(a.Port, b.Port)
}

func equal[T comparable](a, b *T) bool { return a == b || a != nil && b != nil && *a == *b }

// place puts the rules of a route on every listener of the parent that takes them, and returns why none does.
func (b *builder) place(r *route, g *gateway, set *listenerSet, ref gatewayv1.ParentReference, rules *routeRules) (gatewayv1.RouteConditionReason, string) {
	kind := gatewayKind
	if set != nil {
		kind = listenerSetKind
	}
	reason, message := gatewayv1.RouteReasonNoMatchingParent, fmt.Sprintf("the %s has no such listener", kind)
	rank := 0 // of reason: what came closest counts
	better := func(to int, why gatewayv1.RouteConditionReason, text string) {
		if to > rank {
			rank, reason, message = to, why, text
		}
	}
	for _, l := range g.listeners {
		if l.set != set || ref.SectionName != nil && *ref.SectionName != l.spec.Name || ref.Port != nil && *ref.Port != l.spec.Port {
			continue
		}
		if !slices.ContainsFunc(l.kinds, func(k gatewayv1.RouteGroupKind) bool { return string(k.Kind) == r.kind }) || !b.admits(g, l, r.GetNamespace()) {
			better(2, gatewayv1.RouteReasonNotAllowedByListeners, fmt.Sprintf("no listener of the %s allows routes of kind %s in namespace %s", kind, r.kind, r.GetNamespace()))
			continue
		}
		hosts := intersection(l.hostname, r.hostnames)
		if len(hosts) == 0 {
			better(1, gatewayv1.RouteReasonNoMatchingListenerHostname, fmt.Sprintf("no listener of the %s has one of its host names", kind))
			continue
		}
		if other := l.claimedBy(r.kind, hosts); other != "" {
			// The specification has no reason of its own for this.
			better(3, gatewayv1.RouteReasonNotAllowedByListeners, fmt.Sprintf("%s has one of its host names at the same listener, and is older", other))
			continue
		}
		better(4, gatewayv1.RouteReasonAccepted, "")
		l.attached[routeKey{r.kind, keyOf(r)}] = hosts
		if !l.usable() {
			continue
		}
		for _, p := range l.ports {
			at := p.listener(keyOf(g.object), l.hostname)
			for _, host := range hosts {
				for i, rule := range rules.list {
					rule.Terminate = l.terminates && r.kind == tlsKind
					at.add(hostKey{name: host}, candidate{rule: rule.Rule, rank: rule.rank, of: r, order: i})
				}
			}
		}
	}
	return reason, message
}

// claimedBy is a route of another kind that is attached to a listener with one of these hosts; empty if there is none. Routes of two
// kinds cannot share a host: it would not be certain which rules of which have precedence.
func (l *gatewayListener) claimedBy(kind string, hosts []string) string {
	for other, theirs := range l.attached {
		if other.kind != kind && slices.ContainsFunc(hosts, func(a string) bool {
			return slices.ContainsFunc(theirs, func(b string) bool { return covers(a, b) || covers(b, a) })
		}) {
			return other.kind + " " + other.Key.String()
		}
	}
	return ""
}

// covers reports whether a host name, perhaps with a wildcard or empty for all, is or includes another one.
func covers(a, b string) bool {
	return a == "" || a == b || isWildcard(a) && len(b) >= len(a) && strings.HasSuffix(b, a[1:])
}

// intersection are the names that both a listener and a route have.
func intersection(listener string, route []gatewayv1.Hostname) (names []string) {
	if len(route) == 0 {
		return []string{listener}
	}
	for _, h := range route {
		name := strings.ToLower(string(h))
		switch {
		case listener == "" || listener == name || isWildcard(listener) && strings.HasSuffix(name, listener[1:]):
			names = append(names, name)
		case isWildcard(name) && strings.HasSuffix(listener, name[1:]):
			names = append(names, listener)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// routeBackend returns the index of what a route refers to, and notes why there is none.
func (b *builder) routeBackend(kind, namespace string, ref gatewayv1.BackendObjectReference, out *routeRules) int {
	to := Key{namespace, string(ref.Name)}
	if ref.Namespace != nil {
		to.Namespace = string(*ref.Namespace)
	}
	if ref.Group != nil && *ref.Group != "" && *ref.Group != "core" || ref.Kind != nil && *ref.Kind != "Service" {
		out.refs = refusal{string(gatewayv1.RouteReasonInvalidKind), fmt.Sprintf("backend %s is not a Service", to)}
		return noBackend
	}
	if !b.granted(kind, gatewayv1.GroupName, namespace, "Service", to) {
		out.refs = refusal{string(gatewayv1.RouteReasonRefNotPermitted), fmt.Sprintf("no ReferenceGrant in %s allows the reference to Service %s", to.Namespace, to)}
		return noBackend
	}
	if ref.Port == nil || *ref.Port < 1 || *ref.Port > math.MaxUint16 {
		out.refs = refusal{string(gatewayv1.RouteReasonBackendNotFound), fmt.Sprintf("the reference to Service %s has no port", to)}
		return noBackend
	}
	speaks := protocols{otherwise: map[string]gatewaytable.Protocol{grpcKind: gatewaytable.H2C}[kind]}
	if kind == tlsKind { // clients and backends agree about it themselves
		speaks.always = gatewaytable.TCP
	} else if p := b.policyFor(to, b.portName(to, *ref.Port), out); p != nil {
		if p.tls == nil {
			return noBackend
		}
		speaks.always, speaks.tls, speaks.client = gatewaytable.HTTPS, p, out.client
	}
	index, err := b.backend(to, *ref.Port, "", speaks, false)
	if err != nil {
		out.refs = refusal{string(gatewayv1.RouteReasonBackendNotFound), err.Error()}
	}
	return index
}
