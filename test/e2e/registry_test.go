package e2e

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
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
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/bootstrap/statedir"
	"bonsai/test/e2e/harness"
)

// registryPort is where the cluster's registry listens.
func registryPort(t *testing.T, c *harness.Cluster) int {
	t.Helper()
	port, _ := statedir.Dir{Root: c.Dir}.Cluster(c.Name).RegistryPorts()
	if port == 0 {
		t.Fatal("the registry has no port")
	}
	return port
}

// pushed has the engine push an image of its own content, and returns its name.
func pushed(t *testing.T, port int, repository string) string {
	t.Helper()
	tag := fmt.Sprintf("localhost:%d/%s:1", port, repository)
	ref, err := name.NewTag(tag)
	if err != nil {
		t.Fatal(err)
	}
	img, err := mutate.Config(harness.Image(t, harness.Busybox), labelled(t))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "image.tar")
	if err := tarball.WriteToFile(file, ref, img); err != nil {
		t.Fatal(err)
	}
	harness.Docker(t, "load", "-i", file)
	t.Cleanup(func() { _, _ = harness.TryDocker("rmi", "-f", tag) })
	began := time.Now()
	harness.Docker(t, "push", tag)
	t.Logf("docker push took %s", time.Since(began))
	return tag
}

// pulling are pods that pull an image, one on each node.
func pulling(n *harness.Namespace, prefix, image string, nodes ...string) (list []*corev1.Pod) {
	for i, node := range nodes {
		p := harness.On(node, n.Pod(fmt.Sprintf("%s-%d", prefix, i), image, "-c", "sleep 1000"))
		p.Spec.Containers[0].ImagePullPolicy = corev1.PullAlways
		list = append(list, p)
	}
	return list
}

// hostsFiles are what the node's runtime knows of registries, by their folders.
func hostsFiles(t *testing.T, node string) string {
	t.Helper()
	return harness.InNode(t, node, "sh", "-c", "grep -rl -e 'server =' -e agent.crt /etc/containerd/certs.d 2>/dev/null || true")
}

// What this machine's engine pushes to the cluster's registry is pulled by the same name on every node: also by one that comes later,
// and after the control plane was killed. When it is disabled nothing is left but the images.
func TestRegistry(t *testing.T) {
	t.Parallel()
	c := harness.New(t)
	c.Start(t, "--nodes", "2")
	began := time.Now()
	c.Must(t, "addons", "enable", "registry")
	t.Logf("enable took %s", time.Since(began))
	port := registryPort(t, c)
	image := pushed(t, port, "team/app")
	if got := c.Must(t, "registry", "ls"); !strings.Contains(got, image) {
		t.Errorf("registry ls prints %q", got)
	}
	n := c.NewNamespace(t)
	began = time.Now()
	n.Create(t, pulling(n, "first", image, c.Nodes(t)...)...)
	t.Logf("pods on two nodes ran after %s", time.Since(began))
	if got := n.Exec(t, "first-1", "echo", "it runs"); got != "it runs\n" {
		t.Errorf("the image prints %q", got)
	}
	hosting, err := c.Client(t).CoreV1().ConfigMaps("kube-public").Get(t.Context(), "local-registry-hosting", metav1.GetOptions{})
	if err != nil || !strings.Contains(hosting.Data["localRegistryHosting.v1"], fmt.Sprintf("host: \"localhost:%d\"", port)) {
		t.Errorf("tools find %+v, %v", hosting, err)
	}

	// The control plane is killed, and the guardian starts another one.
	before := daemonPID(t, c)
	if err := syscall.Kill(before, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	harness.Until(t, 60*time.Second, "a healthy cluster", func() error {
		if s, code := c.Status(t); code != 0 || daemonPID(t, c) == before {
			return fmt.Errorf("status exits with %d: %s", code, s.Phase)
		}
		return nil
	})
	if now := registryPort(t, c); now != port {
		t.Errorf("the registry has moved from port %d to %d", port, now)
	}
	harness.Until(t, 30*time.Second, "nodes that know the registry", func() error {
		if r := c.Bonsai(t, "addons", "status", "registry"); r.Code != 0 {
			return errors.New(r.Stdout)
		}
		return nil
	})
	n.Create(t, pulling(n, "again", image, c.Nodes(t)...)...)
	second := pushed(t, port, "team/other")

	old := c.Nodes(t)
	c.Must(t, "node", "add")
	late := slices.DeleteFunc(c.Nodes(t), func(node string) bool { return slices.Contains(old, node) })
	n.Create(t, pulling(n, "late", second, late...)...)

	c.Must(t, "registry", "rm", "team/app:1")
	if got := c.Must(t, "registry", "ls"); strings.Contains(got, image) || !strings.Contains(got, second) {
		t.Errorf("after rm there are %q", got)
	}
	c.Must(t, "addons", "disable", "registry")
	if conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
		_ = conn.Close()
		t.Errorf("port %d still listens", port)
	}
	if _, err := c.Client(t).CoreV1().ConfigMaps("kube-public").Get(t.Context(), "local-registry-hosting", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("tools still find the registry: %v", err)
	}
	for _, node := range c.Nodes(t) {
		harness.Until(t, 30*time.Second, "a node that has forgotten the registry", func() error {
			if left := strings.TrimSpace(hostsFiles(t, node)); left != "" {
				return errors.New(left)
			}
			return nil
		})
	}
	c.Must(t, "addons", "enable", "registry")
	if got := c.Must(t, "registry", "ls"); !strings.Contains(got, second) {
		t.Errorf("the images are gone: %q", got)
	}
}

