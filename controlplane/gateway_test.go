package controlplane_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"bonsai/bootstrap/cluster"
	"bonsai/nodeagent/agentapi"
	"bonsai/nodeagent/gateway"
)

// dataPlane is the agent's part and its process, here without a process of its own, at an address of loopback.
type dataPlane struct {
	dns     http.RoundTripper
	api     *httptest.Server
	address string
}

// RoundTrip leads requests about the gateway to the part.
func (d *dataPlane) RoundTrip(r *http.Request) (*http.Response, error) {
	if !strings.HasPrefix(r.URL.Path, "/v1/gateway/") {
		return d.dns.RoundTrip(r)
	}
	to, err := url.Parse(d.api.URL)
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.URL.Scheme, r.URL.Host = to.Scheme, to.Host
	return d.api.Client().Transport.RoundTrip(r)
}

func startDataPlane(t *testing.T, address string, dns http.RoundTripper) *dataPlane {
	t.Helper()
	dir, err := os.MkdirTemp("", "gw") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	l, err := agentapi.ListenUnix(filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	part := gateway.New(gateway.Config{Scale: 1, Log: log}) // which is not run: Serve is called here
	parts := map[string]http.Handler{gateway.Name: part.Handler()}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(func() { _ = agentapi.New(agentapi.Config{Parts: parts, Log: log}).ServeLocal(ctx, l) })
	running.Go(func() {
		_ = gateway.Server{Socket: filepath.Join(dir, "s"), Address: netip.MustParseAddr(address), Access: t.Output(), Log: log}.Serve(ctx)
	})
	d := &dataPlane{dns: dns, address: address, api: httptest.NewServer(http.StripPrefix("/v1/gateway", part.Handler()))}
	t.Cleanup(func() {
		cancel()
		d.api.CloseClientConnections()
		d.api.Close()
		running.Wait()
		_ = os.RemoveAll(dir)
	})
	return d
}

// TestGatewayAddon is the addon from the first Ingress to its end, with a real API server and real data planes.
func TestGatewayAddon(t *testing.T) {
	h := newHouse(t)
	planes := map[string]*dataPlane{}
	for i, name := range []string{"test-1", "test-2"} {
		planes[name] = startDataPlane(t, fmt.Sprintf("127.0.0.%d", i+1), h.agents[name])
	}
	h.transport = func(n cluster.Node) http.RoundTripper { return planes[n.Name] }
	h.start(nil)
	ctx := t.Context()
	objects, err := dynamic.NewForConfig(h.cp.LoopbackConfig())
	if err != nil {
		t.Fatal(err)
	}
	resource := func(name string) dynamic.NamespaceableResourceInterface {
		return objects.Resource(schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: name})
	}
	h.until("gateway", cluster.AddonDisabled)
	if _, err := h.client.NetworkingV1().Ingresses("default").Create(ctx, &networkingv1.Ingress{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec:       networkingv1.IngressSpec{DefaultBackend: &networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: "web", Port: networkingv1.ServiceBackendPort{Number: 80}}}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the classes", func() error {
		_, err := h.client.NetworkingV1().IngressClasses().Get(ctx, "bonsai", metav1.GetOptions{})
		_, err2 := resource("gatewayclasses").Get(ctx, "bonsai", metav1.GetOptions{})
		return errors.Join(err, err2)
	})

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := netip.MustParseAddrPort(l.Addr().String()).Port()
	_ = l.Close()
	for kind, text := range map[string]string{
		"gateways": fmt.Sprintf(`
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw}
spec: {gatewayClassName: bonsai, listeners: [{name: http, port: %d, protocol: HTTP}]}`, port),
		"httproutes": `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: moved}
spec:
  parentRefs: [{name: gw}]
  rules: [{filters: [{type: RequestRedirect, requestRedirect: {hostname: new.test, statusCode: 301}}]}]`,
	} {
		u := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
			t.Fatal(err)
		}
		if _, err := resource(kind).Namespace("default").Create(ctx, u, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	ask := func(address string) (*http.Response, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s:%d/", address, port), nil)
		if err != nil {
			return nil, err
		}
		transport := &http.Transport{DisableKeepAlives: true}
		return transport.RoundTrip(req)
	}
	eventually(t, "the route on all nodes", func() error {
		for _, p := range planes {
			resp, err := ask(p.address)
			if err != nil {
				return err
			}
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusMovedPermanently {
				return fmt.Errorf("%s answers %s", p.address, resp.Status)
			}
		}
		return nil
	})
	eventually(t, "the statuses", func() error {
		u, err := resource("gateways").Namespace("default").Get(ctx, "gw", metav1.GetOptions{})
		if err != nil {
			return err
		}
		addresses, _, _ := unstructured.NestedSlice(u.Object, "status", "addresses") // its own, which the addon loadbalancer gives
		text := fmt.Sprint(u.Object["status"])
		if len(addresses) != 1 || !strings.Contains(text, "attachedRoutes:1") || !strings.Contains(text, "type:Programmed") {
			return fmt.Errorf("the Gateway's status is %s", text)
		}
		u, err = resource("httproutes").Namespace("default").Get(ctx, "moved", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if text := fmt.Sprint(u.Object["status"]); !strings.Contains(text, "type:ResolvedRefs") || !strings.Contains(text, "gateway.bonsai.io/controller") {
			return fmt.Errorf("the route's status is %s", text)
		}
		return nil
	})

	h.choose(map[string]bool{"gateway": false})
	h.until("gateway", cluster.AddonDisabled)
	eventually(t, "the end of the data plane", func() error {
		resp, err := ask("127.0.0.1")
		if err == nil {
			err = resp.Body.Close()
		}
		if !errors.Is(err, syscall.ECONNREFUSED) {
			return fmt.Errorf("with the addon disabled: %w", errors.Join(err, errors.New("something answers")))
		}
		return nil
	})
	_, err = resource("gatewayclasses").Get(ctx, "bonsai", metav1.GetOptions{})
	h.exists("the GatewayClass", false, nil, err)
	_, err = resource("httproutes").Namespace("default").Get(ctx, "moved", metav1.GetOptions{})
	h.exists("the user's route", true, nil, err)
}
