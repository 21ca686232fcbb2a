package proxy

import "bytes"

// span is a part of a head, from the first byte up to the one after the last.
type span struct{ from, to int }

func (s span) of(head []byte) []byte { return head[s.from:s.to] }

// field is a line of a header; line is all of it, with its end.
type field struct{ name, value, line span }

// headLength is the length of a head with the empty line at its end; 0 if that has not come yet.
func headLength(read []byte) int {
	if i := bytes.Index(read, []byte("\r\n\r\n")); i >= 0 {
		return i + len("\r\n\r\n")
	}
	return 0
}

// bareLine says whether a line ends without CR.
func bareLine(read []byte) bool {
	for at := 0; ; {
		i := bytes.IndexByte(read[at:], '\n')
		if i < 0 {
			return false
		}
		if at += i; at == 0 || read[at-1] != '\r' {
			return true
		}
		at++
	}
}

// simpleRequest is the head of a request that is passed on by simpleConn.
type simpleRequest struct {
	method, target, host span
	path                 span // of target
	agent                span // empty if the client does not say what it is
	fields               []field
}

// read reads a head, up to and with the empty line. It says false for all that needs more than to be passed on, and for all that two
// programs could understand differently, from a line that ends without CR to a second length: net/http decides about these.
func (r *simpleRequest) read(head []byte) bool {
	*r = simpleRequest{fields: r.fields[:0]}
	end := bytes.IndexByte(head, '\r')
	line := head[:end]
	for _, m := range [...]string{"GET ", "HEAD ", "OPTIONS "} {
		if bytes.HasPrefix(line, []byte(m)) {
			r.method = span{0, len(m) - 1}
		}
	}
	const version = " HTTP/1.1"
	r.target = span{r.method.to + 1, end - len(version)}
	if r.method.to == 0 || r.target.from >= r.target.to || string(line[r.target.to:]) != version || head[end+1] != '\n' {
		return false
	}
	if !r.readTarget(r.target.of(head)) {
		return false
	}
	var ok bool
	if r.fields, ok = readFields(head, end+2, r.fields); !ok {
		return false
	}
	kept := r.fields[:0]
	for _, f := range r.fields {
		switch requestField(f.name.of(head)) {
		case alien:
			return false
		case hostField:
			if r.host.to != 0 || !isHost(f.value.of(head)) {
				return false
			}
			r.host = f.value
		case connection:
			if !bytes.EqualFold(f.value.of(head), []byte("keep-alive")) {
				return false
			}
		case agent:
			r.agent = f.value
			kept = append(kept, f)
		case ordinary:
			kept = append(kept, f)
		case replaced:
		}
	}
	r.fields = kept
	return r.host.to != 0
}

// readTarget takes paths, with queries, that are sent on as they are written.
func (r *simpleRequest) readTarget(target []byte) bool {
	if target[0] != '/' {
		return false
	}
	r.path = r.target
	for i, c := range target {
		switch {
		case r.path.to == r.target.to && c == '?':
			r.path.to = r.target.from + i
		case r.path.to == r.target.to && !inPath[c], c <= ' ', c >= 0x7f, c == '#':
			return false
		}
	}
	return true
}

// readFields appends the lines of a header. The head ends with an empty line.
func readFields(head []byte, at int, fields []field) ([]field, bool) {
	for {
		if head[at] == '\r' {
			return fields, at+2 == len(head) && head[at+1] == '\n'
		}
		i := at
		for inToken[head[i]] {
			i++
		}
		if i == at || head[i] != ':' { // a line that begins with a space continues the one before, for some
			return fields, false
		}
		f := field{name: span{at, i}}
		for i++; head[i] == ' ' || head[i] == '\t'; i++ {
		}
		f.value.from = i
		for head[i] >= ' ' && head[i] != 0x7f || head[i] == '\t' {
			i++
		}
		if head[i] != '\r' || head[i+1] != '\n' {
			return fields, false
		}
		f.line = span{at, i + 2}
		for f.value.to = i; f.value.to > f.value.from && (head[f.value.to-1] == ' ' || head[f.value.to-1] == '\t'); f.value.to-- {
		}
		fields = append(fields, f)
		at = i + 2
	}
}

// kind is what is done with a field of a header.
type kind int

