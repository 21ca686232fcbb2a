package compile_test

import (
	"testing"

	"bonsai/bootstrap/gatewaytable"
	"bonsai/controlplane/addons/gateway/compile"
)

// Which connections a TLSRoute takes, and what its status says.
func TestTLSRoutes(t *testing.T) {
	w := fronted(t, `
kind: Gateway
metadata: {name: gw}
spec:
  gatewayClassName: bonsai
  listeners:
  - {name: tls, port: 443, hostname: "*.test", protocol: TLS, tls: {mode: Passthrough}}
  - {name: ended, port: 443, hostname: a.example, protocol: TLS, tls: {mode: Terminate, certificateRefs: [{name: cert}]}}
  - {name: http, port: 80, protocol: HTTP}`, `
kind: TLSRoute
metadata: {name: good}
spec: {parentRefs: [{name: gw, sectionName: tls}], hostnames: [a.test], rules: [{backendRefs: [{name: web, port: 80, weight: 3}, {name: other, port: 80}, {name: none, port: 80, weight: 0}]}]}`, `
kind: TLSRoute
metadata: {name: elsewhere}
spec: {parentRefs: [{name: gw, sectionName: tls}], hostnames: [a.example], rules: [{backendRefs: [{name: web, port: 80}]}]}`, `
kind: TLSRoute
metadata: {name: ended}
spec: {parentRefs: [{name: gw, sectionName: ended}], hostnames: [a.example], rules: [{backendRefs: [{name: web, port: 80}]}]}`, `
kind: TLSRoute
metadata: {name: plain}
spec: {parentRefs: [{name: gw, sectionName: http}], hostnames: [a.test], rules: [{backendRefs: [{name: web, port: 80}]}]}`, `
kind: HTTPRoute
metadata: {name: http}
spec: {parentRefs: [{name: gw, sectionName: tls}], rules: [{backendRefs: [{name: web, port: 80}]}]}`)
	w.endpoints("web", "127.0.0.1:1")
	w.endpoints("other", "127.0.0.1:2")
	w.secret("cert", "a.example")
	w.assign(w.compile(), "10.201.3.1")
	out := w.compile()
	for name, want := range map[string][2]string{
		"good": {"True Accepted", "False BackendNotFound"}, "elsewhere": {"False NoMatchingListenerHostname", "True ResolvedRefs"},
		"ended": {"True Accepted", "True ResolvedRefs"}, "plain": {"False NotAllowedByListeners", "True ResolvedRefs"},
	} {
		parents := out.TLSRoutes[compile.Key{Namespace: "default", Name: name}].Parents
		if len(parents) != 1 {
			t.Fatalf("route %s has the parents %+v", name, parents)
		}
		if got := [2]string{condition(t, parents[0].Conditions, "Accepted"), condition(t, parents[0].Conditions, "ResolvedRefs")}; got != want {
			t.Errorf("route %s: %q, want %q", name, got, want)
		}
	}
	if got := condition(t, out.HTTPRoutes[compile.Key{Namespace: "default", Name: "http"}].Parents[0].Conditions, "Accepted"); got != "False NotAllowedByListeners" {
		t.Errorf("an HTTPRoute: %s", got)
	}
	for _, l := range gatewayStatus(out, "gw").Listeners {
		want, attached := "True Accepted", int32(1)
		if l.Name == "http" {
			attached = 0
		}
		if got := condition(t, l.Conditions, "Accepted"); got != want || l.AttachedRoutes != attached {
			t.Errorf("listener %s: %s, %d routes", l.Name, got, l.AttachedRoutes)
		}
	}
	passed := 0
	for _, p := range out.Table.Ports {
		if !p.Passthrough {
			continue
		}
		passed++
		if len(p.Names) != 1 || p.Names[0].Name != "a.example" {
			t.Errorf("port %d has the certificates %+v", p.Number, p.Names)
		}
		list := p.Groups[0].Listeners // the more specific name first
		if ended, passed := list[0].Hosts[0].Rules[0], list[1].Hosts[0].Rules[0]; !ended.Terminate || passed.Terminate {
			t.Errorf("port %d: TLS ends at %+v, and does not at %+v", p.Number, ended, passed)
		}
		backends := list[1].Hosts[0].Rules[0].Backends
		if len(backends) != 2 || backends[0].Weight != 3 || out.Table.Backends[backends[0].Backend].Protocol != gatewaytable.TCP {
			t.Errorf("port %d has the backends %+v", p.Number, backends)
		}
	}
	if passed != 2 { // at the nodes' addresses, and behind the Gateway's own
		t.Errorf("%d ports pass TLS through", passed)
	}
}
