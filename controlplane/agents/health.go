package agents

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"

	"bonsai/bootstrap/cluster"
)

// NetworkPolicyHealth calls each with how NetworkPolicies are enforced on the node, now and after each change. It returns when
// ctx or the connection ends, or if nothing is received at the start, never without an error.
func (c *Client) NetworkPolicyHealth(ctx context.Context, n cluster.Node, each func(phase cluster.Phase, reason string)) error {
	return c.health(ctx, n, "/v1/"+cluster.NetworkPolicyAddon+"/health", each)
}

// health follows the health of a part of the agent, a line for each change.
func (c *Client) health(ctx context.Context, n cluster.Node, path string, each func(phase cluster.Phase, reason string)) error {
	return c.stream(ctx, n, request{path: path, limit: dnsLimit}, func(body io.Reader, begun func()) error {
		lines := bufio.NewScanner(body)
		lines.Buffer(nil, maxLine)
		for lines.Scan() {
			begun()
			var line struct {
				Phase  cluster.Phase `json:"phase"`
				Reason string        `json:"reason"`
			}
			if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
				return errors.New("its agent's answer cannot be read: " + err.Error())
			}
			switch line.Phase {
			case cluster.PhaseRunning, cluster.PhaseDegraded, cluster.PhaseStarting, cluster.PhaseStopping, cluster.PhaseStopped, cluster.PhaseFailed:
				each(line.Phase, line.Reason)
			default: // of another version, or nonsense
				each(cluster.PhaseUnknown, "")
			}
		}
		if err := lines.Err(); err != nil {
			return err
		}
		return io.EOF
	})
}
