package cluster

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// ProxyVariables are the environment variables that name proxies, or what to reach without one.
func ProxyVariables() []string {
	return []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"}
}

// Proxy is how nodes reach registries: the proxies and exceptions of the user's environment. Its zero value means directly.
// The URLs may contain a password.
type Proxy struct {
	// HTTP and HTTPS are the proxies for registries that speak http or https, as URLs.
	HTTP  string `json:"http,omitempty"`
	HTTPS string `json:"https,omitempty"`
	// Except is what is reached directly, in the form of the variable NO_PROXY.
	Except string `json:"except,omitempty"`
}

// ParseProxy reads HTTP_PROXY, HTTPS_PROXY and NO_PROXY, also in lower case, as Go's HTTP clients do. A variable that is
// not the URL of a proxy is skipped, and named in the error, but not its text, which may contain a password.
func ParseProxy(getenv func(string) string) (Proxy, error) {
	var p Proxy
	var errs []error
	for _, v := range []struct {
		name string
		to   *string
	}{{"HTTP_PROXY", &p.HTTP}, {"HTTPS_PROXY", &p.HTTPS}} {
		name, text := v.name, getenv(v.name)
		if text == "" {
			name = strings.ToLower(name)
			text = getenv(name)
		}
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		u, err := parseProxy(text)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s is not the URL of a proxy: %w", name, err))
			continue
		}
		*v.to = u.String()
	}
	if p == (Proxy{}) {
		return p, errors.Join(errs...)
	}
	if p.Except = getenv("NO_PROXY"); p.Except == "" {
		p.Except = getenv("no_proxy")
	}
	return p, errors.Join(errs...)
}

// parseProxy parses "host:port" too, as Go's clients do. Its errors do not repeat the text.
func parseProxy(text string) (*url.URL, error) {
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("special characters of a password have to be written as %XX")
	}
	if _, known := proxyPorts[u.Scheme]; !known {
		return nil, fmt.Errorf("scheme %q is not one of http, https, socks5", u.Scheme)
	}
	if u.Hostname() == "" {
		return nil, errors.New("it has no host")
	}
	return u, nil
}

// ProxyURL reads the URL of a proxy, which may be HOST:PORT. Its errors do not repeat the text, which may contain a
// password.
func ProxyURL(text string) (string, error) {
	u, err := parseProxy(strings.TrimSpace(text))
	if err != nil {
		return "", err
	}
	if u.User != nil && u.User.String() == hiddenUser {
		return "", errors.New("its user and password are hidden; write the real ones")
	}
	return u.String(), nil
}

// proxyPorts are the schemes of proxies with their default ports.
var proxyPorts = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}

// InNodes is the proxy as the nodes of s use it. One on this machine's loopback address is at the gateway of their network.
// What is on this machine is always reached directly.
func (p Proxy) InNodes(s *Spec) Proxy {
	if p == (Proxy{}) {
		return p
	}
	p.HTTP, p.HTTPS = atGateway(p.HTTP, s.Gateway), atGateway(p.HTTPS, s.Gateway)
	except := []string{
		"localhost", "127.0.0.0/8", "::1", s.Subnet.String(), s.PodRange().String(), s.ServiceRange().String(),
		".svc", "." + ClusterDomain, "host.bonsai.internal", "host.docker.internal",
	}
	for _, n := range s.Nodes {
		except = append(except, n.Name)
	}
	for own := range strings.SplitSeq(p.Except, ",") {
		if own = strings.TrimSpace(own); own != "" && !slices.Contains(except, own) {
			except = append(except, own)
		}
	}
	p.Except = strings.Join(except, ",")
	return p
}

func atGateway(text string, gateway netip.Addr) string {
	u, err := parseProxy(text)
	if text == "" || err != nil || !onLoopback(u) {
		return text
	}
	u.Host = gateway.String() + ":" + proxyPort(u)
	return u.String()
}

// OnLoopback are the addresses, host:port, of the proxies that listen on this machine's loopback interface.
func (p Proxy) OnLoopback() (addresses []string) {
	for _, text := range []string{p.HTTP, p.HTTPS} {
		if u, err := parseProxy(text); text != "" && err == nil && onLoopback(u) {
			if address := net.JoinHostPort(u.Hostname(), proxyPort(u)); !slices.Contains(addresses, address) {
				addresses = append(addresses, address)
			}
		}
	}
	return addresses
}

func onLoopback(u *url.URL) bool {
	addr, err := netip.ParseAddr(u.Hostname())
	return err == nil && addr.IsLoopback() || strings.EqualFold(u.Hostname(), "localhost")
}

func proxyPort(u *url.URL) string {
	if port := u.Port(); port != "" {
		return port
	}
	return proxyPorts[u.Scheme]
}

// Environment is the proxy as variables for a program.
func (p Proxy) Environment() (env []string) {
	for _, v := range []struct{ name, value string }{{"HTTP_PROXY", p.HTTP}, {"HTTPS_PROXY", p.HTTPS}, {"NO_PROXY", p.Except}} {
		if v.value != "" {
			env = append(env, v.name+"="+v.value)
		}
	}
	return env
}

// hiddenUser stands for the user and password of a URL where they are not shown.
const hiddenUser = "xxxxx"

// Redacted is the proxy without names and passwords.
func (p Proxy) Redacted() Proxy {
	for _, text := range []*string{&p.HTTP, &p.HTTPS} {
		if u, err := url.Parse(*text); err == nil && u.User != nil {
			u.User = url.User(hiddenUser)
			*text = u.String()
		}
	}
	return p
}

// String is for people; it contains no password.
func (p Proxy) String() string {
	p = p.Redacted()
	switch {
	case p.HTTPS == "" && p.HTTP == "":
		return "none"
	case p.HTTPS == "":
		return p.HTTP + " (http only)"
	case p.HTTP == "", p.HTTP == p.HTTPS:
		return p.HTTPS
	}
	return p.HTTPS + " (https) and " + p.HTTP + " (http)"
}
