package compile_test

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"bonsai/bootstrap/gatewaytable"
	"bonsai/bootstrap/localca"
	"bonsai/controlplane/addons/gateway/compile"
)

// signer is a local CA that has signed what it was asked for.
type signer struct {
	*localca.Issuer
	asked []string
}

func (w *world) sign() *signer {
	s := &signer{Issuer: localca.NewIssuer(w.t.TempDir())}
	w.in.Sign = func(host string) (chain, key []byte, err error) {
		s.asked = append(s.asked, host)
		return s.PEM(w.t.Context(), host)
	}
	return s
}

// certified are the names of a port with TLS, with how many certificates of the local CA or of Secrets they have.
func certified(t *testing.T, table gatewaytable.Table, number uint16) map[string]int {
	t.Helper()
	i := slices.IndexFunc(table.Ports, func(p gatewaytable.Port) bool { return p.Number == number })
	if i < 0 {
		t.Fatalf("there is no port %d", number)
	}
	names := map[string]int{}
	for _, n := range table.Ports[i].Names {
		names[n.Name] = len(n.Certificates)
	}
	return names
}

func TestHostsWithoutSecretAreSigned(t *testing.T) {
	w := newWorld(t, `
kind: Ingress
metadata: {name: web}
spec:
  tls:
  - {hosts: [shop.test, "*.apps.test", shop.com]}
  - {hosts: [own.test], secretName: own}
  - {hosts: ["*.wild.test"], secretName: wild}
  rules:
  - {host: shop.test, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}
  - {host: shop.com, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}
  - {host: own.test, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}
  - {host: a.wild.test, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}
  - {host: "*.apps.test", http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}
---
kind: Ingress
metadata: {name: plain}
spec:
  rules:
  - {host: plain.localhost, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}
  - {host: plain.com, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}
`)
	w.service("web")
	w.secret("own", "own.test")
	w.secret("wild", "*.wild.test")
	s := w.sign()
	out := w.compile()
	if got, want := certified(t, out.Table, 443), map[string]int{"shop.test": 1, "*.apps.test": 1, "plain.localhost": 1, "own.test": 1, "*.wild.test": 1}; !reflect.DeepEqual(got, want) {
		t.Errorf("certificates: %v, want %v", got, want)
	}
	if slices.Contains(s.asked, "own.test") || slices.Contains(s.asked, "a.wild.test") {
		t.Errorf("what a Secret has is signed: %q", s.asked)
	}
	var warnings []string
	for _, w := range out.Warnings {
		warnings = append(warnings, w.Of.Name+" "+w.Reason+" "+w.Message)
	}
	if len(warnings) != 1 || !strings.HasPrefix(warnings[0], "web SelfSigned no Secret has a certificate for shop.com, and clients get a self-signed one: ") {
		t.Errorf("warnings: %q", warnings)
	}
	if again := w.compile(); again.Table.ID != out.Table.ID {
		t.Error("the same objects give another table")
	}
	w.serve().expect("https://shop.test/", "web")
}

func TestListenersWithoutSecretAreSigned(t *testing.T) {
	w := newWorld(t, `
kind: Gateway
metadata: {name: gw}
spec:
  gatewayClassName: bonsai
  listeners:
  - {name: host, port: 443, protocol: HTTPS, hostname: shop.test}
  - {name: wild, port: 443, protocol: HTTPS, hostname: "*.apps.test", tls: {options: {gateway.bonsai.io/certificate: local}}}
  - {name: foreign, port: 443, protocol: HTTPS, hostname: shop.com}
  - {name: missing, port: 443, protocol: HTTPS, hostname: missing.test, tls: {certificateRefs: [{name: nowhere}]}}
  - {name: any, port: 8443, protocol: HTTPS}`,
		route("a", "  hostnames: [shop.test, deep.down.apps.test, any.localhost, any.com]\n  rules: [{"+backends("web")+"}]"))
	w.service("web")
	w.sign()
	out := w.compile()
	if got, want := certified(t, out.Table, 443), map[string]int{"shop.test": 1, "*.apps.test": 1, "deep.down.apps.test": 1}; !reflect.DeepEqual(got, want) {
		t.Errorf("certificates of 443: %v, want %v", got, want)
	}
	if got, want := certified(t, out.Table, 8443), map[string]int{"shop.test": 1, "deep.down.apps.test": 1, "any.localhost": 1}; !reflect.DeepEqual(got, want) {
		t.Errorf("certificates of 8443: %v, want %v", got, want)
	}
	want := map[string]string{
		"host": "True ResolvedRefs True Programmed", "wild": "True ResolvedRefs True Programmed", "any": "True ResolvedRefs True Programmed",
		"foreign": "False InvalidCertificateRef False Invalid", "missing": "False InvalidCertificateRef False Invalid",
	}
	for _, l := range out.Gateways[compile.Key{Namespace: "default", Name: "gw"}].Listeners {
		if got := condition(t, l.Conditions, "ResolvedRefs") + " " + condition(t, l.Conditions, "Programmed"); got != want[string(l.Name)] {
			t.Errorf("listener %s is %s, want %s", l.Name, got, want[string(l.Name)])
		}
	}
	w.serve().expect("https://any.localhost:8443/", "web")

	// Whoever has no local CA gets what there was without it.
	w.in.Sign = nil
	for _, l := range w.compile().Gateways[compile.Key{Namespace: "default", Name: "gw"}].Listeners {
		if got := condition(t, l.Conditions, "ResolvedRefs"); got != "False InvalidCertificateRef" {
			t.Errorf("without a CA listener %s is %s", l.Name, got)
		}
	}
}

func TestACAThatFails(t *testing.T) {
	w := newWorld(t, ingressTo("shop.test", "web"))
	w.service("web")
	w.in.Sign = func(string) (chain, key []byte, err error) { return nil, nil, errors.New("the disk is full") }
	s := w.serve()
	s.expect("https://shop.test/", "web") // with a certificate that is self-signed
}
