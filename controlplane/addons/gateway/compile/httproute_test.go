package compile_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"bonsai/bootstrap/gatewaytable"
	"bonsai/controlplane/addons/gateway/compile"
)

const simpleGateway = `
kind: Gateway
metadata: {name: gw}
spec: {gatewayClassName: bonsai, listeners: [{name: http, port: 80, protocol: HTTP}]}`

// route is an HTTPRoute of the Gateway gw, with the rest of its spec.
func route(name, spec string) string {
	return "kind: HTTPRoute\nmetadata: {name: " + name + "}\nspec:\n  parentRefs: [{name: gw}]\n" + spec
}

func backends(list string) string {
	var refs []string
	for name := range strings.FieldsSeq(list) {
		refs = append(refs, "{name: "+name+", port: 80}")
	}
	return "backendRefs: [" + strings.Join(refs, ", ") + "]"
}

// TestRoutePrecedence is that of HTTPRouteRule's documentation.
func TestRoutePrecedence(t *testing.T) {
	w := newWorld(t, simpleGateway, route("a", `
  rules:
  - {matches: [{path: {type: PathPrefix, value: /}}], `+backends("root")+`}
  - {matches: [{path: {type: PathPrefix, value: /a}}], `+backends("short")+`}
  - {matches: [{path: {type: PathPrefix, value: /a/long}}], `+backends("long")+`}
  - {matches: [{path: {type: Exact, value: /a/long}}], `+backends("exact")+`}
  - {matches: [{path: {type: PathPrefix, value: /a}, method: POST}], `+backends("method")+`}
  - {matches: [{path: {type: PathPrefix, value: /a}, headers: [{name: X, value: "1"}]}], `+backends("header")+`}
  - {matches: [{path: {type: PathPrefix, value: /a}, headers: [{name: X, value: "1"}, {name: Z, value: "1"}]}], `+backends("headers")+`}
  - {matches: [{path: {type: PathPrefix, value: /a}, queryParams: [{name: q, value: "1"}]}], `+backends("query")+`}
  - {matches: [{path: {type: PathPrefix, value: /re}, headers: [{name: X, type: RegularExpression, value: "[0-9]+"}]}], `+backends("regex")+`}
  - {matches: [{path: {type: PathPrefix, value: /same}}], `+backends("first")+`}
  - {matches: [{path: {type: PathPrefix, value: /same}}], `+backends("second")+`}
`), route("b", `
  rules:
  - {matches: [{path: {type: PathPrefix, value: /same}}], `+backends("younger")+`}
  - {matches: [{path: {type: PathPrefix, value: /same}, method: GET}], `+backends("younger-method")+`}
`))
	w.service("root", "short", "long", "exact", "method", "header", "headers", "query", "regex", "first", "second", "younger", "younger-method")
	s := w.serve()
	s.expect("http://h/", "root")
	s.expect("http://h/ab", "root")
	s.expect("http://h/a", "short")
	s.expect("http://h/a/b", "short")
	s.expect("http://h/a/long", "exact")
	s.expect("http://h/a/long/x", "long")
	s.expect("http://h/a/long/x", "long", "X: 1") // a longer path counts more than a header
	s.expect("http://h/a", "header", "X: 1")
	s.expect("http://h/a", "headers", "X: 1", "Z: 1")
	s.expect("http://h/a?q=1", "query")
	s.expect("http://h/a?q=2", "short")
	s.expect("http://h/a?q=1", "header", "X: 1")
	s.expect("http://h/re", "regex", "X: 12")
	s.expect("http://h/re", "root", "X: 12a")
	s.expect("http://h/same", "younger-method")
	if a := s.do("PUT", "http://h/same", ""); a.seen.Service != "first" {
		t.Errorf("PUT /same: %s", a.seen.Service)
	}
	if a := s.do("POST", "http://h/a", "", "X: 1", "Z: 1"); a.seen.Service != "method" {
		t.Errorf("POST /a: %s", a.seen.Service)
	}
}

