package registryclient

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"syscall"

	"bonsai/bootstrap/cluster"
)

// clientKey is for what a client of HTTP is. A mirror may have the URL of the registry itself, and is trusted more.
type clientKey struct {
	endpoint cluster.Mirror
	itself   bool
}

// mostRedirects is what net/http has.
const mostRedirects = 10

// redirect decides about a redirect. Of the headers only the login is about one host; net/http also sends it to other ports, to names
// below that of the host, and without TLS.
func redirect(req *http.Request, via []*http.Request) error {
	first := via[0]
	switch {
	case len(via) >= mostRedirects:
		return fmt.Errorf("stopped after %d redirects", mostRedirects)
	case first.Method == http.MethodPost:
		return http.ErrUseLastResponse // there is a login in its body
	case req.URL.Host != first.URL.Host || first.URL.Scheme == "https" && req.URL.Scheme != "https":
		req.Header.Del("Authorization")
	}
	return nil
}

var errThisMachine = errors.New("it leads to this machine itself, which only mirrors may")

// dialer connects for an endpoint. A registry must not lead to what listens on loopback, by its address, a redirect or its token server:
// whoever may run a pod chooses the registry, and does not reach that otherwise. What the user has configured may.
func (c *Client) dialer(e Endpoint) func(ctx context.Context, network, address string) (net.Conn, error) {
	all := &net.Dialer{Timeout: c.o.Scale.Of(dialLimit)}
	if u, err := url.Parse(e.URL); err != nil || !e.Itself || OnLoopback(u.Host) {
		return all.DialContext
	}
	outside := &net.Dialer{Timeout: all.Timeout, Control: func(_, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		if a := at.Addr().Unmap(); a.IsLoopback() || a.IsUnspecified() {
			return errThisMachine
		}
		return nil
	}}
	proxies := c.proxies()
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if slices.Contains(proxies, address) {
			return all.DialContext(ctx, network, address)
		}
		return outside.DialContext(ctx, network, address)
	}
}

// proxies are the addresses of the user's proxies, as they are dialed.
func (c *Client) proxies() (list []string) {
	ports := map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"} // as http.Transport has them
	for _, scheme := range []string{"http", "https"} {
		p, err := c.proxy(&url.URL{Scheme: scheme, Host: "registry.invalid"})
		if err != nil || p == nil {
			continue
		}
		port := p.Port()
		if port == "" {
			port = ports[p.Scheme]
		}
		list = append(list, net.JoinHostPort(p.Hostname(), port))
	}
	return list
}

// mayLogIn refuses to send a login of an endpoint with TLS to a token server without it.
func mayLogIn(e Endpoint, realm *url.URL, l Login) error {
	if u, err := url.Parse(e.URL); err == nil && u.Scheme == "https" && realm.Scheme != "https" && !l.None() {
		return fmt.Errorf("log in at %s: it wants the login without TLS", realm.Host)
	}
	return nil
}
