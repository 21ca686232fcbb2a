package registry

import (
	"context"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/registryclient"
	"bonsai/bootstrap/registrystore"
)

// upstream is a registry elsewhere, over TLS, that gives tokens to one user.
type upstream struct {
	*httptest.Server
	// gets counts requests for content that registries count, by path; heads counts the others.
	mu    sync.Mutex
	gets  map[string]int
	heads int
	// status is what it answers instead, 0: nothing else. hold keeps blobs from being sent until it is closed.
	status atomic.Int32
	hold   chan struct{}
	image  v1.Image
}

const upstreamUser, upstreamPassword = "ann", "secret"

func newUpstream(t *testing.T) *upstream {
	t.Helper()
	u := &upstream{gets: map[string]int{}}
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	u.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			if user, password, ok := r.BasicAuth(); !ok || user != upstreamUser || password != upstreamPassword {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			fmt.Fprintf(w, `{"token":"%s"}`, base64.StdEncoding.EncodeToString([]byte(r.URL.Query().Get("scope"))))
			return
		}
		scope := ""
		if r.Header.Get("Authorization") != "Bearer everything" && r.Method != http.MethodOptions {
			repository := strings.TrimPrefix(strings.SplitN(r.URL.Path, "/manifests/", 2)[0], "/v2/")
			repository = strings.SplitN(repository, "/blobs/", 2)[0]
			scope = "repository:" + repository + ":pull"
			if r.Header.Get("Authorization") != "Bearer "+base64.StdEncoding.EncodeToString([]byte(scope)) {
				w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/token",service="up",scope="%s"`, u.URL, scope))
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			u.mu.Lock()
			if r.Method == http.MethodGet {
				u.gets[r.URL.Path]++
			} else {
				u.heads++
			}
			u.mu.Unlock()
			if status := u.status.Load(); status != 0 {
				w.WriteHeader(int(status))
				return
			}
			if u.hold != nil && strings.Contains(r.URL.Path, "/blobs/") {
				<-u.hold
			}
		}
		inner.ServeHTTP(w, r)
	}))
	u.Server.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(u.Close)
	u.image = u.push(t, "team/app:1")
	return u
}

func (u *upstream) host() string { return strings.TrimPrefix(u.URL, "https://") }

// named is the registry's name as images have it here: 127.0.0.1 would be the node itself.
const named = "registry.test"

func (u *upstream) push(t *testing.T, what string) v1.Image {
	t.Helper()
	i, err := random.Image(300_000, 2)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(u.host() + "/" + what)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, i, remote.WithTransport(authorized{u.Client().Transport})); err != nil {
		t.Fatal(err)
	}
	return i
}

type authorized struct{ http.RoundTripper }

func (a authorized) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer everything")
	return a.RoundTripper.RoundTrip(r)
}

func (u *upstream) counts() (manifests, blobs, most int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for path, n := range u.gets {
		if strings.Contains(path, "/blobs/") {
			blobs += n
		} else {
			manifests += n
		}
		most = max(most, n)
	}
	return manifests, blobs, most
}

// through has a cluster whose registry.test is the upstream, by a mirror.
func (u *upstream) through(t *testing.T, mirrors ...string) *fixture {
	t.Helper()
	f := newFixture(t, nil)
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: u.Certificate().Raw}))
	for _, url := range append(mirrors, u.URL) {
		f.spec.Registries.Mirrors = map[string][]cluster.Mirror{named: append(f.spec.Registries.Mirrors[named], cluster.Mirror{
			URL: url, CA: ca, Username: upstreamUser, Password: upstreamPassword,
		})}
	}
	f.Apply(f.spec)
	return f
}

