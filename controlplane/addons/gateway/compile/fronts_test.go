package compile_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/addons/gateway/compile"
)

// fronted is a world whose Gateways get addresses of their own: 10.201.3.1 to 10.201.3.9.
func fronted(t *testing.T, objects ...string) *world {
	w := newWorld(t, objects...)
	r, err := cluster.ParseAddressRange("10.201.3.1-10.201.3.9")
	if err != nil {
		t.Fatal(err)
	}
	w.in.Pool = []cluster.AddressRange{r}
	for i, g := range w.in.Gateways {
		g.UID = types.UID(rune('a' + i))
	}
	return w
}

// assign does what the runner and the addon loadbalancer do with what was compiled: Services with addresses, and nodes that listen.
func (w *world) assign(out compile.Output, address string) {
	w.t.Helper()
	for key, f := range out.Fronts {
		w.in.Services = slices.DeleteFunc(w.in.Services, func(s *corev1.Service) bool { return s.Namespace == key.Namespace && s.Name == key.Name })
		s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name, Labels: f.Labels, OwnerReferences: []metav1.OwnerReference{{UID: f.UID}}}}
		for _, p := range f.Ports {
			s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{Port: int32(p.Number), TargetPort: intstr.FromInt32(int32(p.Inner))})
		}
		if address != "" {
			s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: address}}
		}
		w.in.Services = append(w.in.Services, s)
	}
	for i := range w.in.Nodes {
		w.in.Nodes[i].Report.Listening = nil
		for _, p := range out.Table.Ports {
			w.in.Nodes[i].Report.Listening = append(w.in.Nodes[i].Report.Listening, p.Number)
		}
	}
}

func gatewayStatus(out compile.Output, name string) gatewayv1.GatewayStatus {
	return out.Gateways[compile.Key{Namespace: "default", Name: name}]
}

// Gateways whose listeners are the same are told apart by their addresses, and are served at those of nodes as well.
func TestOwnAddresses(t *testing.T) {
	w := fronted(t, simpleGateway, strings.Replace(simpleGateway, "name: gw}", "name: other}", 1), route("a", `
  rules: [{`+backends("one")+`}]
`), strings.Replace(route("b", `
  rules: [{filters: [{type: RequestRedirect, requestRedirect: {path: {type: ReplaceFullPath, replaceFullPath: /x}}}]}]
`), "name: gw}", "name: other}", 1))
	w.service("one")
	out := w.compile()
	if got := condition(t, gatewayStatus(out, "gw").Conditions, "Programmed"); got != "False Pending" {
		t.Errorf("before a node listens, Programmed is %s", got)
	}
	first, second := out.Fronts[compile.Key{Namespace: "default", Name: "gw-bonsai"}], out.Fronts[compile.Key{Namespace: "default", Name: "other-bonsai"}]
	if want := []compile.FrontPort{{Number: 80, Inner: 61000}}; !slices.Equal(first.Ports, want) {
		t.Errorf("ports %v, want %v", first.Ports, want)
	}
	if want := []compile.FrontPort{{Number: 80, Inner: 61001}}; !slices.Equal(second.Ports, want) {
		t.Errorf("ports %v, want %v", second.Ports, want)
	}
	if first.Nodes[0].Ready {
		t.Error("a node that does not listen is ready")
	}
	w.assign(out, "")
	out = w.compile()
	if got := condition(t, gatewayStatus(out, "gw").Conditions, "Programmed"); got != "False AddressNotAssigned" {
		t.Errorf("without an address, Programmed is %s", got)
	}
	if !out.Fronts[first.Service].Nodes[0].Ready {
		t.Error("a node that listens is not ready")
	}
	w.assign(out, "10.201.3.1")
	out = w.compile()
	status := gatewayStatus(out, "gw")
	if got := condition(t, status.Conditions, "Programmed"); got != "True Programmed" {
		t.Errorf("with an address, Programmed is %s", got)
	}
	if len(status.Addresses) != 1 || status.Addresses[0].Value != "10.201.3.1" {
		t.Errorf("addresses: %+v", status.Addresses)
	}
	s := w.serve()
	s.expect("http://h:61000/", "one")
	if a := s.get("http://h:61001/"); a.Header.Get("Location") != "http://h/x" {
		t.Errorf("the redirect of the second leads to %q: %d", a.Header.Get("Location"), a.StatusCode)
	}
	if a := s.get("http://h:61000/"); a.seen.Header.Get("X-Forwarded-Port") != "80" {
		t.Errorf("X-Forwarded-Port is %q", a.seen.Header.Get("X-Forwarded-Port"))
	}
	s.expect("http://h/", "one") // the older one, at the nodes' addresses

	// The ports stay, also without the first Gateway.
	w.in.Gateways = w.in.Gateways[1:]
	if got := w.compile().Fronts[second.Service].Ports; !slices.Equal(got, second.Ports) {
		t.Errorf("ports %v, before %v", got, second.Ports)
	}
}

