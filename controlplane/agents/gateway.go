package agents

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/gatewaytable"
)

// gatewayLimit bounds the taking over of a table, and the start of the stream of reports.
const gatewayLimit = 2 * time.Second

// noGateway explains what it means that the agent does not know the path.
func noGateway(err error) error {
	if e := notFound(err); e != nil {
		e.text = "its agent is of an older version, which serves no Ingresses; restart the cluster"
	}
	return err
}

// SetGatewayTable sends to the node what its data plane is to do.
func (c *Client) SetGatewayTable(ctx context.Context, n cluster.Node, t gatewaytable.Table) error {
	return noGateway(c.do(ctx, n, request{method: http.MethodPut, path: "/v1/gateway/table", question: t, limit: gatewayLimit}, nil))
}

// StopGateway ends the node's data plane.
func (c *Client) StopGateway(ctx context.Context, n cluster.Node) error {
	return noGateway(c.do(ctx, n, request{method: http.MethodDelete, path: "/v1/gateway/table", limit: gatewayLimit}, nil))
}

// GatewayReports calls each with what the node's data plane serves, now and after each change. It returns when ctx or the
// connection ends, or if nothing is received at the start, never without an error.
func (c *Client) GatewayReports(ctx context.Context, n cluster.Node, each func(gatewaytable.Report)) error {
	return noGateway(c.stream(ctx, n, request{path: "/v1/gateway/report", limit: gatewayLimit}, func(body io.Reader, begun func()) error {
		for dec := json.NewDecoder(body); ; {
			var r gatewaytable.Report
			if err := dec.Decode(&r); err != nil {
				return err
			}
			begun()
			each(r)
		}
	}))
}