// pull pulls as containerd does: the tag's digest, the manifest by digest, all blobs.
func (f *fixture) pull(t *testing.T, i v1.Image, repository, tag string) {
	t.Helper()
	want := digest(t, i)
	resp, text := f.get(t, named, "/v2/"+repository+"/manifests/"+tag)
	if resp.StatusCode != http.StatusOK || resp.Header.Get(digestHeader) != want {
		t.Fatalf("got %s %s", resp.Status, text)
	}
	if resp, text = f.get(t, named, "/v2/"+repository+"/manifests/"+want); resp.StatusCode != http.StatusOK || digestOf([]byte(text)) != want {
		t.Fatalf("got %s %s", resp.Status, text)
	}
	layers, err := i.Layers()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range layers {
		d, err := l.Digest()
		if err != nil {
			t.Fatal(err)
		}
		if resp, text = f.get(t, named, "/v2/"+repository+"/blobs/"+d.String()); resp.StatusCode != http.StatusOK || digestOf([]byte(text)) != d.String() {
			t.Fatalf("blob %s: got %s", d, resp.Status)
		}
	}
}

func TestFetchedOnce(t *testing.T) {
	u := newUpstream(t)
	f := u.through(t)
	var nodes sync.WaitGroup
	for range 4 {
		nodes.Go(func() { f.pull(t, u.image, "team/app", "1") })
	}
	nodes.Wait()
	manifests, blobs, most := u.counts()
	if manifests != 1 || blobs != 2 || most != 1 {
		t.Errorf("it was asked for %d manifests and %d blobs, one of them %d times", manifests, blobs, most)
	}
	f.pull(t, u.image, "team/app", "1")
	f.Close()
	f.restart(t, nil)
	f.Apply(f.spec)
	f.pull(t, u.image, "team/app", "1")
	if m, b, _ := u.counts(); m != manifests || b != blobs {
		t.Errorf("another process asked again: %d manifests, %d blobs", m, b)
	}
}

func TestTagsFollowTheRegistry(t *testing.T) {
	u := newUpstream(t)
	f := u.through(t)
	f.pull(t, u.image, "team/app", "1")
	f.Close()
	f.restart(t, nil) // nothing is fresh
	f.Apply(f.spec)
	f.pull(t, u.push(t, "team/app:1"), "team/app", "1")
}

// A registry that does not answer, or does not want to any more, does not keep pods from starting.
func TestWithoutTheRegistry(t *testing.T) {
	u := newUpstream(t)
	f := u.through(t)
	f.pull(t, u.image, "team/app", "1")
	for _, status := range []int32{http.StatusTooManyRequests, http.StatusInternalServerError} {
		u.status.Store(status)
		f.Close()
		f.restart(t, nil)
		f.Apply(f.spec)
		f.pull(t, u.image, "team/app", "1")
		resp, _ := f.get(t, named, "/v2/team/other/manifests/1")
		if resp.StatusCode != http.StatusBadGateway || !strings.Contains(resp.Status, "cannot reach "+named) {
			t.Errorf("got %q", resp.Status)
		}
	}
	u.Close()
	f.Close()
	f.restart(t, nil)
	f.Apply(f.spec)
	f.pull(t, u.image, "team/app", "1")
	resp, _ := f.get(t, named, "/v2/team/other/manifests/1")
	if resp.StatusCode != http.StatusBadGateway || !strings.Contains(resp.Status, "the cache of images cannot reach") {
		t.Errorf("got %q", resp.Status)
	}
}

func TestWhatTheRegistryDoesNotHave(t *testing.T) {
	u := newUpstream(t)
	f := u.through(t)
	u.status.Store(http.StatusNotFound)
	// The registry itself cannot be reached, and the mirror's answer counts more.
	if resp, text := f.get(t, named, "/v2/team/app/manifests/nope"); resp.StatusCode != http.StatusNotFound {
		t.Errorf("got %s %s", resp.Status, text)
	}
	for _, path := range []string{"/v2/UPPER/manifests/1", "/v2/team/app/tags/list", "/v2/team/app/blobs/x"} {
		if resp, _ := f.get(t, named, path); resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: got %s", path, resp.Status)
		}
	}
	if resp, _ := f.get(t, "localhost:30500", "/v2/team/app/manifests/1"); resp.StatusCode != http.StatusNotFound {
		t.Errorf("a registry of the node: got %s", resp.Status)
	}
}

