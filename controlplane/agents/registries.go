package agents

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"time"

	"bonsai/bootstrap/cluster"
)

// registriesLimit bounds the writing of a few files on a node.
const registriesLimit = 5 * time.Second

// noRegistries explains what it means that the agent does not know the path.
func noRegistries(err error) error {
	if e := notFound(err); e != nil {
		e.text = "its agent is of an older version, which does not pull from this process; restart the cluster"
	}
	return err
}

// HoldRegistries has the node pull what an addon serves, and calls held when it does. It returns when ctx or the connection
// ends, never without an error; the node goes on as it does.
func (c *Client) HoldRegistries(ctx context.Context, n cluster.Node, addon string, r cluster.NodeRegistries, held func()) error {
	question := request{method: http.MethodPost, path: "/v1/registries/" + addon, question: r, limit: registriesLimit}
	return noRegistries(c.stream(ctx, n, question, func(body io.Reader, begun func()) error {
		lines := bufio.NewReader(body)
		if _, err := lines.ReadString('\n'); err != nil {
			return err
		}
		begun()
		held()
		_, err := lines.ReadString('\n') // there is no second one
		return err
	}))
}

// DropRegistries takes back what HoldRegistries has done.
func (c *Client) DropRegistries(ctx context.Context, n cluster.Node, addon string) error {
	return noRegistries(c.do(ctx, n, request{method: http.MethodDelete, path: "/v1/registries/" + addon, limit: registriesLimit}, nil))
}
