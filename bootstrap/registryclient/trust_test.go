package registryclient

import (
	"context"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"bonsai/bootstrap/cluster"
)

// ann is a login that must stay with whom it is for.
func ann(context.Context, string) (Login, error) {
	return Login{Username: "ann", Password: "secret"}, nil
}

// stranger is a server that no login is for. It counts the requests that have one.
func stranger(t *testing.T, requests, logins *atomic.Int32) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		_ = r.ParseForm()
		if r.Header.Get("Authorization") != "" || r.PostForm.Has("refresh_token") {
			logins.Add(1)
		}
		fmt.Fprint(w, `{"token":"t"}`)
	}))
	t.Cleanup(s.Close)
	return s
}

// TestRedirectsGetNoLogin: storage is often another port, or another name below the same one.
func TestRedirectsGetNoLogin(t *testing.T) {
	var requests, logins atomic.Int32
	other := stranger(t, &requests, &logins)
	registry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Authorization") == "":
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
		case strings.HasPrefix(r.URL.Path, "/v2/inside/"):
			http.Redirect(w, r, "/v2/a/manifests/1", http.StatusTemporaryRedirect)
		case strings.HasPrefix(r.URL.Path, "/v2/a/"):
			fmt.Fprint(w, "here")
		default:
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		}
	}))
	t.Cleanup(registry.Close)
	c := newClient(t, Options{Logins: ann})
	e := Endpoint{Registry: "registry.test", Mirror: cluster.Mirror{URL: registry.URL}, Itself: true}
	if _, err := get(t, c, e, "outside"); err != nil || requests.Load() != 1 || logins.Load() != 0 {
		t.Errorf("the other server got %d requests, %d with a login; %v", requests.Load(), logins.Load(), err)
	}
	if got, err := get(t, c, e, "inside"); err != nil || got != "here" {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestLoginsAreNotSentInTheClear, also when a registry with TLS says so, or a token server leads elsewhere.
func TestLoginsAreNotSentInTheClear(t *testing.T) {
	for name, login := range map[string]Login{"password": {Username: "ann", Password: "secret"}, "refresh": {Refresh: "secret"}} {
		var requests, logins atomic.Int32
		other := stranger(t, &requests, &logins)
		realm := other.URL
		registry := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/token" {
				http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
				return
			}
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s"`, realm))
			w.WriteHeader(http.StatusUnauthorized)
		}))
		t.Cleanup(registry.Close)
		ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: registry.Certificate().Raw}))
		c := newClient(t, Options{Authorities: ca, Logins: func(context.Context, string) (Login, error) { return login, nil }})
		e := Endpoint{Registry: "registry.test", Mirror: cluster.Mirror{URL: registry.URL}, Itself: true}
		if _, err := get(t, c, e, "a"); Status(err) != http.StatusUnauthorized || !strings.Contains(err.Error(), "without TLS") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %v", name, err)
		}
		realm = registry.URL + "/token"
		_, _ = get(t, c, e, "b")
		if logins.Load() > 0 {
			t.Errorf("%s: it was sent without TLS", name)
		}
	}
}

// TestRegistriesDoNotLeadToThisMachine: whoever names an image in a pod chooses the registry, and must not reach with it what only
// this machine reaches. Mirrors are the user's choice.
func TestRegistriesDoNotLeadToThisMachine(t *testing.T) {
	var requests, logins atomic.Int32
	private := stranger(t, &requests, &logins)
	answer := ""
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if answer == "realm" {
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/token"`, private.URL))
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		http.Redirect(w, r, strings.Replace(private.URL, "127.0.0.1", answer, 1), http.StatusTemporaryRedirect)
	}))
	t.Cleanup(proxy.Close)
	c := newClient(t, Options{Proxy: cluster.Proxy{HTTP: proxy.URL}})
	e := Endpoint{Registry: "registry.test", Mirror: cluster.Mirror{URL: "http://registry.test"}, Itself: true}
	for _, answer = range []string{"127.0.0.1", "localhost", "realm"} {
		if _, err := get(t, c, e, "a"); err == nil || !strings.Contains(err.Error(), "this machine itself") {
			t.Errorf("%s: got %v", answer, err)
		}
	}
	if requests.Load() > 0 {
		t.Errorf("it was asked %d times", requests.Load())
	}
	answer, e.Itself = "127.0.0.1", false
	if _, err := get(t, c, e, "a"); err != nil || requests.Load() != 1 {
		t.Errorf("a mirror: %v", err)
	}
}
