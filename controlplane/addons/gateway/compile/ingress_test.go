package compile_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"bonsai/controlplane/addons/gateway/compile"
)

// The cases of kubernetes-sigs/ingress-controller-conformance (features/*.feature).

func TestIngressHostRules(t *testing.T) { // host_rules.feature
	w := newWorld(t, `
kind: Ingress
metadata: {name: host-rules}
spec:
  ingressClassName: bonsai
  tls: [{hosts: [foo.bar.com], secretName: conformance-tls}]
  rules:
  - {host: "*.foo.com", http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: wildcard-foo-com, port: {number: 80}}}}]}}
  - {host: foo.bar.com, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: foo-bar-com, port: {name: http}}}}]}}
`)
	w.service("wildcard-foo-com", "foo-bar-com")
	w.secret("conformance-tls", "foo.bar.com")
	s := w.serve()
	s.expect("https://foo.bar.com/", "foo-bar-com")
	s.expect("https://FOO.bar.com:443/", "foo-bar-com")
	s.expect("http://bar.foo.com/", "wildcard-foo-com")
	s.expect("http://baz.bar.foo.com/", "404") // a wildcard is one label
	s.expect("http://foo.com/", "404")
	s.expect("http://subdomain.bar.com/", "404")
	s.expect("http://192.0.2.1/", "404")
}

func TestIngressPathRules(t *testing.T) { // path_rules.feature
	w := newWorld(t, `
kind: Ingress
metadata: {name: path-rules}
spec:
  rules:
  - host: exact-path-rules
    http:
      paths:
      - {path: /foo, pathType: Exact, backend: {service: {name: foo-exact, port: {number: 80}}}}
  - host: prefix-path-rules
    http:
      paths:
      - {path: /foo, pathType: Prefix, backend: {service: {name: foo-prefix, port: {number: 80}}}}
      - {path: /aaa/bbb, pathType: Prefix, backend: {service: {name: aaa-slash-bbb-prefix, port: {number: 80}}}}
      - {path: /aaa, pathType: Prefix, backend: {service: {name: aaa-prefix, port: {number: 80}}}}
  - host: mixed-path-rules
    http:
      paths:
      - {path: /foo, pathType: Prefix, backend: {service: {name: foo-prefix, port: {number: 80}}}}
      - {path: /foo, pathType: Exact, backend: {service: {name: foo-exact, port: {number: 80}}}}
  - host: trailing-slash-path-rules
    http:
      paths:
      - {path: /aaa/bbb/, pathType: Prefix, backend: {service: {name: aaa-slash-bbb-slash-prefix, port: {number: 80}}}}
      - {path: /foo/, pathType: Exact, backend: {service: {name: foo-slash-exact, port: {number: 80}}}}
`)
	w.service("foo-exact", "foo-prefix", "aaa-slash-bbb-prefix", "aaa-prefix", "aaa-slash-bbb-slash-prefix", "foo-slash-exact")
	s := w.serve()
	for _, c := range []struct{ url, want string }{
		{"exact-path-rules/foo", "foo-exact"}, {"exact-path-rules/foo/", "404"}, {"exact-path-rules/FOO", "404"}, {"exact-path-rules/bar", "404"},
		{"prefix-path-rules/foo", "foo-prefix"}, {"prefix-path-rules/foo/", "foo-prefix"}, {"prefix-path-rules/FOO", "404"},
		{"prefix-path-rules/aaa/bbb", "aaa-slash-bbb-prefix"}, {"prefix-path-rules/aaa/bbb/ccc", "aaa-slash-bbb-prefix"},
		{"prefix-path-rules/aaa/ccc", "aaa-prefix"}, {"prefix-path-rules/aaaccc", "404"}, {"prefix-path-rules/aaa/bbbccc", "aaa-prefix"},
		{"mixed-path-rules/foo", "foo-exact"}, {"mixed-path-rules/foo/", "foo-prefix"},
		{"trailing-slash-path-rules/aaa/bbb/", "aaa-slash-bbb-slash-prefix"}, {"trailing-slash-path-rules/aaa/bbb", "aaa-slash-bbb-slash-prefix"},
		{"trailing-slash-path-rules/foo/", "foo-slash-exact"}, {"trailing-slash-path-rules/foo", "404"},
		{"prefix-path-rules/x/../foo", "foo-prefix"}, {"exact-path-rules/foo/../bar", "404"},
	} {
		s.expect("http://"+c.url, c.want)
	}
}

