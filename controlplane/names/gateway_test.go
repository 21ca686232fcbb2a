package names

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/gatewaytable"
	"bonsai/bootstrap/servicename"
)

// nodes are two, of which only the second one listens.
func twoNodes() cluster.Spec {
	s := spec()
	s.Nodes = []cluster.Node{{Name: "dev-1", Index: 1, IP: netip.MustParseAddr("10.201.0.10")}, {Name: "dev-2", Index: 2, IP: netip.MustParseAddr("10.201.0.11")}}
	return s
}

// gateway is the data plane on the second node.
func (w *world) gateway() {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sni := ""
		if r.TLS != nil {
			sni = r.TLS.ServerName
		}
		switch r.URL.Path {
		case "/secure":
			http.Redirect(w, r, "https://"+hostOf(r.Host)+"/x?y=1", http.StatusPermanentRedirect)
		case "/port":
			http.Redirect(w, r, "http://"+hostOf(r.Host)+":80/x", http.StatusFound)
		case "/other":
			http.Redirect(w, r, "http://"+hostOf(r.Host)+":9999/x", http.StatusFound)
		case "/away":
			http.Redirect(w, r, "https://away.test/", http.StatusFound)
		default:
			fmt.Fprintf(w, "gateway %s sni=%s %s", r.Host, sni, r.Proto)
		}
	})
	plain, secure := httptest.NewServer(h), httptest.NewUnstartedServer(h)
	secure.EnableHTTP2 = true
	secure.StartTLS()
	w.t.Cleanup(plain.Close)
	w.t.Cleanup(secure.Close)
	w.apps["10.201.0.11:80"], w.apps["10.201.0.11:443"] = plain.Listener.Addr().String(), secure.Listener.Addr().String()
}

func TestHostsOfIngressesAndRoutes(t *testing.T) {
	w := newWorld(t)
	w.gateway()
	w.app("web", servicename.Port{Name: "http", Number: 80}, hello("web"))
	s := w.serve(twoNodes())
	from := []string{"ingress/shop/web"}
	if !s.SetHosts([]gatewaytable.NamedHost{
		{Name: "shop.localhost", From: from, Services: []string{"shop/web"}, Plain: 80, TLS: 443},
		{Name: "a.very.long.name.indeed.localhost", From: from, Plain: 80},
		{Name: "secure.localhost", From: from, TLS: 443},
		{Name: "plain.localhost", From: from, Plain: 80},
		{Name: "localhost", From: from, Plain: 80},
		{Name: "shop.test", From: from, Plain: 80},
		{Name: "*.shop.localhost", From: from, OneLabel: true, Plain: 80, TLS: 443},
	}) {
		t.Error("nothing has changed")
	}
	at := fmt.Sprint(w.kept)
	c := w.secureClient(true)
	for url, want := range map[string]string{
		"http://shop.localhost/":                    "200 HTTP/1.1 gateway shop.localhost sni= HTTP/1.1",
		"http://Shop.localhost:1234/":               "200 HTTP/1.1 gateway Shop.localhost:1234 sni= HTTP/1.1",
		"https://shop.localhost/":                   "200 HTTP/2.0 gateway shop.localhost sni=shop.localhost HTTP/2.0",
		"http://a.very.long.name.indeed.localhost/": "200 HTTP/1.1 gateway a.very.long.name.indeed.localhost sni= HTTP/1.1",
		"https://plain.localhost/":                  "200 HTTP/2.0 gateway plain.localhost sni= HTTP/1.1",
		"http://any.shop.localhost/":                "200 HTTP/1.1 gateway any.shop.localhost sni= HTTP/1.1",
		"http://web.shop.localhost/":                "200 HTTP/1.1 web web.shop.localhost HTTP/1.1", // a Service, before a wildcard
	} {
		if got := w.answerOf(c, url); got != want {
			t.Errorf("%s: %s, want %s", url, got, want)
		}
	}
	if got := w.answerOf(c, "http://two.any.shop.localhost/"); !strings.HasPrefix(got, "404 ") {
		t.Errorf("a wildcard is one label: %s", got)
	}
	if got := w.answerOf(c, "http://localhost/"); !strings.Contains(got, "http://shop.localhost:"+at) || !strings.Contains(got, "ingress/shop/web") || strings.Contains(got, "shop.test") {
		t.Errorf("the list is %s", got)
	}
	for url, want := range map[string]string{
		"http://shop.localhost/secure":      "https://shop.localhost:" + at + "/x?y=1",
		"https://shop.localhost/port":       "http://shop.localhost:" + at + "/x",
		"http://shop.localhost/other":       "http://shop.localhost:9999/x",
		"http://shop.localhost/away":        "https://away.test/",
		"http://secure.localhost/a%2Fb?c=d": "https://secure.localhost:" + at + "/a%2Fb?c=d",
	} {
		r, err := c.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, r.Body)
		r.Body.Close()
		if got := r.Header.Get("Location"); got != want {
			t.Errorf("%s leads to %s, want %s", url, got, want)
		}
	}
	if got := w.answerOf(c, "http://shop.localhost/", "Origin", "http://evil.test"); !strings.HasPrefix(got, "403 ") {
		t.Errorf("a page of another site: %s", got)
	}
	for _, scheme := range []string{"socks5h", "http"} {
		for url, want := range map[string]string{
			"http://shop.localhost/":                    "200 HTTP/1.1 gateway shop.localhost sni= HTTP/1.1",
			"http://a.very.long.name.indeed.localhost/": "200 HTTP/1.1 gateway a.very.long.name.indeed.localhost sni= HTTP/1.1",
		} {
			if got := w.answerOf(w.by(scheme), url); got != want {
				t.Errorf("%s by %s: %s, want %s", url, scheme, got, want)
			}
		}
	}
	status := s.Status()
	if len(status.Hosts) != 5 || status.Hosts[0].Host != "shop.localhost" || status.Hosts[0].Services[0] != "shop/web" {
		t.Errorf("the status is %+v", status)
	}
	delete(w.apps, "10.201.0.11:80")
	s.gateway.close()
	if got := w.answerOf(c, "http://shop.localhost/"); !strings.HasPrefix(got, "502 ") || !strings.Contains(got, "ingress/shop/web") || !strings.Contains(got, "bonsai addons status gateway") {
		t.Errorf("without a gateway: %s", got)
	}
	if !s.SetHosts(nil) || s.SetHosts(nil) {
		t.Error("it is not known when they change")
	}
	if got := w.answerOf(c, "http://shop.localhost/"); !strings.HasPrefix(got, "404 ") {
		t.Errorf("without hosts: %s", got)
	}
}
