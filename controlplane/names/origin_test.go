package names

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"bonsai/bootstrap/cluster"
)

func TestPagesOfOtherSitesAreRefused(t *testing.T) {
	here := "http://a.b.localhost:8080"
	s := sites{at: cluster.Names{Open: true, Port: 8080, TLSPort: 8443}, origins: []string{"http://localhost:3000"}}
	for name, test := range map[string]struct {
		method string
		header []string
		ok     bool
	}{
		"no browser":                   {"POST", nil, true},
		"the same page":                {"POST", []string{"Sec-Fetch-Site", "same-origin", "Origin", here}, true},
		"typed by the user":            {"GET", []string{"Sec-Fetch-Site", "none", "Sec-Fetch-Mode", "navigate"}, true},
		"another name of the cluster":  {"POST", []string{"Sec-Fetch-Site", "cross-site", "Origin", "http://web.shop.localhost:8080"}, true},
		"an image of another name":     {"GET", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors", "Referer", "http://web.shop.localhost:8080/"}, true},
		"an origin that is allowed":    {"POST", []string{"Sec-Fetch-Site", "cross-site", "Origin", "http://localhost:3000"}, true},
		"a link":                       {"GET", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Referer", "https://evil.test/"}, true},
		"a form":                       {"POST", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Origin", "https://evil.test"}, false},
		"a form of an old browser":     {"POST", []string{"Origin", "https://evil.test"}, false},
		"a frame":                      {"GET", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"}, false},
		"an image":                     {"GET", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors"}, false},
		"fetch":                        {"GET", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "cors", "Origin", "https://evil.test"}, false},
		"a sandbox":                    {"GET", []string{"Sec-Fetch-Site", "cross-site", "Origin", "null"}, false},
		"a WebSocket":                  {"GET", []string{"Upgrade", "websocket", "Origin", "https://evil.test"}, false},
		"a WebSocket without origin":   {"GET", []string{"Upgrade", "websocket", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, false},
		"another port of this machine": {"POST", []string{"Sec-Fetch-Site", "same-site", "Origin", "http://localhost:9999"}, false},
		"another port, without origin": {"GET", []string{"Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "no-cors", "Referer", "http://a.b.localhost:9999/"}, false},
		"a name that ends like ours":   {"POST", []string{"Origin", "http://evillocalhost:8080"}, false},
		"a name that begins like ours": {"POST", []string{"Origin", "http://a.localhost.evil.test:8080"}, false},
		"a name with TLS":              {"POST", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://a.b.localhost:8080"}, true},
		"at the port for TLS":          {"POST", []string{"Origin", "https://a.b.localhost:8443"}, true},
		"TLS at another port":          {"POST", []string{"Origin", "https://a.b.localhost"}, false},
		"another scheme":               {"POST", []string{"Origin", "ftp://a.b.localhost:8080"}, false},
		"an origin that is not one":    {"POST", []string{"Origin", "http://[::1"}, false},
		"a preflight request":          {"OPTIONS", []string{"Origin", "https://evil.test", "Access-Control-Request-Method", "PUT"}, false},
	} {
		r := httptest.NewRequest(test.method, here+"/", nil)
		for i := 0; i < len(test.header); i += 2 {
			r.Header.Set(test.header[i], test.header[i+1])
		}
		if err := s.check(r); (err == nil) != test.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Names of cluster DNS are whose the network says, except to a browser that uses the proxy.
func TestPagesByTheProxy(t *testing.T) {
	for _, test := range []struct {
		target, origin string
		ok             bool
	}{
		{"http://web.shop.svc/", "http://web.shop.svc", true},
		{"http://web.shop.svc/", "http://other.shop.svc.cluster.local:8080", true},
		{"http://web.shop:81/", "http://web.shop:81", true},
		{"http://10.96.0.1/", "http://10.96.0.1", true},
		{"http://web.shop.svc/", "http://evil.test", false},
		{"http://web.shop/", "http://other.shop", false},
		{"/", "http://web.shop.svc", false},
		{"/", "http://evil.cluster.local", false},
		{"/", "http://web.shop.localhost:8080", true},
	} {
		r := httptest.NewRequest(http.MethodPost, test.target, nil)
		r.Header.Set("Origin", test.origin)
		if err := sitesOf(spec(), cluster.Names{Open: true, Port: 8080}, r).check(r); (err == nil) != test.ok {
			t.Errorf("%s to %s: %v", test.origin, test.target, err)
		}
	}
}
