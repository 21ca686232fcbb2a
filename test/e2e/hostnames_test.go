package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/hostdns"
	"bonsai/test/e2e/harness"
)

// hostNames is what "dns host status -o json" says. Its exit code is 37, as these tests do not configure the machine.
func hostNames(t *testing.T, c *harness.Cluster) (h cluster.HostDNS) {
	t.Helper()
	r := c.Bonsai(t, "dns", "host", "status", "-o", "json")
	if r.Code != 0 && r.Code != 37 {
		t.Fatal(r)
	}
	if err := json.Unmarshal([]byte(r.Stdout), &h); err != nil {
		t.Fatal(err)
	}
	return h
}

// asking is a resolver of programs that asks one cluster, as the machine's own would.
func asking(port int) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, fmt.Sprint("127.0.0.1:", port))
	}}
}

// addressesOf looks a name up; none means that the name exists without an address, or does not exist.
func addressesOf(t *testing.T, port int, name string) []string {
	t.Helper()
	found, err := asking(port).LookupHost(t.Context(), name+".")
	var failed *net.DNSError
	if err != nil && (!errors.As(err, &failed) || !failed.IsNotFound) {
		t.Fatalf("look up %s: %v", name, err)
	}
	slices.Sort(found)
	return found
}

// Programs of this machine look up Services and hosts of Ingresses, of several clusters at once.
func TestHostNames(t *testing.T) {
	t.Parallel()
	c := harness.New(t)
	c.Start(t, "--nodes", "2")
	c.LoadImages(t)
	if h := hostNames(t, c); h.Open {
		t.Fatalf("before it is enabled: %+v", h)
	}
	c.Must(t, "addons", "enable", "ingress-dns")
	h := hostNames(t, c)
	if !h.Open || h.Port == 0 {
		t.Fatalf("enabled, the resolver is %+v", h)
	}
	n := c.NewNamespace(t)
	servers(t, n)
	n.Service(t, serverService("balanced", corev1.ServiceTypeLoadBalancer))
	n.Service(t, serverService("inner", corev1.ServiceTypeClusterIP))
	apply(t, n, `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec:
  rules:
  - {host: web.test, http: &all {paths: [{path: /, pathType: Prefix, backend: {service: {name: inner, port: {name: http}}}}]}}
  - {host: "*.apps.test", http: *all}
  - {host: www.example.com, http: *all}
`)
	for _, name := range []string{"balanced." + n.Namespace + ".svc.cluster.local", "web.test", "x.apps.test"} {
		harness.Until(t, 20*time.Second, name+" leads to the servers", func() error {
			client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DialContext: (&net.Dialer{Resolver: asking(h.Port)}).DialContext}}
			resp, err := client.Get("http://" + name + "/")
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			text, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != http.StatusOK || !strings.HasPrefix(string(text), "on-") {
				return fmt.Errorf("%d %q, %w", resp.StatusCode, text, err)
			}
			return nil
		})
	}
	balanced := addressesOf(t, h.Port, "balanced."+n.Namespace+".svc.cluster.local")
	own := addressesOf(t, h.Port, "balanced."+n.Namespace+".svc."+c.Name+".bonsai.internal")
	if len(balanced) != 1 || !slices.Equal(balanced, own) {
		t.Errorf("the Service has %v, and by the name that is the cluster's alone %v", balanced, own)
	}
	if got := addressesOf(t, h.Port, "inner."+n.Namespace+".svc.cluster.local"); len(got) != 0 {
		t.Errorf("a Service that is not reached from here has %v", got)
	}
	if _, err := asking(h.Port).LookupHost(t.Context(), "www.example.com."); err == nil {
		t.Error("an Ingress took the place of a host that is in no domain of the addon")
	}
	reasons := map[string]string{}
	for _, name := range hostNames(t, c).Names {
		reasons[name.Name] = name.Reason
	}
	if got := reasons["www.example.com"]; !strings.Contains(got, "below none of the domains") {
		t.Errorf("the reason of www.example.com is %q", got)
	}
	if got := reasons["inner."+n.Namespace+".svc.cluster.local"]; !strings.Contains(got, "not reached from this machine") {
		t.Errorf("the reason of a Service that is not reached is %q", got)
	}
	c.Must(t, "addons", "configure", "ingress-dns", "domains=test,www.example.com")
	harness.Until(t, 10*time.Second, "the host of a new domain is answered", func() error {
		if got := addressesOf(t, h.Port, "www.example.com"); len(got) != 2 {
			return fmt.Errorf("it has %v", got)
		}
		return nil
	})

	t.Run("a dnsmasq that is configured so", func(t *testing.T) { throughDNSMasq(t, c, h, balanced, "balanced."+n.Namespace) })
	t.Run("several clusters", func(t *testing.T) { otherHostNames(t, c, h.Port, balanced, "balanced."+n.Namespace) })

	// The port is in files of the machine, so it stays; and a cluster that is stopped answers nothing.
	c.Must(t, "stop")
	if _, err := asking(h.Port).LookupHost(t.Context(), "web.test."); err == nil {
		t.Error("a cluster that is stopped answers")
	}
	c.Start(t)
	harness.Until(t, 20*time.Second, "the names are there after a restart", func() error {
		again := hostNames(t, c)
		if !again.Open || again.Port != h.Port {
			return fmt.Errorf("the resolver is at %d, %s; it was at %d", again.Port, again.Reason, h.Port)
		}
		return nil
	})
	c.Must(t, "addons", "disable", "ingress-dns")
	if now := hostNames(t, c); now.Open {
		t.Errorf("disabled, the resolver is %+v", now)
	}
}

