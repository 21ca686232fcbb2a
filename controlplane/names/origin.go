package names

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/servicename"
)

// sites says which web pages may send requests.
type sites struct {
	// at is where the names are.
	at cluster.Names
	// origins are others that may, such as http://localhost:3000.
	origins []string
	// proxied is the host that a request to the proxy is for, in lower case; empty for other requests.
	proxied string
}

// sitesOf are those that may send r.
func sitesOf(spec cluster.Spec, at cluster.Names, r *http.Request) sites {
	s := sites{at: at, origins: spec.NamesOrigins()}
	if r.URL.IsAbs() {
		s.proxied = strings.ToLower(r.Host)
	}
	return s
}

// own says whether an origin is one of the names, at this port, or one that is allowed. To a browser that uses the proxy, names
// of cluster DNS are the cluster's; to any other, the network that it is in decides whose they are.
func (s sites) own(origin string) bool {
	if slices.Contains(s.origins, origin) {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return false
	}
	host := strings.ToLower(u.Hostname())
	if s.proxied != "" && (strings.ToLower(u.Host) == s.proxied || strings.HasSuffix(host, ".svc") || strings.HasSuffix(host, "."+cluster.ClusterDomain)) {
		return true
	}
	port := 80
	if u.Scheme == "https" {
		port = 443
	}
	if text := u.Port(); text != "" {
		if port, err = strconv.Atoi(text); err != nil {
			return false
		}
	}
	return s.at.Serves(port) && isName(host)
}

// isName says whether a host, in lower case, is below "localhost", or that itself.
func isName(host string) bool {
	return host == servicename.Top || strings.HasSuffix(host, "."+servicename.Top)
}

// check refuses what a page of another site has a browser send: the app could not distinguish it from what its user sends, and
// apps in development often have no login. A link that somebody follows is let through, as are clients that are not browsers:
// these send neither Origin nor Sec-Fetch-Site (https://www.w3.org/TR/fetch-metadata/), which no page can
// leave out or change. What a page of another name of this cluster may read is up to the app (CORS).
func (s sites) check(r *http.Request) error {
	origin := r.Header.Get("Origin")
	from := origin
	switch {
	case origin != "":
		if s.own(origin) {
			return nil
		}
	default:
		switch r.Header.Get("Sec-Fetch-Site") {
		case "", "none", "same-origin":
			return nil
		}
		// Two names of one cluster can be two sites: there the browser says "cross-site", and which page it is only in Referer.
		u, err := url.Parse(r.Header.Get("Referer"))
		if err == nil && u.Host != "" {
			from = u.Scheme + "://" + u.Host
			if s.own(from) {
				return nil
			}
		}
		reads := r.Method == http.MethodGet || r.Method == http.MethodHead
		if reads && r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document" && !upgrades(r) {
			return nil
		}
	}
	if from == "" || from == "null" {
		from = "an unknown origin"
	}
	return fmt.Errorf("a page of %s sends this request, which is not one of the cluster's names", from)
}

// upgrades says whether a request asks for another protocol, such as a WebSocket, which pages of all origins may open.
func upgrades(r *http.Request) bool { return r.Header.Get("Upgrade") != "" }

// hostOf is the name in a Host header, without port, in lower case.
func hostOf(header string) string {
	host := header
	if h, _, err := net.SplitHostPort(header); err == nil {
		host = h
	}
	return strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
}
