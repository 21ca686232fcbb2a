package agents

import (
	"context"
	"encoding/json"
	"io"
	"time"

	"bonsai/bootstrap/cluster"
)

// flowLimit bounds the first sample of a stream.
const flowLimit = 5 * time.Second

// Flows calls each with a sample of the node's traffic every cluster.FlowInterval, or less often. It returns when ctx or the
// connection ends, never without an error.
func (c *Client) Flows(ctx context.Context, n cluster.Node, each func(cluster.NodeFlows)) error {
	err := c.stream(ctx, n, request{path: "/v1/flows", limit: flowLimit}, func(body io.Reader, begun func()) error {
		for dec := json.NewDecoder(body); ; {
			var s cluster.NodeFlows
			if err := dec.Decode(&s); err != nil {
				return err
			}
			begun()
			each(s)
		}
	})
	if e := notFound(err); e != nil {
		e.text = "its agent is of an older version, which does not see traffic; restart the cluster"
	}
	return err
}
