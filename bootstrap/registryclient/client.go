// Package registryclient asks registries: with the logins that their challenges ask for, through the user's proxy, and with the
// credentials of the machine's Docker configuration. It passes answers on as they are.
//
// Begin reading at Client.Do. Client.Test finds out how it is to ask a registry.
package registryclient

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http/httpproxy"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/wait"
)

const (
	// dialLimit is how long a registry may take to accept a connection. Without a network that should be known within seconds.
	dialLimit = 5 * time.Second
	// answerLimit is how long it may take to begin its answer.
	answerLimit = 30 * time.Second
	// idleLimit is how long a connection without requests is kept.
	idleLimit = 30 * time.Second
	// maxRefusal bounds what is read of a refusal, and of the answer of a token server.
	maxRefusal = 64 << 10
)

// The names of Docker Hub: images have the first one, and requests go to the second.
const (
	Hub    = "docker.io"
	hubAPI = "registry-1.docker.io"
)

// Endpoint is where images of a registry are asked for.
type Endpoint struct {
	// Registry is the host name that images have, such as docker.io.
	Registry string
	cluster.Mirror
	// Itself says that the endpoint is the registry, and not a mirror of it.
	Itself bool
}

// Registry is the endpoint of a registry itself: over https, and on this machine without.
func Registry(name string) Endpoint {
	host, scheme := name, "https"
	if name == Hub {
		host = hubAPI
	}
	if OnLoopback(name) {
		scheme = "http"
	}
	return Endpoint{Registry: name, Mirror: cluster.Mirror{URL: scheme + "://" + host}, Itself: true}
}

// OnLoopback reports whether the registry is on the loopback address of whoever asks.
func OnLoopback(registry string) bool {
	host, _, err := net.SplitHostPort(registry)
	if err != nil {
		host = strings.Trim(registry, "[]")
	}
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}

// Login is a user with a password, or with a token that stands for both.
type Login struct {
	Username, Password string
	// Refresh is for token servers; IdentityToken it is called in Docker's configuration.
	Refresh string
	// Bearer is sent as it is.
	Bearer string
}

// None reports whether there is nothing to log in with.
func (l Login) None() bool { return l == Login{} }

// Options are what a Client needs.
type Options struct {
	// Logins returns what to log in with at a registry; nil: nothing. Mirrors bring theirs.
	Logins func(ctx context.Context, registry string) (Login, error)
	// Proxy is the user's.
	Proxy cluster.Proxy
	// Authorities are trusted besides the machine's, in PEM.
	Authorities string
	// Scale multiplies limits on waits.
	Scale wait.Scale
}

// Client asks registries. It keeps their connections and tokens, and is safe for concurrent use. The caller closes it.
type Client struct {
	o     Options
	proxy func(*url.URL) (*url.URL, error)

	mu sync.Mutex // guards the rest
	// clients are by endpoint, tokens by endpoint and scope.
	clients map[clientKey]*http.Client
	tokens  map[tokenKey]token
}

// New returns a Client that has asked nobody.
func New(o Options) *Client {
	proxy := httpproxy.Config{HTTPProxy: o.Proxy.HTTP, HTTPSProxy: o.Proxy.HTTPS, NoProxy: o.Proxy.Except}
	return &Client{o: o, proxy: proxy.ProxyFunc(), clients: map[clientKey]*http.Client{}, tokens: map[tokenKey]token{}}
}

// Close closes idle connections.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, h := range c.clients {
		h.CloseIdleConnections()
	}
}

