package cluster

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// GatewayRequest is a request that the addon gateway has served: a line of its access log.
type GatewayRequest struct {
	Began time.Time
	Took  time.Duration
	// Client is the client's address with its port. What follows, up to Path, and Agent, is as the client has sent it.
	Client, Method, Host string
	// Path is with the query.
	Path, Proto string
	Status      int
	// Bytes are those of the answer's body; of a connection that became another protocol they are not known.
	Bytes int64
	// Endpoint is where it was forwarded to, Service the Service that this is of ("shop/web:80"), From the object with the rule
	// ("ingress/shop/web"); each is empty if there is none.
	Endpoint, Service, From string
	Agent                   string
}

const gatewayTime = "2006-01-02T15:04:05.000Z"

// Append appends the request as a line, with its end. What a client has sent is quoted, so that it can neither end the line nor
// look like another one.
func (r *GatewayRequest) Append(line []byte) []byte {
	line = r.Began.UTC().AppendFormat(line, gatewayTime)
	line = append(append(line, ' '), r.Client...)
	for _, text := range []string{r.Method, r.Host, r.Path} {
		line = strconv.AppendQuoteToASCII(append(line, ' '), text)
	}
	line = append(append(line, ' '), r.Proto...)
	line = strconv.AppendInt(append(line, ' '), int64(r.Status), 10)
	line = strconv.AppendInt(append(line, ' '), r.Bytes, 10)
	line = append(append(line, ' '), r.Took.Round(time.Microsecond).String()...)
	for _, text := range []string{r.Endpoint, r.Service, r.From} {
		if text == "" {
			text = "-"
		}
		line = append(append(line, ' '), text...)
	}
	line = strconv.AppendQuoteToASCII(append(line, ' '), r.Agent)
	return append(line, '\n')
}

var errNotARequest = errors.New("not a line of the gateway's access log")

// ParseGatewayRequest reads a line as Append writes it, with its end or without.
func ParseGatewayRequest(line string) (r GatewayRequest, err error) {
	rest := strings.TrimSuffix(line, "\n")
	field := func() (text string) {
		if err != nil {
			return ""
		}
		if strings.HasPrefix(rest, `"`) {
			var quoted string
			if quoted, err = strconv.QuotedPrefix(rest); err != nil {
				return ""
			}
			rest = strings.TrimPrefix(rest[len(quoted):], " ")
			text, err = strconv.Unquote(quoted)
			return text
		}
		text, rest, _ = strings.Cut(rest, " ")
		if text == "" {
			err = errNotARequest
		}
		return text
	}
	name := func() string {
		if text := field(); text != "-" {
			return text
		}
		return ""
	}
	began := field()
	r.Client, r.Method, r.Host, r.Path, r.Proto = field(), field(), field(), field(), field()
	status, bytes, took := field(), field(), field()
	r.Endpoint, r.Service, r.From = name(), name(), name()
	r.Agent = field()
	if err != nil || rest != "" {
		return GatewayRequest{}, errNotARequest
	}
	var errs [4]error
	r.Began, errs[0] = time.Parse(gatewayTime, began)
	r.Status, errs[1] = strconv.Atoi(status)
	r.Bytes, errs[2] = strconv.ParseInt(bytes, 10, 64)
	r.Took, errs[3] = time.ParseDuration(took)
	if errors.Join(errs[:]...) != nil {
		return GatewayRequest{}, errNotARequest
	}
	return r, nil
}