func TestTheNextMirrorIsAsked(t *testing.T) {
	u := newUpstream(t)
	f := u.through(t, "https://127.0.0.1:1")
	f.pull(t, u.image, "team/app", "1")
}

// What comes is sent on at once, to everybody who wants it; and kept when they have left.
func TestABlobThatIsOnItsWay(t *testing.T) {
	u := newUpstream(t)
	u.hold = make(chan struct{})
	f := u.through(t)
	layers, err := u.image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	d, err := layers[0].Digest()
	if err != nil {
		t.Fatal(err)
	}
	path := "/v2/team/app/blobs/" + d.String()
	ctx, leave := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.Status().NodesURL+path+"?ns="+named, nil)
	if err != nil {
		t.Fatal(err)
	}
	left := make(chan error, 1)
	client := f.node(t, "nodes/dev-1/agent")
	go func() {
		resp, err := client.Do(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		left <- err
	}()
	for { // until it is on its way
		u.mu.Lock()
		n := len(u.gets)
		u.mu.Unlock()
		if n > 0 {
			break
		}
		runtime.Gosched()
	}
	leave()
	if err := <-left; err == nil {
		t.Error("it was answered before the registry has sent anything")
	}
	var followers sync.WaitGroup
	for i := range 3 {
		followers.Go(func() {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.Status().NodesURL+path+"?ns="+named, nil)
			if err != nil {
				t.Error(err)
				return
			}
			want := http.StatusOK
			if i == 2 { // goes on where it was interrupted
				req.Header.Set("Range", "bytes=100-")
				want = http.StatusPartialContent
			}
			resp, err := f.node(t, "nodes/dev-1/agent").Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			if text := body(t, resp); resp.StatusCode != want || i < 2 && digestOf([]byte(text)) != d.String() {
				t.Errorf("got %s, %d bytes", resp.Status, len(text))
			}
		})
	}
	close(u.hold)
	followers.Wait()
	if _, blobs, _ := u.counts(); blobs != 1 {
		t.Errorf("it was asked for %d blobs", blobs)
	}
}

// What arrives is not what was asked for: nothing is kept, and the node notices.
// TestARegistryDoesNotDelayAnother: both have the same content, as everybody has common layers, and one of them does not send it.
func TestARegistryDoesNotDelayAnother(t *testing.T) {
	begun, end := make(chan struct{}), make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "5")
		fmt.Fprint(w, "c")
		_ = http.NewResponseController(w).Flush()
		close(begun)
		<-end
	}))
	t.Cleanup(slow.Close)
	t.Cleanup(func() { close(end) })
	good := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "cache") }))
	t.Cleanup(good.Close)
	f := newFixture(t, nil)
	f.spec.Registries.Mirrors = map[string][]cluster.Mirror{"slow.test": {{URL: slow.URL}}, named: {{URL: good.URL}}}
	f.Apply(f.spec)
	path := "/v2/a/blobs/" + digestOf([]byte("cache"))
	ctx, leave := context.WithTimeout(t.Context(), 20*time.Second)
	defer leave()
	client := f.node(t, "nodes/dev-1/agent")
	ask := func(registry string) (*http.Response, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.Status().NodesURL+path+"?ns="+registry, nil)
		if err != nil {
			return nil, err
		}
		return client.Do(req)
	}
	var waiting sync.WaitGroup
	defer waiting.Wait()
	defer leave()
	waiting.Go(func() {
		if resp, err := ask("slow.test"); err == nil {
			_ = resp.Body.Close()
		}
	})
	<-begun
	resp, err := ask(named)
	if err != nil {
		t.Fatal(err)
	}
	if got := body(t, resp); got != "cache" {
		t.Errorf("got %q", got)
	}
}