// What cannot be shared at the nodes' addresses is served at a Gateway's own.
func TestOwnAddressesHaveAllPorts(t *testing.T) {
	w := fronted(t, simpleGateway, `
kind: Gateway
metadata: {name: tls}
spec: {gatewayClassName: bonsai, listeners: [{name: https, port: 80, protocol: HTTPS, tls: {certificateRefs: [{name: cert}]}}, {name: kubelet, port: 10250, protocol: HTTP}]}`)
	w.secret("cert", "h")
	w.assign(w.compile(), "10.201.3.1")
	status := gatewayStatus(w.compile(), "tls")
	for _, l := range status.Listeners {
		if got := condition(t, l.Conditions, "Programmed"); got != "True Programmed" {
			t.Errorf("listener %s: Programmed is %s", l.Name, got)
		}
	}
	w.in.Pool = nil
	out := w.compile()
	if len(out.Fronts) > 0 {
		t.Errorf("without addresses there are %v", out.Fronts)
	}
	for _, l := range gatewayStatus(out, "tls").Listeners {
		if got := condition(t, l.Conditions, "Accepted"); got != "False PortUnavailable" {
			t.Errorf("listener %s: Accepted is %s", l.Name, got)
		}
	}
}

// The addresses that a Gateway asks for.
func TestRequestedAddresses(t *testing.T) {
	for name, test := range map[string]struct {
		addresses, accepted, programmed string
		has                             []string
	}{
		"one of load balancers":  {`[{value: 10.201.3.4}]`, "True Accepted", "True Programmed", []string{"10.201.3.4"}},
		"any":                    {`[{type: IPAddress}]`, "True Accepted", "True Programmed", []string{"10.201.3.4"}},
		"a node's":               {`[{value: 10.201.0.10}]`, "True Accepted", "True Programmed", []string{"10.201.0.10"}},
		"another one":            {`[{value: 192.0.2.1}]`, "True Accepted", "False AddressNotUsable", nil},
		"one usable of two":      {`[{value: 192.0.2.1}, {value: 10.201.3.4}]`, "True Accepted", "False AddressNotUsable", nil},
		"two of load balancers":  {`[{value: 10.201.3.4}, {value: 10.201.3.5}]`, "True Accepted", "False AddressNotUsable", nil},
		"a node's, and its own":  {`[{value: 10.201.3.4}, {value: 10.201.0.10}]`, "True Accepted", "False AddressNotUsable", nil},
		"a host name":            {`[{type: Hostname, value: h.test}]`, "False UnsupportedAddress", "False Invalid", nil},
		"one that somebody else": {`[{value: 10.201.3.5}]`, "True Accepted", "False AddressNotAssigned", nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := fronted(t, strings.Replace(simpleGateway, "listeners:", "addresses: "+test.addresses+", listeners:", 1))
			w.assign(w.compile(), "10.201.3.4")
			status := gatewayStatus(w.compile(), "gw")
			if got := condition(t, status.Conditions, "Accepted"); got != test.accepted {
				t.Errorf("Accepted is %s, want %s", got, test.accepted)
			}
			if got := condition(t, status.Conditions, "Programmed"); got != test.programmed {
				t.Errorf("Programmed is %s, want %s", got, test.programmed)
			}
			var has []string
			for _, a := range status.Addresses {
				has = append(has, a.Value)
			}
			if !slices.Equal(has, test.has) {
				t.Errorf("addresses %v, want %v", has, test.has)
			}
		})
	}
}

// Labels and annotations for what is made for a Gateway; parameters that nobody here knows.
func TestInfrastructure(t *testing.T) {
	w := fronted(t, strings.Replace(simpleGateway, "listeners:", `infrastructure: {labels: {team: a, app.kubernetes.io/managed-by: b}, annotations: {note: c}}, listeners:`, 1))
	f := w.compile().Fronts[compile.Key{Namespace: "default", Name: "gw-bonsai"}]
	for k, want := range map[string]string{"team": "a", compile.OwnerLabel: compile.Owner, compile.GatewayLabel: "gw"} {
		if f.Labels[k] != want {
			t.Errorf("label %s is %q, want %q", k, f.Labels[k], want)
		}
	}
	if f.Annotations["note"] != "c" {
		t.Errorf("annotations: %v", f.Annotations)
	}
	w = fronted(t, strings.Replace(simpleGateway, "listeners:", `infrastructure: {parametersRef: {group: g, kind: K, name: n}}, listeners:`, 1))
	if got := condition(t, gatewayStatus(w.compile(), "gw").Conditions, "Accepted"); got != "False InvalidParameters" {
		t.Errorf("Accepted is %s", got)
	}
}