func TestRouteHostnames(t *testing.T) {
	w := newWorld(t, simpleGateway,
		route("exact", "  hostnames: [a.example.com]\n  rules: [{"+backends("exact")+"}]"),
		route("wild", "  hostnames: ['*.example.com']\n  rules: [{"+backends("wild")+"}]"),
		route("wilder", "  hostnames: ['*.com']\n  rules: [{"+backends("wilder")+"}]"),
		route("any", "  rules: [{matches: [{path: {type: PathPrefix, value: /any}}], "+backends("any")+"}]"))
	w.service("exact", "wild", "wilder", "any")
	s := w.serve()
	s.expect("http://a.example.com/", "exact")
	s.expect("http://A.Example.com:80/", "exact")
	s.expect("http://b.example.com/", "wild")
	s.expect("http://c.b.example.com/", "wild") // any number of labels
	s.expect("http://example.com/", "wilder")
	s.expect("http://other.org/", "404")
	s.expect("http://other.org/any", "any")
}

// TestListenersAreIsolated: the most specific listener takes a request, also if it has no route for it.
func TestListenersAreIsolated(t *testing.T) {
	w := newWorld(t, `
kind: Gateway
metadata: {name: gw}
spec:
  gatewayClassName: bonsai
  listeners:
  - {name: any, port: 80, protocol: HTTP}
  - {name: wild, port: 80, protocol: HTTP, hostname: "*.example.com"}
  - {name: exact, port: 80, protocol: HTTP, hostname: a.example.com}
  - {name: other-port, port: 8080, protocol: HTTP}`)
	for _, section := range []string{"any", "wild", "exact", "other-port"} {
		w.add("kind: HTTPRoute\nmetadata: {name: " + section + "}\nspec:\n  parentRefs: [{name: gw, sectionName: " + section + "}]\n  rules: [{matches: [{path: {type: PathPrefix, value: /" + section + "}}], " + backends(section) + "}]")
	}
	w.service("any", "wild", "exact", "other-port")
	s := w.serve()
	for _, c := range []struct{ url, want string }{
		{"a.example.com/exact", "exact"}, {"a.example.com/wild", "404"}, {"a.example.com/any", "404"}, {"b.example.com/wild", "wild"},
		{"b.example.com/any", "404"}, {"else.org/any", "any"}, {"else.org/exact", "404"}, {"else.org:8080/other-port", "other-port"}, {"else.org/other-port", "404"},
	} {
		s.expect("http://"+c.url, c.want)
	}
}

