package compile

import (
	"cmp"
	"fmt"
	"net/http"
	"regexp"
	"slices"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"bonsai/bootstrap/gatewaytable"
)

// grpcRules reads the rules of a GRPCRoute: a method of gRPC is the path /SERVICE/METHOD of a request over HTTP/2.
func (b *builder) grpcRules(r *gatewayv1.GRPCRoute, out *routeRules) {
	specs := r.Spec.Rules
	if len(specs) == 0 {
		out.list = append(out.list, routeRule{Rule: grpcRule(r)})
	}
	for _, spec := range specs {
		rule := grpcRule(r)
		ok := b.filters(grpcKind, r.Namespace, asHTTP(spec.Filters), &rule, out)
		for _, ref := range spec.BackendRefs {
			w := gatewaytable.Weighted{Weight: 1, Backend: b.routeBackend(grpcKind, r.Namespace, ref.BackendObjectReference, out)}
			if ref.Weight != nil {
				w.Weight = *ref.Weight
			}
			var own gatewaytable.Rule
			ok = b.filters(grpcKind, r.Namespace, asHTTP(ref.Filters), &own, out) && ok
			w.Request, w.Response = own.Request, own.Response
			if w.Weight == 0 { // it gets nothing, but has to exist
				continue
			}
			rule.Mirrors = append(rule.Mirrors, own.Mirrors...)
			rule.Backends = append(rule.Backends, w)
		}
		if !ok { // it must not be served without a filter
			rule = grpcRule(r)
		}
		matches := spec.Matches
		if len(matches) == 0 {
			matches = []gatewayv1.GRPCRouteMatch{{}}
		}
		for _, m := range matches {
			matched := routeRule{Rule: rule}
			if err := matchGRPC(m, &matched); err != nil {
				out.unsupported = err.Error()
				continue
			}
			out.list = append(out.list, matched)
		}
	}
}

// grpcRule is one without backends, which clients of gRPC know as UNAVAILABLE.
func grpcRule(r *gatewayv1.GRPCRoute) gatewaytable.Rule {
	return gatewaytable.Rule{From: fmt.Sprintf("grpcroute/%s", keyOf(r)), Status: http.StatusServiceUnavailable, Path: gatewaytable.Path{Kind: gatewaytable.PathPrefix, Value: "/"}}
}

// matchGRPC adds what a request has to be.
func matchGRPC(m gatewayv1.GRPCRouteMatch, to *routeRule) error {
	if method := m.Method; method != nil {
		service, name := deref(method.Service), deref(method.Method)
		to.rank = [2]int{len(service), len(name)}
		switch {
		case method.Type != nil && *method.Type == gatewayv1.GRPCMethodMatchRegularExpression:
			to.Path = gatewaytable.Path{Kind: gatewaytable.PathRegex, Value: "/(?:" + cmp.Or(service, "[^/]+") + ")/(?:" + cmp.Or(name, "[^/]+") + ")$"}
		case service != "" && name != "":
			to.Path = gatewaytable.Path{Kind: gatewaytable.PathExact, Value: "/" + service + "/" + name}
		case service != "":
			to.Path = gatewaytable.Path{Kind: gatewaytable.PathPrefix, Value: "/" + service}
		case name != "":
			to.Path = gatewaytable.Path{Kind: gatewaytable.PathRegex, Value: "/[^/]+/" + regexp.QuoteMeta(name) + "$"}
		}
	}
	for _, h := range m.Headers {
		add := gatewaytable.Match{Name: http.CanonicalHeaderKey(string(h.Name)), Value: h.Value, Regex: h.Type != nil && *h.Type == gatewayv1.GRPCHeaderMatchRegularExpression}
		// Of several with the same name, the first counts.
		if !slices.ContainsFunc(to.Headers, func(have gatewaytable.Match) bool { return have.Name == add.Name }) {
			to.Headers = append(to.Headers, add)
		}
	}
	return readable(&to.Rule)
}

func deref(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

// asHTTP are the filters of a GRPCRoute, which are some of those of HTTPRoutes.
func asHTTP(list []gatewayv1.GRPCRouteFilter) (out []gatewayv1.HTTPRouteFilter) {
	for _, f := range list {
		out = append(out, gatewayv1.HTTPRouteFilter{
			Type: gatewayv1.HTTPRouteFilterType(f.Type), RequestHeaderModifier: f.RequestHeaderModifier, ResponseHeaderModifier: f.ResponseHeaderModifier,
			RequestMirror: f.RequestMirror, ExtensionRef: f.ExtensionRef,
		})
	}
	return out
}
