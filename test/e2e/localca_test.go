package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"bonsai/bootstrap"
	"bonsai/bootstrap/cluster"
	"bonsai/test/browser"
	"bonsai/test/e2e/harness"
)

// trusting is a client that believes the local CA and nobody else, and sends every request to one address.
func trusting(t *testing.T, c *harness.Cluster, address string) *http.Client {
	t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(c.Must(t, "ca", "show", "--pem"))) {
		t.Fatal("ca show --pem is not a certificate")
	}
	tr := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: namesLimit, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// awaitHost waits until the names have a host.
func awaitHost(t *testing.T, c *harness.Cluster, host string) (port int, named cluster.NamedHost) {
	t.Helper()
	harness.Until(t, 30*time.Second, host+" is served", func() error {
		snapshot, _ := c.Status(t)
		if snapshot.Names == nil {
			return errors.New("there are no names")
		}
		i := slices.IndexFunc(snapshot.Names.Hosts, func(h cluster.NamedHost) bool { return h.Host == host })
		if i < 0 {
			return fmt.Errorf("the hosts are %+v", snapshot.Names.Hosts)
		}
		port, named = snapshot.Names.Port, snapshot.Names.Hosts[i]
		return nil
	})
	return port, named
}

// Names on loopback and hosts without a Secret have certificates of the local CA, and hosts below localhost are reached without an
// address: by clients that trust it, and by a browser.
func TestLocalCA(t *testing.T) {
	t.Parallel()
	c := harness.New(t)
	c.Start(t, "--nodes", "2")
	c.LoadImages(t)
	n := c.NewNamespace(t)
	p := n.Pod("lonely", harness.Testpod, "serve")
	p.Labels["role"] = "server"
	n.Create(t, p)
	n.Service(t, serverService("servers", corev1.ServiceTypeClusterIP))
	n.WaitReady(t, "lonely")
	apply(t, n, `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: shop}
spec:
  tls: [{hosts: [shop.localhost, shop.test]}]
  rules:
  - host: shop.localhost
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: servers, port: {name: http}}}}]}
  - host: shop.test
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: servers, port: {name: http}}}}]}
  - host: plain.localhost
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: servers, port: {name: http}}}}]}
`)
	port, named := awaitHost(t, c, "shop.localhost")
	if want := "ingress/" + n.Namespace + "/shop"; len(named.From) != 1 || named.From[0] != want || len(named.Services) != 1 || named.Services[0] != n.Namespace+"/servers" {
		t.Errorf("shop.localhost is %+v, want it from %s", named, want)
	}
	door := trusting(t, c, fmt.Sprint("127.0.0.1:", port))
	answer := func(client *http.Client, url string) (string, error) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(r)
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		return fmt.Sprintf("%d %s %s %s", resp.StatusCode, resp.Proto, resp.Header.Get("Location"), strings.TrimSpace(string(text))), err
	}
	at := ":" + strconv.Itoa(port)
	if port == 80 { // 443 is open beside it, so that no address needs a port
		at = ""
	}
	for url, want := range map[string]string{
		fmt.Sprintf("https://servers.%s.localhost:%d/", n.Namespace, port): "200 HTTP/2.0  ",
		fmt.Sprintf("http://servers.%s.localhost:%d/", n.Namespace, port):  "200 HTTP/1.1  ",
		fmt.Sprintf("https://shop.localhost:%d/", port):                    "200 HTTP/2.0  ",
		// An Ingress with TLS sends those who come without it there, and that leads back here.
		fmt.Sprintf("http://shop.localhost:%d/a?b=c", port): "308 HTTP/1.1 https://shop.localhost" + at + "/a?b=c ",
		fmt.Sprintf("http://plain.localhost:%d/", port):     "200 HTTP/1.1  ",
		fmt.Sprintf("https://nothing.localhost:%d/", port):  "404 HTTP/2.0  bonsai: Namespace default has no Service nothing",
		fmt.Sprintf("https://127.0.0.1:%d/proxy.pac", port): "200 HTTP/2.0  function FindProxyForURL",
		fmt.Sprintf("http://nothing.localhost:%d/", port):   "404 HTTP/1.1  bonsai: Namespace default has no Service nothing",
		fmt.Sprintf("http://shop.test:%d/", port):           "421 HTTP/1.1  ",
		fmt.Sprintf("https://plain.localhost:%d/", port):    "200 HTTP/2.0  ",
	} {
		harness.Until(t, 20*time.Second, url+" is answered as it should", func() error {
			got, err := answer(door, url)
			if err != nil || !strings.HasPrefix(got, want) || strings.HasPrefix(want, "200") && !strings.Contains(want, "function") && !strings.Contains(got, "lonely") {
				return fmt.Errorf("%s, %w; want %s", got, errors.Join(err), want)
			}
			return nil
		})
	}
	if _, err := answer(door, fmt.Sprintf("https://shop.test:%d/", port)); err == nil {
		t.Error("the names have a certificate for a host that is not below localhost")
	}
	if r := c.Must(t, "service", "-n", n.Namespace); !strings.Contains(r, "http://shop.localhost"+at) {
		t.Errorf("bonsai service does not list the host:\n%s", r)
	}
	if r := c.Must(t, "status"); !strings.Contains(r, "http://shop.localhost"+at) {
		t.Errorf("bonsai status does not list the host:\n%s", r)
	}

	t.Run("at the nodes", func(t *testing.T) {
		for _, node := range c.Nodes(t) {
			address := kubectlIn(t, n, "get", "node", node, "-o", "jsonpath={.status.addresses[?(@.type==\"InternalIP\")].address}")
			there := trusting(t, c, net.JoinHostPort(address, "443"))
			for _, url := range []string{"https://shop.test/", "https://shop.localhost/", "https://plain.localhost/"} {
				harness.Until(t, 20*time.Second, url+" is answered by "+node, func() error {
					if got, err := answer(there, url); err != nil || !strings.HasPrefix(got, "200 HTTP/2.0  ") {
						return fmt.Errorf("%s, %w", got, errors.Join(err))
					}
					return nil
				})
			}
		}
	})

	t.Run("a listener without certificate", func(t *testing.T) {
		c.Must(t, "addons", "enable", "gateway")
		apply(t, n, `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw}
spec:
  gatewayClassName: bonsai
  listeners: [{name: https, port: 8443, protocol: HTTPS, hostname: "*.route.localhost"}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: site}
spec:
  parentRefs: [{name: gw}]
  hostnames: [blog.route.localhost]
  rules: [{backendRefs: [{name: servers, port: 80}]}]
`)
		awaitHost(t, c, "blog.route.localhost")
		for url, want := range map[string]string{
			fmt.Sprintf("https://blog.route.localhost:%d/", port): "200 HTTP/2.0  ",
			fmt.Sprintf("http://blog.route.localhost:%d/x", port): "308 HTTP/1.1 https://blog.route.localhost" + at + "/x",
		} {
			harness.Until(t, 20*time.Second, url+" is answered", func() error {
				if got, err := answer(door, url); err != nil || !strings.HasPrefix(got, want) {
					return fmt.Errorf("%s, %w", got, errors.Join(err))
				}
				return nil
			})
		}
	})

	t.Run("in a browser", func(t *testing.T) { browseTrusted(t, c, n.Namespace, port) })

	t.Run("the addon is disabled", func(t *testing.T) {
		c.Must(t, "addons", "disable", "gateway")
		harness.Until(t, 30*time.Second, "its hosts are gone", func() error {
			if snapshot, _ := c.Status(t); len(snapshot.Names.Hosts) > 0 {
				return fmt.Errorf("there are %+v", snapshot.Names.Hosts)
			}
			return nil
		})
	})
}