func TestIngressDefaultBackend(t *testing.T) { // default_backend.feature
	w := newWorld(t, `
kind: Ingress
metadata: {name: default-backend}
spec:
  defaultBackend: {service: {name: echo, port: {name: http}}}
---
kind: Ingress
metadata: {name: with-rules}
spec:
  defaultBackend: {service: {name: other, port: {number: 80}}}
  rules: [{host: known, http: {paths: [{path: /a, pathType: Prefix, backend: {service: {name: a, port: {number: 80}}}}]}}]
`)
	w.service("echo", "other", "a")
	s := w.serve()
	for _, method := range []string{"GET", "POST", "PUT", "DELETE", "PATCH"} {
		if a := s.do(method, "http://anything.test/x/y?z=1", "body"); a.seen.Service != "echo" || a.seen.Method != method || a.seen.Path != "/x/y?z=1" || a.seen.Body != "body" {
			t.Errorf("%s: %+v", method, a.seen)
		}
	}
	s.expect("http://known/a", "a")
	s.expect("http://known/b", "other")
	s.expect("http://unknown/b", "echo") // the older one
}

func TestIngressClasses(t *testing.T) { // ingress_class.feature
	const rule = `
spec:
  %s
  rules: [{host: h, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}]`
	const foreign = `{kind: IngressClass, metadata: {name: nginx}, spec: {controller: k8s.io/ingress-nginx}}`
	const preferred = `{kind: IngressClass, metadata: {name: nginx, annotations: {ingressclass.kubernetes.io/is-default-class: "true"}}, spec: {controller: k8s.io/ingress-nginx}}`
	for name, c := range map[string]struct {
		objects []string
		class   string
		notes   string
		served  bool
	}{
		"ours":                       {class: "ingressClassName: bonsai", served: true},
		"none":                       {served: true},
		"none beside a foreign one":  {objects: []string{foreign}, served: true},
		"none, and another default":  {objects: []string{preferred}},
		"foreign":                    {objects: []string{foreign}, class: "ingressClassName: nginx"},
		"missing":                    {class: "ingressClassName: nowhere"},
		"by annotation":              {notes: "annotations: {kubernetes.io/ingress.class: bonsai}", served: true},
		"foreign by annotation":      {notes: "annotations: {kubernetes.io/ingress.class: nginx}"},
		"another class of this kind": {objects: []string{`{kind: IngressClass, metadata: {name: inner}, spec: {controller: gateway.bonsai.io/controller}}`}, class: "ingressClassName: inner", served: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.objects...)
			w.service("web")
			w.add("kind: Ingress\nmetadata:\n  name: web\n  " + c.notes + strings.Replace(rule, "%s", c.class, 1))
			out := w.compile()
			status, has := out.Ingresses[compile.Key{Namespace: "default", Name: "web"}]
			if has != c.served || has && (len(status.Ingress) != 1 || status.Ingress[0].IP != "10.201.0.10") {
				t.Errorf("its status is %+v, %v", status, has)
			}
			if want := map[bool]string{true: "web", false: "404"}[c.served]; true {
				w.serve().expect("http://h/", want)
			}
		})
	}
}

func TestIngressLoadBalancing(t *testing.T) { // load_balancing.feature
	w := newWorld(t, ingressTo("h", "web"))
	seen := map[string]int{}
	for _, name := range []string{"a", "b", "c"} {
		s := w.backend("unused-"+name, http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.Header().Set("X-Backend", name) }))
		w.endpoints("web", s.Listener.Addr().String())
	}
	s := w.serve()
	for range 30 {
		seen[s.get("http://h/").Header.Get("X-Backend")]++
	}
	for _, name := range []string{"a", "b", "c"} {
		if seen[name] != 10 {
			t.Errorf("requests were shared %v", seen)
			break
		}
	}
}

func ingressTo(host, service string, annotations ...string) string {
	return `
kind: Ingress
metadata: {name: ` + service + `, annotations: {` + strings.Join(annotations, ", ") + `}}
spec:
  rules: [{host: ` + host + `, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: ` + service + `, port: {number: 80}}}}]}}]`
}

func note(name, value string) string {
	return "nginx.ingress.kubernetes.io/" + name + `: "` + value + `"`
}

func TestOlderIngressWinsAHost(t *testing.T) {
	w := newWorld(t, ingressTo("h", "first"), ingressTo("h", "second"))
	w.service("first", "second")
	w.serve().expect("http://h/", "first")
}

