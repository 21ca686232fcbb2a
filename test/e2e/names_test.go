package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"bonsai/test/e2e/harness"
)

// namesLimit is how long one request may take.
const namesLimit = time.Minute

// namesClient sends requests to the names' port of this machine, whatever their host.
func namesClient(t *testing.T, port int, h2c bool) *http.Client {
	t.Helper()
	var protocols http.Protocols
	protocols.SetHTTP1(!h2c)
	protocols.SetUnencryptedHTTP2(h2c)
	tr := &http.Transport{Protocols: &protocols, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, fmt.Sprint("127.0.0.1:", port))
	}}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: namesLimit}
}

func askName(t *testing.T, c *http.Client, method, url string, body io.Reader, header ...string) (status int, answer string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	return resp.StatusCode, string(text)
}

// Services have names on this machine: every protocol that browsers and clients of APIs speak, for this user only, before and
// after a restart of the daemon. It runs alone: another cluster could take the port while this one is stopped.
func TestNames(t *testing.T) {
	c := harness.New(t)
	c.Start(t, "--nodes", "2")
	c.LoadImages(t)
	n := c.NewNamespace(t)
	p := n.Pod("lonely", harness.Testpod, "serve")
	p.Labels["role"] = "server"
	n.Create(t, p)
	n.Service(t, serverService("servers", corev1.ServiceTypeClusterIP))
	empty := serverService("empty", corev1.ServiceTypeClusterIP)
	empty.Spec.Selector = map[string]string{"role": "nobody"}
	n.Service(t, empty)
	n.WaitReady(t, "lonely")

	snapshot, _ := c.Status(t)
	if snapshot.Names == nil || !snapshot.Names.Open {
		t.Fatalf("the names are %+v", snapshot.Names)
	}
	port := snapshot.Names.Port
	host := "servers." + n.Namespace
	if got := c.Must(t, "service", "servers", "-n", n.Namespace, "--url"); !strings.HasPrefix(got, "http://"+host+".localhost") {
		t.Errorf("service --url prints %q", got)
	}
	one, two := namesClient(t, port, false), namesClient(t, port, true)
	for name, want := range map[string]string{host: "lonely", host + "." + c.Name: "lonely", "http--" + host: "lonely"} {
		if status, got := askName(t, one, "GET", "http://"+name+".localhost/", nil); status != 200 || answerers([]string{got})[want] != 1 {
			t.Errorf("%s answers %d %q", name, status, got)
		}
	}
	// curl knows names below localhost, as browsers do.
	if curl, err := exec.LookPath("curl"); err == nil {
		out, err := exec.Command(curl, "-s", "--max-time", "60", fmt.Sprintf("http://%s.localhost:%d/", host, port)).CombinedOutput()
		if err != nil || answerers([]string{string(out)})["lonely"] != 1 {
			t.Errorf("curl: %q, %v", out, err)
		}
	}
	if status, got := askName(t, two, "POST", "http://"+host+".localhost/proto", nil, "Content-Type", "application/grpc"); status != 200 || got != "HTTP/2.0\n" {
		t.Errorf("by HTTP/2: %d %q", status, got)
	}
	large := bytes.Repeat([]byte("0123456789abcdef"), 4<<20)
	if status, got := askName(t, one, "POST", "http://"+host+".localhost/echo", bytes.NewReader(large)); status != 200 || got != string(large) {
		t.Errorf("a large body comes back as %d with %d bytes", status, len(got))
	}
	askUpgrade(t, port, host+".localhost")

	for url, want := range map[string]struct {
		status int
		has    string
	}{
		"http://server." + n.Namespace + ".localhost/":     {404, "http://" + host + ".localhost"},
		"http://empty." + n.Namespace + ".localhost/":      {503, "has no pods"},
		"http://admin--" + host + ".localhost/":            {404, "no port admin"},
		"http://tcp--" + host + ".localhost/":              {502, "does not speak HTTP"},
		"http://evil.test/":                                {421, "is not the name of a Service"},
		"http://" + host + ".some-other-cluster.localhost": {404, "This is the port of cluster " + c.Name},
	} {
		if status, got := askName(t, one, "GET", url, nil); status != want.status || !strings.Contains(got, want.has) {
			t.Errorf("%s: %d %s", url, status, got)
		}
	}
	if status, got := askName(t, one, "POST", "http://"+host+".localhost/echo", nil, "Origin", "https://evil.test"); status != 403 {
		t.Errorf("a page of another site: %d %s", status, got)
	}
	c.Must(t, "addons", "configure", "localhost-names", "origins=https://evil.test")
	if status, got := askName(t, one, "POST", "http://"+host+".localhost/echo", nil, "Origin", "https://evil.test"); status != 200 {
		t.Errorf("an origin that is allowed: %d %s", status, got)
	}
	askAsNobody(t, port, host+".localhost")
	askByProxy(t, c, n.Namespace)

	// A Service that has just been created is known at once, and answers as soon as nodes know what is behind it.
	n.Service(t, serverService("late", corev1.ServiceTypeClusterIP))
	harness.Until(t, namesLimit, "a Service that has just been created answers", func() error {
		status, got := askName(t, one, "GET", "http://late."+n.Namespace+".localhost/", nil)
		if status == 404 {
			t.Errorf("a Service that has just been created is not known: %s", got)
		}
		if status != 200 {
			return fmt.Errorf("%d %s", status, got)
		}
		return nil
	})

	// The port is the same after a restart, and gives way.
	c.Must(t, "stop")
	c.Start(t)
	n.WaitReady(t, "lonely")
	if again, _ := c.Status(t); again.Names == nil || !again.Names.Open || again.Names.Port != snapshot.Names.Port {
		t.Errorf("after a restart the names are %+v, before %+v", again.Names, snapshot.Names)
	}
	if status, got := askName(t, namesClient(t, port, false), "GET", "http://"+host+".localhost/", nil); status != 200 {
		t.Errorf("after a restart: %d %s", status, got)
	}
	c.Must(t, "port", "add", fmt.Sprintf("%d:%s/servers:80", port, n.Namespace))
	moved, _ := c.Status(t)
	if moved.Names == nil || !moved.Names.Open || moved.Names.Port == port {
		t.Errorf("with a port of the same number the names are %+v", moved.Names)
	}
	c.Must(t, "addons", "disable", "localhost-names")
	if off, _ := c.Status(t); off.Names == nil || off.Names.Open {
		t.Errorf("disabled, the names are %+v", off.Names)
	}
}

