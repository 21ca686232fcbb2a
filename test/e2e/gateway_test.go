package e2e

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"bonsai/test/e2e/harness"
)

// throughNode is a client that sends every request to a node's address, whatever its host is.
func throughNode(node string) *http.Transport {
	return &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			_, port, _ := net.SplitHostPort(address)
			var d net.Dialer
			return d.DialContext(ctx, "tcp", net.JoinHostPort(node, port))
		},
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // the certificate of a test
	}
}

// fetchFrom sends a request for a host to a node's address, and returns the answer's status and text.
func fetchFrom(t *testing.T, node, url string) (int, string, error) {
	t.Helper()
	client := http.Client{Timeout: 5 * time.Second, Transport: throughNode(node), CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, strings.TrimSpace(string(text)), err
}

// kubectlIn runs kubectl for the objects of a namespace.
func kubectlIn(t *testing.T, n *harness.Namespace, args ...string) string {
	t.Helper()
	return strings.TrimSpace(n.Kubectl(t, append([]string{"-n", n.Namespace}, args...)...))
}

// apply applies a text of YAML in the namespace.
func apply(t *testing.T, n *harness.Namespace, text string) {
	t.Helper()
	if r := n.RunWithInput(t, strings.NewReader(text), "kubectl", "-p", n.Name, "--", "-n", n.Namespace, "apply", "-f", "-"); r.Code != 0 {
		t.Fatalf("apply: %s", r)
	}
}

// Ingress and Gateway API are served on every node as soon as they are needed, also while the daemon is away.
func TestGateway(t *testing.T) {
	t.Parallel()
	c := harness.New(t)
	c.Start(t, "--nodes", "2")
	c.LoadImages(t)
	n := c.NewNamespace(t)
	servers(t, n)
	n.Service(t, serverService("web", corev1.ServiceTypeClusterIP))
	var addresses []string
	for _, node := range c.Nodes(t) {
		addresses = append(addresses, strings.TrimSpace(kubectlIn(t, n, "get", "node", node, "-o", "jsonpath={.status.addresses[?(@.type==\"InternalIP\")].address}")))
	}
	// serves checks that every node answers a URL with a pod of the Service.
	serves := func(url string) error {
		for _, a := range addresses {
			status, text, err := fetchFrom(t, a, url)
			if err != nil || status != http.StatusOK || !strings.HasPrefix(text, "on-") {
				return fmt.Errorf("%s from %s: %d %q, %w", url, a, status, text, errors.Join(err))
			}
		}
		return nil
	}
	state := func() string {
		var list map[string]struct{ State, Reason string }
		if err := json.Unmarshal([]byte(c.Must(t, "addons", "list", "-o", "json")), &list); err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(list["gateway"].State + " " + list["gateway"].Reason)
	}
	process := func(node string) string { // in the node's own numbers; empty if there is none
		return strings.TrimSpace(harness.InNode(t, node, "sh", "-c", "pidof bonsai-agent | tr ' ' '\\n' | while read p; do grep -qz '^gateway$' /proc/$p/cmdline && echo $p; done; true"))
	}

	t.Run("an Ingress is served at once", func(t *testing.T) {
		if got := state(); got != "disabled" {
			t.Errorf("before it is needed, the addon is %s", got)
		}
		if p := process(c.Nodes(t)[0]); p != "" {
			t.Errorf("before it is needed, process %s runs", p)
		}
		began := time.Now()
		apply(t, n, `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec:
  rules:
  - host: web.test
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {name: http}}}}]}
`)
		harness.Until(t, 20*time.Second, "the Ingress is served", func() error { return serves("http://web.test/") })
		t.Logf("served %s after its creation, with the installation of the addon", time.Since(began).Round(time.Millisecond))
		harness.Until(t, 10*time.Second, "its status has the nodes", func() error {
			got := strings.Fields(kubectlIn(t, n, "get", "ingress", "web", "-o", "jsonpath={.status.loadBalancer.ingress[*].ip}"))
			if !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(addresses))) {
				return fmt.Errorf("it has %q, want %q", got, addresses)
			}
			return nil
		})
		harness.Until(t, 10*time.Second, "the addon runs", func() error {
			if got := state(); got != "running" {
				return errors.New(got)
			}
			return nil
		})
		if status, _, err := fetchFrom(t, addresses[0], "http://other.test/"); err != nil || status != http.StatusNotFound {
			t.Errorf("another host: %d, %v", status, err)
		}
	})

	t.Run("a Gateway and its routes", func(t *testing.T) {
		apply(t, n, `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw}
spec: {gatewayClassName: bonsai, listeners: [{name: http, port: 8000, protocol: HTTP}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec:
  parentRefs: [{name: gw}]
  hostnames: [route.test]
  rules:
  - matches: [{path: {type: PathPrefix, value: /old}}]
    filters: [{type: RequestRedirect, requestRedirect: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /new}, statusCode: 301}}]
  - backendRefs: [{name: web, port: 80}]
`)
		harness.Until(t, 20*time.Second, "the route is served", func() error { return serves("http://route.test:8000/") })
		kubectlIn(t, n, "wait", "gateway/gw", "--for=condition=Programmed", "--timeout=10s")
		if got := kubectlIn(t, n, "get", "httproute", "web", "-o", `jsonpath={.status.parents[0].conditions[?(@.type=="Accepted")].status} {.status.parents[0].controllerName}`); got != "True gateway.bonsai.io/controller" {
			t.Errorf("the route's status is %q", got)
		}
		if status, _, err := fetchFrom(t, addresses[0], "http://route.test:8000/old/x"); err != nil || status != http.StatusMovedPermanently {
			t.Errorf("a redirect: %d, %v", status, err)
		}
	})

	t.Run("TLS", func(t *testing.T) {
		dir := t.TempDir()
		chain, key := certificate(t, "secure.test")
		for name, data := range map[string][]byte{"tls.crt": chain, "tls.key": key} {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		kubectlIn(t, n, "create", "secret", "tls", "cert", "--cert", filepath.Join(dir, "tls.crt"), "--key", filepath.Join(dir, "tls.key"))
		apply(t, n, `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: secure}
spec:
  tls: [{hosts: [secure.test], secretName: cert}]
  rules:
  - host: secure.test
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}
`)
		harness.Until(t, 10*time.Second, "TLS is served", func() error { return serves("https://secure.test/") })
		if status, _, err := fetchFrom(t, addresses[0], "http://secure.test/"); err != nil || status != http.StatusPermanentRedirect {
			t.Errorf("without TLS: %d, %v", status, err)
		}
		// The private key is in memory only.
		if got := harness.InNode(t, c.Nodes(t)[0], "sh", "-c", "grep -rlF 'PRIVATE KEY' /run/bonsai /var/log/bonsai /tmp 2>/dev/null | grep -v /pki/ || true"); strings.TrimSpace(got) != "" {
			t.Errorf("files of the node with private keys: %s", got)
		}
	})

	g := &gated{c, n, addresses}
	t.Run("what a Secret has now is served", g.testRenewal)
	t.Run("WebSockets, streams, uploads", g.testProtocols)
	t.Run("another namespace has to permit it", g.testGrant)
	t.Run("statuses are about what was written last", g.testGenerations)
	t.Run("each Gateway has an address of its own", g.testAddresses)
	t.Run("the cases of Ingress conformance", g.testIngressConformance)

	t.Run("it serves while the daemon is away", func(t *testing.T) {
		if err := syscall.Kill(daemonPID(t, c), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		for begin := time.Now(); time.Since(begin) < 3*time.Second; {
			if err := serves("http://web.test/"); err != nil {
				t.Fatalf("%s after its end: %v", time.Since(begin), err)
			}
		}
		c.Start(t)
		harness.Until(t, 20*time.Second, "the addon runs again", func() error {
			if got := state(); got != "running" {
				return errors.New(got)
			}
			return nil
		})
		if err := serves("http://web.test/"); err != nil {
			t.Error(err)
		}
	})

	t.Run("a killed process is replaced", func(t *testing.T) {
		node := c.Nodes(t)[0]
		pid := process(node)
		if _, err := strconv.Atoi(pid); err != nil {
			t.Fatalf("the process is %q", pid)
		}
		harness.InNode(t, node, "kill", "-9", pid)
		began := time.Now()
		harness.Until(t, 10*time.Second, "the node serves again", func() error { return serves("http://web.test/") })
		t.Logf("served again %s after its end", time.Since(began).Round(time.Millisecond))
	})

	t.Run("a killed agent has its data plane again", func(t *testing.T) {
		harness.InNode(t, c.Nodes(t)[0], "killall", "-9", "bonsai-agent")
		harness.Until(t, 20*time.Second, "the node serves again", func() error { return serves("http://web.test/") })
	})

	t.Run("disable and enable", func(t *testing.T) {
		c.Must(t, "addons", "disable", "gateway")
		harness.Until(t, 10*time.Second, "the end of the data planes", func() error {
			for i, a := range addresses {
				if _, _, err := fetchFrom(t, a, "http://web.test/"); !errors.Is(err, syscall.ECONNREFUSED) {
					return fmt.Errorf("node %d: %w", i+1, errors.Join(err, errors.New("it is not refused")))
				}
			}
			if p := process(c.Nodes(t)[0]); p != "" {
				return errors.New("process " + p + " still runs")
			}
			return nil
		})
		if got := kubectlIn(t, n, "get", "ingressclass,gatewayclass", "-o", "name"); strings.TrimSpace(got) != "" {
			t.Errorf("disable left %s", got)
		}
		kubectlIn(t, n, "get", "httproute", "web") // the user's
		r := c.Bonsai(t, "addons", "enable", "gateway")
		wantCode(t, r, 0)
		t.Logf("enabled in %s", r.Took.Round(time.Millisecond))
		harness.Until(t, 10*time.Second, "it is served again", func() error { return serves("http://web.test/") })
	})
}
