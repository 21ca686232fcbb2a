package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/registryclient"
	"bonsai/bootstrap/registrystore"
	"bonsai/bootstrap/wait"
)

const (
	// fresh is how long what a tag leads to is not asked again: all nodes of a cluster pull at the same moment.
	fresh = 10 * time.Second
	// askLimit is how long all endpoints of a registry together may take for a manifest.
	askLimit = time.Minute
	// fetchLimit is for a blob, which may be large and its registry slow.
	fetchLimit = time.Hour
	// maxRemembered bounds the tags that are known to be fresh.
	maxRemembered = 1000
)

// cacheSettings are what its user can choose about the cache.
type cacheSettings struct {
	mirrors     map[string][]cluster.Mirror
	authorities string
	proxy       cluster.Proxy
	limit       int64
	logins      bool
}

func (s cacheSettings) same(o cacheSettings) bool {
	return s.authorities == o.authorities && s.proxy == o.proxy && s.limit == o.limit && s.logins == o.logins &&
		maps.EqualFunc(s.mirrors, o.mirrors, slices.Equal)
}

// cache answers for all registries: with what it has, or with what it fetches. Content is known by its digest, and a registry is
// never asked for it twice. What a tag leads to is asked each time, with a request that registries do not count; if nobody answers,
// it is what it was last.
type cache struct {
	store    *registrystore.Store
	settings cacheSettings
	client   *registryclient.Client
	log      *slog.Logger
	scale    wait.Scale
	ctx      context.Context //nolint:containedctx // the life of the cache, for what is fetched for several requests
	cancel   context.CancelFunc
	work     sync.WaitGroup

	mu     sync.Mutex // guards the rest
	closed bool
	// fetches are blobs on their way, by registry and digest: a registry that sends them slowly, or others, is its own matter. Asks
	// are manifests on their way, by name.
	fetches map[string]*fetch
	asks    map[string]*ask
	// fresh are tags that were asked for a moment ago.
	fresh    map[string]time.Time
	trimming bool
}

func newCache(ctx context.Context, store *registrystore.Store, settings cacheSettings, o Options) *cache {
	c := &cache{
		store: store, settings: settings, log: o.Log, scale: o.Scale,
		fetches: map[string]*fetch{}, asks: map[string]*ask{}, fresh: map[string]time.Time{},
	}
	options := registryclient.Options{Proxy: settings.proxy, Authorities: settings.authorities, Scale: o.Scale}
	if settings.logins {
		options.Logins = o.Logins
	}
	c.client = registryclient.New(options)
	c.ctx, c.cancel = context.WithCancel(ctx)
	return c
}

// close ends what is being fetched, and waits.
func (c *cache) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	c.work.Wait()
	c.client.Close()
}

// begin runs work in the background, unless the cache is closed.
func (c *cache) begin(work func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.work.Go(work)
	return true
}

// image is what is asked for.
type image struct{ registry, repository string }

// name is the image's repository in the store.
func (i image) name() string { return strings.ReplaceAll(i.registry, ":", "__") + "/" + i.repository }

// endpoints are where the image's registry is asked, in order.
func (c *cache) endpoints(registry string) (list []registryclient.Endpoint) {
	for _, m := range slices.Concat(c.settings.mirrors[registry], c.settings.mirrors["*"]) {
		list = append(list, registryclient.Endpoint{Registry: registry, Mirror: m})
	}
	return append(list, registryclient.Registry(registry))
}

// ServeHTTP answers a node's request for something of a registry.
func (c *cache) ServeHTTP(w http.ResponseWriter, r *http.Request, registry string) {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	q, ok := parse(r.URL.Path)
	i := image{registry, q.repository}
	switch {
	case ok && q.what == "":
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, "{}") // the client may be gone
	case registryclient.OnLoopback(registry):
		fail(w, http.StatusNotFound, codeNameUnknown, registry+" is a registry of the node itself")
	case !ok || !registrystore.ValidRepository(i.name()):
		fail(w, http.StatusNotFound, codeNameUnknown, "this cannot be kept")
	case q.what == "manifests" && (registrystore.ValidDigest(q.reference) || registrystore.ValidTag(q.reference)):
		c.manifest(w, r, i, q.reference)
	case q.what == "blobs" && registrystore.ValidDigest(q.reference):
		c.blob(w, r, i, q.reference)
	default:
		fail(w, http.StatusNotFound, codeUnsupported, "this is not kept")
	}
}

