package registry

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"go.uber.org/goleak"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/pki"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fixture is a Server with its folders.
type fixture struct {
	*Server
	dir  string
	kept [2]int
	spec cluster.Spec
}

func testSpec() cluster.Spec {
	s := cluster.Spec{
		Name: "dev", ID: "0123456789abcdef", Subnet: netip.MustParsePrefix("10.201.0.0/22"), Gateway: netip.MustParseAddr("127.0.0.1"),
		ServiceSubnet: netip.MustParsePrefix("10.96.0.0/16"), PodSubnet: netip.MustParsePrefix("10.244.0.0/16"),
		Addons: map[string]bool{cluster.RegistryAddon: true, cluster.RegistryCacheAddon: true},
	}
	s.Nodes = []cluster.Node{s.PlanNode(1)}
	return s
}

// newFixture has a cluster's certificates in its folder; nothing is served yet.
func newFixture(t *testing.T, change func(*Options)) *fixture {
	t.Helper()
	f := &fixture{dir: t.TempDir(), spec: testSpec()}
	if err := os.Mkdir(f.path("pki"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := pki.Ensure(f.path("pki"), f.spec); err != nil {
		t.Fatal(err)
	}
	f.restart(t, change)
	return f
}

func (f *fixture) path(name string) string { return filepath.Join(f.dir, name) }

// restart begins a new Server with the same folders; the caller has closed the one before.
func (f *fixture) restart(t *testing.T, change func(*Options)) {
	o := Options{
		Dir: f.path("registry"), CacheDir: f.path("cache"), PKI: f.path("pki"), Agents: pki.AgentsGroup,
		MayUse: func(net.Conn) error { return nil },
		Kept:   func() (int, int) { return f.kept[0], f.kept[1] },
		Keep: func(port, nodes int) error {
			if port != 0 {
				f.kept[0] = port
			}
			if nodes != 0 {
				f.kept[1] = nodes
			}
			return nil
		},
		Listen: func(ctx context.Context, a netip.AddrPort) (net.Listener, error) {
			return (&net.ListenConfig{}).Listen(ctx, "tcp4", a.String())
		},
		Log: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&o)
	}
	f.Server = New(o)
	t.Cleanup(f.Close)
}

// node is a client with the certificate of a node, or another one.
func (f *fixture) node(t *testing.T, certificate string) *http.Client {
	t.Helper()
	ca, err := os.ReadFile(f.path("pki/ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	config := &tls.Config{RootCAs: pool}
	if certificate != "" {
		c, err := tls.LoadX509KeyPair(f.path("pki/"+certificate+".crt"), f.path("pki/"+certificate+".key"))
		if err != nil {
			t.Fatal(err)
		}
		config.Certificates = []tls.Certificate{c}
	}
	transport := &http.Transport{TLSClientConfig: config}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// get asks as a node does, for something of a registry.
func (f *fixture) get(t *testing.T, registry, path string) (*http.Response, string) {
	t.Helper()
	resp, err := f.node(t, "nodes/dev-1/agent").Get(f.Status().NodesURL + path + "?ns=" + registry)
	if err != nil {
		t.Fatal(err)
	}
	return resp, body(t, resp)
}

func body(t *testing.T, resp *http.Response) string {
	t.Helper()
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func (f *fixture) push(t *testing.T, image string) (v1.Image, name.Reference) {
	t.Helper()
	i, err := random.Image(100_000, 3)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(fmt.Sprintf("localhost:%d/%s", f.Status().Port, image))
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, i, remote.WithTransport(transport(t))); err != nil {
		t.Fatal(err)
	}
	return i, ref
}

// transport ends with the test.
func transport(t *testing.T) http.RoundTripper {
	tr := http.DefaultTransport.(*http.Transport).Clone()
	tr.Proxy = nil
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

func digest(t *testing.T, i v1.Image) string {
	t.Helper()
	d, err := i.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d.String()
}

func TestPushPullAndRestart(t *testing.T) {
	f := newFixture(t, nil)
	f.Apply(f.spec)
	pushed, ref := f.push(t, "team/app:1")
	port, nodes := f.kept[0], f.kept[1]
	f.Close()
	f.restart(t, nil)
	f.Apply(f.spec)
	if f.kept != [2]int{port, nodes} || f.Status().Port != port {
		t.Errorf("the ports are %v, before they were %d and %d", f.kept, port, nodes)
	}
	got, err := remote.Image(ref, remote.WithTransport(transport(t)))
	if err != nil {
		t.Fatal(err)
	}
	if digest(t, got) != digest(t, pushed) {
		t.Errorf("got %s, want %s", digest(t, got), digest(t, pushed))
	}
	layers, err := got.Layers()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range layers {
		r, err := l.Compressed()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, r); err != nil { // it checks the digest
			t.Error(err)
		}
		_ = r.Close()
	}
	tags, err := remote.List(ref.Context(), remote.WithTransport(transport(t)))
	if err != nil || len(tags) != 1 || tags[0] != "1" {
		t.Errorf("got tags %v, %v", tags, err)
	}
	if all, err := remote.Catalog(t.Context(), ref.Context().Registry, remote.WithTransport(transport(t))); err != nil || len(all) != 1 || all[0] != "team/app" {
		t.Errorf("got repositories %v, %v", all, err)
	}
	if err := remote.Delete(ref, remote.WithTransport(transport(t))); err != nil {
		t.Error(err)
	}
	if _, err := remote.Head(ref, remote.WithTransport(transport(t))); err == nil {
		t.Error("a deleted tag is there")
	}
}

func TestAnIndexNeedsItsImages(t *testing.T) {
	f := newFixture(t, nil)
	f.Apply(f.spec)
	index, err := random.Index(1000, 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(fmt.Sprintf("localhost:%d/multi:1", f.Status().Port))
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(ref, index, remote.WithTransport(transport(t))); err != nil {
		t.Fatal(err)
	}
	manifest, err := index.RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	// In a repository that does not have them.
	status, text := f.do(t, http.MethodPut, "/v2/other/manifests/1", string(manifest), "Content-Type", indexType)
	if status != http.StatusBadRequest || !strings.Contains(text, codeManifestBlob) {
		t.Errorf("got %d %s", status, text)
	}
}

// do asks as a program of this machine.
func (f *fixture) do(t *testing.T, method, path, content string, header ...string) (int, string) {
	t.Helper()
	status, _, text := f.doFull(t, method, path, content, header...)
	return status, text
}

func (f *fixture) doFull(t *testing.T, method, path, content string, header ...string) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, fmt.Sprintf("http://127.0.0.1:%d%s", f.Status().Port, path), strings.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := (&http.Client{Transport: transport(t)}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, body(t, resp)
}

func TestUploadsInPieces(t *testing.T) {
	f := newFixture(t, nil)
	f.Apply(f.spec)
	const want = "sha256:b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9" // hello world
	status, h, _ := f.doFull(t, http.MethodPost, "/v2/a/blobs/uploads/", "")
	at := h.Get("Location")
	if status != http.StatusAccepted || at == "" {
		t.Fatalf("got %d at %q", status, at)
	}
	if status, h, _ = f.doFull(t, http.MethodPatch, at, "hello ", "Content-Range", "0-5"); status != http.StatusAccepted || h.Get("Range") != "0-5" {
		t.Errorf("got %d, %v", status, h)
	}
	if status, h, _ = f.doFull(t, http.MethodPatch, at, "too late", "Content-Range", "9-16"); status != http.StatusRequestedRangeNotSatisfiable || h.Get("Range") != "0-5" {
		t.Errorf("got %d, %v", status, h)
	}
	if status, h, _ = f.doFull(t, http.MethodGet, at, ""); status != http.StatusNoContent || h.Get("Range") != "0-5" {
		t.Errorf("got %d, %v", status, h)
	}
	if status, h, _ = f.doFull(t, http.MethodPut, at+"?digest="+want, "world", "Content-Range", "6-10"); status != http.StatusCreated || h.Get(digestHeader) != want {
		t.Errorf("got %d, %v", status, h)
	}
	if status, text := f.do(t, http.MethodGet, "/v2/a/blobs/"+want, "", "Range", "bytes=6-"); status != http.StatusPartialContent || text != "world" {
		t.Errorf("got %d %q", status, text)
	}
	if status, _ := f.do(t, http.MethodPost, "/v2/b/blobs/uploads/?mount="+want+"&from=a", ""); status != http.StatusCreated {
		t.Errorf("mounting: %d", status)
	}
	if status, text := f.do(t, http.MethodPost, "/v2/b/blobs/uploads/?digest="+want, "something else"); status != http.StatusBadRequest || !strings.Contains(text, codeDigestInvalid) {
		t.Errorf("got %d %s", status, text)
	}
	_, h, _ = f.doFull(t, http.MethodPost, "/v2/a/blobs/uploads/", "")
	if status, _ = f.do(t, http.MethodDelete, h.Get("Location"), ""); status != http.StatusNoContent {
		t.Errorf("got %d", status)
	}
	if status, text := f.do(t, http.MethodPatch, h.Get("Location"), "x"); status != http.StatusNotFound || !strings.Contains(text, codeUploadUnknown) {
		t.Errorf("got %d %s", status, text)
	}
}

func TestWhatIsNotPossible(t *testing.T) {
	f := newFixture(t, nil)
	f.Apply(f.spec)
	zero := "sha256:" + strings.Repeat("0", 64)
	for _, c := range []struct {
		method, path, content string
		status                int
		code                  string
	}{
		{"GET", "/", "", 404, codeNameUnknown},
		{"GET", "/v2/UPPER/tags/list", "", 400, codeNameInvalid},
		{"GET", "/v2/a/tags/list", "", 404, codeNameUnknown},
		{"GET", "/v2/a/manifests/1", "", 404, codeManifestUnknown},
		{"GET", "/v2/a/blobs/" + zero, "", 404, codeBlobUnknown},
		{"DELETE", "/v2/a/blobs/" + zero, "", 404, codeBlobUnknown},
		{"GET", "/v2/a/blobs/x", "", 400, codeDigestInvalid},
		{"PUT", "/v2/a/manifests/1", "not json", 400, codeManifestInvalid},
		{"PUT", "/v2/a/manifests/1", `{"mediaType":"text/html"}`, 400, codeManifestInvalid},
		{"PUT", "/v2/a/manifests/1", `{"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"digest":"` + zero + `"}}`, 400, codeManifestBlob},
		{"PUT", "/v2/a/manifests/" + zero, `{"mediaType":"application/vnd.oci.image.index.v1+json"}`, 400, codeDigestInvalid},
		{"POST", "/v2/a/manifests/1", "", 405, codeUnsupported},
		{"PUT", "/v2/_catalog", "", 405, codeUnsupported},
	} {
		if status, text := f.do(t, c.method, c.path, c.content); status != c.status || !strings.Contains(text, c.code) {
			t.Errorf("%s %s: got %d %s, want %d %s", c.method, c.path, status, text, c.status, c.code)
		}
	}
	for header, value := range map[string]string{"Origin": "https://evil.example", "Host": "evil.example", "Sec-Fetch-Site": "cross-site"} {
		if status, _ := f.do(t, http.MethodGet, "/v2/_catalog", "", header, value); status != http.StatusForbidden {
			t.Errorf("with %s %s: got %d", header, value, status)
		}
	}
}

func TestPages(t *testing.T) {
	f := newFixture(t, nil)
	f.Apply(f.spec)
	for _, tag := range []string{"1", "2", "3"} {
		f.push(t, "app:"+tag)
	}
	_, h, text := f.doFull(t, http.MethodGet, "/v2/app/tags/list?n=2", "")
	if !strings.Contains(text, `"tags":["1","2"]`) || h.Get("Link") != `</v2/app/tags/list?last=2&n=2>; rel="next"` {
		t.Errorf("got %s, %s", text, h.Get("Link"))
	}
	if _, text = f.do(t, http.MethodGet, "/v2/app/tags/list?n=2&last=2", ""); !strings.Contains(text, `"tags":["3"]`) {
		t.Errorf("got %s", text)
	}
}

func TestOthersOfThisMachineGetNothing(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.MayUse = func(net.Conn) error { return fmt.Errorf("it is somebody else's") } })
	f.Apply(f.spec)
	if status, text := f.do(t, http.MethodGet, "/v2/", ""); status != http.StatusForbidden || !strings.Contains(text, "somebody else") {
		t.Errorf("got %d %s", status, text)
	}
}

func TestNodesOnlyPull(t *testing.T) {
	f := newFixture(t, nil)
	f.spec.AddonValues = map[string]map[string]string{cluster.RegistryAddon: {cluster.RegistryAliasesSetting: "registry.test"}}
	f.Apply(f.spec)
	pushed, _ := f.push(t, "app:1")
	for _, registry := range []string{cluster.RegistryName(f.Status().Port), "registry.test"} {
		resp, text := f.get(t, registry, "/v2/app/manifests/1")
		if resp.StatusCode != http.StatusOK || resp.Header.Get(digestHeader) != digest(t, pushed) {
			t.Errorf("%s: got %s %s", registry, resp.Status, text)
		}
	}
	url := f.Status().NodesURL + "/v2/"
	for _, certificate := range []string{"", "nodes/dev-1/kubelet-client", "admin"} {
		if resp, err := f.node(t, certificate).Get(url); err == nil {
			t.Errorf("with the certificate %q: got %s", certificate, resp.Status)
			_ = resp.Body.Close()
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"app/blobs/uploads/?ns=registry.test", bytes.NewReader(nil))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := f.node(t, "nodes/dev-1/agent").Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if body(t, resp); resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("got %s", resp.Status)
	}
}

func TestApplyFollowsTheSpec(t *testing.T) {
	f := newFixture(t, nil)
	if s := f.Status(); s.Open || s.NodesURL != "" || s.Reason == "" {
		t.Errorf("before: %+v", s)
	}
	f.spec.Addons = map[string]bool{cluster.RegistryCacheAddon: true}
	f.Apply(f.spec)
	if s := f.Status(); s.Open || s.NodesURL == "" {
		t.Errorf("with the cache: %+v", s)
	}
	before := f.Status().NodesURL
	f.spec.Addons = map[string]bool{cluster.RegistryAddon: true}
	f.Apply(f.spec)
	if s := f.Status(); !s.Open || s.NodesURL != before {
		t.Errorf("with the registry: %+v", s)
	}
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	f.spec.AddonValues = map[string]map[string]string{cluster.RegistryAddon: {cluster.RegistryPortSetting: fmt.Sprint(port)}}
	f.Apply(f.spec)
	if s := f.Status(); s.Open || !strings.Contains(s.Reason, "in use") {
		t.Errorf("with a port that is taken: %+v", s)
	}
	f.spec.Addons = nil
	f.Apply(f.spec)
	if s := f.Status(); s.Open || s.NodesURL != "" || !strings.Contains(s.Reason, "disabled") {
		t.Errorf("with nothing: %+v", s)
	}
	f.Close()
	f.Apply(testSpec())
	if s := f.Status(); s.Open || s.NodesURL != "" {
		t.Errorf("closed: %+v", s)
	}
}

func TestParse(t *testing.T) {
	for path, want := range map[string]request{
		"/v2": {}, "/v2/": {}, "/v2/_catalog": {what: "_catalog"},
		"/v2/a/b/manifests/1":          {"a/b", "manifests", "1"},
		"/v2/a/blobs/uploads/":         {"a", "uploads", ""},
		"/v2/a/blobs/uploads":          {"a", "uploads", ""},
		"/v2/a/blobs/uploads/x":        {"a", "uploads", "x"},
		"/v2/manifests/blobs/blobs/d":  {"manifests/blobs", "blobs", "d"},
		"/v2/tags/list/tags/list":      {"tags/list", "tags", ""},
		"/v2/a/manifests/manifests/v1": {"a/manifests", "manifests", "v1"},
	} {
		if got, ok := parse(path); !ok || got != want {
			t.Errorf("%s: got %+v, %v", path, got, ok)
		}
	}
	for _, path := range []string{"", "/", "/v1/", "/v2x", "/v2/a", "/v2/a/manifests/", "/v2/a/blobs/x/y"} {
		if got, ok := parse(path); ok {
			t.Errorf("%s: got %+v", path, got)
		}
	}
}
