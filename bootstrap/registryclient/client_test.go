package registryclient

import (
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"bonsai/bootstrap/cluster"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newClient(t *testing.T, o Options) *Client {
	t.Helper()
	c := New(o)
	t.Cleanup(c.Close)
	return c
}

func get(t *testing.T, c *Client, e Endpoint, repository string) (string, error) {
	t.Helper()
	resp, err := c.Do(t.Context(), e, http.MethodGet, repository, "manifests/1", nil)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return string(data), err
}

func TestChallenges(t *testing.T) {
	for text, want := range map[string]map[string]string{
		`Bearer realm="https://auth.example/token",service="r.example",scope="repository:a/b:pull,push"`: {
			"realm": "https://auth.example/token", "service": "r.example", "scope": "repository:a/b:pull,push",
		},
		`Basic realm="say \"hi\""`:   {"realm": `say "hi"`},
		`bearer Realm=x , service=y`: {"realm": "x", "service": "y"},
		`Basic`:                      {},
		`Bearer realm="open`:         {"realm": "open"},
	} {
		scheme, params := parseChallenge(text)
		if !maps.Equal(params, want) || scheme != strings.ToLower(strings.Fields(text)[0]) {
			t.Errorf("%s: got %s %q", text, scheme, params)
		}
	}
}

// tokenServer is a registry with a token server, which gives tokens to those with the right login and counts them.
func tokenServer(t *testing.T, tokens *int) *httptest.Server {
	var s *httptest.Server
	s = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			*tokens++
			_ = r.ParseForm()
			user, _, _ := r.BasicAuth()
			switch {
			case r.PostForm.Get("grant_type") == "refresh_token" && r.PostForm.Get("refresh_token") == "refresh":
				fmt.Fprint(w, `{"access_token":"t"}`)
			case user == "ann":
				fmt.Fprint(w, `{"token":"t","expires_in":300}`)
			default:
				w.WriteHeader(http.StatusUnauthorized)
				fmt.Fprint(w, `{"details":"incorrect username or password"}`)
			}
			return
		}
		if r.Header.Get("Authorization") != "Bearer t" {
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/token",service="x"`, s.URL))
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, r.URL.RequestURI())
	}))
	t.Cleanup(s.Close)
	return s
}

func TestTokens(t *testing.T) {
	tokens := 0
	s := tokenServer(t, &tokens)
	mirror := Endpoint{Registry: "docker.io", Mirror: cluster.Mirror{URL: s.URL + "/prefix", Username: "ann", Password: "secret"}}
	c := newClient(t, Options{})
	for range 3 {
		if got, err := get(t, c, mirror, "library/nginx"); err != nil || got != "/prefix/v2/library/nginx/manifests/1?ns=docker.io" {
			t.Errorf("got %q, %v", got, err)
		}
	}
	if tokens != 1 {
		t.Errorf("it logged in %d times", tokens)
	}
	wrong := mirror
	wrong.Username = "bob"
	_, err := get(t, c, wrong, "library/nginx")
	if Status(err) != http.StatusUnauthorized || !strings.Contains(err.Error(), "incorrect username or password") || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
}

// The registry itself gets the logins of the configuration, a mirror never.
func TestWhoGetsLogins(t *testing.T) {
	tokens := 0
	s := tokenServer(t, &tokens)
	c := newClient(t, Options{Logins: func(_ context.Context, registry string) (Login, error) {
		if registry != "registry.test" {
			t.Errorf("it asked for a login at %s", registry)
		}
		return Login{Refresh: "refresh"}, nil
	}})
	itself := Endpoint{Registry: "registry.test", Mirror: cluster.Mirror{URL: s.URL}, Itself: true}
	if got, err := get(t, c, itself, "a"); err != nil || got != "/v2/a/manifests/1" {
		t.Errorf("got %q, %v", got, err)
	}
	mirror := Endpoint{Registry: "registry.test", Mirror: cluster.Mirror{URL: s.URL + "/"}}
	if _, err := get(t, c, mirror, "a"); Status(err) != http.StatusUnauthorized {
		t.Errorf("got %v", err)
	}
}