func TestRouteFilters(t *testing.T) {
	w := newWorld(t, simpleGateway, route("filters", `
  rules:
  - matches: [{path: {type: PathPrefix, value: /headers}}]
    filters:
    - {type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-Set, value: new}], add: [{name: X-Add, value: more}], remove: [X-Remove]}}
    - {type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: X-Answer, value: "yes"}], remove: [X-Backend]}}
    `+backends("web")+`
  - matches: [{path: {type: PathPrefix, value: /prefix/one}}]
    filters: [{type: URLRewrite, urlRewrite: {hostname: inner.test, path: {type: ReplacePrefixMatch, replacePrefixMatch: /one}}}]
    `+backends("web")+`
  - matches: [{path: {type: PathPrefix, value: /strip}}]
    filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}]
    `+backends("web")+`
  - matches: [{path: {type: PathPrefix, value: /full}}]
    filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: /whole}}}]
    `+backends("web")+`
  - matches: [{path: {type: PathPrefix, value: /redirect/host}}]
    filters: [{type: RequestRedirect, requestRedirect: {hostname: example.org}}]
  - matches: [{path: {type: PathPrefix, value: /redirect/scheme}}]
    filters: [{type: RequestRedirect, requestRedirect: {scheme: https, statusCode: 301}}]
  - matches: [{path: {type: PathPrefix, value: /redirect/port}}]
    filters: [{type: RequestRedirect, requestRedirect: {port: 8083, statusCode: 308}}]
  - matches: [{path: {type: PathPrefix, value: /redirect/prefix}}]
    filters: [{type: RequestRedirect, requestRedirect: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /to}}}]
  - matches: [{path: {type: PathPrefix, value: /unknown}}]
    filters: [{type: ExtensionRef, extensionRef: {group: example.com, kind: Magic, name: wand}}]
    `+backends("web")+`
`))
	w.service("web")
	s := w.serve()
	a := s.get("http://h/headers", "X-Set: old", "X-Add: one", "X-Remove: this")
	h := a.seen.Header
	if h.Get("X-Set") != "new" || !slices.Equal(h.Values("X-Add"), []string{"one", "more"}) || h.Get("X-Remove") != "" || a.Header.Get("X-Answer") != "yes" || a.Header.Get("X-Backend") != "" {
		t.Errorf("headers: %v, answer %v", h, a.Header)
	}
	for url, want := range map[string]string{
		"/prefix/one/two?x=y": "inner.test /one/two?x=y", "/prefix/one": "inner.test /one", "/strip": "h /", "/strip/a": "h /a", "/full/x": "h /whole", "/strip/a%2Fb": "h /a%2Fb",
	} {
		if a := s.get("http://h" + url); a.seen.Host+" "+a.seen.Path != want {
			t.Errorf("%s: %s %s, want %s", url, a.seen.Host, a.seen.Path, want)
		}
	}
	for url, want := range map[string]string{
		"/redirect/host/a?b=c": "302 http://example.org/redirect/host/a?b=c", "/redirect/scheme": "301 https://h/redirect/scheme",
		"/redirect/port": "308 http://h:8083/redirect/port", "/redirect/prefix/x": "302 http://h/to/x",
	} {
		if a := s.get("http://h" + url); a.Status[:3]+" "+a.Header.Get("Location") != want {
			t.Errorf("%s: %s %s, want %s", url, a.Status, a.Header.Get("Location"), want)
		}
	}
	s.expect("http://h/unknown", "500") // never without the filter
	if c := condition(t, w.routeStatus("filters").Parents[0].Conditions, "ResolvedRefs"); c != "False InvalidKind" {
		t.Errorf("ResolvedRefs is %s", c)
	}
}

func TestRouteWeightsAndBrokenBackends(t *testing.T) {
	w := newWorld(t, simpleGateway, route("weights", `
  rules:
  - matches: [{path: {type: PathPrefix, value: /w}}]
    backendRefs: [{name: a, port: 80, weight: 3}, {name: b, port: 80, weight: 1}, {name: c, port: 80, weight: 0}]
  - matches: [{path: {type: PathPrefix, value: /half}}]
    backendRefs: [{name: a, port: 80}, {name: missing, port: 80}]
  - matches: [{path: {type: PathPrefix, value: /none}}]
  - matches: [{path: {type: PathPrefix, value: /zero}}]
    backendRefs: [{name: a, port: 80, weight: 0}]
`))
	w.service("a", "b", "c")
	s := w.serve()
	seen := map[string]int{}
	for range 400 {
		seen[s.get("http://h/w").seen.Service]++
	}
	if seen["c"] > 0 || seen["a"] < 240 || seen["a"] > 360 {
		t.Errorf("by weights 3, 1 and 0: %v", seen)
	}
	failed := 0
	for range 200 {
		if s.get("http://h/half").StatusCode == http.StatusInternalServerError {
			failed++
		}
	}
	if failed < 60 || failed > 140 {
		t.Errorf("%d of 200 went to a backend that does not exist", failed)
	}
	s.expect("http://h/none", "500")
	s.expect("http://h/zero", "500")
	if c := condition(t, w.routeStatus("weights").Parents[0].Conditions, "ResolvedRefs"); c != "False BackendNotFound" {
		t.Errorf("ResolvedRefs is %s", c)
	}
}

func (w *world) routeStatus(name string) gatewayv1.RouteStatus {
	return w.compile().HTTPRoutes[compile.Key{Namespace: "default", Name: name}]
}

// condition is the status and reason of one.
func condition(t *testing.T, list []metav1.Condition, kind string) string {
	t.Helper()
	for _, c := range list {
		if c.Type == kind {
			if c.ObservedGeneration != 1 || c.LastTransitionTime.IsZero() {
				t.Errorf("condition %+v has no generation or time", c)
			}
			return string(c.Status) + " " + c.Reason
		}
	}
	return "missing"
}