// A Service that somebody else has made is left alone, and the Gateway is served at the nodes' addresses.
func TestForeignService(t *testing.T) {
	w := fronted(t, simpleGateway)
	w.endpoints("gw-bonsai")
	out := w.compile()
	if len(out.Fronts) > 0 {
		t.Errorf("it would be overwritten: %v", out.Fronts)
	}
	if got := condition(t, gatewayStatus(out, "gw").Conditions, "Programmed"); got != "True Programmed" {
		t.Errorf("Programmed is %s", got)
	}
}

// Names of Services are labels of DNS that begin with a letter, whatever the Gateway's name is.
func TestFrontNames(t *testing.T) {
	long := strings.Repeat("long.", 20) + "name"
	for name, want := range map[string]string{"gw": "gw-bonsai", "1st": "gateway-1st-bonsai-", "a.b": "a-b-bonsai-", long: "long-long-long-"} {
		w := fronted(t, strings.Replace(simpleGateway, "name: gw}", "name: "+name+"}", 1))
		fronts := w.compile().Fronts
		if len(fronts) != 1 {
			t.Errorf("Gateway %s has %d Services", name, len(fronts))
		}
		for key := range fronts {
			if !strings.HasPrefix(key.Name, want) || len(key.Name) > 63 {
				t.Errorf("Gateway %s has the Service %s", name, key.Name)
			}
		}
	}
}

// A connection that was made for one listener's host is not used for another's (GEP-3567): the cases of the conformance tests.
func TestMisdirectedRequests(t *testing.T) {
	w := newWorld(t, `
kind: Gateway
metadata: {name: gw}
spec:
  gatewayClassName: bonsai
  listeners:
  - {name: any, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: cert}]}}
  - {name: second, port: 443, hostname: second.org, protocol: HTTPS, tls: {certificateRefs: [{name: cert}]}}
  - {name: wild, port: 443, hostname: "*.wild.org", protocol: HTTPS, tls: {certificateRefs: [{name: cert}]}}
  - {name: fourth, port: 443, hostname: fourth.wild.org, protocol: HTTPS, tls: {certificateRefs: [{name: cert}]}}`,
		strings.Replace(route("a", "  hostnames: [first.org]\n  rules: [{"+backends("one")+"}]\n"), "name: gw}", "name: gw, sectionName: any}", 1),
		strings.Replace(route("b", "  rules: [{"+backends("two")+"}]\n"), "name: gw}", "name: gw, sectionName: second}", 1),
		strings.Replace(route("c", "  rules: [{"+backends("three")+"}]\n"), "name: gw}", "name: gw, sectionName: wild}", 1),
		strings.Replace(route("d", "  rules: [{"+backends("four")+"}]\n"), "name: gw}", "name: gw, sectionName: fourth}", 1),
	)
	w.secret("cert", "*")
	w.service("one", "two", "three", "four")
	s := w.serve()
	for _, test := range []struct{ connected, host, want string }{
		{"first.org", "first.org", "one"},
		{"first.org", "second.org", "421"},
		{"first.org", "unknown.org", "404"},
		{"second.org", "second.org", "two"},
		{"second.org", "first.org", "421"},
		{"second.org", "unknown.org", "421"},
		{"third.wild.org", "third.wild.org", "three"},
		{"third.wild.org", "fifth.wild.org", "three"},
		{"third.wild.org", "fourth.wild.org", "421"},
		{"fourth.wild.org", "fourth.wild.org", "four"},
		{"fourth.wild.org", "fifth.wild.org", "421"},
		{"unknown.org", "first.org", "one"},
		{"", "second.org", "two"}, // it says nothing
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+test.host+"/", nil)
		r.TLS.ServerName, r.RemoteAddr = test.connected, "203.0.113.7:1234"
		rec := httptest.NewRecorder()
		s.proxy.Handler(443).ServeHTTP(rec, r)
		got := rec.Header().Get("X-Backend")
		if got == "" {
			got = strconv.Itoa(rec.Code)
		}
		if got != test.want {
			t.Errorf("connected for %q, asking %s: %s, want %s", test.connected, test.host, got, test.want)
		}
	}
}