func TestIngressProblems(t *testing.T) {
	w := newWorld(t, ingressTo("missing", "missing"), ingressTo("empty", "empty"), ingressTo("port", "port"), ingressTo("odd", "odd", note("proxy-body-size", "much"), note("server-snippet", "return 200;")), `
kind: Ingress
metadata: {name: tls}
spec: {tls: [{hosts: [tls.test], secretName: nowhere}]}`)
	w.endpoints("empty")
	w.add(`{kind: Service, metadata: {name: port}, spec: {ports: [{name: other, port: 8080}]}}`)
	w.service("odd")
	s := w.serve()
	s.expect("http://missing/", "503")
	s.expect("http://empty/", "503")
	s.expect("http://port/", "503")
	s.expect("http://odd/", "odd")
	var got []string
	for _, warning := range w.compile().Warnings {
		got = append(got, warning.Of.Name+" "+warning.Reason+": "+warning.Message)
	}
	want := []string{
		"missing BackendNotFound: there is no Service default/missing",
		`odd IgnoredAnnotation: annotation nginx.ingress.kubernetes.io/server-snippet has no effect here`,
		`odd InvalidAnnotation: annotation nginx.ingress.kubernetes.io/proxy-body-size is "much", which is not a size such as 8m`,
		"port BackendNotFound: there is no TCP port 80 of Service default/port",
		"tls InvalidCertificate: there is no Secret default/nowhere of type kubernetes.io/tls; clients get a certificate that no Secret has",
	}
	if !slices.Equal(got, want) {
		t.Errorf("warnings:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestIngressRewrite(t *testing.T) {
	w := newWorld(t, `
kind: Ingress
metadata: {name: captures, annotations: {nginx.ingress.kubernetes.io/rewrite-target: "/$2"}}
spec:
  rules:
  - host: h
    http: {paths: [{path: /api(/|$)(.*), pathType: ImplementationSpecific, backend: {service: {name: api, port: {number: 80}}}}]}
---
kind: Ingress
metadata: {name: plain, annotations: {nginx.ingress.kubernetes.io/rewrite-target: "/"}}
spec:
  rules:
  - host: h
    http: {paths: [{path: /plain, pathType: Prefix, backend: {service: {name: plain, port: {number: 80}}}}]}
---
kind: Ingress
metadata: {name: regex, annotations: {nginx.ingress.kubernetes.io/use-regex: "true"}}
spec:
  rules:
  - host: h
    http: {paths: [{path: "/img/.*[.]png$", pathType: ImplementationSpecific, backend: {service: {name: images, port: {number: 80}}}}]}
---
kind: Ingress
metadata: {name: broken, annotations: {nginx.ingress.kubernetes.io/use-regex: "true"}}
spec:
  rules:
  - host: h
    http: {paths: [{path: "/(?!x)", pathType: ImplementationSpecific, backend: {service: {name: images, port: {number: 80}}}}]}
`)
	w.service("api", "plain", "images")
	s := w.serve()
	for url, want := range map[string]string{
		"/api": "api /", "/api/": "api /", "/api/v1/x?q=1": "api /v1/x?q=1", "/API/v1": "api /v1", "/api/a%20b": "api /a%20b",
		"/plain/and/more": "plain /", "/img/a/b.png": "images /img/a/b.png", "/img/a.jpg": "404 ", "/apix": "404 ",
	} {
		a := s.get("http://h" + url)
		got := a.seen.Service + " " + a.seen.Path
		if a.seen.Service == "" {
			got = "404 "
		}
		if got != want {
			t.Errorf("%s: %s, want %s", url, got, want)
		}
	}
	warnings := w.compile().Warnings
	if len(warnings) != 1 || warnings[0].Reason != "InvalidPath" {
		t.Errorf("warnings: %v", warnings)
	}
}

func TestIngressRedirects(t *testing.T) {
	tlsFor := func(name, host string, annotations ...string) string {
		return strings.Replace(ingressTo(host, name, annotations...), "spec:\n", "spec:\n  tls: [{hosts: ["+host+"], secretName: cert}]\n", 1)
	}
	w := newWorld(t, tlsFor("secure", "secure"), tlsFor("both", "both", note("ssl-redirect", "false")), ingressTo("forced", "forced", note("force-ssl-redirect", "true")),
		ingressTo("gone", "gone", note("permanent-redirect", "https://new.test/there")), ingressTo("away", "away", note("temporal-redirect", "https://new.test/")))
	w.secret("cert", "secure", "both")
	w.service("secure", "both", "forced", "gone", "away")
	s := w.serve()
	for url, want := range map[string]string{
		"http://secure/a/b?c=d": "308 https://secure/a/b?c=d", "https://secure/a": "200 ", "http://both/": "200 ", "http://forced/x": "308 https://forced/x",
		"http://gone/old": "301 https://new.test/there", "https://away/": "302 https://new.test/", "http://secure:80/": "308 https://secure/",
	} {
		a := s.get(url)
		if got := a.Status[:3] + " " + a.Header.Get("Location"); got != want {
			t.Errorf("%s: %s, want %s", url, got, want)
		}
	}
}

func TestIngressLimitsAndSources(t *testing.T) {
	w := newWorld(t, ingressTo("small", "small", note("proxy-body-size", "1k")), ingressTo("inside", "inside", note("whitelist-source-range", "203.0.113.0/24, 10.0.0.1")),
		ingressTo("outside", "outside", note("whitelist-source-range", "10.0.0.0/8")), ingressTo("unreadable", "unreadable", note("whitelist-source-range", "everybody")))
	w.service("small", "inside", "outside", "unreadable")
	s := w.serve()
	if a := s.do("POST", "http://small/", strings.Repeat("x", 1<<10)); a.seen.Service != "small" {
		t.Errorf("a small body: %d", a.StatusCode)
	}
	if a := s.do("POST", "http://small/", strings.Repeat("x", 1<<10+1)); a.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("a large body: %d", a.StatusCode)
	}
	s.expect("http://inside/", "inside")
	s.expect("http://outside/", "403")
	s.expect("http://unreadable/", "403")
}

func TestIngressCORS(t *testing.T) {
	w := newWorld(t, ingressTo("h", "web", note("enable-cors", "true"), note("cors-allow-origin", "https://app.test, https://*.wild.test")))
	w.service("web")
	s := w.serve()
	a := s.do("OPTIONS", "http://h/", "", "Origin: https://app.test", "Access-Control-Request-Method: PUT")
	if a.StatusCode != http.StatusNoContent || a.Header.Get("Access-Control-Allow-Origin") != "https://app.test" || !strings.Contains(a.Header.Get("Access-Control-Allow-Methods"), "PUT") ||
		a.Header.Get("Access-Control-Allow-Credentials") != "true" || a.Header.Get("Access-Control-Max-Age") != "1728000" {
		t.Errorf("preflight: %d %v", a.StatusCode, a.Header)
	}
	for origin, want := range map[string]string{"https://a.b.wild.test": "https://a.b.wild.test", "https://wild.test": "", "https://evil.test": "", "http://app.test": ""} {
		if a := s.get("http://h/", "Origin: "+origin); a.seen.Service != "web" || a.Header.Get("Access-Control-Allow-Origin") != want {
			t.Errorf("%s: %v", origin, a.Header)
		}
	}
}

func TestIngressAffinity(t *testing.T) {
	w := newWorld(t, ingressTo("h", "web", note("affinity", "cookie"), note("session-cookie-name", "route"), note("session-cookie-max-age", "60")))
	for _, name := range []string{"a", "b", "c"} {
		s := w.backend("unused-"+name, http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.Header().Set("X-Backend", name) }))
		w.endpoints("web", s.Listener.Addr().String())
	}
	s := w.serve()
	first := s.get("http://h/")
	cookies := first.Cookies()
	if len(cookies) != 1 || cookies[0].Name != "route" || cookies[0].MaxAge != 60 || strings.Contains(cookies[0].Value, "127.0.0.1") {
		t.Fatalf("cookies: %v", cookies)
	}
	for range 10 {
		if a := s.get("http://h/", "Cookie: route="+cookies[0].Value); a.Header.Get("X-Backend") != first.Header.Get("X-Backend") || len(a.Cookies()) != 0 {
			t.Fatalf("a client with a cookie went to %s, %v", a.Header.Get("X-Backend"), a.Cookies())
		}
	}
	if a := s.get("http://h/", "Cookie: route=gone"); len(a.Cookies()) != 1 {
		t.Errorf("an endpoint that is gone: %v", a.Cookies())
	}
}