func TestReferencesToOtherNamespaces(t *testing.T) {
	const grant = `{kind: ReferenceGrant, metadata: {name: g, namespace: other}, spec: {from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: default}], to: [{group: "", kind: Service%s}]}}`
	for name, c := range map[string]struct{ grant, want, condition string }{
		"not granted":      {want: "500", condition: "False RefNotPermitted"},
		"granted":          {grant: strings.Replace(grant, "%s", "", 1), want: "other/web", condition: "True ResolvedRefs"},
		"granted by name":  {grant: strings.Replace(grant, "%s", ", name: web", 1), want: "other/web", condition: "True ResolvedRefs"},
		"another granted":  {grant: strings.Replace(grant, "%s", ", name: db", 1), want: "500", condition: "False RefNotPermitted"},
		"another's rights": {grant: strings.Replace(strings.Replace(grant, "%s", "", 1), "namespace: default", "namespace: third", 1), want: "500", condition: "False RefNotPermitted"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, simpleGateway, route("r", "  rules: [{backendRefs: [{name: web, namespace: other, port: 80}]}]"))
			w.service("other/web")
			if c.grant != "" {
				w.add(c.grant)
			}
			w.serve().expect("http://h/", c.want)
			if got := condition(t, w.routeStatus("r").Parents[0].Conditions, "ResolvedRefs"); got != c.condition {
				t.Errorf("ResolvedRefs is %s", got)
			}
		})
	}
}

func TestAttachment(t *testing.T) {
	const gateway = `
kind: Gateway
metadata: {name: gw, namespace: infra}
spec:
  gatewayClassName: bonsai
  listeners:
  - {name: same, port: 80, protocol: HTTP, hostname: same.test}
  - {name: all, port: 80, protocol: HTTP, hostname: all.test, allowedRoutes: {namespaces: {from: All}}}
  - {name: chosen, port: 80, protocol: HTTP, hostname: chosen.test, allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {may: "yes"}}}}}
  - {name: grpc, port: 80, protocol: HTTP, hostname: grpc.test, allowedRoutes: {kinds: [{kind: GRPCRoute}], namespaces: {from: All}}}`
	for name, c := range map[string]struct {
		ref, hostnames, want string
		label                bool
	}{
		"all":                 {ref: "sectionName: all", want: "True Accepted"},
		"another namespace":   {ref: "sectionName: same", want: "False NotAllowedByListeners"},
		"not selected":        {ref: "sectionName: chosen", want: "False NotAllowedByListeners"},
		"selected":            {ref: "sectionName: chosen", label: true, want: "True Accepted"},
		"no such listener":    {ref: "sectionName: nowhere", want: "False NoMatchingParent"},
		"no such port":        {ref: "port: 81", want: "False NoMatchingParent"},
		"port":                {ref: "port: 80", want: "True Accepted"},
		"no common host name": {ref: "sectionName: all", hostnames: "hostnames: [other.test]", want: "False NoMatchingListenerHostname"},
		"another kind":        {ref: "sectionName: grpc", want: "False NotAllowedByListeners"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, gateway, "kind: HTTPRoute\nmetadata: {name: r}\nspec:\n  parentRefs: [{name: gw, namespace: infra, "+c.ref+"}]\n  "+c.hostnames+"\n  rules: [{"+backends("web")+"}]")
			w.service("web")
			if c.label {
				w.in.Namespaces[0].Labels["may"] = "yes"
			}
			if got := condition(t, w.routeStatus("r").Parents[0].Conditions, "Accepted"); got != c.want {
				t.Errorf("Accepted is %s, want %s", got, c.want)
			}
			attached := int32(0)
			for _, l := range w.compile().Gateways[compile.Key{Namespace: "infra", Name: "gw"}].Listeners {
				attached += l.AttachedRoutes
			}
			if want := map[bool]int32{true: 1}[c.want == "True Accepted"]; attached != want {
				t.Errorf("%d routes are attached", attached)
			}
		})
	}
}

