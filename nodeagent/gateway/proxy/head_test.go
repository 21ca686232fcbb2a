package proxy

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/textproto"
	"strings"
	"testing"
)

// TestRequestsThatAreSimple: all that says more than "pass this on", or says it unclearly, is for net/http.
func TestRequestsThatAreSimple(t *testing.T) {
	for name, c := range map[string]struct {
		head string
		want bool
	}{
		"GET":                        {"GET / HTTP/1.1\r\nHost: web.test\r\n\r\n", true},
		"HEAD":                       {"HEAD /a/b?c=%20d&e HTTP/1.1\r\nhost: web.test:8080\r\nUser-Agent: x\r\nCookie: a=b; c=\"d\"\r\n\r\n", true},
		"OPTIONS":                    {"OPTIONS /%C3%A4 HTTP/1.1\r\nHost: [fd00::1]:80\r\nX-Empty:\r\n\r\n", true},
		"a connection that goes on":  {"GET / HTTP/1.1\r\nHost: h\r\nConnection: Keep-Alive\r\n\r\n", true},
		"one that ends":              {"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", false},
		"fields of the connection":   {"GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\n\r\n", false},
		"an upgrade":                 {"GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", false},
		"HTTP/2":                     {"PRI * HTTP/2.0\r\n\r\n", false},
		"HTTP/1.0":                   {"GET / HTTP/1.0\r\nHost: h\r\n\r\n", false},
		"HTTP/0.9":                   {"GET /\r\n\r\n", false},
		"POST":                       {"POST / HTTP/1.1\r\nHost: h\r\n\r\n", false},
		"another method":             {"GETS / HTTP/1.1\r\nHost: h\r\n\r\n", false},
		"a method in lower case":     {"get / HTTP/1.1\r\nHost: h\r\n\r\n", false},
		"a body":                     {"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n", false},
		"a body of no bytes":         {"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", false},
		"chunks":                     {"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", false},
		"chunks in capitals":         {"GET / HTTP/1.1\r\nHost: h\r\nTRANSFER-ENCODING: CHUNKED\r\n\r\n", false},
		"both":                       {"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", false},
		"expectations":               {"GET / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\r\n", false},
		"trailers":                   {"GET / HTTP/1.1\r\nHost: h\r\nTE: trailers\r\n\r\n", false},
		"credentials for a proxy":    {"GET / HTTP/1.1\r\nHost: h\r\nProxy-Authorization: Basic eDp5\r\n\r\n", false},
		"no host":                    {"GET / HTTP/1.1\r\nAccept: */*\r\n\r\n", false},
		"two hosts":                  {"GET / HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n", false},
		"an empty host":              {"GET / HTTP/1.1\r\nHost:\r\n\r\n", false},
		"a host that is none":        {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", false},
		"two hosts in one":           {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", false},
		"a whole address":            {"GET http://other/ HTTP/1.1\r\nHost: h\r\n\r\n", false},
		"all of the server":          {"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", false},
		"two spaces":                 {"GET /  HTTP/1.1\r\nHost: h\r\n\r\n", false},
		"a space in the path":        {"GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", false},
		"a fragment":                 {"GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n", false},
		"a fragment after the query": {"GET /a?b#c HTTP/1.1\r\nHost: h\r\n\r\n", false},
		"a path that is not ASCII":   {"GET /ä HTTP/1.1\r\nHost: h\r\n\r\n", false},
		"a line that goes on":        {"GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n", false},
		"a first line that goes on":  {"GET / HTTP/1.1\r\n Host: h\r\nHost: h\r\n\r\n", false},
		"a space before the colon":   {"GET / HTTP/1.1\r\nHost: h\r\nContent-Length : 1\r\n\r\n", false},
		"a name with a space":        {"GET / HTTP/1.1\r\nHost: h\r\nX Y: 1\r\n\r\n", false},
		"no name":                    {"GET / HTTP/1.1\r\nHost: h\r\n: 1\r\n\r\n", false},
		"no colon":                   {"GET / HTTP/1.1\r\nHost: h\r\nX\r\n\r\n", false},
		"LF alone":                   {"GET / HTTP/1.1\r\nHost: h\nContent-Length: 1\r\n\r\n", false},
		"LF alone at the start":      {"GET / HTTP/1.1\nHost: h\r\n\r\n", false},
		"LF alone as the end":        {"GET / HTTP/1.1\r\nHost: h\r\nX: 1\n\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", false},
		"CR alone":                   {"GET / HTTP/1.1\r\nHost: h\r\nX: a\rContent-Length: 1\r\n\r\n", false},
		"CR alone at the start":      {"GET / HTTP/1.1\rHost: h\r\n\r\n", false},
		"NUL":                        {"GET / HTTP/1.1\r\nHost: h\r\nX: a\x00b\r\n\r\n", false},
		"nothing":                    {"\r\n\r\n", false},
	} {
		var r simpleRequest
		if got := r.read([]byte(c.head)); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestAnswersThatAreSimple(t *testing.T) {
	for name, c := range map[string]struct {
		head     string
		bodiless bool
		want     bool
		length   int64
	}{
		"an answer":              {head: "HTTP/1.1 200 OK\r\nContent-Length: 12\r\nKeep-Alive: timeout=5\r\nConnection: keep-alive\r\n\r\n", want: true, length: 12},
		"to HEAD":                {head: "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n", bodiless: true, want: true},
		"without content":        {head: "HTTP/1.1 204 No Content\r\n\r\n", want: true},
		"not modified":           {head: "HTTP/1.1 304 Not Modified\r\nContent-Length: 12\r\n\r\n", want: true},
		"no reason":              {head: "HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n", want: true},
		"no content with a body": {head: "HTTP/1.1 204 No Content\r\nContent-Length: 12\r\n\r\n"},
		"of unknown length":      {head: "HTTP/1.1 200 OK\r\n\r\n"},
		"chunks":                 {head: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"},
		"both":                   {head: "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"},
		"two lengths":            {head: "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n"},
		"two lengths in one":     {head: "HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n"},
		"a length with a sign":   {head: "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n"},
		"a length that is none":  {head: "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n"},
		"a very long one":        {head: "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551617\r\n\r\n"},
		"the end of it":          {head: "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n"},
		"hints":                  {head: "HTTP/1.1 103 Early Hints\r\n\r\n"},
		"another protocol":       {head: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"},
		"HTTP/1.0":               {head: "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n"},
		"a short status":         {head: "HTTP/1.1 20\r\nContent-Length: 1\r\n\r\n"},
		"a long one":             {head: "HTTP/1.1 2000\r\nContent-Length: 1\r\n\r\n"},
		"a line that goes on":    {head: "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nX: a\r\n\tb\r\n\r\n"},
	} {
		var a simpleAnswer
		if got := a.read([]byte(c.head), c.bodiless); got != c.want || got && a.length != c.length {
			t.Errorf("%s: %v, length %d", name, got, a.length)
		}
	}
}

// FuzzSimpleRequest: what is taken for simple, net/http reads in the same way, and as a request without a body.
func FuzzSimpleRequest(f *testing.F) {
	for _, seed := range []string{
		"GET / HTTP/1.1\r\nHost: web.test\r\n\r\n", "HEAD /a%2fb/../c?d=%zz HTTP/1.1\r\nHOST: [::1]:80\r\nX-A: \t b \r\nx-a: c\r\nUser-Agent: x\r\n\r\n",
		"OPTIONS //x;y HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\n", "GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		n := headLength(data)
		var r simpleRequest
		if n == 0 || !r.read(data[:n]) {
			return
		}
		head := data[:n]
		in := bufio.NewReader(bytes.NewReader(head))
		req, err := http.ReadRequest(in)
		if err != nil {
			if strings.Contains(err.Error(), "invalid URL escape") { // which route finds out
				return
			}
			t.Fatalf("%q: %v", head, err)
		}
		rest, _ := io.ReadAll(in)
		if string(r.method.of(head)) != req.Method || string(r.target.of(head)) != req.RequestURI || string(r.host.of(head)) != req.Host || req.ContentLength != 0 || len(rest) > 0 {
			t.Fatalf("%q: %q %q %q, net/http reads %+v and leaves %q", head, r.method.of(head), r.target.of(head), r.host.of(head), req, rest)
		}
		if got := string(r.path.of(head)); got != req.URL.EscapedPath() && req.URL.RawPath == "" && !strings.Contains(got, "%") {
			t.Fatalf("%q: the path is %q, and %q for net/http", head, got, req.URL.EscapedPath())
		}
		sameFields(t, head, r.fields, req.Header, func(name string) bool {
			return requestField([]byte(name)) == ordinary || requestField([]byte(name)) == agent
		})
	})
}

// FuzzSimpleAnswer: the same for answers.
func FuzzSimpleAnswer(f *testing.F) {
	for _, seed := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 12\r\nDate: x\r\n\r\n", "HTTP/1.1 304 \r\nX: a\r\nx: b\r\n\r\n",
		"HTTP/1.1 204 x\r\nKeep-Alive: y\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 12\r\nTransfer-Encoding: chunked\r\n\r\n",
	} {
		f.Add([]byte(seed), false)
		f.Add([]byte(seed), true)
	}
	f.Fuzz(func(t *testing.T, data []byte, bodiless bool) {
		n := headLength(data)
		var a simpleAnswer
		if n == 0 || !a.read(data[:n], bodiless) {
			return
		}
		head, method := data[:n], http.MethodGet
		if bodiless {
			method = http.MethodHead
		}
		resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(head)), &http.Request{Method: method})
		if err != nil {
			t.Fatalf("%q: %v", head, err)
		}
		if resp.StatusCode != a.status || resp.Close || resp.Body != http.NoBody && resp.ContentLength != a.length {
			t.Fatalf("%q: %d with %d bytes, net/http reads %+v", head, a.status, a.length, resp)
		}
		sameFields(t, head, a.fields, resp.Header, func(name string) bool {
			k := answerField([]byte(name))
			return k == ordinary || k == date || k == length
		})
	})
}

// sameFields compares fields with those of a header that are kept.
func sameFields(t *testing.T, head []byte, fields []field, header http.Header, kept func(name string) bool) {
	t.Helper()
	got := http.Header{}
	for _, f := range fields {
		got.Add(string(f.name.of(head)), string(f.value.of(head)))
	}
	for name, values := range header {
		if kept(name) && strings.Join(got[name], "\n") != strings.Join(values, "\n") {
			t.Fatalf("%q: %s is %q, and %q for net/http", head, name, got[name], values)
		}
	}
	for name := range got {
		if _, ok := header[textproto.CanonicalMIMEHeaderKey(name)]; !ok {
			t.Fatalf("%q: %s is not there for net/http", head, name)
		}
	}
}
