package proxy

import (
	"net"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"bonsai/bootstrap/gatewaytable"
)

// hostOf is the host name of a request, without port, in lower case.
func hostOf(r *http.Request) string {
	host := r.Host
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// cleanPath is the path by which rules are found: without elements that lead elsewhere (/a/../b).
func cleanPath(p string) string {
	if p == "" || p[0] != '/' {
		p = "/" + p // of a CONNECT or OPTIONS *
	}
	if !strings.Contains(p, "/.") && !strings.Contains(p, "//") {
		return p
	}
	clean := path.Clean(p)
	if strings.HasSuffix(p, "/") && clean != "/" {
		clean += "/"
	}
	return clean
}

// changed is a URL's path after a change, as it is written. What is changed is the path by which the rule was found.
func changed(c *gatewaytable.PathChange, r *rule, u *url.URL) string {
	escaped := u.EscapedPath()
	if clean := cleanPath(u.Path); c != nil && clean != u.Path {
		u = &url.URL{Path: clean}
		escaped = u.EscapedPath()
	}
	switch {
	case c == nil:
		return escaped
	case c.Full != nil:
		return *c.Full
	case c.Prefix != nil:
		rest := strings.TrimPrefix(escaped, r.prefix)
		if !strings.HasPrefix(escaped, r.prefix) { // the prefix is written otherwise
			rest = (&url.URL{Path: strings.TrimPrefix(u.Path, r.prefix)}).EscapedPath()
		}
		out := strings.TrimSuffix(*c.Prefix, "/")
		if rest != "" && !strings.HasPrefix(rest, "/") {
			rest = "/" + rest
		}
		if out+rest == "" {
			return "/"
		}
		return out + rest
	case c.Expand != nil && r.path != nil:
		at := r.path.FindStringSubmatchIndex(u.Path)
		if at == nil {
			return escaped
		}
		text := string(r.path.ExpandString(nil, template(*c.Expand), u.Path, at))
		if !strings.HasPrefix(text, "/") {
			text = "/" + text
		}
		return (&url.URL{Path: text}).EscapedPath()
	}
	return escaped
}

// template turns nginx's $1 into Go's ${1}, so that "$1x" is not a group named 1x.
func template(nginx string) string {
	var out strings.Builder
	for i := 0; i < len(nginx); i++ {
		if nginx[i] == '$' && i+1 < len(nginx) && nginx[i+1] >= '0' && nginx[i+1] <= '9' {
			out.WriteString("${" + nginx[i+1:i+2] + "}")
			i++
			continue
		}
		if nginx[i] == '$' {
			out.WriteByte('$')
		}
		out.WriteByte(nginx[i])
	}
	return out.String()
}

// location is where a redirect leads.
func location(d *gatewaytable.Redirect, r *rule, req *http.Request, port uint16) string {
	if d.URL != "" {
		return d.URL
	}
	scheme := "http"
	if req.TLS != nil {
		scheme = "https"
	}
	if d.Scheme != "" {
		scheme, port = d.Scheme, 0
	}
	if d.Port != 0 {
		port = d.Port
	}
	host := d.Host
	if host == "" {
		host = hostOf(req)
	}
	if strings.Contains(host, ":") && !strings.HasPrefix(host, "[") {
		host = "[" + host + "]"
	}
	if port != 0 && (scheme != "http" || port != 80) && (scheme != "https" || port != 443) {
		host += ":" + strconv.Itoa(int(port))
	}
	out := scheme + "://" + host + changed(d.Path, r, req.URL)
	if req.URL.RawQuery != "" {
		out += "?" + req.URL.RawQuery
	}
	return out
}

func applyHeaders(c *gatewaytable.HeaderChanges, h http.Header) {
	if c == nil {
		return
	}
	for _, s := range c.Set {
		h.Set(s.Name, s.Value)
	}
	for _, a := range c.Add {
		h.Add(a.Name, a.Value)
	}
	for _, name := range c.Remove {
		h.Del(name)
	}
}

// allowOrigin is the value of Access-Control-Allow-Origin for an origin, empty if it is not allowed.
func allowOrigin(c *gatewaytable.CORS, origin string) string {
	for _, o := range c.Origins {
		switch {
		case o == "*" && c.Credentials:
			return origin
		case o == "*":
			return "*"
		case strings.EqualFold(o, origin):
			return origin
		}
		if scheme, host, ok := strings.Cut(o, "://*"); ok {
			s, h, _ := strings.Cut(origin, "://")
			if strings.EqualFold(scheme, s) && len(h) > len(host) && strings.HasSuffix(strings.ToLower(h), strings.ToLower(host)) {
				return origin
			}
		}
	}
	return ""
}

// crossOrigin adds what an answer to another origin needs. It removes what the backend has said about that.
func crossOrigin(c *gatewaytable.CORS, req *http.Request, h http.Header) {
	for name := range h {
		if strings.HasPrefix(name, "Access-Control-") {
			h.Del(name)
		}
	}
	allowed := allowOrigin(c, req.Header.Get("Origin"))
	if allowed != "*" && !slices.Contains(h.Values("Vary"), "Origin") {
		h.Add("Vary", "Origin")
	}
	if allowed == "" {
		return
	}
	h.Set("Access-Control-Allow-Origin", allowed)
	if c.Credentials {
		h.Set("Access-Control-Allow-Credentials", "true")
	}
	if len(c.Expose) > 0 {
		h.Set("Access-Control-Expose-Headers", strings.Join(c.Expose, ", "))
	}
}

// preflight answers the question of a browser whether it may send a request.
func preflight(c *gatewaytable.CORS, w http.ResponseWriter, req *http.Request) {
	h := w.Header()
	crossOrigin(c, req, h)
	if h.Get("Access-Control-Allow-Origin") != "" {
		// With credentials a wildcard has no meaning to browsers.
		if methods := listed(c.Methods, c.Credentials, req.Header.Get("Access-Control-Request-Method")); methods != "" {
			h.Set("Access-Control-Allow-Methods", methods)
		}
		if headers := listed(c.Headers, c.Credentials, req.Header.Get("Access-Control-Request-Headers")); headers != "" {
			h.Set("Access-Control-Allow-Headers", headers)
		}
		if c.MaxAge > 0 {
			h.Set("Access-Control-Max-Age", strconv.Itoa(int(c.MaxAge/time.Second)))
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

func listed(values []string, credentials bool, asked string) string {
	if credentials && slices.Contains(values, "*") {
		return asked
	}
	return strings.Join(values, ", ")
}

func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != ""
}
