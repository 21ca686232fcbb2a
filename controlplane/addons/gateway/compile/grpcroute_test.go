package compile_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/gateway-api/pkg/features"

	"bonsai/bootstrap/gatewaytable"
	"bonsai/controlplane/addons/gateway/compile"
)

// grpcRoute is a GRPCRoute of the Gateway gw, with the rest of its spec.
func grpcRoute(name, spec string) string {
	return strings.Replace(route(name, spec), "kind: HTTPRoute", "kind: GRPCRoute", 1)
}

const grpcType = "Content-Type: application/grpc"

// TestGRPCMethods is the matching and precedence of GRPCRouteRule's documentation.
func TestGRPCMethods(t *testing.T) {
	w := newWorld(t, simpleGateway, grpcRoute("r", `
  rules:
  - {`+backends("any")+`}
  - {matches: [{method: {method: Common}}], `+backends("method")+`}
  - {matches: [{method: {service: shop.Cart}}], `+backends("service")+`}
  - {matches: [{method: {service: shop.Cart, method: Add}}], `+backends("both")+`}
  - {matches: [{method: {service: shop.Cart, method: Add}, headers: [{name: X, value: "1"}]}], `+backends("header")+`}
  - {matches: [{method: {type: RegularExpression, service: "admin[.].*", method: "Get.*"}}], `+backends("regex")+`}
  - {matches: [{headers: [{name: Version, type: RegularExpression, value: "v[0-9]"}]}], `+backends("headers")+`}
`))
	w.service("any", "method", "service", "both", "header", "regex", "headers")
	s := w.serve()
	for path, want := range map[string]string{
		"/other.Thing/Do": "any", "/other.Thing/Common": "method", "/shop.Cart/Remove": "service", "/shop.Cart/Common": "service",
		"/shop.Cart/Add": "both", "/shop.CartX/Add": "any", "/admin.Users/GetAll": "regex", "/admin.Users/SetAll": "any", "/shop.Cart/Adder": "service",
	} {
		s.expect("http://h"+path, want, grpcType)
	}
	s.expect("http://h/shop.Cart/Add", "header", grpcType, "X: 1")
	s.expect("http://h/other.Thing/Do", "headers", grpcType, "Version: v2")
	s.expect("http://h/other.Thing/Do", "any", grpcType, "Version: v22")
	if a := s.get("http://h/x.Y/Z", grpcType); a.seen.Proto != "HTTP/2.0" {
		t.Errorf("the backend is asked by %s", a.seen.Proto)
	}
}

func TestGRPCFiltersAndWeights(t *testing.T) {
	w := newWorld(t, simpleGateway, grpcRoute("r", `
  rules:
  - matches: [{method: {service: changed.S}}]
    filters:
    - {type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-Set, value: new}], remove: [X-Remove]}}
    - {type: ResponseHeaderModifier, responseHeaderModifier: {add: [{name: X-Answer, value: "yes"}]}}
    backendRefs: [{name: a, port: 80, weight: 1}, {name: b, port: 80, weight: 0}]
  - matches: [{method: {service: magic.S}}]
    filters: [{type: ExtensionRef, extensionRef: {group: example.com, kind: Magic, name: wand}}]
    backendRefs: [{name: a, port: 80}]
  - matches: [{method: {service: gone.S}}]
    backendRefs: [{name: missing, port: 80}]
`))
	w.service("a", "b")
	s := w.serve()
	for range 5 {
		a := s.get("http://h/changed.S/M", grpcType, "X-Remove: 1")
		if a.seen.Service != "a" || a.seen.Header.Get("X-Set") != "new" || a.seen.Header.Get("X-Remove") != "" || a.Header.Get("X-Answer") != "yes" {
			t.Errorf("%s sees %v, the answer has %v", a.seen.Service, a.seen.Header, a.Header)
		}
	}
	for path, want := range map[string]string{"/magic.S/M": "14", "/gone.S/M": "14", "/nothing.S/M": "12"} {
		a := s.get("http://h"+path, grpcType)
		if a.StatusCode != http.StatusOK || a.Header.Get("Grpc-Status") != want || a.Header.Get("Content-Type") != "application/grpc" || !strings.HasPrefix(a.Header.Get("Grpc-Message"), "bonsai gateway: ") {
			t.Errorf("%s: %s %v, want code %s", path, a.Status, a.Header, want)
		}
	}
	parents := w.compile().GRPCRoutes[compile.Key{Namespace: "default", Name: "r"}].Parents
	if got := condition(t, parents[0].Conditions, "ResolvedRefs"); got != "False BackendNotFound" && got != "False InvalidKind" {
		t.Errorf("ResolvedRefs is %s", got)
	}
}

