package dashboard

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

// TestWhoGetsSomething: of each line, a request of a browser with a session differs from one that is answered.
func TestWhoGetsSomething(t *testing.T) {
	set := func(name, value string) func(*http.Request) {
		return func(q *http.Request) { q.Header.Set(name, value) }
	}
	foreign := func(origin, site, mode, dest string) func(*http.Request) {
		return func(q *http.Request) {
			if origin != "" {
				q.Header.Set("Origin", origin)
			}
			q.Header.Set("Sec-Fetch-Site", site)
			q.Header.Set("Sec-Fetch-Mode", mode)
			q.Header.Set("Sec-Fetch-Dest", dest)
		}
	}
	for _, c := range []struct {
		name   string
		change func(*http.Request)
		want   int
	}{
		{"as it is", nil, 200},
		{"by address", func(q *http.Request) { q.Host = "127.0.0.1:9000" }, 200},
		{"by IPv6", func(q *http.Request) { q.Host = "[::1]:9000" }, 200},
		{"a client that is not a browser", func(q *http.Request) { q.Header.Del("Sec-Fetch-Site") }, 200},
		{"a link of another page", foreign("", "cross-site", "navigate", "document"), 200},
		{"a name of the Internet", func(q *http.Request) { q.Host = "evil.test:9000" }, 421},
		{"a name that begins like this one", func(q *http.Request) { q.Host = "bonsai-dashboard-dev.localhost.evil.test:9000" }, 421},
		{"another cluster's name", func(q *http.Request) { q.Host = "bonsai-dashboard-ci.localhost:9000" }, 421},
		{"another port", func(q *http.Request) { q.Host = "bonsai-dashboard-dev.localhost:9001" }, 421},
		{"no port", func(q *http.Request) { q.Host = "bonsai-dashboard-dev.localhost" }, 421},
		{"a name of the cluster", func(q *http.Request) { q.Host = "dev.localhost:9000" }, 421},
		{"no host", func(q *http.Request) { q.Host = "" }, 421},
		{"no cookie", func(q *http.Request) { q.Header.Del("Cookie") }, 401},
		{"another cookie", func(q *http.Request) { q.Header.Set("Cookie", "bonsai-dev="+secret()) }, 401},
		{"the cookie of another cluster", func(q *http.Request) {
			q.Header.Set("Cookie", strings.Replace(q.Header.Get("Cookie"), "bonsai-dev", "bonsai-ci", 1))
		}, 401},
		{"a fetch of another site", foreign("http://evil.test", "cross-site", "cors", "empty"), 403},
		{"a fetch of another site without its origin", foreign("", "cross-site", "no-cors", "empty"), 403},
		{"a fetch of an app at another port", foreign("http://dev.localhost:8080", "same-site", "cors", "empty"), 403},
		{"a frame of an app at another port", foreign("", "same-site", "navigate", "iframe"), 403},
		{"a frame of another site", foreign("", "cross-site", "navigate", "iframe"), 403},
		{"a picture of another site", foreign("", "cross-site", "no-cors", "image"), 403},
		{"an unknown origin", set("Origin", "null"), 403},
		{"the same origin with TLS", set("Origin", "https://"+host), 403},
		{"another user of this machine", func(q *http.Request) {
			*q = *q.WithContext(context.WithValue(q.Context(), stranger{}, errors.New("it belongs to another user")))
		}, 403},
	} {
		r := newRig(t, shop()).logIn(false)
		for _, path := range []string{"/", "/object?type=pods&ns=shop&name=cart-1"} {
			got := r.send(http.MethodGet, path, "", c.change)
			if got.Code != c.want {
				t.Errorf("%s: %s answers %d, want %d", c.name, path, got.Code, c.want)
			}
			if got.Code != 200 && strings.Contains(got.Body.String(), "cart") {
				t.Errorf("%s: it gets %s", c.name, got.Body)
			}
		}
	}
}

