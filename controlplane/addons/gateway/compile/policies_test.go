package compile_test

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"bonsai/controlplane/addons/gateway/compile"
)

// secured adds a Service whose server speaks TLS with a certificate for hosts, and a ConfigMap with its CA. It answers with the name
// that it was asked for, and that of the client's certificate.
func (w *world) secured(name string, hosts ...string) {
	w.t.Helper()
	w.secret(name, hosts...)
	data := w.in.Secrets[len(w.in.Secrets)-1].Data
	pair, err := tls.X509KeyPair(data[corev1.TLSCertKey], data[corev1.TLSPrivateKeyKey])
	if err != nil {
		w.t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("X-Asked", r.TLS.ServerName)
		for _, c := range r.TLS.PeerCertificates {
			rw.Header().Set("X-Client", c.DNSNames[0])
		}
		_, _ = fmt.Fprintf(rw, `{"Service": %q}`, name)
	}))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequestClientCert}
	s.EnableHTTP2 = true
	s.StartTLS()
	w.t.Cleanup(s.Close)
	w.endpoints(name, s.Listener.Addr().String())
	w.add("kind: ConfigMap\nmetadata: {name: " + name + "}")
	w.in.ConfigMaps[len(w.in.ConfigMaps)-1].Data = map[string]string{compile.CAKey: string(data[corev1.TLSCertKey])}
}

// policyText is a BackendTLSPolicy for the Service web.
func policyText(name, section, validation string) string {
	if section != "" {
		section = ", sectionName: " + section
	}
	return "kind: BackendTLSPolicy\nmetadata: {name: " + name + "}\nspec:\n  targetRefs: [{group: '', kind: Service, name: web" + section + "}]\n  validation: " + validation
}

func accepted(t *testing.T, out compile.Output, name string) string {
	t.Helper()
	status := out.BackendTLSPolicies[compile.Key{Namespace: "default", Name: name}]
	if len(status.Ancestors) != 1 || status.Ancestors[0].AncestorRef.Name != "gw" {
		t.Fatalf("policy %s has the ancestors %+v", name, status.Ancestors)
	}
	return condition(t, status.Ancestors[0].Conditions, "Accepted") + " " + condition(t, status.Ancestors[0].Conditions, "ResolvedRefs")
}

const good = `{caCertificateRefs: [{group: '', kind: ConfigMap, name: web}], hostname: web.test}`

// Whose certificates are good, and for which names.
func TestBackendTLSPolicy(t *testing.T) {
	const fine = "True Accepted True ResolvedRefs"
	for name, test := range map[string]struct{ validation, status, want string }{
		"its name":           {good, fine, "web"},
		"another name":       {strings.Replace(good, "web.test", "other.test", 1), fine, "502"},
		"another CA":         {strings.Replace(good, "name: web}", "name: other}", 1), fine, "502"},
		"two CAs":            {strings.Replace(good, "name: web}", "name: other}, {group: '', kind: ConfigMap, name: web}", 1), fine, "web"},
		"one of two is gone": {strings.Replace(good, "name: web}", "name: gone}, {group: '', kind: ConfigMap, name: web}", 1), "True Accepted False InvalidCACertificateRef", "web"},
		"no ConfigMap":       {strings.Replace(good, "name: web}", "name: gone}", 1), "False NoValidCACertificate False InvalidCACertificateRef", "500"},
		"an empty ConfigMap": {strings.Replace(good, "name: web}", "name: empty}", 1), "False NoValidCACertificate False InvalidCACertificateRef", "500"},
		"another kind":       {strings.Replace(good, "kind: ConfigMap", "kind: Other", 1), "False NoValidCACertificate False InvalidKind", "500"},
		"well-known CAs":     {`{wellKnownCACertificates: System, hostname: web.test}`, "False Invalid True ResolvedRefs", "500"},
		"alternative name":   {strings.Replace(good, "web.test", "asked.test, subjectAltNames: [{type: Hostname, hostname: web.test}]", 1), fine, "web"},
		"none of the names":  {strings.Replace(good, "web.test", "web.test, subjectAltNames: [{type: Hostname, hostname: no.test}, {type: URI, uri: 'spiffe://no'}]", 1), fine, "502"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, simpleGateway, route("a", "  rules: [{"+backends("web")+"}]\n"), policyText("p", "", test.validation), "kind: ConfigMap\nmetadata: {name: empty}")
			w.secured("web", "web.test")
			w.secured("other", "web.test")
			out := w.compile()
			if got := accepted(t, out, "p"); got != test.status {
				t.Errorf("its status is %q, want %q", got, test.status)
			}
			if got := condition(t, out.HTTPRoutes[compile.Key{Namespace: "default", Name: "a"}].Parents[0].Conditions, "ResolvedRefs"); got != "True ResolvedRefs" {
				t.Errorf("the route's ResolvedRefs is %s", got)
			}
			w.serve().expect("http://h/", test.want)
		})
	}
}

