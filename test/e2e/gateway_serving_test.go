package e2e

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"bonsai/test/e2e/harness"
)

// gated is a cluster that serves Ingresses and routes at the addresses of its nodes.
type gated struct {
	*harness.Cluster
	n         *harness.Namespace
	addresses []string
}

// testRenewal replaces the certificate of an Ingress while it is served.
func (g *gated) testRenewal(t *testing.T) {
	served := func() ([]byte, error) {
		conn, err := tls.Dial("tcp", net.JoinHostPort(g.addresses[0], "443"), &tls.Config{ServerName: "secure.test", InsecureSkipVerify: true})
		if err != nil {
			return nil, err
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].Raw, nil
	}
	dir := t.TempDir()
	chain, key := certificate(t, "secure.test")
	for name, data := range map[string][]byte{"tls.crt": chain, "tls.key": key} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	kubectlIn(t, g.n, "delete", "secret", "cert")
	kubectlIn(t, g.n, "create", "secret", "tls", "cert", "--cert", filepath.Join(dir, "tls.crt"), "--key", filepath.Join(dir, "tls.key"))
	began := time.Now()
	harness.Until(t, 10*time.Second, "the new certificate", func() error {
		now, err := served()
		if want, _ := pem.Decode(chain); err == nil && !bytes.Equal(now, want.Bytes) {
			err = errors.New("another one is served")
		}
		return err
	})
	t.Logf("a new certificate is served after %s", time.Since(began).Round(time.Millisecond))
}

// testProtocols has what applications do through a Gateway with routes of both kinds.
func (g *gated) testProtocols(t *testing.T) {
	apply(t, g.n, `
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: chat}
spec:
  parentRefs: [{name: gw}]
  hostnames: [chat.test]
  rules: [{matches: [{method: {service: chat.Chat}}], backendRefs: [{name: web, port: 80}]}]
`)
	at := g.addresses[0]
	harness.Until(t, 10*time.Second, "the route of gRPC", func() error {
		status, _, err := fetchFrom(t, at, "http://chat.test:8000/chat.Chat/Talk")
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("status %d", status)
		}
		return err
	})

	// Both directions at once, and a trailer at the end.
	h2c := throughNode(at)
	h2c.DisableKeepAlives, h2c.Protocols = false, new(http.Protocols)
	h2c.Protocols.SetUnencryptedHTTP2(true)
	defer h2c.CloseIdleConnections()
	body, w := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://chat.test:8000/chat.Chat/Talk", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/grpc")
	go func() { _, _ = io.WriteString(w, "one\n") }()
	resp, err := h2c.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	for _, word := range []string{"one", "two"} {
		if word == "two" {
			_, _ = io.WriteString(w, "two\n")
		}
		if line, err := lines.ReadString('\n'); line != "HTTP/2.0 "+word+"\n" {
			t.Fatalf("the answer is %q, %v", line, err)
		}
	}
	_ = w.Close()
	if _, err := io.Copy(io.Discard, lines); err != nil || resp.Trailer.Get("Grpc-Status") != "0" {
		t.Errorf("trailers are %v, %v", resp.Trailer, err)
	}

	// A method that no rule has.
	req, _ = http.NewRequestWithContext(t.Context(), http.MethodPost, "http://chat.test:8000/other.Service/Talk", http.NoBody)
	req.Header.Set("Content-Type", "application/grpc")
	if resp, err := h2c.RoundTrip(req); err != nil || resp.Header.Get("Grpc-Status") != "12" {
		t.Errorf("an unknown method: %v, %v", resp, err)
	}

	conn, err := net.DialTimeout("tcp", net.JoinHostPort(at, "80"), 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(harness.Scale(20 * time.Second))); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(conn, "GET /upgrade HTTP/1.1\r\nHost: web.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
	in := bufio.NewReader(conn)
	if resp, err := http.ReadResponse(in, nil); err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("a WebSocket: %v, %v", resp, err)
	}
	for _, word := range []string{"first\n", "second\n"} {
		_, _ = io.WriteString(conn, word)
		if line, err := in.ReadString('\n'); line != word {
			t.Errorf("through the WebSocket: %q, %v", line, err)
		}
	}

	const size = 100 << 20
	for name, transport := range map[string]*http.Transport{"http/1": throughNode(at), "h2c": h2c} {
		began := time.Now()
		client := http.Client{Transport: transport, Timeout: harness.Scale(2 * time.Minute)}
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://web.test/count", io.LimitReader(zeros{}, size))
		resp, err := client.Do(req)
		if err != nil {
			t.Errorf("%s: an upload: %v", name, err)
			continue
		}
		text, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if string(text) != fmt.Sprintln(size, nil) {
			t.Errorf("%s: of an upload of %d bytes the pod has got %q (%s)", name, size, text, resp.Status)
		}
		t.Logf("%s: 100 MiB in %s", name, time.Since(began).Round(time.Millisecond))
	}
}