// browseTrusted has a browser open names with TLS: before the user trusts the CA it warns, and then it does not.
func browseTrusted(t *testing.T, c *harness.Cluster, namespace string, port int) {
	browser.Find(t)
	if _, err := exec.LookPath("certutil"); err != nil {
		t.Skip("there is no certutil; tools/need.sh browser installs it")
	}
	home := t.TempDir()
	urls := []string{fmt.Sprintf("https://servers.%s.localhost:%d/", namespace, port), fmt.Sprintf("https://shop.localhost:%d/", port)}
	for _, url := range urls {
		if got := browseFrom(t, home, url); strings.Contains(got, "lonely") {
			t.Errorf("a certificate that nobody trusts is accepted: %s", got)
		}
	}
	// As root, trust would change this machine: its commands for the browser alone are run.
	cmd := c.Command(t.Context(), "ca", "trust", "--dry-run", "-o", "json")
	cmd.Env = append(cmd.Env, "HOME="+home)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var stores []bootstrap.CAStore
	if err := json.Unmarshal(out, &stores); err != nil {
		t.Fatal(err)
	}
	database := filepath.Join(home, ".pki/nssdb")
	i := slices.IndexFunc(stores, func(s bootstrap.CAStore) bool { return s.Where == database })
	if i < 0 || stores[i].State != bootstrap.StoreByHand {
		t.Fatalf("the stores are %s", out)
	}
	sh := exec.CommandContext(t.Context(), "sh", "-euc", strings.Join(stores[i].Commands, "\n"))
	sh.Env = append(os.Environ(), "HOME="+home)
	if out, err := sh.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(stores[i].Commands, "; "), err, out)
	}
	for _, url := range urls {
		if got := browseFrom(t, home, url); !strings.Contains(got, "lonely") {
			t.Errorf("%s shows %s", url, got)
		}
	}
}