// TestWhoMayChangeSomething is the same for forms.
func TestWhoMayChangeSomething(t *testing.T) {
	form := func(csrf string) string {
		return url.Values{"csrf": {csrf}, "verb": {"delete"}, "type": {"pods"}, "ns": {"shop"}, "name": {"cart-1"}, "uid": {"u2"}}.Encode()
	}
	for _, c := range []struct {
		name     string
		readOnly bool
		csrf     string // empty: that of the session
		change   func(*http.Request)
		want     int
	}{
		{name: "as it is", want: 303},
		{name: "read-only", readOnly: true, want: 403},
		{name: "no token", csrf: "-", want: 403},
		{name: "a guessed token", csrf: secret(), want: 403},
		{name: "no origin", change: func(q *http.Request) { q.Header.Del("Origin") }, want: 403},
		{name: "another origin", change: func(q *http.Request) { q.Header.Set("Origin", "http://evil.test") }, want: 403},
		{name: "an app at another port", change: func(q *http.Request) {
			q.Header.Set("Origin", "http://dev.localhost:8080")
			q.Header.Set("Sec-Fetch-Site", "same-site")
		}, want: 403},
		{name: "another site that lies about its origin", change: func(q *http.Request) { q.Header.Set("Sec-Fetch-Site", "cross-site") }, want: 403},
		{name: "no cookie", change: func(q *http.Request) { q.Header.Del("Cookie") }, want: 401},
		{name: "another host", change: func(q *http.Request) { q.Host = "evil.test:9000"; q.Header.Set("Origin", "http://evil.test:9000") }, want: 421},
		{name: "a large form", change: func(q *http.Request) {
			q.Body = http.NoBody
			q.Body = readCloser{strings.NewReader("a=" + strings.Repeat("b", maxForm))}
		}, want: 400},
	} {
		r := newRig(t, shop()).logIn(c.readOnly)
		csrf := c.csrf
		switch csrf {
		case "":
			csrf = r.csrf()
		case "-":
			csrf = ""
		}
		got := r.send(http.MethodPost, "/do", form(csrf), c.change)
		if done := len(r.w.done) > 0; got.Code != c.want || done != (c.want == 303) {
			t.Errorf("%s: answers %d, want %d; done: %t", c.name, got.Code, c.want, done)
		}
	}
	// What changes something cannot be a link.
	r := newRig(t, shop()).logIn(false)
	if got := r.get("/do?" + form(r.csrf())); got.Code != 404 || len(r.w.done) > 0 {
		t.Errorf("a link answers %d", got.Code)
	}
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }

func TestATokenWorksOnce(t *testing.T) {
	r := newRig(t, shop())
	login, err := r.s.Login(false)
	if err != nil {
		t.Fatal(err)
	}
	path := strings.TrimPrefix(login.URL, "http://"+host)
	if path == login.URL || login.Address != "http://"+host+"/" {
		t.Fatalf("the URL is %s, the address %s", login.URL, login.Address)
	}
	if got := r.send(http.MethodHead, path, "", nil); got.Code != 401 {
		t.Errorf("a look at the link answers %d", got.Code)
	}
	got := r.get(path)
	if got.Code != 303 || got.Header().Get("Location") != "/" {
		t.Errorf("the login answers %d, and leads to %q", got.Code, got.Header().Get("Location"))
	}
	c := got.Result().Cookies()
	if len(c) != 1 || !c[0].HttpOnly || c[0].SameSite != http.SameSiteStrictMode || c[0].Domain != "" || c[0].MaxAge != 0 || !c[0].Expires.IsZero() {
		t.Errorf("the cookies are %v", c)
	}
	if got := r.get("/"); got.Code != 200 {
		t.Errorf("then the page answers %d", got.Code)
	}
	r.cookies = map[string]string{}
	if got := r.get(path); got.Code != 401 || len(got.Result().Cookies()) > 0 {
		t.Errorf("a second use of the token answers %d", got.Code)
	}
	for _, token := range []string{"", "?token=", "?token=" + secret(), "?token=a&token=b"} {
		if got := r.get("/login" + token); got.Code != 401 {
			t.Errorf("login%s answers %d", token, got.Code)
		}
	}
	// A link in a page of another site: the browser would send no cookie with a redirect.
	login, _ = r.s.Login(false)
	got = r.send(http.MethodGet, strings.TrimPrefix(login.URL, "http://"+host), "", func(q *http.Request) { q.Header.Set("Sec-Fetch-Site", "cross-site") })
	if got.Code != 200 || !strings.Contains(got.Body.String(), `content="0;url=/"`) || len(got.Result().Cookies()) != 1 {
		t.Errorf("a link of another site answers %d: %s", got.Code, got.Body)
	}
}

