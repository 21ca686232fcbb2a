package agents

import (
	"context"
	"net/http"

	"bonsai/bootstrap/cluster"
)

const policiesPath = "/v1/" + cluster.NetworkPolicyAddon

// noPolicies explains what it means that the agent does not know the path.
func noPolicies(err error) error {
	if e := notFound(err); e != nil {
		e.text = "its agent is of an older version, which does not say what policies stop; restart the cluster"
	}
	return err
}

// Denied returns the traffic that NetworkPolicies have stopped on the node in the last minutes.
func (c *Client) Denied(ctx context.Context, n cluster.Node) (list []cluster.Denied, err error) {
	err = c.do(ctx, n, request{path: policiesPath + "/denied", limit: stateLimit}, &list)
	return list, noPolicies(err)
}

// JudgePolicies returns what the node's rules for NetworkPolicies say about a packet.
func (c *Client) JudgePolicies(ctx context.Context, n cluster.Node, q cluster.PolicyQuestion) (answer cluster.PolicyAnswer, err error) {
	err = c.do(ctx, n, request{method: http.MethodPost, path: policiesPath + "/judge", question: q, limit: stateLimit}, &answer)
	return answer, noPolicies(err)
}