// manifest serves a manifest by its tag or digest.
func (c *cache) manifest(w http.ResponseWriter, r *http.Request, i image, reference string) {
	a := c.ask(i, reference)
	select {
	case <-a.done:
	case <-r.Context().Done():
		return
	}
	if a.err != nil {
		c.refuse(w, i, a.err)
		return
	}
	sendManifest(w, r, a.digest, a.mediaType, a.data)
}

// refuse answers that something cannot be had. What the registry itself says about the image is nothing that asking again would
// change. Everything else is reported in the status line: the node's runtime shows nothing else.
func (c *cache) refuse(w http.ResponseWriter, i image, err error) {
	switch status := registryclient.Status(err); status {
	case http.StatusNotFound, http.StatusUnauthorized, http.StatusForbidden:
		// The node asks the registry itself next, perhaps with the credentials of the pod.
		fail(w, http.StatusNotFound, codeManifestUnknown, err.Error())
	default:
		c.log.Debug("an image cannot be fetched", "registry", i.registry, "repository", i.repository, "err", err)
		failLoudly(w, "the cache of images cannot reach "+i.registry+": "+err.Error())
	}
}

// failLoudly answers with a reason in the status line.
func failLoudly(w http.ResponseWriter, reason string) {
	reason = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return ' '
		}
		return r
	}, reason)
	conn, buffer, err := http.NewResponseController(w).Hijack()
	if err != nil {
		fail(w, http.StatusBadGateway, codeUnknown, reason)
		return
	}
	defer func() { _ = conn.Close() }()
	fmt.Fprintf(buffer, "HTTP/1.1 %d %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", http.StatusBadGateway, reason)
	_ = buffer.Flush() // the client may be gone
}

// ask is a manifest that is on its way, for everybody who waits for it.
type ask struct {
	done              chan struct{} // closed when the rest is set
	data              []byte
	digest, mediaType string
	err               error
}

// ask finds a manifest. Who asks for the same one meanwhile gets the same answer.
func (c *cache) ask(i image, reference string) *ask {
	key := i.name() + " " + reference
	c.mu.Lock()
	if a, ok := c.asks[key]; ok {
		c.mu.Unlock()
		return a
	}
	a := &ask{done: make(chan struct{})}
	c.asks[key] = a
	c.mu.Unlock()
	work := func() {
		a.data, a.digest, a.mediaType, a.err = c.find(i, reference)
		c.mu.Lock()
		delete(c.asks, key)
		c.mu.Unlock()
		close(a.done)
	}
	if !c.begin(work) {
		a.err = errors.New("the cluster is stopping")
		c.mu.Lock()
		delete(c.asks, key)
		c.mu.Unlock()
		close(a.done)
	}
	return a
}

func (c *cache) find(i image, reference string) (data []byte, digest, mediaType string, err error) {
	ctx, cancel := c.scale.Limit(c.ctx, askLimit, i.registry+" to say what "+i.repository+" is")
	defer cancel()
	if registrystore.ValidDigest(reference) {
		if data, mediaType, err = c.store.ReadManifest(i.name(), reference); err == nil {
			return data, reference, mediaType, nil
		}
		return c.get(ctx, i, reference)
	}
	key := i.name() + " " + reference
	had, _, hadErr := c.store.Resolve(i.name(), reference)
	if hadErr == nil && c.isFresh(key) {
		if data, mediaType, err = c.store.ReadManifest(i.name(), had.Digest); err == nil {
			return data, had.Digest, mediaType, nil
		}
	}
	digest, err = c.head(ctx, i, reference)
	switch status := registryclient.Status(err); {
	case err == nil && digest != "":
		if data, mediaType, err = c.store.ReadManifest(i.name(), digest); err != nil {
			data, digest, mediaType, err = c.get(ctx, i, digest)
		}
		if err == nil {
			err = c.store.SetTag(i.name(), reference, registrystore.Descriptor{Digest: digest, MediaType: mediaType})
			c.setFresh(key)
		}
		return data, digest, mediaType, err
	case err == nil: // it does not say the digest
		if data, digest, mediaType, err = c.get(ctx, i, reference); err == nil {
			c.setFresh(key)
		}
		return data, digest, mediaType, err
	case status == http.StatusNotFound, status == http.StatusUnauthorized, status == http.StatusForbidden:
		return nil, "", "", err
	}
	if hadErr == nil {
		if data, mediaType, readErr := c.store.ReadManifest(i.name(), had.Digest); readErr == nil {
			c.log.Info("a registry does not answer, and the image is as it was last", "registry", i.registry, "image", i.repository+":"+reference, "err", err)
			return data, had.Digest, mediaType, nil
		}
	}
	return nil, "", "", err
}

func (c *cache) isFresh(key string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Since(c.fresh[key]) < fresh
}