// throughDNSMasq has a real dnsmasq ask, with the configuration that this machine would get if its own were one.
func throughDNSMasq(t *testing.T, c *harness.Cluster, h cluster.HostDNS, want []string, service string) {
	program, err := exec.LookPath("dnsmasq")
	if err != nil {
		t.Skip("dnsmasq is not installed: tools/need.sh field")
	}
	config, err := hostdns.Find(hostdns.Machine{OS: "linux", DNSMasq: true}, hostdns.Names{Cluster: c.Name, ID: "e2e", Port: h.Port, Domains: h.Domains})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "dnsmasq.conf")
	if err := os.WriteFile(file, []byte(config.Files[0].Content), 0o644); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	_ = l.Close()
	cmd := exec.CommandContext(t.Context(), program, "--keep-in-foreground", "--no-resolv", "--no-hosts", "--stop-dns-rebind", "--bind-interfaces",
		"--listen-address=127.0.0.1", fmt.Sprint("--port=", port), "--user=root", "--pid-file=", "--conf-file="+file)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	for name, want := range map[string][]string{service + ".svc.cluster.local": want, "web.localhost": {"127.0.0.1", "::1"}} {
		harness.Until(t, 10*time.Second, name+" is found through dnsmasq", func() error {
			found, err := asking(port).LookupHost(t.Context(), name+".")
			slices.Sort(found)
			if err != nil || !slices.Equal(found, want) {
				return fmt.Errorf("it is %v, want %v, %w", found, want, err)
			}
			return nil
		})
	}
	if found, err := asking(port).LookupHost(t.Context(), "www.google.com."); err == nil {
		t.Errorf("a name that is not the cluster's is %v", found)
	}
}

// otherHostNames starts a cluster without nodes in the same state folder, whose resolver answers for the first one, too.
func otherHostNames(t *testing.T, c *harness.Cluster, port int, want []string, service string) {
	other := &harness.Cluster{Home: c.Home, Name: c.Home.Name()}
	other.Start(t, "--nodes", "0")
	other.Must(t, "addons", "enable", "ingress-dns")
	h := hostNames(t, other)
	if !h.Open || h.Port == port {
		t.Fatalf("the resolver of the other cluster is %+v", h)
	}
	if got := addressesOf(t, h.Port, service+".svc.cluster.local"); !slices.Equal(got, want) {
		t.Errorf("asked for a Service of the first cluster, the other one answers %v, want %v", got, want)
	}
	if _, err := asking(h.Port).LookupHost(t.Context(), service+".svc."+c.Name+".bonsai.internal."); err == nil {
		t.Error("it answers for what is the first cluster's alone")
	}
	probe := cluster.HostDNSProbe(other.Name)
	if got := addressesOf(t, h.Port, probe); len(got) != 1 || got[0] != netip.AddrFrom4([4]byte{127, 0, 0, 1}).String() {
		t.Errorf("%s is %v", probe, got)
	}
	other.Must(t, "delete")
}