func TestEndpointsOfRegistries(t *testing.T) {
	for registry, want := range map[string]string{
		"docker.io": "https://registry-1.docker.io", "ghcr.io": "https://ghcr.io", "registry.lan:5000": "https://registry.lan:5000",
		"localhost:5000": "http://localhost:5000", "127.0.0.1:5000": "http://127.0.0.1:5000", "[::1]:5000": "http://[::1]:5000",
	} {
		if e := Registry(registry); e.URL != want || !e.Itself {
			t.Errorf("%s: got %+v", registry, e)
		}
	}
}

func TestReports(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("RateLimit-Limit", "200;w=3600")
		w.Header().Set("RateLimit-Remaining", "199;w=3600")
		if strings.Contains(r.URL.Path, "ratelimitpreview") && r.Method != http.MethodHead {
			t.Error("the test counts as a pull")
		}
	})
	secure := httptest.NewTLSServer(h)
	t.Cleanup(secure.Close)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	busy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v2/" || r.Method == http.MethodHead {
			w.WriteHeader(http.StatusTooManyRequests)
			fmt.Fprint(w, `{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}`)
		}
	}))
	t.Cleanup(busy.Close)
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}))
	c := newClient(t, Options{})
	r := c.Test(t.Context(), Endpoint{Registry: Hub, Mirror: cluster.Mirror{URL: secure.URL, CA: ca}})
	if !r.Works || r.Login != "not needed" || r.TLS == nil || !r.TLS.Trusted || !strings.HasPrefix(r.TLS.Version, "TLS 1.") || r.TLS.Until.IsZero() || r.Took <= 0 {
		t.Errorf("got %+v, %+v", r, r.TLS)
	}
	if r.Limit == nil || *r.Limit != (RateLimit{200, 199, time.Hour}) {
		t.Errorf("got %+v", r.Limit)
	}
	r = c.Test(t.Context(), Endpoint{Registry: Hub, Mirror: cluster.Mirror{URL: secure.URL}})
	if r.Works || r.TLS == nil || r.TLS.Trusted || !strings.Contains(r.TLS.Problem, "not trusted") || !strings.Contains(r.Problem, "certificate") {
		t.Errorf("got %+v, %+v", r, r.TLS)
	}
	r = c.Test(t.Context(), Endpoint{Registry: Hub, Mirror: cluster.Mirror{URL: secure.URL, SkipVerify: true}})
	if !r.Works || r.TLS == nil || r.TLS.Trusted {
		t.Errorf("got %+v, %+v", r, r.TLS)
	}
	r = c.Test(t.Context(), Endpoint{Registry: "x", Mirror: cluster.Mirror{URL: busy.URL}})
	if r.Works || r.TLS != nil || r.Limit == nil || r.Limit.Limit != 0 || !strings.Contains(r.Problem, "rate limit is used up") {
		t.Errorf("got %+v", r)
	}
	r = c.Test(t.Context(), Endpoint{Registry: "x", Mirror: cluster.Mirror{URL: "https://127.0.0.1:1"}})
	if r.Works || r.TLS != nil || !strings.Contains(r.Problem, "connection refused") {
		t.Errorf("got %+v", r)
	}
}

func TestThroughTheUsersProxy(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "through the proxy: "+r.URL.Host)
	}))
	t.Cleanup(proxy.Close)
	c := newClient(t, Options{Proxy: cluster.Proxy{HTTP: proxy.URL, Except: "127.0.0.1"}})
	if got, err := get(t, c, Endpoint{Registry: "x", Mirror: cluster.Mirror{URL: "http://registry.test"}}, "a"); err != nil || got != "through the proxy: registry.test" {
		t.Errorf("got %q, %v", got, err)
	}
}
