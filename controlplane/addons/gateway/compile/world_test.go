package compile_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	"bonsai/bootstrap/gatewaytable"
	"bonsai/controlplane/addons/gateway/compile"
	"bonsai/nodeagent/gateway/proxy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a cluster's objects, with real servers behind its Services, and the real data plane in front of them.
type world struct {
	t  *testing.T
	in compile.Input
	// age makes each object younger than the one before.
	age time.Time
}

func newWorld(t *testing.T, objects ...string) *world {
	w := &world{t: t, age: time.Unix(1_800_000_000, 0)}
	w.in.Now = w.age
	w.in.Nodes = []compile.Node{{Name: "n1", Address: netip.MustParseAddr("10.201.0.10"), Reported: true, Report: gatewaytable.Report{Listening: []uint16{80, 443, 8080, 8443}}}}
	w.add(`{kind: Namespace, metadata: {name: default, labels: {kubernetes.io/metadata.name: default}}}`)
	w.add(`{kind: IngressClass, metadata: {name: bonsai}, spec: {controller: gateway.bonsai.io/controller}}`)
	w.add(`{kind: GatewayClass, metadata: {name: bonsai}, spec: {controllerName: gateway.bonsai.io/controller}}`)
	for _, o := range objects {
		w.add(o)
	}
	return w
}

// add adds the objects of a YAML text.
func (w *world) add(text string) {
	w.t.Helper()
	for doc := range strings.SplitSeq(text, "\n---\n") {
		var kind struct{ Kind string }
		if err := yaml.Unmarshal([]byte(doc), &kind); err != nil {
			w.t.Fatalf("%v in\n%s", err, doc)
		}
		w.age = w.age.Add(time.Second)
		switch kind.Kind {
		case "Namespace":
			w.in.Namespaces = append(w.in.Namespaces, object[corev1.Namespace](w, doc))
		case "IngressClass":
			w.in.IngressClasses = append(w.in.IngressClasses, object[networkingv1.IngressClass](w, doc))
		case "Ingress":
			w.in.Ingresses = append(w.in.Ingresses, object[networkingv1.Ingress](w, doc))
		case "GatewayClass":
			w.in.GatewayClasses = append(w.in.GatewayClasses, object[gatewayv1.GatewayClass](w, doc))
		case "Gateway":
			w.in.Gateways = append(w.in.Gateways, object[gatewayv1.Gateway](w, doc))
		case "HTTPRoute":
			w.in.HTTPRoutes = append(w.in.HTTPRoutes, object[gatewayv1.HTTPRoute](w, doc))
		case "GRPCRoute":
			w.in.GRPCRoutes = append(w.in.GRPCRoutes, object[gatewayv1.GRPCRoute](w, doc))
		case "ReferenceGrant":
			w.in.Grants = append(w.in.Grants, object[gatewayv1.ReferenceGrant](w, doc))
		case "TLSRoute":
			w.in.TLSRoutes = append(w.in.TLSRoutes, object[gatewayv1.TLSRoute](w, doc))
		case "ListenerSet":
			w.in.ListenerSets = append(w.in.ListenerSets, object[gatewayv1.ListenerSet](w, doc))
		case "BackendTLSPolicy":
			w.in.BackendTLSPolicies = append(w.in.BackendTLSPolicies, object[gatewayv1.BackendTLSPolicy](w, doc))
		case "ConfigMap":
			w.in.ConfigMaps = append(w.in.ConfigMaps, object[corev1.ConfigMap](w, doc))
		case "Service":
			w.in.Services = append(w.in.Services, object[corev1.Service](w, doc))
		default:
			w.t.Fatalf("kind %q in\n%s", kind.Kind, doc)
		}
	}
}

func object[T any, P interface {
	*T
	metav1.Object
}](w *world, doc string) *T {
	w.t.Helper()
	o := P(new(T))
	if err := yaml.UnmarshalStrict([]byte(doc), o); err != nil {
		w.t.Fatalf("%v in\n%s", err, doc)
	}
	if o.GetNamespace() == "" {
		o.SetNamespace("default")
	}
	o.SetCreationTimestamp(metav1.NewTime(w.age))
	o.SetGeneration(1)
	return o
}

// echo is what a backend has seen.
type echo struct {
	Service, Method, Host, Path, Proto string
	Header                             http.Header
	Body                               string
}