func TestSessionsEnd(t *testing.T) {
	r := newRig(t, shop())
	now := at
	r.s.sessions.now = func() time.Time { return now }
	login, _ := r.s.Login(false)
	now = now.Add(tokenLimit + time.Second)
	if got := r.get(strings.TrimPrefix(login.URL, "http://"+host)); got.Code != 401 {
		t.Errorf("an old token answers %d", got.Code)
	}
	r.logIn(false)
	now = now.Add(sessionLimit - time.Second)
	if got := r.get("/"); got.Code != 200 {
		t.Errorf("a session in use answers %d", got.Code)
	}
	now = now.Add(sessionLimit + time.Second)
	if got := r.get("/"); got.Code != 401 {
		t.Errorf("a session that nobody used answers %d", got.Code)
	}
	r.logIn(false)
	_, _ = r.s.Login(true)
	if got := r.s.Revoke(); got != (cluster.DashboardRevoked{Sessions: 1, Tokens: 1}) {
		t.Errorf("revoked %+v", got)
	}
	if got := r.get("/"); got.Code != 401 {
		t.Errorf("a revoked session answers %d", got.Code)
	}
	r.logIn(true) // a session that may change nothing may still end
	if got := r.send(http.MethodPost, "/logout", "csrf="+r.csrf(), nil); got.Code != 200 {
		t.Errorf("logout of a read-only session answers %d", got.Code)
	}
	r.logIn(false)
	key := r.cookies["bonsai-dev"]
	if got := r.send(http.MethodPost, "/logout", "csrf="+r.csrf(), nil); got.Code != 200 {
		t.Errorf("logout answers %d", got.Code)
	}
	r.cookies["bonsai-dev"] = key
	if got := r.get("/"); got.Code != 401 {
		t.Errorf("after logout the page answers %d", got.Code)
	}
	for range maxSessions + 5 {
		r.logIn(false)
	}
	if n := len(r.s.sessions.open); n > maxSessions {
		t.Errorf("there are %d sessions", n)
	}
	for range maxTokens + 5 {
		_, _ = r.s.Login(false)
	}
	if n := len(r.s.sessions.invitations); n > maxTokens {
		t.Errorf("there are %d tokens", n)
	}
}

// TestHeaders: no answer, of whatever kind, can be framed, run what is in it, or be kept.
func TestHeaders(t *testing.T) {
	r := newRig(t, shop()).logIn(false)
	for _, path := range []string{"/", "/nowhere", "/login?token=x", "/confirm", "/object?type=nothing", "/assets/x/style.css", "/logs", "/language?to=zh"} {
		h := r.get(path).Header()
		policy := h.Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} {
			if !strings.Contains(policy, part) {
				t.Errorf("%s: the policy has no %s: %s", path, part, policy)
			}
		}
		if strings.Contains(policy, "unsafe") {
			t.Errorf("%s: the policy is %s", path, policy)
		}
		if h.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(h.Get("Cache-Control"), "no-store") || h.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: headers are %v", path, h)
		}
	}
}

func TestTheLanguageLeadsBackHere(t *testing.T) {
	r := newRig(t, shop()).logIn(false)
	for back, want := range map[string]string{
		"/nodes": "/nodes", "/object?type=pods&ns=a": "/object?type=pods&ns=a", "": "/", "nodes": "/", "//evil.test/": "/", "http://evil.test": "/", `/\evil.test`: "/",
		"javascript:alert(1)": "/", "/\r\nX: y": "/", "///evil.test": "/", "/%0d%0ax": "/%0D%0Ax",
	} {
		if got := r.get("/language?" + url.Values{"to": {"zh"}, "back": {back}}.Encode()); got.Code != 303 || got.Header().Get("Location") != want {
			t.Errorf("%q leads to %q, want %q", back, got.Header().Get("Location"), want)
		}
	}
	if got := r.get("/"); !strings.Contains(got.Body.String(), `lang="zh-Hans"`) {
		t.Errorf("the page is not in Chinese")
	}
}

