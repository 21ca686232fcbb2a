package e2e

import (
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/test/e2e/harness"
)

func encode(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// mirrors are registries that this test serves, plain and over TLS, without and with a password, each for its own
// registry name; flags configure bonsai to use them.
type mirrors struct {
	flags []string
	// refused counts requests without the right password.
	refused atomic.Int64
}

const user, password = "puller", "s3cret/with:signs"

// pulled are the names that pods use; docker.io is the one with the short names.
var pulled = map[string]string{
	"docker.io":           "nginx:alpine",
	"plain.bonsai.test":   "plain.bonsai.test/deep/path/box:1",
	"tls.bonsai.test":     "tls.bonsai.test/box:1",
	"auth.bonsai.test":    "auth.bonsai.test/box:1",
	"tlsauth.bonsai.test": "tlsauth.bonsai.test/box:1",
}

func serveRegistries(t *testing.T) *mirrors {
	t.Helper()
	m := &mirrors{}
	content := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	push := httptest.NewServer(content)
	t.Cleanup(push.Close)
	for _, ref := range pulled {
		_, path, ok := strings.Cut(ref, "/")
		if !ok {
			path = "library/" + ref
		}
		target, err := name.ParseReference(strings.TrimPrefix(push.URL, "http://") + "/" + path)
		if err != nil {
			t.Fatal(err)
		}
		if err := remote.Write(target, harness.Image(t, harness.Busybox)); err != nil {
			t.Fatal(err)
		}
	}
	locked := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if u, p, ok := r.BasicAuth(); !ok || u != user || p != password {
			m.refused.Add(1)
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		content.ServeHTTP(w, r)
	})

	address := engineAddress(t)
	cert, key := certificate(t, address)
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	ca := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(ca, cert, 0o600); err != nil {
		t.Fatal(err)
	}
	serve := func(h http.Handler, secure bool) string {
		l, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: h, TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}}}
		t.Cleanup(func() { _ = server.Close() })
		if secure {
			go func() { _ = server.ServeTLS(l, "", "") }()
		} else {
			go func() { _ = server.Serve(l) }()
		}
		return l.Addr().String()
	}
	login := user + ":" + strings.NewReplacer("/", "%2F", ":", "%3A").Replace(password) + "@"
	m.flags = []string{
		"--registry-mirror", "http://" + serve(content, false),
		"--registry-mirror", "plain.bonsai.test=http://" + serve(content, false),
		"--registry-mirror", "tls.bonsai.test=https://" + serve(content, true),
		"--registry-mirror", "auth.bonsai.test=http://" + login + serve(locked, false),
		"--registry-mirror", "tlsauth.bonsai.test=https://" + login + serve(locked, true),
		"--registry-ca", ca,
	}
	return m
}

func testPulls(t *testing.T, c *harness.Cluster, m *mirrors) {
	n := c.NewNamespace(t)
	var pods []*corev1.Pod
	for registry, ref := range pulled {
		pods = append(pods, n.Pod(strings.ReplaceAll(registry, ".", "-"), ref, "-c", "sleep 1000"))
	}
	for _, p := range n.Create(t, pods...) {
		if got := n.Exec(t, p.Name, "echo", "it runs"); got != "it runs\n" {
			t.Errorf("the pulled image %s prints %q", p.Spec.Containers[0].Image, got)
		}
	}
	spec, err := os.ReadFile(filepath.Join(c.Dir, "clusters", c.Name, "spec.json"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(c.Must(t, "status", "-o", "json"), password) {
		t.Error("status prints the registry's password")
	}
	if info, err := os.Stat(filepath.Join(c.Dir, "clusters", c.Name, "spec.json")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("spec.json, which holds the password (%v), has mode %v, %v; want 0600", strings.Contains(string(spec), user), info.Mode(), err)
	}
}

// An image that does not exist is reported within seconds.
func testMissingImage(t *testing.T, c *harness.Cluster) {
	n := c.NewNamespace(t)
	p := n.Pod("missing", "docker.io/library/nobody-has-this:1")
	if _, err := n.Client.CoreV1().Pods(n.Namespace).Create(t.Context(), p, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	harness.Until(t, 20*time.Second, "a message about the missing image", func() error {
		p, err := n.Client.CoreV1().Pods(n.Namespace).Get(t.Context(), p.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, s := range p.Status.ContainerStatuses {
			if w := s.State.Waiting; w != nil && strings.Contains(w.Message, "nobody-has-this") {
				return nil
			}
		}
		return fmt.Errorf("the pod's containers: %+v", p.Status.ContainerStatuses)
	})
	// The fix is shown where a user looks.
	harness.Until(t, 20*time.Second, "status to name the way out", func() error {
		s, code := c.Status(t)
		for _, p := range s.Problems {
			if code == 0 && strings.Contains(p.Summary, "nobody-has-this:1") && strings.Contains(p.HintText(), "bonsai image load") {
				return nil
			}
		}
		return fmt.Errorf("status exits with %d and reports %+v", code, s.Problems)
	})
}
