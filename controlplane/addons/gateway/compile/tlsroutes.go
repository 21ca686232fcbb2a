package compile

import (
	"fmt"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"bonsai/bootstrap/gatewaytable"
)

// tlsRules reads the rules of a TLSRoute, of which there is one: connections for its hosts are led to backends as they are, or at
// listeners that terminate TLS, what is in them.
func (b *builder) tlsRules(r *gatewayv1.TLSRoute, out *routeRules) {
	for _, spec := range r.Spec.Rules {
		rule := gatewaytable.Rule{From: fmt.Sprintf("tlsroute/%s", keyOf(r)), Path: gatewaytable.Path{Kind: gatewaytable.PathPrefix, Value: "/"}}
		for _, ref := range spec.BackendRefs {
			w := gatewaytable.Weighted{Weight: 1, Backend: b.routeBackend(tlsKind, r.Namespace, ref.BackendObjectReference, out)}
			if ref.Weight != nil {
				w.Weight = *ref.Weight
			}
			if w.Weight > 0 { // one with 0 gets nothing, but has to exist
				rule.Backends = append(rule.Backends, w)
			}
		}
		out.list = append(out.list, routeRule{Rule: rule})
	}
}
