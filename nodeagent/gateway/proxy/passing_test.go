package proxy

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"bonsai/bootstrap/gatewaytable"
)

// tlsServer is a backend that terminates TLS itself, and answers with its name and the one that it was asked for.
func tlsServer(t *testing.T, name string) string {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, name+" "+r.TLS.ServerName)
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// TestPassthrough: connections are led by the name that is asked for, and stay what they are, unless the rule says that TLS ends here.
func TestPassthrough(t *testing.T) {
	p := start(t, false, gatewaytable.Rule{}, gatewaytable.HTTP1)
	exact, wild := tlsServer(t, "exact"), tlsServer(t, "wild")
	dead := backendServer(t, nil)
	to := func(backends ...int) []gatewaytable.Rule {
		r := gatewaytable.Rule{Path: gatewaytable.Path{Kind: gatewaytable.PathPrefix, Value: "/"}}
		for _, b := range backends {
			r.Backends = append(r.Backends, gatewaytable.Weighted{Weight: 1, Backend: b})
		}
		return []gatewaytable.Rule{r}
	}
	backend := func(name string, endpoints ...string) gatewaytable.Backend {
		b := gatewaytable.Backend{Name: name, Protocol: gatewaytable.TCP}
		for _, e := range endpoints {
			b.Endpoints = append(b.Endpoints, netip.MustParseAddrPort(e))
		}
		return b
	}
	inner := backendServer(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "inner ", r.TLS != nil) })
	ended := to(3)
	ended[0].Terminate = true
	p.accepting(t, dead, func(table *gatewaytable.Table) {
		table.Backends = []gatewaytable.Backend{backend("exact", exact), backend("wild", wild, "127.0.0.1:1"), backend("none"), backend("inner", inner)}
		table.Certificates = []gatewaytable.Certificate{pair(t, 1, "ended.test")}
		table.Ports[0] = gatewaytable.Port{Number: table.Ports[0].Number, TLS: true, Passthrough: true, Names: []gatewaytable.ServerName{{Name: "ended.test", Certificates: []int{0}}}, Groups: []gatewaytable.Group{{Listeners: []gatewaytable.Listener{
			{Hostname: "a.test", Hosts: []gatewaytable.Host{{Name: "a.test", Rules: to(0)}}},
			{Hostname: "ended.test", Hosts: []gatewaytable.Host{{Name: "ended.test", Rules: ended}}},
			{Hostname: "*.test", Hosts: []gatewaytable.Host{{Name: "none.test", Rules: to(2)}, {Name: "refused.test", Rules: to(-1)}, {Name: "*.test", Rules: to(1)}}},
		}}}}
	})
	ask := func(name string) string {
		t.Helper()
		c := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{ServerName: name, InsecureSkipVerify: true}}}
		resp, err := c.Get("https://" + p.address + "/")
		if err != nil {
			return "closed"
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		return string(text)
	}
	for range 3 { // also past an endpoint that does not accept
		for name, want := range map[string]string{
			"a.test": "exact a.test", "A.TEST": "exact A.TEST", "b.test": "wild b.test", "x.b.test": "wild x.b.test",
			"ended.test": "inner false", "none.test": "closed", "refused.test": "closed", "other": "closed",
		} {
			if got := ask(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
	}
	resp, err := http.Get("http://" + p.address + "/") // without TLS
	if err == nil {
		_ = resp.Body.Close()
		t.Errorf("without TLS: %s", resp.Status)
	}
	// The port is served by HTTP again when the table says so.
	p.accepting(t, backendServer(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "plain") }), func(*gatewaytable.Table) {})
	resp, err = http.Get("http://" + p.address + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, _ := io.ReadAll(resp.Body); string(text) != "plain" {
		t.Errorf("after the change: %q", text)
	}
}