// TestReferencesAreTagsOrDigests: others are not asked for; they lead out of the repository.
func TestReferencesAreTagsOrDigests(t *testing.T) {
	asked := ""
	odd := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked = r.URL.Path }))
	t.Cleanup(odd.Close)
	f := newFixture(t, nil)
	f.spec.Registries.Mirrors = map[string][]cluster.Mirror{named: {{URL: odd.URL}}}
	f.Apply(f.spec)
	for _, reference := range []string{"..", ".", "a%3Fb", "-x"} {
		if resp, _ := f.get(t, named, "/v2/a/manifests/"+reference); resp.StatusCode != http.StatusNotFound || asked != "" {
			t.Errorf("%s: got %s; the registry was asked for %s", reference, resp.Status, asked)
		}
	}
}

func TestWrongContent(t *testing.T) {
	wrong := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/blobs/") {
			w.Header().Set("Content-Length", "5")
			fmt.Fprint(w, "wrong")
			return
		}
		fmt.Fprint(w, "{}")
	}))
	t.Cleanup(wrong.Close)
	f := newFixture(t, nil)
	f.spec.Registries.Mirrors = map[string][]cluster.Mirror{named: {{URL: wrong.URL}}}
	f.Apply(f.spec)
	zero := "sha256:" + strings.Repeat("0", 64)
	if resp, err := f.node(t, "nodes/dev-1/agent").Get(f.Status().NodesURL + "/v2/a/blobs/" + zero + "?ns=" + named); err == nil {
		if _, err := io.ReadAll(resp.Body); err == nil {
			t.Error("wrong content was sent as complete")
		}
		_ = resp.Body.Close()
	}
	if resp, _ := f.get(t, named, "/v2/a/manifests/"+zero); resp.StatusCode != http.StatusBadGateway {
		t.Errorf("got %s", resp.Status)
	}
	f.Close()
	if use, err := registrystore.Open(f.path("cache")).Use(); err != nil || use > int64(len("{}")) {
		t.Errorf("kept %d, %v", use, err)
	}
}

// With the registry itself the logins of Docker's configuration are used, unless its user does not want that.
func TestLogins(t *testing.T) {
	for _, wanted := range []bool{true, false} {
		asked := 0
		c := newCache(t.Context(), nil, cacheSettings{logins: wanted}, Options{Logins: func(context.Context, string) (registryclient.Login, error) {
			asked++
			return registryclient.Login{Username: upstreamUser, Password: upstreamPassword}, nil
		}})
		u := newUpstream(t)
		e := registryclient.Registry(u.host())
		e.URL, e.SkipVerify = u.URL, true
		resp, err := c.client.Do(t.Context(), e, http.MethodGet, "team/app", "manifests/1", http.Header{"Accept": registryclient.Accepted})
		if err == nil {
			_ = resp.Body.Close()
		}
		if (err == nil) != wanted || (asked > 0) != wanted {
			t.Errorf("wanted %v: asked %d times, %v", wanted, asked, err)
		}
		c.close()
	}
}

func TestTheCacheHasALimit(t *testing.T) {
	u := newUpstream(t)
	f := u.through(t)
	f.pull(t, u.image, "team/app", "1")
	f.Close()
	f.restart(t, nil)
	settings := cacheSettings{mirrors: f.spec.Registries.Mirrors, limit: 100_000}
	f.Apply(f.spec)
	f.mu.Lock()
	c := f.cache
	f.mu.Unlock()
	c.settings.limit = settings.limit
	c.trim()
	use, err := c.store.Use()
	if err != nil || use > settings.limit {
		t.Errorf("it has %s bytes, %v", strconv.FormatInt(use, 10), err)
	}
	f.pull(t, u.image, "team/app", "1") // and what is gone is fetched again
}
