package compile

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// listenerSet is a ListenerSet: listeners for a Gateway that somebody else may own.
type listenerSet struct {
	object  *gatewayv1.ListenerSet
	gateway *gateway
	// listeners are none if the Gateway does not take it, which refused says.
	listeners []*gatewayListener
	refused   refusal
}

// listenerSets are the ListenerSets by the Gateway that they name, in the order in which they have precedence.
func (b *builder) listenerSets() map[Key][]*listenerSet {
	byGateway := map[Key][]*listenerSet{}
	for _, object := range sorted(b.in.ListenerSets) {
		ref := object.Spec.ParentRef
		if ref.Group != nil && *ref.Group != gatewayv1.GroupName || ref.Kind != nil && *ref.Kind != gatewayKind {
			continue
		}
		of := Key{object.Namespace, string(ref.Name)}
		if ref.Namespace != nil {
			of.Namespace = string(*ref.Namespace)
		}
		byGateway[of] = append(byGateway[of], &listenerSet{object: object})
	}
	return byGateway
}

// addListenerSet adds the listeners of a ListenerSet to its Gateway, if that takes it. Of listeners that cannot both be served, the
// Gateway's own and those of older ListenerSets have precedence.
func (b *builder) addListenerSet(g *gateway, s *listenerSet) {
	s.gateway = g
	g.sets = append(g.sets, s)
	b.sets[keyOf(s.object)] = s
	if !b.takes(g.object, s.object.Namespace) {
		s.refused = refusal{string(gatewayv1.ListenerSetReasonNotAllowed), fmt.Sprintf("Gateway %s takes no ListenerSets of namespace %s", keyOf(g.object), s.object.Namespace)}
		return
	}
	for _, entry := range s.object.Spec.Listeners {
		spec := gatewayv1.Listener(entry)
		l := b.listener(&spec)
		l.set = s
		for _, before := range g.listeners {
			if before.problem == (refusal{}) && before.conflict == (refusal{}) && l.conflict == (refusal{}) {
				if l.conflict = conflict(before, l); l.conflict != (refusal{}) && before.set != s { // of whose listeners it says nothing
					l.conflict.message = fmt.Sprintf("another listener of the Gateway has port %d, with another protocol or the same host name", spec.Port)
				}
			}
		}
		s.listeners = append(s.listeners, l)
		g.listeners = append(g.listeners, l)
	}
}

// takes says whether a Gateway takes ListenerSets of a namespace; it takes none unless it says so.
func (b *builder) takes(g *gatewayv1.Gateway, namespace string) bool {
	allowed := g.Spec.AllowedListeners
	if allowed == nil || allowed.Namespaces == nil || allowed.Namespaces.From == nil {
		return false
	}
	return b.selects(*allowed.Namespaces.From, allowed.Namespaces.Selector, g.Namespace, namespace)
}

// listenerSetStatuses writes the statuses of a Gateway's ListenerSets, and returns how many of them it has; ready says that the Gateway
// itself is.
func (b *builder) listenerSetStatuses(g *gateway, ready bool) (attached int32) {
	for _, s := range g.sets {
		status, accepted := b.listenerSetStatus(s, ready)
		if accepted {
			attached++
		}
		b.out.ListenerSets[keyOf(s.object)] = status
	}
	return attached
}

func (b *builder) listenerSetStatus(s *listenerSet, ready bool) (status gatewayv1.ListenerSetStatus, accepted bool) {
	old, generation := s.object.Status, s.object.Generation
	before := map[gatewayv1.SectionName][]metav1.Condition{}
	for _, o := range old.Listeners {
		before[o.Name] = o.Conditions
	}
	var own tally
	for _, l := range s.listeners {
		at, message := b.listening(l)
		status.Listeners = append(status.Listeners, gatewayv1.ListenerEntryStatus(b.listenerStatus(&own, l, len(at) > 0, message, before[l.spec.Name], generation)))
	}
	say := func(kind gatewayv1.ListenerSetConditionType, ok bool, reason, message string) {
		b.condition(&status.Conditions, old.Conditions, generation, string(kind), ok, reason, message)
	}
	neither := func(accepted, programmed, message string) (gatewayv1.ListenerSetStatus, bool) {
		say(gatewayv1.ListenerSetConditionAccepted, false, accepted, message)
		say(gatewayv1.ListenerSetConditionProgrammed, false, programmed, message)
		return status, false
	}
	const notValid = string(gatewayv1.ListenerSetReasonListenersNotValid)
	switch {
	case s.refused != refusal{}:
		return neither(s.refused.reason, s.refused.reason, s.refused.message)
	case s.gateway.refused != "":
		return neither(string(gatewayv1.ListenerSetReasonParentNotAccepted), "ParentNotProgrammed", "the Gateway is not accepted")
	case own.usable == 0:
		return neither(notValid, notValid, "no listener is valid")
	case own.usable < own.all:
		say(gatewayv1.ListenerSetConditionAccepted, true, notValid, "some listeners are not valid")
	default:
		say(gatewayv1.ListenerSetConditionAccepted, true, string(gatewayv1.ListenerSetReasonAccepted), "")
	}
	switch {
	case own.up == 0:
		say(gatewayv1.ListenerSetConditionProgrammed, false, string(gatewayv1.ListenerSetReasonPending), own.failure)
	case !ready:
		say(gatewayv1.ListenerSetConditionProgrammed, false, "ParentNotProgrammed", "the Gateway is not programmed yet")
	default:
		say(gatewayv1.ListenerSetConditionProgrammed, true, string(gatewayv1.ListenerSetReasonProgrammed), own.failure)
	}
	return status, true
}
