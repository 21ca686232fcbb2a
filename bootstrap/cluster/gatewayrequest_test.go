package cluster

import (
	"strings"
	"testing"
	"time"
)

func TestGatewayRequests(t *testing.T) {
	began := time.Date(2026, 3, 14, 12, 0, 0, 250e6, time.UTC)
	for want, r := range map[string]GatewayRequest{
		`2026-03-14T12:00:00.250Z 10.201.0.1:4711 "GET" "shop.test" "/cart?id=1" HTTP/1.1 200 12 1.234ms 10.244.1.5:8080 shop/web:80 ingress/shop/web "curl/8.14.1"`: {
			Began: began, Took: 1234 * time.Microsecond, Client: "10.201.0.1:4711", Method: "GET", Host: "shop.test", Path: "/cart?id=1", Proto: "HTTP/1.1",
			Status: 200, Bytes: 12, Endpoint: "10.244.1.5:8080", Service: "shop/web:80", From: "ingress/shop/web", Agent: "curl/8.14.1",
		},
		`2026-03-14T12:00:00.250Z [fd00::1]:1 "GET" "" "/a\" \"b\x1b[2J\n\u6f22" HTTP/2.0 404 0 0s - - - "-"`: {
			Began: began, Client: "[fd00::1]:1", Method: "GET", Path: "/a\" \"b\x1b[2J\n漢", Proto: "HTTP/2.0", Status: 404, Agent: "-",
		},
	} {
		if got := string(r.Append(nil)); got != want+"\n" {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if back, err := ParseGatewayRequest(want); err != nil || back != r {
			t.Errorf("%s is read as %+v, %v", want, back, err)
		}
	}
	for _, line := range []string{
		"", "-", `time=12:00 level=WARN msg="a port cannot be opened"`, `x x "GET" "h" "/" p 200 1 1s - - - "a"`,
		`2026-03-14T12:00:00.250Z c "GET" "h" "/" p 200 1 1s - - - "a" more`, `2026-03-14T12:00:00.250Z c "GET" "h" "/`,
		`2026-03-14T12:00:00.250Z c "GET" "h" "/" p two 1 1s - - - "a"`,
	} {
		if r, err := ParseGatewayRequest(line); err == nil {
			t.Errorf("%q is read as %+v", line, r)
		}
	}
}

// FuzzGatewayRequest: what is read is written as it was, and a line never contains what a terminal obeys.
func FuzzGatewayRequest(f *testing.F) {
	f.Add(`2026-03-14T12:00:00.250Z 10.201.0.1:4711 "GET" "shop.test" "/" HTTP/1.1 200 12 1.234ms 10.244.1.5:8080 shop/web:80 ingress/shop/web "curl"`, "/path")
	f.Add(`2026-03-14T12:00:00.250Z c "G\x1b" "" "/" p -1 1 1h1s - - - "a"`, "\x1b[31m\n\u202e\xff")
	f.Fuzz(func(t *testing.T, line, path string) {
		if r, err := ParseGatewayRequest(line); err == nil {
			if again, err := ParseGatewayRequest(string(r.Append(nil))); err != nil || again.Path != r.Path || again.Host != r.Host || again.Status != r.Status {
				t.Errorf("%q is read as %+v, and written and read again as %+v, %v", line, r, again, err)
			}
		}
		r := GatewayRequest{Began: time.Unix(1, 0).UTC(), Client: "c", Proto: "p", Path: path, Agent: path}
		text := string(r.Append(nil))
		if strings.Count(text, "\n") != 1 || strings.ContainsFunc(strings.TrimSuffix(text, "\n"), func(c rune) bool { return c < ' ' || c > '~' }) {
			t.Errorf("%q", text)
		}
	})
}