func TestListenerStatuses(t *testing.T) {
	w := newWorld(t, `
kind: Gateway
metadata: {name: gw}
spec:
  gatewayClassName: bonsai
  listeners:
  - {name: good, port: 443, protocol: HTTPS, hostname: good.test, tls: {certificateRefs: [{name: cert}]}}
  - {name: missing, port: 443, protocol: HTTPS, hostname: missing.test, tls: {certificateRefs: [{name: nowhere}]}}
  - {name: foreign, port: 443, protocol: HTTPS, hostname: foreign.test, tls: {certificateRefs: [{name: cert, namespace: other}]}}
  - {name: twice-1, port: 80, protocol: HTTP, hostname: twice.test}
  - {name: twice-2, port: 80, protocol: HTTP, hostname: twice.test}
  - {name: udp, port: 53, protocol: UDP}
  - {name: kinds, port: 8080, protocol: HTTP, allowedRoutes: {kinds: [{kind: HTTPRoute}, {kind: TCPRoute}]}}
  - {name: closed, port: 9999, protocol: HTTP}`)
	w.secret("cert", "good.test")
	w.secret("other/cert", "foreign.test")
	status := w.compile().Gateways[compile.Key{Namespace: "default", Name: "gw"}]
	want := map[string]string{ // Accepted, ResolvedRefs, Programmed, Conflicted
		"good":    "True Accepted, True ResolvedRefs, True Programmed, False NoConflicts",
		"missing": "True Accepted, False InvalidCertificateRef, False Invalid, False NoConflicts",
		"foreign": "True Accepted, False RefNotPermitted, False Invalid, False NoConflicts",
		"twice-1": "False HostnameConflict, True ResolvedRefs, False Invalid, True HostnameConflict",
		"twice-2": "False HostnameConflict, True ResolvedRefs, False Invalid, True HostnameConflict",
		"udp":     "False UnsupportedProtocol, True ResolvedRefs, False Invalid, False NoConflicts",
		"kinds":   "True Accepted, False InvalidRouteKinds, True Programmed, False NoConflicts",
		"closed":  "True Accepted, True ResolvedRefs, False Pending, False NoConflicts",
	}
	for _, l := range status.Listeners {
		var got []string
		for _, kind := range []string{"Accepted", "ResolvedRefs", "Programmed", "Conflicted"} {
			got = append(got, condition(t, l.Conditions, kind))
		}
		if text := strings.Join(got, ", "); text != want[string(l.Name)] {
			t.Errorf("listener %s: %s\nwant %s", l.Name, text, want[string(l.Name)])
		}
	}
	if a, p := condition(t, status.Conditions, "Accepted"), condition(t, status.Conditions, "Programmed"); a != "True ListenersNotValid" || p != "True Programmed" {
		t.Errorf("the Gateway is %s, %s", a, p)
	}
	if len(status.Addresses) != 1 || status.Addresses[0].Value != "10.201.0.10" {
		t.Errorf("addresses: %+v", status.Addresses)
	}
}

// TestPortsThatNodesCannotOpen: another program has the port on one node, and then on all.
func TestPortsThatNodesCannotOpen(t *testing.T) {
	w := newWorld(t, simpleGateway)
	w.in.Nodes[0].Report = gatewaytable.Report{Failed: map[uint16]string{80: "in use"}}
	status := w.compile().Gateways[compile.Key{Namespace: "default", Name: "gw"}]
	if got := condition(t, status.Conditions, "Programmed"); got != "False Pending" || len(status.Addresses) != 0 {
		t.Errorf("Programmed is %s, addresses %v", got, status.Addresses)
	}
	if l := status.Listeners[0].Conditions; !strings.Contains(l[len(l)-1].Message, "node n1 cannot listen on port 80: in use") {
		t.Errorf("conditions: %+v", l)
	}
}