// cachedName is a registry that only a mirror has.
const cachedName = "cached.bonsai.test"

// countingRegistry serves images over http, and counts how often each part of one is fetched.
type countingRegistry struct {
	url  string
	stop func()
	mu   sync.Mutex
	gets map[string]int
}

func serveCounting(t *testing.T, images ...string) *countingRegistry {
	t.Helper()
	r := &countingRegistry{gets: map[string]int{}}
	content := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	l, err := net.Listen("tcp", net.JoinHostPort(engineAddress(t), "0"))
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.Method == http.MethodGet && strings.Contains(q.URL.Path, "/blobs/") {
			r.mu.Lock()
			r.gets[q.URL.Path]++
			r.mu.Unlock()
		}
		content.ServeHTTP(w, q)
	})}
	r.url, r.stop = "http://"+l.Addr().String(), func() { _ = server.Close() }
	t.Cleanup(r.stop)
	go func() { _ = server.Serve(l) }()
	for i, image := range images {
		target, err := name.ParseReference(l.Addr().String()+"/"+image, name.Insecure)
		if err != nil {
			t.Fatal(err)
		}
		img, err := mutate.Config(dated(t, harness.Image(t, harness.Busybox), time.Unix(int64(i), 0)), labelled(t))
		if err != nil {
			t.Fatal(err)
		}
		if err := remote.Write(target, img); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// dated returns an image whose files have that time, so that its layers are its own: a node does not ask for those that it has.
func dated(t *testing.T, img v1.Image, at time.Time) v1.Image {
	t.Helper()
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	all := empty.Image
	for _, l := range layers {
		var files bytes.Buffer
		if err := redate(&files, l, at); err != nil {
			t.Fatal(err)
		}
		own, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(files.Bytes())), nil })
		if err != nil {
			t.Fatal(err)
		}
		if all, err = mutate.AppendLayers(all, own); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func redate(to io.Writer, l v1.Layer, at time.Time) (err error) {
	from, err := l.Uncompressed()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	in, out := tar.NewReader(from), tar.NewWriter(to)
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return out.Close()
		}
		if err != nil {
			return err
		}
		h.ModTime = at
		if err := out.WriteHeader(h); err != nil {
			return err
		}
		if _, err := io.Copy(out, in); err != nil {
			return err
		}
	}
}

