package compile

import (
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	networkingv1 "k8s.io/api/networking/v1"

	"bonsai/bootstrap/gatewaytable"
)

// nginx is what the annotations of ingress-nginx begin with; their meanings are in its documentation
// (docs/user-guide/nginx-configuration/annotations.md).
const nginx = "nginx.ingress.kubernetes.io/"

// options are what an Ingress's annotations choose.
type options struct {
	redirectTLS, forceTLS bool
	regex                 bool
	rewrite               *gatewaytable.Rewrite
	redirect              *gatewaytable.Redirect
	protocol              gatewaytable.Protocol
	sources               []netip.Prefix
	nobody                bool // the sources cannot be read
	cors                  *gatewaytable.CORS
	affinity              *gatewaytable.Affinity
	maxBody               int64
	connect, read         time.Duration
	request               *gatewaytable.HeaderChanges
}

// rule is one without a path and backends.
func (o *options) rule(from string) gatewaytable.Rule {
	r := gatewaytable.Rule{
		From: from, Sources: o.sources, CORS: o.cors, Rewrite: o.rewrite, Redirect: o.redirect, Affinity: o.affinity,
		MaxBody: o.maxBody, ConnectTimeout: o.connect, HeaderTimeout: o.read, Request: o.request,
	}
	if o.nobody {
		r.Sources = []netip.Prefix{netip.PrefixFrom(netip.IPv6Unspecified(), 128)} // from where no request comes
	}
	return r
}

// reader reads annotations, and warns of those that it cannot read or does not know.
type reader struct {
	b    *builder
	of   *networkingv1.Ingress
	seen map[string]bool
}

func (r *reader) text(names ...string) string {
	value := ""
	for _, name := range names {
		r.seen[name] = true
		if value == "" {
			value = strings.TrimSpace(r.of.Annotations[nginx+name])
		}
	}
	return value
}

func (r *reader) bad(name, value, want string) {
	r.b.warn(keyOf(r.of), "InvalidAnnotation", "annotation %s is %q, which is not %s", nginx+name, value, want)
}

func (r *reader) truth(name string, otherwise bool) bool {
	text := r.text(name)
	if text == "" {
		return otherwise
	}
	v, err := strconv.ParseBool(text)
	if err != nil {
		r.bad(name, text, "true or false")
		return otherwise
	}
	return v
}

func (r *reader) seconds(name string) time.Duration {
	text := r.text(name)
	if text == "" {
		return 0
	}
	n, err := strconv.Atoi(strings.TrimSuffix(text, "s"))
	if err != nil || n < 0 {
		r.bad(name, text, "a number of seconds")
		return 0
	}
	return time.Duration(n) * time.Second
}

func (b *builder) options(in *networkingv1.Ingress) *options {
	r := &reader{b, in, map[string]bool{}}
	o := &options{
		redirectTLS: r.truth("ssl-redirect", true), forceTLS: r.truth("force-ssl-redirect", false), regex: r.truth("use-regex", false),
		connect: r.seconds("proxy-connect-timeout"), read: r.seconds("proxy-read-timeout"),
	}
	_ = r.seconds("proxy-send-timeout") // sending is not limited
	if target := r.text("rewrite-target"); target != "" {
		// As in ingress-nginx, paths are regular expressions then, and the target is the whole new path.
		o.regex, o.rewrite = true, &gatewaytable.Rewrite{Path: &gatewaytable.PathChange{Expand: &target}}
	}
	if host := r.text("upstream-vhost"); host != "" {
		if o.rewrite == nil {
			o.rewrite = &gatewaytable.Rewrite{}
		}
		o.rewrite.Host = host
	}
	if prefix := r.text("x-forwarded-prefix"); prefix != "" {
		o.request = &gatewaytable.HeaderChanges{Set: []gatewaytable.Header{{Name: "X-Forwarded-Prefix", Value: prefix}}}
	}
	r.redirects(o)
	switch text := strings.ToUpper(r.text("backend-protocol")); text {
	case "", "AUTO_HTTP":
	case "HTTP":
		o.protocol = gatewaytable.HTTP1
	case "HTTPS", "GRPCS":
		o.protocol = gatewaytable.HTTPS
	case "GRPC":
		o.protocol = gatewaytable.H2C
	default:
		r.bad("backend-protocol", text, "one of HTTP, HTTPS, GRPC, GRPCS")
	}
	if text := r.text("whitelist-source-range", "allowlist-source-range"); text != "" {
		list, bad := prefixes(text)
		if o.sources = list; bad != "" {
			o.nobody = true // rather than all
			r.bad("whitelist-source-range", bad, "an address range; nobody is let in")
		}
	}
	o.maxBody = r.size("proxy-body-size")
	r.cors(o)
	r.cookie(o)
	for name := range in.Annotations {
		if short, ok := strings.CutPrefix(name, nginx); ok && !r.seen[short] && !harmless[short] {
			b.warn(keyOf(in), "IgnoredAnnotation", "annotation %s has no effect here", name)
		}
	}
	return o
}

