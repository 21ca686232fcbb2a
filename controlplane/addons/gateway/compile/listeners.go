package compile

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// gatewayListener is one listener of a Gateway.
type gatewayListener struct {
	spec *gatewayv1.Listener
	// set is the ListenerSet that it is from, nil if it is the Gateway's own.
	set      *listenerSet
	hostname string
	kinds    []gatewayv1.RouteGroupKind
	// terminates says that TLS ends here, whatever is in it.
	terminates bool
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

func (l *gatewayListener) usable() bool {
	return l.problem == refusal{} && l.conflict == refusal{} && len(l.ports) > 0
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

// listener reads one, as far as it does not depend on others.
func (b *builder) listener(spec *gatewayv1.Listener) *gatewayListener {
	l := &gatewayListener{spec: spec, kinds: []gatewayv1.RouteGroupKind{}, attached: map[routeKey][]string{}}
	switch spec.Protocol {
	case gatewayv1.HTTPSProtocolType:
		l.terminates = true
	case gatewayv1.TLSProtocolType:
		l.terminates = spec.TLS == nil || spec.TLS.Mode == nil || *spec.TLS.Mode == gatewayv1.TLSModeTerminate
	}
	if spec.Hostname != nil {
		l.hostname = strings.ToLower(string(*spec.Hostname))
	}
	own := served(spec.Protocol)
	if own == nil {
		l.problem = refusal{string(gatewayv1.ListenerReasonUnsupportedProtocol), fmt.Sprintf("protocol %s is not served here", spec.Protocol)}
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
			if a.problem == (refusal{}) && b.problem == (refusal{}) {
				if r := conflict(a, b); r != (refusal{}) {
					a.conflict, b.conflict = r, r
				}
			}
		}
	}
}

// conflict is why two listeners cannot both be served; the zero value if they can.
func conflict(a, b *gatewayListener) refusal {
	switch {
	case a.spec.Port != b.spec.Port:
	case a.spec.Protocol != b.spec.Protocol:
		return refusal{string(gatewayv1.ListenerReasonProtocolConflict), fmt.Sprintf("listeners %s and %s use port %d with different protocols", a.spec.Name, b.spec.Name, a.spec.Port)}
	case a.hostname == b.hostname:
		return refusal{string(gatewayv1.ListenerReasonHostnameConflict), fmt.Sprintf("listeners %s and %s have the same port and host name", a.spec.Name, b.spec.Name)}
	}
	return refusal{}
}

// listenerCertificates are those of a listener that can be used; the refusal is about those that cannot.
func (b *builder) listenerCertificates(of referrer, spec *gatewayv1.Listener) (list []int, r refusal) {
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

// referrer is an object that refers to others.
type referrer struct{ kind, namespace string }

// owner is the object that a listener of a Gateway is written in.
func (l *gatewayListener) owner(g *gateway) referrer {
	if l.set != nil {
		return referrer{listenerSetKind, l.set.object.Namespace}
	}
	return referrer{gatewayKind, g.object.Namespace}
}

// reference follows a reference to a Secret with a certificate; invalid is the reason if that is not possible.
func (b *builder) reference(of referrer, ref gatewayv1.SecretObjectReference, invalid string) (int, refusal) {
	to := Key{of.namespace, string(ref.Name)}
	if ref.Namespace != nil {
		to.Namespace = string(*ref.Namespace)
	}
	if ref.Group != nil && *ref.Group != "" || ref.Kind != nil && *ref.Kind != "Secret" {
		return noCertificate, refusal{invalid, fmt.Sprintf("certificate %s is not a Secret", to)}
	}
	if !b.granted(of.kind, gatewayv1.GroupName, of.namespace, "Secret", to) {
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
	return b.selects(from, selector, l.owner(g).namespace, namespace)
}

// selects says whether a namespace is one of those that are meant, as seen from own.
func (b *builder) selects(from gatewayv1.FromNamespaces, selector *metav1.LabelSelector, own, namespace string) bool {
	switch from {
	case gatewayv1.NamespacesFromAll:
		return true
	case gatewayv1.NamespacesFromSame:
		return namespace == own
	case gatewayv1.NamespacesFromSelector:
		s, err := metav1.LabelSelectorAsSelector(selector)
		ns := b.namespaces[namespace]
		return err == nil && ns != nil && s.Matches(labels.Set(ns.Labels))
	}
	return false
}

// listenerConditions are the conditions of a listener; up says that it is served, message why not, or not everywhere.
func (b *builder) listenerConditions(l *gatewayListener, old []metav1.Condition, generation int64, up bool, message string) (list []metav1.Condition) {
	set := func(kind gatewayv1.ListenerConditionType, ok bool, reason, message string) {
		b.condition(&list, old, generation, string(kind), ok, reason, message)
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
	case l.set != nil && l.conflict != (refusal{}):
		set(gatewayv1.ListenerConditionProgrammed, false, l.conflict.reason, l.conflict.message)
	case !l.usable():
		set(gatewayv1.ListenerConditionProgrammed, false, string(gatewayv1.ListenerReasonInvalid), "it is not valid")
	case !up:
		set(gatewayv1.ListenerConditionProgrammed, false, string(gatewayv1.ListenerReasonPending), message)
	default:
		set(gatewayv1.ListenerConditionProgrammed, true, string(gatewayv1.ListenerReasonProgrammed), message)
	}
	return list
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