// TestRoutesOfTwoKindsShareNoHost: the older one has it.
func TestRoutesOfTwoKindsShareNoHost(t *testing.T) {
	for name, c := range map[string]struct {
		first, second    string
		accepted, served string
	}{
		"HTTP is older": {first: route("web", "  hostnames: [a.test]\n  rules: [{"+backends("web")+"}]"), second: grpcRoute("rpc", "  hostnames: [\"*.test\"]\n  rules: [{"+backends("rpc")+"}]"), accepted: "HTTPRoute", served: "web"},
		"gRPC is older": {first: grpcRoute("rpc", "  rules: [{"+backends("rpc")+"}]"), second: route("web", "  hostnames: [a.test]\n  rules: [{"+backends("web")+"}]"), accepted: "GRPCRoute", served: "rpc"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, simpleGateway, c.first, c.second)
			w.service("web", "rpc")
			w.serve().expect("http://a.test/x.Y/Z", c.served)
			out := w.compile()
			for kind, parents := range map[string][]gatewayv1.RouteParentStatus{
				"HTTPRoute": out.HTTPRoutes[compile.Key{Namespace: "default", Name: "web"}].Parents, "GRPCRoute": out.GRPCRoutes[compile.Key{Namespace: "default", Name: "rpc"}].Parents,
			} {
				want := "False NotAllowedByListeners"
				if kind == c.accepted {
					want = "True Accepted"
				}
				if got := condition(t, parents[0].Conditions, "Accepted"); got != want {
					t.Errorf("%s: Accepted is %s, want %s", kind, got, want)
				}
			}
		})
	}
	w := newWorld(t, simpleGateway, route("web", "  hostnames: [a.test]\n  rules: [{"+backends("web")+"}]"), grpcRoute("rpc", "  hostnames: [b.test]\n  rules: [{"+backends("rpc")+"}]"))
	w.service("web", "rpc")
	s := w.serve()
	s.expect("http://a.test/", "web")
	s.expect("http://b.test/x.Y/Z", "rpc", grpcType)
	if n := w.compile().Gateways[compile.Key{Namespace: "default", Name: "gw"}].Listeners[0].AttachedRoutes; n != 2 {
		t.Errorf("%d routes are attached", n)
	}
}

// TestOneBadExpressionHarmsNobodyElse: a data plane refuses a table with an expression that it cannot read.
func TestOneBadExpressionHarmsNobodyElse(t *testing.T) {
	w := newWorld(t, simpleGateway, route("good", "  hostnames: [good.test]\n  rules: [{"+backends("web")+"}]"),
		route("path", "  hostnames: [bad.test]\n  rules: [{matches: [{path: {type: RegularExpression, value: \"/(?!x)\"}}, {path: {type: Exact, value: /fine}}], "+backends("web")+"}]"),
		route("header", "  hostnames: [bad.test]\n  rules: [{matches: [{headers: [{name: X, type: RegularExpression, value: \"[\"}]}], "+backends("web")+"}]"),
		route("query", "  hostnames: [bad.test]\n  rules: [{matches: [{queryParams: [{name: q, type: RegularExpression, value: \"a{2000}\"}]}], "+backends("web")+"}]"),
		grpcRoute("method", "  hostnames: [rpc.test]\n  rules: [{matches: [{method: {type: RegularExpression, service: \"(\"}}], "+backends("web")+"}]"))
	w.service("web")
	s := w.serve()
	s.expect("http://good.test/", "web")
	s.expect("http://bad.test/fine", "web")
	s.expect("http://bad.test/y", "404", "X: 1")
	for _, name := range []string{"path", "header", "query"} {
		if got := condition(t, w.routeStatus(name).Parents[0].Conditions, "Accepted"); got != "False UnsupportedValue" {
			t.Errorf("%s: Accepted is %s", name, got)
		}
	}
	if got := condition(t, w.compile().GRPCRoutes[compile.Key{Namespace: "default", Name: "method"}].Parents[0].Conditions, "Accepted"); got != "False UnsupportedValue" {
		t.Errorf("method: Accepted is %s", got)
	}
}