// most is how often the part that was fetched most often was fetched, and none forgets that.
func (r *countingRegistry) most() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, times := range r.gets {
		n = max(n, times)
	}
	return n
}

func (r *countingRegistry) none() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.gets)
}

// A mirror acts at the next pull of a running cluster. With the cache an image is fetched once for all nodes and all clusters, and
// is there when its registry is gone.
func TestMirrorsAndCache(t *testing.T) {
	t.Parallel()
	c := harness.New(t)
	c.Start(t, "--nodes", "2")
	up := serveCounting(t, "plain:1", "kept:1")
	n := c.NewNamespace(t)
	if got := c.Must(t, "registry", "mirror", "add", cachedName, up.url); !strings.Contains(got, "at the next pull") {
		t.Errorf("mirror add prints %q", got)
	}
	if got := c.Must(t, "registry", "mirror", "list"); !strings.Contains(got, up.url) {
		t.Errorf("mirror list prints %q", got)
	}
	var reports []struct {
		Works bool   `json:"works"`
		Login string `json:"login"`
	}
	if err := json.Unmarshal([]byte(c.Must(t, "registry", "mirror", "test", cachedName, up.url, "-o", "json")), &reports); err != nil || len(reports) != 1 || !reports[0].Works || reports[0].Login != "not needed" {
		t.Errorf("mirror test says %+v, %v", reports, err)
	}
	n.Create(t, pulling(n, "plain", cachedName+"/plain:1", c.Nodes(t)...)...)

	up.none()
	began := time.Now()
	c.Must(t, "addons", "enable", "registry-cache")
	t.Logf("enable took %s", time.Since(began))
	began = time.Now()
	n.Create(t, pulling(n, "kept", cachedName+"/kept:1", c.Nodes(t)...)...)
	t.Logf("pods on two nodes ran after %s", time.Since(began))
	if got := up.most(); got != 1 {
		t.Errorf("a part of the image was fetched %d times", got)
	}
	if got := c.Must(t, "registry", "cache"); !strings.Contains(got, cachedName+"/kept:1") {
		t.Errorf("registry cache prints %q", got)
	}
	// Nobody but the cluster's nodes gets anything.
	_, nodesPort := statedir.Dir{Root: c.Dir}.Cluster(c.Name).RegistryPorts()
	spec, err := statedir.Dir{Root: c.Dir}.Cluster(c.Name).LoadSpec()
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := http.Get(fmt.Sprintf("http://%s:%d/v2/", spec.Gateway, nodesPort)); err == nil {
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusBadRequest {
			t.Errorf("without a certificate: %s", resp.Status)
		}
	}

	// Another cluster of this user, after the first one is deleted and the registry is gone.
	c.Must(t, "delete")
	up.stop()
	other := &harness.Cluster{Home: c.Home, Name: c.Home.Name()}
	other.Start(t, "--nodes", "1", "--addons", "registry-cache")
	other.Must(t, "registry", "mirror", "add", cachedName, up.url)
	other.Must(t, "addons", "enable", "registry-cache") // waits until it runs
	m := other.NewNamespace(t)
	began = time.Now()
	m.Create(t, pulling(m, "kept", cachedName+"/kept:1", other.Nodes(t)...)...)
	t.Logf("a pod of another cluster ran after %s", time.Since(began))
	if got := other.Must(t, "registry", "mirror", "remove", cachedName); !strings.Contains(got, "at the next pull") {
		t.Errorf("mirror remove prints %q", got)
	}

	// Disabled, nodes ask the registry themselves again.
	other.Must(t, "addons", "disable", "registry-cache")
	harness.Until(t, 30*time.Second, "a node that has forgotten the cache", func() error {
		if left := strings.TrimSpace(hostsFiles(t, other.Nodes(t)[0])); left != "" {
			return errors.New(left)
		}
		return nil
	})
	if _, err := os.Stat(filepath.Join(c.Dir, "registry-cache", "blobs")); err != nil {
		t.Errorf("what was kept is gone: %v", err)
	}
	other.Must(t, "registry", "cache", "clear")
}
