package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bonsai/test/e2e/harness"
)

// testAddresses: each Gateway has an address of its own, where only it answers, also if two have the same listeners.
func (g *gated) testAddresses(t *testing.T) {
	for _, name := range []string{"first", "second"} {
		apply(t, g.n, `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: `+name+`}
spec: {gatewayClassName: bonsai, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: `+name+`}
spec:
  parentRefs: [{name: `+name+`}]
  rules: [{filters: [{type: RequestRedirect, requestRedirect: {hostname: `+name+`.test, statusCode: 301}}]}]
`)
	}
	addressOf := func(name string) string {
		return kubectlIn(t, g.n, "get", "gateway", name, "-o", "jsonpath={.status.addresses[*].value}")
	}
	began := time.Now()
	for _, name := range []string{"first", "second"} {
		kubectlIn(t, g.n, "wait", "gateway/"+name, "--for=condition=Programmed", "--timeout=20s")
	}
	t.Logf("both have an address after %s", time.Since(began).Round(time.Millisecond))
	leads := func(name, address string) error {
		client := http.Client{Timeout: 5 * time.Second, Transport: throughNode(address), CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://any.test/", nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		_ = resp.Body.Close()
		if got, want := resp.Header.Get("Location"), "http://"+name+".test/"; got != want {
			return fmt.Errorf("%s leads to %q, want %q (%d)", address, got, want, resp.StatusCode)
		}
		return nil
	}
	first, second := addressOf("first"), addressOf("second")
	if first == second || slices.Contains(g.addresses, first) || strings.Contains(first, " ") {
		t.Fatalf("the addresses are %q and %q, and nodes have %q", first, second, g.addresses)
	}
	harness.Until(t, 10*time.Second, "the first answers", func() error { return leads("first", first) })
	harness.Until(t, 10*time.Second, "the second answers", func() error { return leads("second", second) })
	for _, node := range g.addresses {
		if err := leads("first", node); err != nil { // the older one
			t.Error(err)
		}
	}

	kubectlIn(t, g.n, "delete", "gateway", "second")
	harness.Until(t, 20*time.Second, "the address of the second is given back", func() error {
		if got := kubectlIn(t, g.n, "get", "service", "second-bonsai", "--ignore-not-found", "-o", "name"); got != "" {
			return errors.New(got + " is still there")
		}
		return nil
	})
	g.Must(t, "addons", "disable", "loadbalancer")
	harness.Until(t, 20*time.Second, "without load balancers the first has the nodes' addresses", func() error {
		got := strings.Fields(addressOf("first"))
		if !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(g.addresses))) {
			return fmt.Errorf("it has %q, want %q", got, g.addresses)
		}
		return nil
	})
	g.Must(t, "addons", "enable", "loadbalancer")
	harness.Until(t, 20*time.Second, "with load balancers it has its own again", func() error {
		got := addressOf("first")
		if got == "" || slices.Contains(g.addresses, strings.Fields(got)[0]) {
			return fmt.Errorf("it has %q", got)
		}
		return leads("first", got)
	})
	kubectlIn(t, g.n, "delete", "gateway", "first")
	kubectlIn(t, g.n, "delete", "httproute", "first", "second")
}

// testIngressConformance has those cases of kubernetes-sigs/ingress-controller-conformance that need a cluster; the data plane alone
// is tested with all of them.
func (g *gated) testIngressConformance(t *testing.T) {
	chain, key := certificate(t, "foo.bar.com")
	dir := t.TempDir()
	for name, data := range map[string][]byte{"tls.crt": chain, "tls.key": key} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	kubectlIn(t, g.n, "create", "secret", "tls", "conformance-tls", "--cert", filepath.Join(dir, "tls.crt"), "--key", filepath.Join(dir, "tls.key"))
	apply(t, g.n, `
apiVersion: apps/v1
kind: Deployment
metadata: {name: echo-service}
spec:
  replicas: 10
  selector: {matchLabels: {app: echo-service}}
  template:
    metadata: {labels: {app: echo-service}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: echo, image: "`+harness.Testpod+`", args: [serve]}]
---
apiVersion: v1
kind: Service
metadata: {name: echo-service}
spec: {selector: {app: echo-service}, ports: [{name: http, port: 8080}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: host-rules}
spec:
  tls: [{hosts: [foo.bar.com], secretName: conformance-tls}]
  rules:
  - host: "*.foo.com"
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: echo-service, port: {number: 8080}}}}]}
  - host: foo.bar.com
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: echo-service, port: {name: http}}}}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: test-ingress-class}
spec:
  ingressClassName: some-invalid-class-name
  rules:
  - host: ingress-class
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: echo-service, port: {number: 8080}}}}]}
`)
	kubectlIn(t, g.n, "rollout", "status", "deployment/echo-service", "--timeout=60s")
	at := ""
	harness.Until(t, 20*time.Second, "the Ingress status shows the address where it is exposed", func() error {
		if at = kubectlIn(t, g.n, "get", "ingress", "host-rules", "-o", "jsonpath={.status.loadBalancer.ingress[0].ip}"); at == "" {
			return errors.New("it has none")
		}
		return nil
	})
	harness.Until(t, 20*time.Second, "the secure connection verifies the hostname", func() error {
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(chain)
		transport := throughNode(at)
		transport.TLSClientConfig = &tls.Config{RootCAs: roots}
		resp, err := (&http.Client{Timeout: 5 * time.Second, Transport: transport}).Get("https://foo.bar.com/")
		if err != nil {
			return err
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return errors.New(resp.Status)
		}
		return nil
	})
	harness.Until(t, 30*time.Second, "100 requests reach 10 pods", func() error {
		pods := map[string]int{}
		for range 100 {
			status, text, err := fetchFrom(t, at, "http://bar.foo.com/")
			if err != nil || status != http.StatusOK {
				return fmt.Errorf("status %d, %w", status, errors.Join(err))
			}
			name, _, _ := strings.Cut(text, " ")
			pods[name]++
		}
		if len(pods) != 10 {
			return fmt.Errorf("they reach %d pods: %v", len(pods), pods)
		}
		return nil
	})
	if got := kubectlIn(t, g.n, "get", "ingress", "test-ingress-class", "-o", "jsonpath={.status.loadBalancer.ingress}"); got != "" {
		t.Errorf("an Ingress of an unknown class has the status %s", got)
	}
	if status, _, err := fetchFrom(t, at, "http://ingress-class/"); err != nil || status != http.StatusNotFound {
		t.Errorf("its host: %d, %v", status, err)
	}
	kubectlIn(t, g.n, "delete", "ingress/host-rules", "ingress/test-ingress-class", "deployment/echo-service", "service/echo-service")
}