func TestForwardedHeaders(t *testing.T) {
	w := newWorld(t, ingressTo("h", "web"))
	w.service("web")
	a := w.serve().get("http://h:80/", "X-Forwarded-For: 1.2.3.4", "X-Forwarded-Proto: https")
	for name, want := range map[string]string{"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "http", "X-Forwarded-Host": "h:80", "X-Forwarded-Port": "80", "X-Real-Ip": "203.0.113.7"} {
		if got := a.seen.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if a.seen.Host != "h:80" {
		t.Errorf("the backend sees host %q", a.seen.Host)
	}
}

func TestBackendProtocols(t *testing.T) {
	w := newWorld(t, ingressTo("grpc", "grpc", note("backend-protocol", "GRPC")), ingressTo("h2c", "h2c"))
	w.service("grpc", "h2c")
	for _, s := range w.in.Services {
		if s.Name == "h2c" {
			s.Spec.Ports[0].AppProtocol = new("kubernetes.io/h2c")
		}
	}
	s := w.serve()
	for _, host := range []string{"grpc", "h2c"} {
		if a := s.get("http://" + host + "/"); a.seen.Proto != "HTTP/2.0" {
			t.Errorf("%s: the backend sees %q (%s)", host, a.seen.Proto, a.text)
		}
	}
}
