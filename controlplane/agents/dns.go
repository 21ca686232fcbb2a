package agents

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"time"

	"bonsai/bootstrap/cluster"
)

const (
	// dnsLimit bounds an answer of a DNS server, and the start of a stream.
	dnsLimit = time.Second
	// lookupLimit is more than a server needs for a lookup whose every step fails.
	lookupLimit = 25 * time.Second
	// maxLine bounds one line of a stream.
	maxLine = 64 << 10
)

// noServer explains what it means that the agent does not know the path.
func noServer(err error) error {
	if e := notFound(err); e != nil {
		e.text = "no DNS server is running on the node"
	}
	return err
}

// DNSStatus returns what the node's DNS server reports about itself.
func (c *Client) DNSStatus(ctx context.Context, n cluster.Node) (cluster.DNSStatus, error) {
	var status cluster.DNSStatus
	err := c.do(ctx, n, request{path: "/v1/dns/status", limit: dnsLimit}, &status)
	return status, noServer(err)
}

// DNSFlush removes the cached answers of the node's DNS server, and returns how many.
func (c *Client) DNSFlush(ctx context.Context, n cluster.Node) (entries int, err error) {
	var flushed struct {
		Entries int `json:"entries"`
	}
	err = c.do(ctx, n, request{method: http.MethodPost, path: "/v1/dns/flush", limit: dnsLimit}, &flushed)
	return flushed.Entries, noServer(err)
}

// SetDNSMachine sends to the node's DNS server which resolvers this machine has by now.
func (c *Client) SetDNSMachine(ctx context.Context, n cluster.Node, m cluster.Resolvers) error {
	return noServer(c.do(ctx, n, request{method: http.MethodPut, path: "/v1/dns/resolvers", question: m, limit: dnsLimit}, nil))
}

// DNSLookup queries the node's DNS server. An Error with StatusBadRequest means that the question is invalid.
func (c *Client) DNSLookup(ctx context.Context, n cluster.Node, q cluster.DNSLookup) (cluster.DNSLookupResult, error) {
	var result cluster.DNSLookupResult
	err := c.do(ctx, n, request{method: http.MethodPost, path: "/v1/dns/lookup", question: q, limit: lookupLimit}, &result)
	return result, noServer(err)
}

// DNSLog calls connected from when on no question is missed, and each with every question that the node's DNS server
// answers from then on. It returns when ctx ends or the connection does, never without an error.
func (c *Client) DNSLog(ctx context.Context, n cluster.Node, fold bool, connected func(), each func(cluster.DNSQuery)) error {
	r := request{path: "/v1/dns/log?fold=" + strconv.FormatBool(fold), limit: dnsLimit}
	return noServer(c.stream(ctx, n, r, func(body io.Reader, begun func()) error {
		begun()
		connected()
		for dec := json.NewDecoder(body); ; {
			var q cluster.DNSQuery
			if err := dec.Decode(&q); err != nil {
				return err
			}
			each(q)
		}
	}))
}

// DNSHealth calls each with the phase of the node's DNS server, now and after each change. It returns when ctx or the
// connection ends, or if nothing is received at the start, never without an error.
func (c *Client) DNSHealth(ctx context.Context, n cluster.Node, each func(cluster.Phase)) error {
	return noServer(c.health(ctx, n, "/v1/dns/health", func(p cluster.Phase, _ string) { each(p) }))
}
