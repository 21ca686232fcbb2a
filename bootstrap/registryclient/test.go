package registryclient

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Report says how it is to ask an endpoint.
type Report struct {
	Registry string `json:"registry"`
	URL      string `json:"url"`
	// Mirror says that the endpoint is not the registry itself.
	Mirror bool `json:"mirror,omitempty"`
	// Works says that images can be asked for; otherwise Problem says why not.
	Works   bool   `json:"works"`
	Problem string `json:"problem,omitempty"`
	// Took is how long the answer took, with connecting and logging in.
	Took time.Duration `json:"took"`
	// TLS is nil without https.
	TLS *TLS `json:"tls,omitempty"`
	// Login is what happened about that, in a few words.
	Login string `json:"login,omitempty"`
	// Limit is nil if the registry does not say that it has one.
	Limit *RateLimit `json:"rateLimit,omitempty"`
}

// TLS is what an endpoint shows.
type TLS struct {
	Version string    `json:"version"`
	Subject string    `json:"subject"`
	Issuer  string    `json:"issuer"`
	Until   time.Time `json:"until"`
	// Trusted says that its certificate is that of its name, by an authority that is trusted; otherwise Problem says why not.
	Trusted bool   `json:"trusted"`
	Problem string `json:"problem,omitempty"`
}

// RateLimit is how often an endpoint may be asked.
type RateLimit struct {
	Limit     int           `json:"limit"`
	Remaining int           `json:"remaining"`
	Window    time.Duration `json:"window,omitempty"`
}

// Of the test. hubPreview exists to learn the limit, and asking for it with HEAD does not count
// (https://docs.docker.com/docker-hub/usage/pulls/).
const hubPreview = "ratelimitpreview/test"

// Test asks an endpoint whether it works, and how. It pulls nothing.
func (c *Client) Test(ctx context.Context, e Endpoint) Report {
	r := Report{Registry: e.Registry, URL: e.URL, Mirror: !e.Itself}
	began := time.Now()
	defer func() { r.Took = time.Since(began) }()
	if strings.HasPrefix(e.URL, "https:") {
		r.TLS = c.lookAtTLS(ctx, e)
	}
	login, err := c.loginFor(ctx, e)
	if err != nil {
		r.Login = err.Error()
	}
	challenged, err := c.challenged(ctx, e)
	if err != nil {
		r.Problem = err.Error()
		return took(r, began)
	}
	repository, path := "", ""
	if e.Registry == Hub {
		repository, path = hubPreview, "manifests/latest"
	}
	resp, err := c.Do(ctx, e, http.MethodHead, repository, path, http.Header{"Accept": Accepted})
	switch status := Status(err); {
	case err == nil:
		r.Works, r.Limit = true, limitOf(resp.Header)
		_ = resp.Body.Close()
	case status == http.StatusNotFound: // a mirror without that image, or without HEAD for its API
		r.Works = true
	case status == http.StatusTooManyRequests:
		r.Problem = "its rate limit is used up: " + err.Error()
		r.Limit = &RateLimit{}
	default:
		r.Problem = err.Error()
	}
	switch {
	case r.Login != "": // the configuration cannot be read
	case !challenged:
		r.Login = "not needed"
	case Status(err) == http.StatusUnauthorized || Status(err) == http.StatusForbidden:
		r.Login = "refused"
		if login.None() {
			r.Login = "needed, and there are no credentials"
		}
	case login.None():
		r.Login = "anonymous"
	case login.Username != "":
		r.Login = "as " + login.Username
	default:
		r.Login = "by a token"
	}
	return took(r, began)
}

func took(r Report, began time.Time) Report {
	r.Took = time.Since(began)
	return r
}

// challenged asks for the API without a login, and reports whether one is wanted.
func (c *Client) challenged(ctx context.Context, e Endpoint) (bool, error) {
	h, err := c.client(e)
	if err != nil {
		return false, err
	}
	target, err := e.url("", "")
	if err != nil {
		return false, err
	}
	resp, err := c.ask(ctx, h, http.MethodGet, target, nil, "")
	if err != nil {
		return false, err
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusUnauthorized, nil
}

// lookAtTLS connects once more, and looks at the certificate whether it is trusted or not. nil: there was no connection.
func (c *Client) lookAtTLS(ctx context.Context, e Endpoint) *TLS {
	u, err := url.Parse(e.URL)
	if err != nil {
		return nil
	}
	if through, err := c.proxy(u); err != nil || through != nil {
		return nil // the proxy's user and kind would have to be known here
	}
	address := u.Host
	if u.Port() == "" {
		address = net.JoinHostPort(u.Hostname(), "443")
	}
	ctx, cancel := c.o.Scale.Limit(ctx, 2*dialLimit, "the endpoint's certificate")
	defer cancel()
	// Nothing is sent, and what is shown is looked at below.
	conn, err := (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, ServerName: u.Hostname()}}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil
	}
	defer func() { _ = conn.Close() }()
	state := conn.(*tls.Conn).ConnectionState()
	leaf := state.PeerCertificates[0]
	t := &TLS{Version: tls.VersionName(state.Version), Subject: nameOf(leaf.Subject.CommonName, leaf.DNSNames), Issuer: nameOf(leaf.Issuer.CommonName, leaf.Issuer.Organization), Until: leaf.NotAfter}
	options := x509.VerifyOptions{DNSName: u.Hostname(), Intermediates: x509.NewCertPool()}
	for _, more := range state.PeerCertificates[1:] {
		options.Intermediates.AddCert(more)
	}
	if h, err := c.client(e); err == nil {
		options.Roots = h.Transport.(*http.Transport).TLSClientConfig.RootCAs
	}
	if _, err := leaf.Verify(options); err != nil {
		t.Problem = err.Error()
		if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
			t.Problem = fmt.Sprintf("the authority %s is not trusted", t.Issuer)
		}
		return t
	}
	t.Trusted = true
	return t
}

func nameOf(first string, others []string) string {
	if first == "" && len(others) > 0 {
		return others[0]
	}
	return first
}

// limitOf reads what Docker Hub and those who do the same say: "100;w=21600", with the seconds in which that many are allowed.
func limitOf(h http.Header) *RateLimit {
	limit, window := rate(h.Get("RateLimit-Limit"))
	remaining, _ := rate(h.Get("RateLimit-Remaining"))
	if limit < 0 || remaining < 0 {
		return nil
	}
	return &RateLimit{limit, remaining, window}
}

func rate(text string) (n int, window time.Duration) {
	number, rest, _ := strings.Cut(text, ";")
	n, err := strconv.Atoi(strings.TrimSpace(number))
	if err != nil {
		return -1, 0
	}
	if seconds, err := strconv.Atoi(strings.TrimPrefix(strings.TrimSpace(rest), "w=")); err == nil {
		window = time.Duration(seconds) * time.Second
	}
	return n, window
}

// Accepted are the media types of manifests.
var Accepted = []string{
	"application/vnd.oci.image.index.v1+json", "application/vnd.oci.image.manifest.v1+json",
	"application/vnd.docker.distribution.manifest.list.v2+json", "application/vnd.docker.distribution.manifest.v2+json", "*/*",
}