// TestStatusesNameTheirGeneration: a reader of a condition knows whether it is about what it has written last.
func TestStatusesNameTheirGeneration(t *testing.T) {
	w := newWorld(t, simpleGateway, route("web", "  hostnames: [a.test]\n  rules: [{"+backends("web")+"}]"), grpcRoute("rpc", "  hostnames: [b.test]\n  rules: [{"+backends("missing")+"}]"))
	w.service("web")
	w.in.GatewayClasses[0].Generation, w.in.Gateways[0].Generation, w.in.HTTPRoutes[0].Generation, w.in.GRPCRoutes[0].Generation = 3, 5, 7, 9
	out := w.compile()
	gw := out.Gateways[compile.Key{Namespace: "default", Name: "gw"}]
	for want, list := range map[int64][]gatewayv1.RouteParentStatus{
		7: out.HTTPRoutes[compile.Key{Namespace: "default", Name: "web"}].Parents, 9: out.GRPCRoutes[compile.Key{Namespace: "default", Name: "rpc"}].Parents,
	} {
		for _, c := range list[0].Conditions {
			if c.ObservedGeneration != want {
				t.Errorf("%s is about generation %d, want %d", c.Type, c.ObservedGeneration, want)
			}
		}
	}
	for _, c := range slices.Concat(gw.Conditions, gw.Listeners[0].Conditions) {
		if c.ObservedGeneration != 5 {
			t.Errorf("%s is about generation %d, want 5", c.Type, c.ObservedGeneration)
		}
	}
	for _, c := range out.Classes[compile.Key{Name: "bonsai"}].Conditions {
		if c.ObservedGeneration != 3 {
			t.Errorf("%s is about generation %d, want 3", c.Type, c.ObservedGeneration)
		}
	}
}

func TestPortsOfTheNodeItself(t *testing.T) {
	w := newWorld(t, strings.Replace(simpleGateway, "port: 80", "port: 10250", 1))
	w.in.Nodes[0].Report = gatewaytable.Report{Listening: []uint16{10250}}
	out := w.compile()
	l := out.Gateways[compile.Key{Namespace: "default", Name: "gw"}].Listeners[0]
	if got := condition(t, l.Conditions, "Accepted"); got != "False PortUnavailable" || len(out.Table.Ports) != 0 {
		t.Errorf("Accepted is %s, ports are %v", got, out.Table.Ports)
	}
}

// TestARouteIsAttachedOnce: however many references lead to a listener.
func TestARouteIsAttachedOnce(t *testing.T) {
	w := newWorld(t, simpleGateway, strings.Replace(route("web", "  rules: [{"+backends("web")+"}]"), "[{name: gw}]", "[{name: gw}, {name: gw, sectionName: http}]", 1))
	w.service("web")
	if n := w.compile().Gateways[compile.Key{Namespace: "default", Name: "gw"}].Listeners[0].AttachedRoutes; n != 1 {
		t.Errorf("%d routes are attached", n)
	}
}

// TestFeaturesAreUpstreams: what is claimed has the names that the conformance tests know.
func TestFeaturesAreUpstreams(t *testing.T) {
	if !slices.IsSorted(compile.Features) {
		t.Errorf("not sorted: %v", compile.Features)
	}
	known := map[string]bool{}
	for f := range features.AllFeatures {
		known[string(f.Name)] = true
	}
	for _, name := range compile.Features {
		if !known[name] {
			t.Errorf("upstream knows no feature %s", name)
		}
	}
	for _, core := range []features.FeatureName{features.SupportGateway, features.SupportHTTPRoute, features.SupportGRPCRoute, features.SupportReferenceGrant} {
		if !slices.Contains(compile.Features, string(core)) {
			t.Errorf("%s is missing", core)
		}
	}
}