// askUpgrade opens a connection of another protocol, as WebSockets do, and sends a line through it.
func askUpgrade(t *testing.T, port int, host string) {
	t.Helper()
	conn, err := net.DialTimeout("tcp4", fmt.Sprint("127.0.0.1:", port), namesLimit)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(namesLimit))
	fmt.Fprintf(conn, "GET /upgrade HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", host)
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Errorf("upgrade: %+v, %v", resp, err)
		return
	}
	fmt.Fprint(conn, "a line\n")
	if line, err := in.ReadString('\n'); line != "a line\n" {
		t.Errorf("through an upgraded connection: %q, %v", line, err)
	}
}

// askByProxy reaches by names and addresses what is not HTTP, and HTTP as well; and nothing outside the cluster.
func askByProxy(t *testing.T, c *harness.Cluster, namespace string) {
	t.Helper()
	var p struct{ SOCKS, HTTP, PAC string }
	if err := json.Unmarshal([]byte(c.Must(t, "proxy", "-o", "json")), &p); err != nil {
		t.Fatal(err)
	}
	ip := c.Kubectl(t, "get", "service", "servers", "-n", namespace, "-o", "jsonpath={.spec.clusterIP}")
	for _, proxy := range []string{p.SOCKS, p.HTTP} {
		at, err := url.Parse(proxy)
		if err != nil {
			t.Fatal(err)
		}
		tr := &http.Transport{Proxy: http.ProxyURL(at)}
		t.Cleanup(tr.CloseIdleConnections)
		client := &http.Client{Transport: tr, Timeout: namesLimit}
		for _, host := range []string{"servers." + namespace, "servers." + namespace + ".svc.cluster.local", ip} {
			if status, got := askName(t, client, "GET", "http://"+host+"/", nil); status != 200 || answerers([]string{got})["lonely"] != 1 {
				t.Errorf("%s by %s: %d %q", host, proxy, status, got)
			}
		}
	}
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Log("not tried by curl, which is missing")
		return
	}
	// The second port answers each line, and does not speak HTTP.
	cmd := exec.Command(curl, "-s", "--max-time", "10", "--proxy", p.SOCKS, "telnet://servers."+namespace+":81")
	cmd.Stdin = strings.NewReader("a line\n")
	if out, _ := cmd.Output(); answerers([]string{string(out)})["lonely"] != 1 {
		t.Errorf("a line by SOCKS5: %q", out)
	}
	for _, proxy := range []string{p.SOCKS, p.HTTP} {
		if out, err := exec.Command(curl, "-sf", "--max-time", "60", "--proxy", proxy, "http://example.com/").CombinedOutput(); err == nil {
			t.Errorf("%s leads out of the cluster: %q", proxy, out)
		}
	}
	if out, err := exec.Command(curl, "-sf", "--max-time", "60", p.PAC).Output(); err != nil || !strings.Contains(string(out), "FindProxyForURL") {
		t.Errorf("the configuration for browsers: %q, %v", out, err)
	}
}

// askAsNobody sends a request as another user.
func askAsNobody(t *testing.T, port int, host string) {
	t.Helper()
	curl, err := exec.LookPath("curl")
	if err != nil || os.Geteuid() != 0 {
		t.Log("not tried as another user: that needs root and curl")
		return
	}
	const nobody = 65534
	cmd := exec.Command(curl, "-s", "-o", "-", "-w", "%{http_code}", "--max-time", "60", "-H", "Host: "+host, fmt.Sprintf("http://127.0.0.1:%d/", port))
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	cmd.Dir = "/"
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.HasSuffix(string(out), "403") || !strings.Contains(string(out), "65534") {
		t.Errorf("another user gets %q, %v", out, err)
	}
}
