package agents

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"time"

	"bonsai/bootstrap/cluster"
)

// announceLimit bounds an answer about addresses of load balancers, and the start of a stream. It is short because whoever has to
// move addresses waits for it.
const announceLimit = time.Second

// Announce has the node announce these addresses of load balancers, and no others. The answer says what it announces now. An Error
// with StatusConflict means that the agent has a newer announcement.
func (c *Client) Announce(ctx context.Context, n cluster.Node, a cluster.Announcement) (cluster.Announced, error) {
	var now cluster.Announced
	err := c.do(ctx, n, request{method: http.MethodPut, path: "/v1/announce", question: a, limit: announceLimit}, &now)
	return now, noAnnouncing(err)
}

// Announced calls each with what the node announces, at once, after each change, and twice a second as a sign of life. It returns
// when ctx or the connection ends, or if nothing is received at the start, never without an error.
func (c *Client) Announced(ctx context.Context, n cluster.Node, each func(cluster.Announced)) error {
	return noAnnouncing(c.stream(ctx, n, request{path: "/v1/announce", limit: announceLimit}, func(body io.Reader, begun func()) error {
		for dec := json.NewDecoder(body); ; {
			var now cluster.Announced
			if err := dec.Decode(&now); err != nil {
				return err
			}
			begun()
			each(now)
		}
	}))
}

// noAnnouncing explains what it means that the agent does not know the path.
func noAnnouncing(err error) error {
	if e := notFound(err); e != nil {
		e.text = "its agent is of an older version, which announces no addresses; restart the cluster"
	}
	return err
}
