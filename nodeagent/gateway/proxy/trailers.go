package proxy

import (
	"errors"
	"io"
	"net/http"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// passTrailers has the trailers that a client has announced follow the body of the request to the backend. Those that it has not
// announced are dropped, as HTTP/2 does anyway, and so are those that are not allowed there (RFC 9110, section 6.5.1), or that say
// where a request comes from, which only the header of the request to the backend does.
func passTrailers(in, out *http.Request) {
	announced := in.Trailer
	out.Trailer = nil
	if len(announced) == 0 || out.Body == nil || out.Body == http.NoBody {
		return
	}
	for name := range announced {
		if httpguts.ValidTrailerHeader(name) && !strings.HasPrefix(name, "X-Forwarded-") && name != "Forwarded" && name != "X-Real-Ip" {
			if out.Trailer == nil {
				out.Trailer = http.Header{}
			}
			out.Trailer[name] = nil // the value comes after the body
		}
	}
	if out.Trailer == nil {
		return
	}
	out.ContentLength = -1 // HTTP/1.1 has trailers only after chunks
	out.Header.Del("Content-Length")
	out.Body = trailing{out.Body, announced, out.Trailer}
}

// trailing is a body at the end of which trailers are there. A transport reads them after that, and writes nothing into them.
type trailing struct {
	io.ReadCloser
	from, to http.Header
}

func (t trailing) Read(p []byte) (int, error) {
	n, err := t.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		for name := range t.to {
			t.to[name] = t.from[name]
		}
	}
	return n, err
}