// TestTransitionTimesStay: a condition that is as it was keeps its time, so that nothing is written again.
func TestTransitionTimesStay(t *testing.T) {
	w := newWorld(t, simpleGateway, route("r", "  rules: [{"+backends("web")+"}]"))
	w.service("web")
	first := w.compile()
	key, routeKey := compile.Key{Namespace: "default", Name: "gw"}, compile.Key{Namespace: "default", Name: "r"}
	w.in.Gateways[0].Status, w.in.HTTPRoutes[0].Status.RouteStatus = first.Gateways[key], first.HTTPRoutes[routeKey]
	w.in.Now = w.in.Now.Add(1 << 40)
	second := w.compile()
	if a, b := first.Gateways[key].Conditions[0], second.Gateways[key].Conditions[0]; !a.LastTransitionTime.Equal(&b.LastTransitionTime) {
		t.Errorf("%v became %v", a, b)
	}
	if a, b := first.HTTPRoutes[routeKey].Parents[0].Conditions[0], second.HTTPRoutes[routeKey].Parents[0].Conditions[0]; !a.LastTransitionTime.Equal(&b.LastTransitionTime) {
		t.Errorf("%v became %v", a, b)
	}
	if first.Table.ID != second.Table.ID {
		t.Error("equal input gives different tables")
	}
}

func TestForeignObjectsAreLeftAlone(t *testing.T) {
	w := newWorld(t, `{kind: GatewayClass, metadata: {name: theirs}, spec: {controllerName: example.com/gateway}}`,
		strings.Replace(simpleGateway, "gatewayClassName: bonsai", "gatewayClassName: theirs", 1), route("r", "  rules: [{"+backends("web")+"}]"))
	w.service("web")
	out := w.compile()
	if len(out.Classes) != 1 || len(out.Gateways)+len(out.HTTPRoutes) != 0 || len(out.Table.Ports) != 0 {
		t.Errorf("%+v", out)
	}
}

// TestPreflightsFindTheRuleOfTheirRequest: a rule for a method answers the question of a browser whether it may use that method.
func TestPreflightsFindTheRuleOfTheirRequest(t *testing.T) {
	const cors = "filters: [{type: CORS, cors: {allowOrigins: [\"https://app.test\"], allowMethods: [%s]}}]"
	w := newWorld(t, simpleGateway, route("r", `
  rules:
  - {matches: [{path: {type: PathPrefix, value: /a}, method: PUT}], `+strings.Replace(cors, "%s", "PUT", 1)+`, `+backends("put")+`}
  - {matches: [{path: {type: PathPrefix, value: /a}, method: GET}], `+backends("get")+`}
`))
	w.service("put", "get")
	s := w.serve()
	a := s.do("OPTIONS", "http://h/a", "", "Origin: https://app.test", "Access-Control-Request-Method: PUT")
	if a.StatusCode != http.StatusNoContent || a.Header.Get("Access-Control-Allow-Methods") != "PUT" || a.Header.Get("Access-Control-Allow-Origin") != "https://app.test" {
		t.Errorf("for PUT: %s %v", a.Status, a.Header)
	}
	if a := s.do("OPTIONS", "http://h/a", "", "Origin: https://app.test", "Access-Control-Request-Method: GET"); a.StatusCode != http.StatusNotFound {
		t.Errorf("for GET, which has no filter: %s", a.Status)
	}
	if a := s.do("PUT", "http://h/a", "", "Origin: https://app.test"); a.seen.Service != "put" || a.Header.Get("Access-Control-Allow-Origin") != "https://app.test" {
		t.Errorf("PUT: %s %v", a.Status, a.Header)
	}
}

// TestTheCleanPathIsRewritten: what is changed is the path by which the rule was found, not another way to write it.
func TestTheCleanPathIsRewritten(t *testing.T) {
	w := newWorld(t, simpleGateway, route("r", `
  rules:
  - matches: [{path: {type: PathPrefix, value: /one}}]
    filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /two}}}]
    backendRefs: [{name: web, port: 80}]
`))
	w.service("web")
	s := w.serve()
	for path, want := range map[string]string{"/one/a": "/two/a", "/x/../one/a": "/two/a", "//one//a": "/two/a", "/one/%C3%A9%2Fb?q=%2F": "/two/%C3%A9%2Fb?q=%2F", "/one": "/two"} {
		if a := s.get("http://h" + path); a.seen.Path != want {
			t.Errorf("%s: the backend sees %q, want %q (%s)", path, a.seen.Path, want, strings.TrimSpace(a.text))
		}
	}
	s.expect("http://h/one/../two", "404")
}