const (
	ordinary   kind = iota // it is passed on
	alien                  // it is about more than is done here
	connection             // it is about one connection: of no meaning if it says that this one goes on
	replaced               // it is left out, or something else is said
	hostField
	agent
	length
	date
)

// lowered returns a name in lower case, in buf, nil if it is longer than all names that have a meaning.
func lowered(name []byte, buf *[24]byte) []byte {
	if len(name) > len(buf) {
		return nil
	}
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		buf[i] = c
	}
	return buf[:len(name)]
}

func requestField(name []byte) kind {
	var buf [24]byte
	switch string(lowered(name, &buf)) {
	case "host":
		return hostField
	case "user-agent":
		return agent
	case "connection":
		return connection
	case "forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-port", "x-real-ip":
		return replaced
	case "content-length", "transfer-encoding", "te", "trailer", "upgrade", "expect", "keep-alive", "proxy-connection", "proxy-authorization",
		"proxy-authenticate", "http2-settings":
		return alien
	}
	return ordinary
}

func answerField(name []byte) kind {
	var buf [24]byte
	switch string(lowered(name, &buf)) {
	case "content-length":
		return length
	case "date":
		return date
	case "connection":
		return connection
	case "keep-alive":
		return replaced
	case "transfer-encoding", "te", "trailer", "upgrade", "proxy-connection", "proxy-authorization", "proxy-authenticate":
		return alien
	}
	return ordinary
}

// simpleAnswer is the head of an answer that is passed on as it is.
type simpleAnswer struct {
	status int
	// line is the first line, with its end.
	line   span
	fields []field
	// length is that of the body.
	length int64
	dated  bool
}

// read reads a head as simpleRequest.read does. bodiless says that the request was one to which no answer has a body.
func (a *simpleAnswer) read(head []byte, bodiless bool) bool {
	*a = simpleAnswer{fields: a.fields[:0], length: -1}
	const version = "HTTP/1.1 "
	end := bytes.IndexByte(head, '\r')
	if !bytes.HasPrefix(head[:end], []byte(version)) || end < len(version)+3 || head[end+1] != '\n' {
		return false
	}
	for i, c := range head[len(version):end] {
		switch {
		case i < 3 && '0' <= c && c <= '9':
			a.status = 10*a.status + int(c-'0')
		case i < 3, i == 3 && c != ' ', c < ' ', c >= 0x7f:
			return false
		}
	}
	a.line = span{0, end + 2}
	if a.status < 200 || a.status > 599 {
		return false
	}
	var ok bool
	if a.fields, ok = readFields(head, end+2, a.fields); !ok {
		return false
	}
	kept := a.fields[:0]
	for _, f := range a.fields {
		switch answerField(f.name.of(head)) {
		case length:
			if a.length >= 0 || !a.readLength(f.value.of(head)) {
				return false
			}
		case date:
			a.dated = true
		case connection:
			if !bytes.EqualFold(f.value.of(head), []byte("keep-alive")) {
				return false
			}
			continue
		case replaced:
			continue
		case alien:
			return false
		}
		kept = append(kept, f)
	}
	a.fields = kept
	switch {
	case a.status == 204 && a.length > 0:
		return false
	case bodiless, a.status == 204, a.status == 304:
		a.length = 0
	}
	return a.length >= 0
}

func (a *simpleAnswer) readLength(value []byte) bool {
	if len(value) == 0 || len(value) > 18 {
		return false
	}
	a.length = 0
	for _, c := range value {
		if c < '0' || c > '9' {
			return false
		}
		a.length = 10*a.length + int64(c-'0')
	}
	return true
}

// inToken are the bytes of names of fields (RFC 9110 5.6.2), inPath those that a path has as they are.
var inToken, inPath = among("!#$%&'*+-.^_`|~"), among("/-._~!$&'()*+,;=:@%")

// among returns letters, digits and others.
func among(others string) (set [256]bool) {
	for c := range 256 {
		set[c] = 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
	}
	for _, c := range []byte(others) {
		set[c] = true
	}
	return set
}

// isHost says whether a host is a name or an address, perhaps with a port.
func isHost(value []byte) bool {
	for _, c := range value {
		if !inToken[c] && c != ':' && c != '[' && c != ']' || c == '%' {
			return false
		}
	}
	return len(value) > 0
}
