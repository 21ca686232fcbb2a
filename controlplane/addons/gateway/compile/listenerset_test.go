package compile_test

import (
	"fmt"
	"testing"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"bonsai/controlplane/addons/gateway/compile"
)

func listenerSetStatus(out compile.Output, name string) gatewayv1.ListenerSetStatus {
	return out.ListenerSets[compile.Key{Namespace: "default", Name: name}]
}

// TestListenerSets: which of them a Gateway takes, whose listeners have precedence, and which routes they get.
func TestListenerSets(t *testing.T) {
	w := fronted(t, `
kind: Gateway
metadata: {name: gw}
spec:
  gatewayClassName: bonsai
  allowedListeners: {namespaces: {from: Same}}
  listeners:
  - {name: own, port: 80, hostname: own.test, protocol: HTTP}`, `
kind: ListenerSet
metadata: {name: first}
spec:
  parentRef: {name: gw}
  listeners:
  - {name: one, port: 80, hostname: one.test, protocol: HTTP}
  - {name: own, port: 80, hostname: own.test, protocol: HTTP}
  - {name: other, port: 8080, protocol: HTTP}`, `
kind: ListenerSet
metadata: {name: second}
spec:
  parentRef: {name: gw}
  listeners:
  - {name: one, port: 80, hostname: one.test, protocol: HTTP}
  - {name: secure, port: 8080, protocol: HTTPS}
  - {name: tcp, port: 80, protocol: TCP}
  - {name: udp, port: 53, protocol: UDP}`, `
kind: ListenerSet
metadata: {name: elsewhere, namespace: other}
spec: {parentRef: {name: gw, namespace: default}, listeners: [{name: l, port: 80, hostname: else.test, protocol: HTTP}]}`, `
kind: ListenerSet
metadata: {name: foreign}
spec: {parentRef: {name: nobody}, listeners: [{name: l, port: 80, protocol: HTTP}]}`, `
kind: HTTPRoute
metadata: {name: gateway}
spec: {parentRefs: [{name: gw}], rules: [{backendRefs: [{name: own, port: 80}]}]}`, `
kind: HTTPRoute
metadata: {name: set}
spec: {parentRefs: [{kind: ListenerSet, name: first, sectionName: one}], rules: [{backendRefs: [{name: set, port: 80}]}]}`, `
kind: HTTPRoute
metadata: {name: across}
spec: {parentRefs: [{name: gw, sectionName: one}], rules: [{backendRefs: [{name: set, port: 80}]}]}`)
	w.service("own", "set")
	w.assign(w.compile(), "10.201.3.1")
	out := w.compile()
	for name, want := range map[string][2]string{
		"first": {"True ListenersNotValid", "True Programmed"}, "second": {"False ListenersNotValid", "False ListenersNotValid"},
	} {
		status := listenerSetStatus(out, name)
		if got := [2]string{condition(t, status.Conditions, "Accepted"), condition(t, status.Conditions, "Programmed")}; got != want {
			t.Errorf("ListenerSet %s: %q, want %q", name, got, want)
		}
	}
	refused := out.ListenerSets[compile.Key{Namespace: "other", Name: "elsewhere"}]
	if got := condition(t, refused.Conditions, "Accepted"); got != "False NotAllowed" || len(refused.Listeners) != 0 {
		t.Errorf("a ListenerSet of another namespace: %s, %+v", got, refused)
	}
	if len(out.ListenerSets) != 3 {
		t.Errorf("statuses of ListenerSets: %+v", out.ListenerSets)
	}
	for name, want := range map[string]string{
		"first/one": "True Accepted, True Programmed, 1", "first/own": "False HostnameConflict, False HostnameConflict, 0", "first/other": "True Accepted, True Programmed, 0",
		"second/one": "False HostnameConflict, False HostnameConflict, 0", "second/secure": "False ProtocolConflict, False ProtocolConflict, 0",
		"second/tcp": "False ProtocolConflict, False ProtocolConflict, 0", "second/udp": "False UnsupportedProtocol, False Invalid, 0",
	} {
		found := false
		for _, set := range []string{"first", "second"} {
			for _, l := range listenerSetStatus(out, set).Listeners {
				if set+"/"+string(l.Name) == name {
					found = true
					if got := fmt.Sprintf("%s, %s, %d", condition(t, l.Conditions, "Accepted"), condition(t, l.Conditions, "Programmed"), l.AttachedRoutes); got != want {
						t.Errorf("%s: %s, want %s", name, got, want)
					}
				}
			}
		}
		if !found {
			t.Errorf("%s has no status", name)
		}
	}
	status := gatewayStatus(out, "gw")
	if len(status.Listeners) != 1 || status.AttachedListenerSets == nil || *status.AttachedListenerSets != 1 || condition(t, status.Conditions, "Accepted") != "True Accepted" {
		t.Errorf("the Gateway's status: %+v", status)
	}
	for route, want := range map[string]string{"gateway": "True Accepted", "set": "True Accepted", "across": "False NoMatchingParent"} {
		parents := out.HTTPRoutes[compile.Key{Namespace: "default", Name: route}].Parents
		if len(parents) != 1 || condition(t, parents[0].Conditions, "Accepted") != want {
			t.Errorf("route %s: %+v, want %s", route, parents, want)
		}
	}
	front := out.Fronts[compile.Key{Namespace: "default", Name: "gw-bonsai"}]
	if len(front.Ports) != 2 || front.Ports[0].Number != 80 || front.Ports[1].Number != 8080 {
		t.Errorf("the Gateway's own address has the ports %+v", front.Ports)
	}
	s := w.serve()
	s.expect("http://own.test/", "own")
	s.expect("http://one.test/", "set")
	s.expect("http://else.test/", "404")
}