// zeros has no end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// testGrant has a route lead to a Service of another namespace.
func (g *gated) testGrant(t *testing.T) {
	other := g.NewNamespace(t)
	other.Create(t, other.Pod("on-other", harness.Testpod, "serve"))
	other.Service(t, func() *corev1.Service {
		s := serverService("web", corev1.ServiceTypeClusterIP)
		s.Spec.Selector = map[string]string{"app": "on-other"}
		return s
	}())
	apply(t, g.n, strings.ReplaceAll(`
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: far}
spec:
  parentRefs: [{name: gw}]
  hostnames: [far.test]
  rules: [{backendRefs: [{name: web, namespace: OTHER, port: 80}]}]
`, "OTHER", other.Namespace))
	answers := func(want int) {
		t.Helper()
		harness.Until(t, 10*time.Second, fmt.Sprintf("status %d", want), func() error {
			status, text, err := fetchFrom(t, g.addresses[0], "http://far.test:8000/")
			if err == nil && status != want {
				err = fmt.Errorf("status %d %q", status, text)
			}
			return err
		})
	}
	resolved := func(want string) {
		t.Helper()
		harness.Until(t, 10*time.Second, "the condition "+want, func() error {
			if got := kubectlIn(t, g.n, "get", "httproute", "far", "-o", `jsonpath={.status.parents[0].conditions[?(@.type=="ResolvedRefs")].reason}`); got != want {
				return fmt.Errorf("ResolvedRefs is %q", got)
			}
			return nil
		})
	}
	answers(http.StatusInternalServerError)
	resolved("RefNotPermitted")
	apply(t, other, strings.ReplaceAll(`
apiVersion: gateway.networking.k8s.io/v1
kind: ReferenceGrant
metadata: {name: let-in}
spec:
  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: FROM}]
  to: [{group: "", kind: Service, name: web}]
`, "FROM", g.n.Namespace))
	answers(http.StatusOK)
	resolved("ResolvedRefs")
	kubectlIn(t, other, "delete", "referencegrant", "let-in")
	answers(http.StatusInternalServerError)
}

// testGenerations changes objects and waits for statuses about that change.
func (g *gated) testGenerations(t *testing.T) {
	kubectlIn(t, g.n, "patch", "gateway", "gw", "--type=json", "-p", `[{"op":"add","path":"/spec/listeners/-","value":{"name":"second","port":8001,"protocol":"HTTP"}}]`)
	kubectlIn(t, g.n, "patch", "httproute", "web", "--type=json", "-p", `[{"op":"replace","path":"/spec/hostnames","value":["route.test","renamed.test"]}]`)
	for object, conditions := range map[string]string{"gateway/gw": "{.status.conditions[*].observedGeneration}", "httproute/web": "{.status.parents[*].conditions[*].observedGeneration}"} {
		harness.Until(t, 10*time.Second, "conditions about the newest "+object, func() error {
			generation := kubectlIn(t, g.n, "get", object, "-o", "jsonpath={.metadata.generation}")
			for observed := range strings.FieldsSeq(kubectlIn(t, g.n, "get", object, "-o", "jsonpath="+conditions)) {
				if observed != generation {
					return fmt.Errorf("a condition is about generation %s, the object has %s", observed, generation)
				}
			}
			return nil
		})
	}
	harness.Until(t, 10*time.Second, "the new host at the new listener", func() error {
		status, text, err := fetchFrom(t, g.addresses[1], "http://renamed.test:8001/")
		if err == nil && (status != http.StatusOK || !strings.HasPrefix(text, "on-")) {
			err = fmt.Errorf("status %d %q", status, text)
		}
		return err
	})
}