func TestOverTheNetwork(t *testing.T) {
	r := newRig(t, shop())
	spec := cluster.Spec{Name: "dev", Addons: map[string]bool{cluster.DashboardAddon: true}}
	r.s.status = cluster.Dashboard{}
	r.s.Apply(spec)
	first := r.s.Status()
	if !first.Open {
		t.Fatalf("it is %+v", first)
	}
	login, err := r.s.Login(true)
	if err != nil {
		t.Fatal(err)
	}
	// The name is this machine's to browsers, and perhaps to nobody else here.
	u, err := url.Parse(login.URL)
	if err != nil {
		t.Fatal(err)
	}
	get := func() (int, error) {
		q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:"+u.Port()+u.RequestURI(), nil)
		if err != nil {
			return 0, err
		}
		q.Host = u.Host
		transport := &http.Transport{DisableKeepAlives: true}
		got, err := transport.RoundTrip(q)
		if err != nil {
			return 0, err
		}
		return got.StatusCode, got.Body.Close()
	}
	if code, err := get(); code != 303 || err != nil {
		t.Errorf("the login answers %d, %v", code, err)
	}
	r.s.Apply(spec)
	if got := r.s.Status(); got != first {
		t.Errorf("applied again it is %+v, before %+v", got, first)
	}
	spec.Addons[cluster.DashboardAddon] = false
	r.s.Apply(spec)
	if got := r.s.Status(); got.Open || got.Reason == "" {
		t.Errorf("disabled, it is %+v", got)
	}
	if _, err := r.s.Login(false); fault.KindOf(err) != fault.Addon {
		t.Errorf("a login results in %v", err)
	}
	if code, err := get(); err == nil {
		t.Errorf("something answers %d", code)
	}
	if len(r.s.sessions.open) > 0 {
		t.Error("sessions continue")
	}
}

func TestAClosedServerAnswersNobody(t *testing.T) {
	r := newRig(t, shop()).logIn(false)
	r.s.Close()
	if got := r.get("/"); got.Code != http.StatusServiceUnavailable {
		t.Errorf("it answers %d", got.Code)
	}
	r.s.Apply(cluster.Spec{Name: "dev", Addons: map[string]bool{cluster.DashboardAddon: true}})
	if r.s.Status().Open {
		t.Error("it listens")
	}
}

// FuzzRequests sends anything to every address, with a session: nothing fails unexpectedly, and nothing becomes markup.
func FuzzRequests(f *testing.F) {
	for _, path := range []string{"/", "/object", "/confirm", "/workloads", "/history", "/past", "/edit", "/create", "/run", "/task", "/traffic", "/start", "/events", "/language", "/login"} {
		f.Add(path, "type=pods&ns=shop&name=cart-1&tab=yaml", "")
		f.Add(path, "type=deployments.apps&ns=shop&name=cart&verb=scale&replicas=3", "verb=scale")
	}
	f.Add("/do", "", "verb=delete&type=pods&ns=shop&name=cart-1")
	f.Add("/past", "type=deployments.apps&ns=shop&name=cart&to=7", "type=deployments.apps&name=cart&at=x")
	f.Add("/edit", "type=deployments.apps&ns=shop&name=cart", "step=do&text=%00&checked=")
	f.Add("/create", "kind=deployment&name=a&replicas=x", "step=check&text=a%3A+b%0D%0A---")
	f.Add("/object", "type=%3Cscript%3Ealert(1)%3C/script%3E&ns=%2e%2e&name=%2e%2e%2fx", "a=%zz")
	f.Fuzz(func(t *testing.T, path, query, form string) {
		if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.ContainsAny(path+query, " \t\r\n\x00#") {
			return
		}
		for _, stream := range []string{"/live", "/rows", "/eventrows", "/dnsrows", "/logs"} {
			if strings.HasPrefix(path, stream) {
				return // they end with the browser
			}
		}
		r := newRig(t, shop()).logIn(false)
		if _, err := http.ReadRequest(newReader("GET " + path + "?" + query + " HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
			return
		}
		check := func(got *httptest.ResponseRecorder) {
			if got.Code == 500 {
				t.Errorf("%s?%s with %q answers %d: %s", path, query, form, got.Code, got.Body)
			}
			if strings.HasPrefix(got.Header().Get("Content-Type"), "text/html") {
				if why := dangerous(got.Body.String()); why != "" {
					t.Errorf("%s?%s with %q has %s", path, query, form, why)
				}
			}
		}
		check(r.get(path + "?" + query))
		check(r.send(http.MethodPost, path, form+"&csrf="+r.csrf(), nil))
	})
}