// harmless are annotations that tune nginx: without them the same is served.
var harmless = map[string]bool{
	"proxy-buffering": true, "proxy-buffer-size": true, "proxy-buffers-number": true, "proxy-request-buffering": true, "proxy-http-version": true,
	"proxy-max-temp-file-size": true, "client-body-buffer-size": true, "enable-access-log": true, "websocket-services": true,
	"preserve-trailing-slash": true, "proxy-busy-buffers-size": true, "service-upstream": true,
}

func (r *reader) redirects(o *options) {
	for _, c := range []struct {
		name   string
		status int
	}{{"permanent-redirect", http.StatusMovedPermanently}, {"temporal-redirect", http.StatusFound}} {
		if url := r.text(c.name); url != "" && o.redirect == nil {
			o.redirect = &gatewaytable.Redirect{URL: url, Status: c.status}
			code := c.name + "-code"
			if text := r.text(code); text != "" {
				if n, err := strconv.Atoi(text); err == nil && n >= 300 && n < 400 {
					o.redirect.Status = n
				} else {
					r.bad(code, text, "a status from 300 to 399")
				}
			}
		}
	}
	if root := r.text("app-root"); root != "" {
		r.b.warn(keyOf(r.of), "IgnoredAnnotation", "annotation %sapp-root has no effect here", nginx)
	}
}

// size reads a number of bytes as nginx writes it ("8m"); 0 means that there is no limit.
func (r *reader) size(name string) int64 {
	text := r.text(name)
	if text == "" {
		return 0
	}
	factor := int64(1)
	number := strings.ToLower(text)
	for suffix, f := range map[string]int64{"k": 1 << 10, "m": 1 << 20, "g": 1 << 30} {
		if n, ok := strings.CutSuffix(number, suffix); ok {
			number, factor = n, f
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || n > 1<<40 {
		r.bad(name, text, "a size such as 8m")
		return 0
	}
	return n * factor
}

func (r *reader) cors(o *options) {
	// All are read, so that none counts as unknown.
	list := func(name, otherwise string) (out []string) {
		text := r.text(name)
		if text == "" {
			text = otherwise
		}
		for part := range strings.SplitSeq(text, ",") {
			if part = strings.TrimSpace(part); part != "" {
				out = append(out, part)
			}
		}
		return out
	}
	c := &gatewaytable.CORS{
		Origins:     list("cors-allow-origin", "*"),
		Methods:     list("cors-allow-methods", "GET, PUT, POST, DELETE, PATCH, OPTIONS"),
		Headers:     list("cors-allow-headers", "DNT,Keep-Alive,User-Agent,X-Requested-With,If-Modified-Since,Cache-Control,Content-Type,Range,Authorization"),
		Expose:      list("cors-expose-headers", ""),
		Credentials: r.truth("cors-allow-credentials", true),
		MaxAge:      r.seconds("cors-max-age"),
	}
	if c.MaxAge == 0 {
		c.MaxAge = 1728000 * time.Second
	}
	if r.truth("enable-cors", false) {
		o.cors = c
	}
}

func (r *reader) cookie(o *options) {
	a := &gatewaytable.Affinity{Cookie: r.text("session-cookie-name"), Path: r.text("session-cookie-path"), MaxAge: max(r.seconds("session-cookie-max-age"), r.seconds("session-cookie-expires"))}
	_ = r.text("affinity-mode", "session-cookie-change-on-failure", "session-cookie-samesite", "session-cookie-conditional-samesite-none")
	if a.Cookie == "" {
		a.Cookie = "INGRESSCOOKIE"
	}
	switch kind := r.text("affinity"); kind {
	case "":
	case "cookie":
		o.affinity = a
	default:
		r.bad("affinity", kind, "cookie")
	}
}
