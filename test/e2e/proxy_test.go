package e2e

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"bonsai/test/e2e/harness"
)

// companyProxy is an HTTP proxy that listens on the loopback interface only and requires a password. It is the only way to
// the registry proxied.bonsai.test, which speaks http.
type companyProxy struct {
	url string

	mu    sync.Mutex // guards hosts
	hosts []string   // of all requests with the right password, "CONNECT host" or "GET host"
}

const proxyUser, proxyPassword = "clerk", "s3cret-of-the-proxy"

func serveProxy(t *testing.T) *companyProxy {
	t.Helper()
	content := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &companyProxy{url: fmt.Sprintf("http://%s:%s@%s", proxyUser, proxyPassword, l.Addr())}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Proxy-Authorization") != "Basic "+encode([]byte(proxyUser+":"+proxyPassword)) && r.URL.Host != "" {
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		if r.URL.Host != "" { // a test pushes directly
			p.mu.Lock()
			p.hosts = append(p.hosts, r.Method+" "+r.URL.Host)
			p.mu.Unlock()
		}
		if r.Method == http.MethodConnect {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		content.ServeHTTP(w, r)
	})}
	t.Cleanup(func() { _ = server.Close() })
	go func() { _ = server.Serve(l) }()
	target, err := name.ParseReference(l.Addr().String() + "/box:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(target, harness.Image(t, harness.Busybox)); err != nil {
		t.Fatal(err)
	}
	return p
}

// seen are the requests so far.
func (p *companyProxy) seen() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.hosts)
}

// A proxy in the environment is for pulls and nothing else: what stays on this machine never goes through it.
func TestProxyInTheEnvironment(t *testing.T) {
	t.Parallel()
	c := harness.New(t)
	proxy := serveProxy(t)
	behind := []string{"HTTP_PROXY=" + proxy.url, "HTTPS_PROXY=" + proxy.url, "http_proxy=", "https_proxy=", "NO_PROXY=", "no_proxy="}
	c.Env = behind
	c.Start(t, "--nodes", "1", "--registry-mirror", "proxied.bonsai.test=http://proxied.bonsai.test")
	c.LoadImages(t)
	node := c.Nodes(t)[0]
	container := harness.Docker(t, "inspect", "-f", "{{.Id}}", harness.Container(t, node))

	for _, test := range []struct {
		name string
		run  func(*testing.T, *harness.Cluster)
	}{
		{"exec, attach and logs", testExecAttachLogs}, {"proxy", testProxy}, {"admission webhook", testWebhook}, {"aggregated API", testAggregatedAPI},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, c) })
	}
	if seen := proxy.seen(); len(seen) > 0 {
		t.Errorf("requests inside the cluster went to the proxy: %q", seen)
	}

	n := c.NewNamespace(t)
	box := n.Pod("box", "proxied.bonsai.test/box:1", "-c", "sleep 1000")
	n.Create(t, box)
	if seen := proxy.seen(); !slices.Contains(seen, "GET proxied.bonsai.test") {
		t.Errorf("the image was not pulled through the proxy, which has seen %q", seen)
	}
	// https goes through a tunnel.
	secure := n.Pod("secure", "secure.bonsai.test/box:1")
	n.Kubectl(t, "-n", n.Namespace, "run", secure.Name, "--image", secure.Spec.Containers[0].Image)
	harness.Until(t, 20*time.Second, "a pull over https at the proxy", func() error {
		if seen := proxy.seen(); !slices.Contains(seen, "CONNECT secure.bonsai.test:443") {
			return fmt.Errorf("it has seen %q", seen)
		}
		return nil
	})

	for what, text := range map[string]string{
		"docker inspect":     harness.Docker(t, "inspect", container),
		"docker logs":        harness.Docker(t, "logs", container),
		"status":             c.Must(t, "status", "-o", "json"),
		"start --dry-run":    c.Must(t, "start", "--dry-run", "-o", "json"),
		"the daemon's log":   c.Must(t, "logs", "daemon", "--tail", "-1"),
		"the agent's log":    c.Must(t, "logs", "bonsai-agent", "--tail", "-1"),
		"containerd's log":   c.Must(t, "logs", "containerd", "--tail", "-1"),
		"the kubelet's log":  c.Must(t, "logs", "kubelet", "--tail", "-1"),
		"the API server log": c.Must(t, "logs", "apiserver", "--tail", "-1"),
	} {
		if strings.Contains(text, proxyPassword) {
			t.Errorf("%s shows the proxy's password", what)
		}
	}
	for _, file := range []string{filepath.Join(c.Dir, "clusters", c.Name, "spec.json")} {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s, which holds the password, has mode %v, %v; want 0600", file, info.Mode(), err)
		}
	}

	// Another environment takes effect in the running cluster, without a new container and without harm to pods.
	c.Env = []string{"HTTP_PROXY=", "HTTPS_PROXY=", "http_proxy=", "https_proxy="}
	c.Start(t)
	if got := containerdProxy(t, node); got != "" {
		t.Errorf("after a start without a proxy containerd has %q", got)
	}
	if now := harness.Docker(t, "inspect", "-f", "{{.Id}}", harness.Container(t, node)); now != container {
		t.Error("the node's container was recreated for a proxy")
	}
	if p := n.WaitReady(t, box.Name); p.Status.ContainerStatuses[0].RestartCount != 0 {
		t.Errorf("the pod was restarted: %+v", p.Status.ContainerStatuses[0])
	}

	// Only the later start of a stopped cluster knows a proxy.
	c.Must(t, "stop")
	c.Env = behind
	c.Start(t)
	if got := containerdProxy(t, node); !strings.Contains(got, "HTTPS_PROXY=http://"+proxyUser) || strings.Contains(got, "@127.0.0.1") {
		t.Errorf("after a start with a proxy containerd has %q, want it at the gateway", got)
	}
	n.WaitReady(t, box.Name)
	before := len(proxy.seen())
	n.Kubectl(t, "get", "--raw", "/api/v1/nodes/"+node+"/proxy/healthz")
	if seen := proxy.seen()[before:]; slices.ContainsFunc(seen, func(s string) bool { return strings.Contains(s, "10250") }) {
		t.Errorf("after stop and start requests to nodes went to the proxy: %q", seen)
	}
}

// containerdProxy is what the environment of a node's containerd says about proxies.
func containerdProxy(t *testing.T, node string) string {
	t.Helper()
	return strings.TrimSpace(harness.InNode(t, node, "sh", "-c", `tr '\0' '\n' </proc/$(pidof containerd)/environ | grep -i _proxy= || true`))
}
