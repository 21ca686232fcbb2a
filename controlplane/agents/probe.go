package agents

import (
	"context"
	"net/http"
	"time"

	"bonsai/bootstrap/cluster"
)

// probeLimit is more than a node needs for a connection and a request that are not answered.
const probeLimit = 8 * time.Second

// Probe has the node connect from the network of one of its pods.
func (c *Client) Probe(ctx context.Context, n cluster.Node, q cluster.ProbeQuestion) (r cluster.ProbeResult, err error) {
	err = c.do(ctx, n, request{method: http.MethodPost, path: "/v1/probe", question: q, limit: probeLimit}, &r)
	if e := notFound(err); e != nil {
		e.text = "its agent is of an older version, which cannot connect for pods; restart the cluster"
	}
	return r, err
}