// The name in the policy is asked for, on every connection.
func TestBackendTLSPolicyAsks(t *testing.T) {
	w := newWorld(t, simpleGateway, route("a", "  rules: [{"+backends("web")+"}]\n"), policyText("p", "", good))
	w.secured("web", "web.test")
	if a := w.serve().get("http://h/"); a.Header.Get("X-Asked") != "web.test" {
		t.Errorf("it was asked for %q", a.Header.Get("X-Asked"))
	}
}

// Of several policies, that for the port counts, then the oldest.
func TestBackendTLSPolicyConflicts(t *testing.T) {
	bad := strings.Replace(good, "web.test", "other.test", 1)
	w := newWorld(t, simpleGateway, route("a", "  rules: [{"+backends("web")+"}]\n"),
		policyText("whole", "", bad), policyText("first", "http", good), policyText("second", "http", bad))
	w.secured("web", "web.test")
	out := w.compile()
	for name, want := range map[string]string{"whole": "True Accepted", "first": "True Accepted", "second": "False Conflicted"} {
		if got := accepted(t, out, name); !strings.HasPrefix(got, want) {
			t.Errorf("policy %s: %s, want %s", name, got, want)
		}
	}
	w.serve().expect("http://h/", "web")
}

// What others have written into a status stays, and what was written here goes when no Gateway leads there any more.
func TestBackendTLSPolicyWithoutGateway(t *testing.T) {
	w := newWorld(t, policyText("p", "", good), policyText("q", "", good))
	w.in.BackendTLSPolicies[0].Status.Ancestors = []gatewayv1.PolicyAncestorStatus{{ControllerName: compile.Controller}}
	out := w.compile()
	if status, ok := out.BackendTLSPolicies[compile.Key{Namespace: "default", Name: "p"}]; !ok || len(status.Ancestors) != 0 {
		t.Errorf("it has %+v", status)
	}
	if _, ok := out.BackendTLSPolicies[compile.Key{Namespace: "default", Name: "q"}]; ok {
		t.Error("a policy that is of no Gateway has a status")
	}
}

// A Gateway proves itself to backends with its own certificate, one without does not, and a certificate that there is not is in its status.
func TestGatewayCertificateForBackends(t *testing.T) {
	with := func(name, port, ref string) string {
		return "kind: Gateway\nmetadata: {name: " + name + "}\nspec:\n  gatewayClassName: bonsai\n  tls: {backend: {clientCertificateRef: " + ref + "}}\n" +
			"  listeners: [{name: http, port: " + port + ", protocol: HTTP}]"
	}
	w := newWorld(t, simpleGateway, with("proved", "8080", "{name: client}"), with("gone", "8081", "{name: gone}"),
		with("kind", "8082", "{kind: Other, name: client}"), with("elsewhere", "8083", "{name: client, namespace: elsewhere}"),
		"kind: HTTPRoute\nmetadata: {name: a}\nspec:\n  parentRefs: [{name: gw}, {name: proved}, {name: gone}]\n  rules: [{"+backends("web")+"}]",
		policyText("p", "", good))
	w.secured("web", "web.test")
	w.secret("client", "client.test")
	out := w.compile()
	s := w.serve()
	for url, want := range map[string]string{"http://h/": "", "http://h:8080/": "client.test", "http://h:8081/": ""} {
		if a := s.get(url); a.seen.Service != "web" || a.Header.Get("X-Client") != want {
			t.Errorf("%s: %s has seen the client %q, want %q", url, a.seen.Service, a.Header.Get("X-Client"), want)
		}
	}
	for name, want := range map[string]string{"gone": "False InvalidClientCertificateRef", "kind": "False InvalidClientCertificateRef", "elsewhere": "False RefNotPermitted"} {
		conditions := gatewayStatus(out, name).Conditions
		if got := condition(t, conditions, "ResolvedRefs"); got != want {
			t.Errorf("Gateway %s: %s, want %s", name, got, want)
		}
		if got := condition(t, conditions, "Accepted"); got != "True Accepted" {
			t.Errorf("Gateway %s: Accepted is %s", name, got)
		}
	}
}
