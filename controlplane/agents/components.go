package agents

import (
	"context"
	"encoding/json"
	"io"
	"net/url"
	"strconv"

	"bonsai/bootstrap/cluster"
)

// Components calls each with the states of the node's components that are shown as pods, now and after each change. It
// returns when ctx or the connection ends, or if nothing is received at the start, never without an error.
func (c *Client) Components(ctx context.Context, n cluster.Node, each func([]cluster.Component)) error {
	return c.stream(ctx, n, request{path: "/v1/components", limit: stateLimit}, func(body io.Reader, begun func()) error {
		for dec := json.NewDecoder(body); ; {
			var list []cluster.Component
			if err := dec.Decode(&list); err != nil {
				return err
			}
			begun()
			each(list)
		}
	})
}

// Log writes the last lines of a component's log to w, all of them if lines is negative, and with follow continues with new
// ones until ctx ends, which is not an error then.
func (c *Client) Log(ctx context.Context, n cluster.Node, component string, lines int, follow bool, w io.Writer) error {
	q := url.Values{"lines": {strconv.Itoa(lines)}, "follow": {strconv.FormatBool(follow)}}
	r := request{path: "/v1/logs/" + component + "?" + q.Encode(), limit: podLimit}
	err := c.stream(ctx, n, r, func(body io.Reader, begun func()) error {
		begun()
		_, err := io.Copy(w, body)
		return err
	})
	if follow && ctx.Err() != nil {
		return nil
	}
	return err
}