func (c *cache) setFresh(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.fresh) >= maxRemembered {
		clear(c.fresh)
	}
	c.fresh[key] = time.Now()
}

// each asks the endpoints of an image one after the other until one answers. Its error is that of the last one, the registry
// itself, unless only another one has answered at all.
func (c *cache) each(ctx context.Context, i image, method, path string, use func(*http.Response) error) error {
	var last error
	for _, e := range c.endpoints(i.registry) {
		resp, err := c.client.Do(ctx, e, method, i.repository, path, http.Header{"Accept": registryclient.Accepted})
		if err == nil {
			err = use(resp)
			_ = resp.Body.Close()
			if err == nil {
				return nil
			}
		}
		if last == nil || registryclient.Status(err) != 0 || registryclient.Status(last) == 0 {
			last = err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return last
}

// head returns the digest that a tag leads to, empty if the registry does not say it.
func (c *cache) head(ctx context.Context, i image, tag string) (digest string, err error) {
	err = c.each(ctx, i, http.MethodHead, "manifests/"+tag, func(resp *http.Response) error {
		digest = resp.Header.Get(digestHeader)
		if !registrystore.ValidDigest(digest) {
			digest = ""
		}
		return nil
	})
	return digest, err
}

// get fetches a manifest, and keeps it.
func (c *cache) get(ctx context.Context, i image, reference string) (data []byte, digest, mediaType string, err error) {
	err = c.each(ctx, i, http.MethodGet, "manifests/"+reference, func(resp *http.Response) error {
		mediaType, _, _ = strings.Cut(resp.Header.Get("Content-Type"), ";")
		if data, err = io.ReadAll(io.LimitReader(resp.Body, registrystore.MaxManifest+1)); err != nil {
			return fmt.Errorf("read the manifest: %w", err)
		}
		digest = digestOf(data)
		if registrystore.ValidDigest(reference) && digest != reference {
			return fmt.Errorf("what it calls %s is %s", reference, digest)
		}
		return nil
	})
	if err != nil {
		return nil, "", "", err
	}
	tag := reference
	if registrystore.ValidDigest(reference) {
		tag = ""
	}
	_, err = c.store.PutManifest(i.name(), tag, mediaType, data)
	return data, digest, mediaType, err
}

// blob serves content: what the store has, or what is being fetched for this request or another one.
func (c *cache) blob(w http.ResponseWriter, r *http.Request, i image, digest string) {
	err := sendBlob(w, r, c.store, digest)
	if err == nil {
		return
	}
	if !errors.Is(err, registrystore.ErrNotFound) {
		failLoudly(w, "the cache of images cannot be read: "+err.Error())
		return
	}
	if r.Method == http.MethodHead {
		c.headBlob(w, r, i, digest)
		return
	}
	f := c.fetch(i, digest)
	select {
	case <-f.begun:
	case <-r.Context().Done():
		return
	}
	if f.beginErr != nil {
		c.refuse(w, i, f.beginErr)
		return
	}
	if r.Header.Get("Range") != "" || f.size < 0 {
		select { // a part of it is in the middle
		case <-f.ended:
		case <-r.Context().Done():
			return
		}
		if err := sendBlob(w, r, c.store, digest); err != nil {
			failLoudly(w, "the cache of images could not fetch this: "+err.Error())
		}
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.FormatInt(f.size, 10))
	w.Header().Set(digestHeader, digest)
	if err := f.send(r.Context(), c.store, digest, w); err != nil {
		panic(http.ErrAbortHandler) // what was sent is less than was promised, and the client has to notice
	}
}

func (c *cache) headBlob(w http.ResponseWriter, r *http.Request, i image, digest string) {
	var size int64
	err := c.each(r.Context(), i, http.MethodHead, "blobs/"+digest, func(resp *http.Response) error {
		size = resp.ContentLength
		return nil
	})
	if err != nil {
		c.refuse(w, i, err)
		return
	}
	w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	w.Header().Set(digestHeader, digest)
	w.WriteHeader(http.StatusOK)
}

// trim keeps the store below its limit; it runs beside what is being served, once at a time.
func (c *cache) trim() {
	c.mu.Lock()
	busy := c.trimming || c.closed
	c.trimming = c.trimming || !busy
	c.mu.Unlock()
	if busy {
		return
	}
	done, err := c.store.Trim(c.settings.limit)
	if err != nil {
		c.log.Warn("the cache of images may become larger than it should", "err", err)
	}
	if done.Blobs > 0 {
		c.log.Info("the cache of images was full", "removed", done.Blobs, "bytes", done.Bytes, "kept", done.Kept)
	}
	c.mu.Lock()
	c.trimming = false
	c.mu.Unlock()
}