// client returns the one for an endpoint.
func (c *Client) client(e Endpoint) (*http.Client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := clientKey{e.Mirror, e.Itself}
	if h, ok := c.clients[key]; ok {
		return h, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: e.SkipVerify} // the user's own choice about this endpoint
	if trusted := c.o.Authorities + e.CA; trusted != "" {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM([]byte(trusted)) {
			return nil, fmt.Errorf("the certificate of the authority for %s cannot be read", e.URL)
		}
		config.RootCAs = pool
	}
	h := &http.Client{CheckRedirect: redirect, Transport: &http.Transport{
		Proxy:                 func(r *http.Request) (*url.URL, error) { return c.proxy(r.URL) },
		DialContext:           c.dialer(e),
		TLSClientConfig:       config,
		TLSHandshakeTimeout:   c.o.Scale.Of(dialLimit),
		ResponseHeaderTimeout: c.o.Scale.Of(answerLimit),
		IdleConnTimeout:       idleLimit,
		// What is asked for is what has the digest, and nothing that a transport has made of it.
		DisableCompression: true,
		ForceAttemptHTTP2:  true,
	}}
	c.clients[key] = h
	return h, nil
}

// StatusError is an answer that is not what was asked for.
type StatusError struct {
	// Status is the answer's.
	Status int
	text   string
}

func (e *StatusError) Error() string { return e.text }

// Status returns that of an answer which err is about, 0 if there was none.
func Status(err error) int {
	if e, ok := errors.AsType[*StatusError](err); ok {
		return e.Status
	}
	return 0
}

// Do asks an endpoint for a path below a repository, such as manifests/latest; an empty repository is the API itself. The caller
// closes the answer, whose status is below 300. Every other one is a StatusError.
func (c *Client) Do(ctx context.Context, e Endpoint, method, repository, path string, header http.Header) (*http.Response, error) {
	h, err := c.client(e)
	if err != nil {
		return nil, err
	}
	target, err := e.url(repository, path)
	if err != nil {
		return nil, err
	}
	key := tokenKey{e.Mirror, e.Registry, repository}
	for again := false; ; again = true {
		resp, err := c.ask(ctx, h, method, target, header, c.token(key))
		if err != nil {
			return nil, err
		}
		if resp.StatusCode != http.StatusUnauthorized || again {
			return check(resp, e)
		}
		challenges := resp.Header.Values("WWW-Authenticate")
		refusal := refusalOf(resp)
		if err := c.logIn(ctx, h, e, key, challenges); err != nil {
			return nil, &StatusError{http.StatusUnauthorized, fmt.Sprintf("%s: %s: %v", e.URL, refusal, err)}
		}
	}
}

// url is where a path is.
func (e Endpoint) url(repository, path string) (string, error) {
	u, err := url.Parse(e.URL)
	if err != nil {
		return "", errors.New("the endpoint is not a URL")
	}
	u.Path = strings.TrimSuffix(u.Path, "/") + "/v2/"
	if repository != "" {
		u.Path += repository + "/" + path
	}
	if !e.Itself { // as containerd does: a mirror may have images of several registries
		u.RawQuery = url.Values{"ns": {e.Registry}}.Encode()
	}
	return u.String(), nil
}

func (c *Client) ask(ctx context.Context, h *http.Client, method, target string, header http.Header, authorization string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, target, nil)
	if err != nil {
		return nil, err
	}
	maps.Copy(req.Header, header)
	if authorization != "" {
		req.Header.Set("Authorization", authorization) // redirect decides who else gets it
	}
	req.Header.Set("User-Agent", "bonsai")
	resp, err := h.Do(req)
	if err != nil {
		return nil, plain(err)
	}
	return resp, nil
}

// plain is an error of an HTTP client without the URL, which says more than its reader asked, such as tokens of a redirect.
func plain(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

func check(resp *http.Response, e Endpoint) (*http.Response, error) {
	if resp.StatusCode < 300 {
		return resp, nil
	}
	return nil, &StatusError{resp.StatusCode, fmt.Sprintf("%s answers %s", e.URL, refusalOf(resp))}
}

// refusalOf reads an answer that is not what was asked for, and closes it.
func refusalOf(resp *http.Response) string {
	defer func() { _ = resp.Body.Close() }()
	data, _ := io.ReadAll(io.LimitReader(resp.Body, maxRefusal)) // what cannot be read says nothing
	text := strings.TrimSpace(messageOf(data))
	if text == "" {
		return resp.Status
	}
	return resp.Status + ": " + text
}