// service adds Services with one port 80 named http, each with a server of its own that answers with an echo.
func (w *world) service(names ...string) {
	for _, name := range names {
		w.backend(name, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			rw.Header().Set("X-Backend", name)
			_ = json.NewEncoder(rw).Encode(echo{Service: name, Method: r.Method, Host: r.Host, Path: r.URL.RequestURI(), Proto: r.Proto, Header: r.Header, Body: string(body)})
		}))
	}
}

// backend adds a Service whose endpoint is a server with this handler. It speaks HTTP/1.1 and h2c.
func (w *world) backend(name string, h http.Handler) *httptest.Server {
	s := httptest.NewUnstartedServer(h)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetHTTP1(true)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	w.t.Cleanup(s.Close)
	w.endpoints(name, s.Listener.Addr().String())
	return s
}

// endpoints adds a Service, unless it exists, and endpoints to it.
func (w *world) endpoints(name string, addresses ...string) {
	namespace, short, ok := strings.Cut(name, "/")
	if !ok {
		namespace, short = "default", name
	}
	exists := false
	for _, s := range w.in.Services {
		exists = exists || s.Namespace == namespace && s.Name == short
	}
	if !exists {
		w.in.Services = append(w.in.Services, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: short}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 80}}}})
	}
	for i, a := range addresses {
		at := netip.MustParseAddrPort(a)
		w.in.Slices = append(w.in.Slices, &discoveryv1.EndpointSlice{
			ObjectMeta:  metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprintf("%s-%d", short, i), Labels: map[string]string{discoveryv1.LabelServiceName: short}},
			AddressType: discoveryv1.AddressTypeIPv4,
			Ports:       []discoveryv1.EndpointPort{{Name: new("http"), Port: new(int32(at.Port()))}},
			Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{at.Addr().String()}, Conditions: discoveryv1.EndpointConditions{Ready: new(true)}}},
		})
	}
}

// secret adds a certificate for hosts, and returns its chain.
func (w *world) secret(name string, hosts ...string) *x509.CertPool {
	w.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: hosts, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		w.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		w.t.Fatal(err)
	}
	chain := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	namespace, short, ok := strings.Cut(name, "/")
	if !ok {
		namespace, short = "default", name
	}
	w.in.Secrets = append(w.in.Secrets, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: short}, Type: corev1.SecretTypeTLS,
		Data: map[string][]byte{corev1.TLSCertKey: chain, corev1.TLSPrivateKeyKey: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})},
	})
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(chain)
	return pool
}

func (w *world) compile() compile.Output {
	w.t.Helper()
	out, err := compile.Compile(w.in)
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// served is a data plane that serves a world as it was.
type served struct {
	t     *testing.T
	proxy *proxy.Proxy
}

func (w *world) serve() *served {
	w.t.Helper()
	// Nothing listens there: requests are handed over in memory.
	p := proxy.New(proxy.Config{Address: netip.MustParseAddr("192.0.2.1"), Log: slog.New(slog.DiscardHandler)})
	if err := p.Apply(w.compile().Table); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(p.CloseIdle)
	return &served{w.t, p}
}

// answer is a response, with the echo if a backend has given it.
type answer struct {
	*http.Response
	seen echo
	text string
}

// get sends a request to port 80, or with https to 443. Headers are "Name: value".
func (s *served) get(url string, headers ...string) answer { return s.do("GET", url, "", headers...) }

func (s *served) do(method, url, body string, headers ...string) answer {
	s.t.Helper()
	r := httptest.NewRequestWithContext(s.t.Context(), method, url, strings.NewReader(body))
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	port := uint16(80)
	if r.TLS != nil {
		port = 443
	}
	if text := r.URL.Port(); text != "" {
		_, _ = fmt.Sscan(text, &port)
	}
	r.RemoteAddr = "203.0.113.7:1234"
	rec := httptest.NewRecorder()
	s.proxy.Handler(port).ServeHTTP(rec, r)
	a := answer{Response: rec.Result(), text: rec.Body.String()}
	_ = json.Unmarshal(rec.Body.Bytes(), &a.seen)
	return a
}

// expect checks that a request is answered by a Service, or with a status if that is what is wanted.
func (s *served) expect(url, want string, headers ...string) {
	s.t.Helper()
	a := s.get(url, headers...)
	got := a.seen.Service
	if got == "" {
		got = fmt.Sprint(a.StatusCode)
	}
	if got != want {
		s.t.Errorf("GET %s %q: %s, want %s (%s)", url, headers, got, want, strings.TrimSpace(a.text))
	}
}
