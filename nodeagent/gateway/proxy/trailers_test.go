package proxy

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"bonsai/bootstrap/gatewaytable"
)

// TestTrailersOfRequestsArePassedOn: gRPC-Web, checksums of uploads and the like come after the body.
func TestTrailersOfRequestsArePassedOn(t *testing.T) {
	backend := backendServer(t, func(w http.ResponseWriter, r *http.Request) {
		announced := len(r.Trailer)
		body, err := io.ReadAll(r.Body)
		fmt.Fprint(w, announced, " ", string(body), " ", err, " ", r.Trailer)
	})
	for name, c := range map[string]struct {
		client   func(*http.Protocols)
		protocol gatewaytable.Protocol
		rule     gatewaytable.Rule
	}{
		"http/1 to http/1": {http1, gatewaytable.HTTP1, gatewaytable.Rule{}},
		"http/1 to h2c":    {http1, gatewaytable.H2C, gatewaytable.Rule{}},
		"h2c to h2c":       {h2c, gatewaytable.H2C, gatewaytable.Rule{}},
		"h2c to http/1":    {h2c, gatewaytable.HTTP1, gatewaytable.Rule{}},
		"with limits":      {http1, gatewaytable.HTTP1, gatewaytable.Rule{MaxBody: 1 << 20, HeaderTimeout: 1 << 34}},
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, false, c.rule, c.protocol, backend)
			r, w := io.Pipe()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+p.address+"/", r)
			if err != nil {
				t.Fatal(err)
			}
			req.Trailer = http.Header{"X-Sum": nil, "X-Real-Ip": nil, "X-Forwarded-For": nil, "X-Never": nil}
			go func() {
				_, _ = io.WriteString(w, "body")
				req.Trailer["X-Sum"], req.Trailer["X-Real-Ip"], req.Trailer["X-Forwarded-For"] = []string{"1", "2"}, []string{"192.0.2.1"}, []string{"192.0.2.1"}
				_ = w.Close()
			}()
			resp, err := client(t, c.client).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			got, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			if text := string(got); !strings.HasPrefix(text, "2 body <nil> ") || !strings.Contains(text, "X-Sum:[1 2]") || strings.Contains(text, "192.0.2.1") {
				t.Errorf("the backend gets %s", text)
			}
		})
	}
}

// What a client has not announced is not passed on.
func TestTrailersHaveToBeAnnounced(t *testing.T) {
	backend := backendServer(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, r.Trailer)
	})
	p := start(t, false, gatewaytable.Rule{}, gatewaytable.HTTP1, backend)
	for announced, want := range map[string]string{"": "map[]", "Trailer: X-A\r\n": "map[X-A:[1]]"} {
		_, body := raw(t, p.address, "POST / HTTP/1.1\r\nHost: web.test\r\n"+announced+"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\nhi\r\n0\r\nX-A: 1\r\nX-B: 2\r\n\r\n")
		if body != want {
			t.Errorf("announced %q: the backend gets %s, want %s", announced, body, want)
		}
	}
}