// TestListenerSetsOfOthers: a ListenerSet refers to Secrets as itself, and its routes are those of its own namespace.
func TestListenerSetsOfOthers(t *testing.T) {
	w := fronted(t, `
kind: Gateway
metadata: {name: gw}
spec:
  gatewayClassName: bonsai
  allowedListeners: {namespaces: {from: Selector, selector: {matchLabels: {team: blue}}}}
  listeners: [{name: own, port: 80, protocol: HTTP}]`,
		`{kind: Namespace, metadata: {name: blue, labels: {team: blue}}}`, `
kind: ListenerSet
metadata: {name: set, namespace: blue}
spec:
  parentRef: {name: gw, namespace: default}
  listeners: [{name: tls, port: 443, hostname: blue.test, protocol: HTTPS, tls: {certificateRefs: [{name: web}]}}, {name: theirs, port: 443, hostname: red.test, protocol: HTTPS, tls: {certificateRefs: [{name: web, namespace: default}]}}]`, `
kind: HTTPRoute
metadata: {name: blue, namespace: blue}
spec: {parentRefs: [{kind: ListenerSet, name: set}], rules: [{backendRefs: [{name: web, port: 80}]}]}`, `
kind: HTTPRoute
metadata: {name: red}
spec: {parentRefs: [{kind: ListenerSet, name: set, namespace: blue}], rules: [{backendRefs: [{name: web, port: 80}]}]}`)
	w.service("blue/web")
	w.secret("blue/web", "blue.test")
	w.secret("web", "red.test")
	statuses := func() []string {
		w.assign(w.compile(), "10.201.3.1")
		out := w.compile()
		var list []string
		for _, l := range out.ListenerSets[compile.Key{Namespace: "blue", Name: "set"}].Listeners {
			list = append(list, fmt.Sprintf("%s %s %d", l.Name, condition(t, l.Conditions, "ResolvedRefs"), l.AttachedRoutes))
		}
		list = append(list, condition(t, out.HTTPRoutes[compile.Key{Namespace: "default", Name: "red"}].Parents[0].Conditions, "Accepted"))
		return list
	}
	if got, want := fmt.Sprint(statuses()), "[tls True ResolvedRefs 1 theirs False RefNotPermitted 1 False NotAllowedByListeners]"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	w.add(`
kind: ReferenceGrant
metadata: {name: grant}
spec: {from: [{group: gateway.networking.k8s.io, kind: ListenerSet, namespace: blue}], to: [{group: "", kind: Secret}]}`)
	if got, want := fmt.Sprint(statuses()), "[tls True ResolvedRefs 1 theirs True ResolvedRefs 1 False NotAllowedByListeners]"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	w.serve().expect("https://blue.test/", "blue/web")
}
