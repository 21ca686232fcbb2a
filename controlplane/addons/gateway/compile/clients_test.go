package compile_test

import (
	"strings"
	"testing"

	"bonsai/controlplane/addons/gateway/compile"
)

// Which certificates clients need, by the Gateway and by port.
func TestClientCertificates(t *testing.T) {
	const gw = `
kind: Gateway
metadata: {name: gw}
spec:
  gatewayClassName: bonsai
  tls: {frontend: {default: {validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: web}]}}, perPort: [{port: 8443, tls: {validation: PORT}}, {port: 9443, tls: {}}]}}
  listeners:
  - {name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: web}]}}
  - {name: other, port: 8443, protocol: HTTPS, tls: {certificateRefs: [{name: web}]}}
  - {name: open, port: 9443, protocol: HTTPS, tls: {certificateRefs: [{name: web}]}}
  - {name: plain, port: 80, protocol: HTTP}`
	for name, test := range map[string]struct{ port, accepted, refs string }{
		"another ConfigMap":      {`{caCertificateRefs: [{group: '', kind: ConfigMap, name: other}]}`, "True Accepted", "True ResolvedRefs"},
		"any":                    {`{mode: AllowInsecureFallback, caCertificateRefs: [{group: '', kind: ConfigMap, name: other}]}`, "True Accepted", "True ResolvedRefs"},
		"no ConfigMap":           {`{caCertificateRefs: [{group: '', kind: ConfigMap, name: gone}]}`, "False NoValidCACertificate", "False InvalidCACertificateRef"},
		"another kind":           {`{caCertificateRefs: [{group: '', kind: Service, name: other}]}`, "False NoValidCACertificate", "False InvalidCACertificateKind"},
		"without ReferenceGrant": {`{caCertificateRefs: [{group: '', kind: ConfigMap, name: other, namespace: elsewhere}]}`, "False NoValidCACertificate", "False RefNotPermitted"},
		"one of two":             {`{caCertificateRefs: [{group: '', kind: ConfigMap, name: gone}, {group: '', kind: ConfigMap, name: other}]}`, "True Accepted", "False InvalidCACertificateRef"},
	} {
		t.Run(name, func(t *testing.T) {
			w := fronted(t, strings.Replace(gw, "PORT", test.port, 1))
			w.secured("web", "h")
			w.secured("other", "h")
			w.assign(w.compile(), "10.201.3.1")
			out := w.compile()
			status := gatewayStatus(out, "gw")
			for _, l := range status.Listeners {
				accepted, refs := "True Accepted", "True ResolvedRefs"
				if l.Name == "other" {
					accepted, refs = test.accepted, test.refs
				}
				if got := condition(t, l.Conditions, "Accepted"); got != accepted {
					t.Errorf("listener %s: Accepted is %s, want %s", l.Name, got, accepted)
				}
				if got := condition(t, l.Conditions, "ResolvedRefs"); got != refs {
					t.Errorf("listener %s: ResolvedRefs is %s, want %s", l.Name, got, refs)
				}
			}
			served := map[uint16]bool{}
			for _, p := range out.Table.Ports {
				served[p.Number] = true
				if needed := p.Public == 443 || p.Public == 8443; needed != (p.Clients != nil) {
					t.Errorf("port %d (%d): clients %+v", p.Number, p.Public, p.Clients)
				}
			}
			// At the nodes' addresses nobody could be refused for one Gateway only.
			if served[443] || served[8443] || !served[80] || !served[9443] {
				t.Errorf("nodes serve %v", served)
			}
			insecure := false
			for _, c := range status.Conditions {
				insecure = insecure || c.Type == "InsecureFrontendValidationMode"
			}
			if insecure != (name == "any") {
				t.Errorf("InsecureFrontendValidationMode: %t", insecure)
			}
		})
	}
	w := newWorld(t, strings.Replace(gw, "PORT", "{caCertificateRefs: [{group: '', kind: ConfigMap, name: other}]}", 1))
	w.secured("web", "h")
	w.secured("other", "h")
	for _, l := range w.compile().Gateways[compile.Key{Namespace: "default", Name: "gw"}].Listeners {
		want := "False UnsupportedValue"
		if l.Name == "plain" || l.Name == "open" {
			want = "True Accepted"
		}
		if got := condition(t, l.Conditions, "Accepted"); got != want {
			t.Errorf("without an address of its own, listener %s: Accepted is %s, want %s", l.Name, got, want)
		}
	}
}
