// Package agents queries the agents of nodes, for all parts of the control plane: they share one Client, which keeps
// the connections of each node for the next request, limits every wait, and explains why an agent did not answer.
//
// The API is that of package nodeagent/agentapi, which this side cannot import; the values that cross are in the
// vocabulary. Begin reading at Client; dns.go asks the DNS server in the agent.
package agents

import (
	"context"
	"fmt"
	"net/http"
	"path"
	"sync"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/wait"
)

// Limits on answers, on a quiet machine.
const (
	stateLimit = time.Second
	usageLimit = time.Second
	podLimit   = 2 * time.Second
	makeLimit  = 10 * time.Second
	// removeLimit is for a volume with very many files. The agent continues after it, and the next attempt finds less
	// to do.
	removeLimit = 2 * time.Minute
)

// Client sends requests to the agents of one cluster. It is safe for concurrent use. All its errors are of type *Error.
type Client struct {
	transport func(cluster.Node) http.RoundTripper
	scale     wait.Scale

	mu    sync.Mutex // guards nodes
	nodes map[string]agent
}

// agent is the connection to the agent of one node, as long as the node keeps its address.
type agent struct {
	node cluster.Node
	http *http.Client
}

// New returns a Client. transport creates the transport to one node's agent; request URLs begin with https://IP:10270.
// It is called once for each node. Scale multiplies the limits on waits. The caller closes the Client.
func New(transport func(cluster.Node) http.RoundTripper, scale wait.Scale) *Client {
	return &Client{transport: transport, scale: scale, nodes: map[string]agent{}}
}

// Close closes the idle connections. Requests that are under way are not affected: they end with their contexts.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range c.nodes {
		a.http.CloseIdleConnections()
	}
}

// client returns the one of a node, and creates it if there is none for its address.
func (c *Client) client(n cluster.Node) *http.Client {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, ok := c.nodes[n.Name]
	if ok && a.node.IP == n.IP {
		return a.http
	}
	if ok {
		a.http.CloseIdleConnections()
	}
	a = agent{n, &http.Client{Transport: c.transport(n)}}
	c.nodes[n.Name] = a
	return a.http
}

// State returns what the agent reports about itself and the processes that it supervises.
func (c *Client) State(ctx context.Context, n cluster.Node) ([]cluster.Component, error) {
	var state struct {
		Components []cluster.Component `json:"components"`
	}
	err := c.do(ctx, n, request{path: "/v1/state", limit: stateLimit}, &state)
	return state.Components, err
}

// Usage returns the node's counters, read now.
func (c *Client) Usage(ctx context.Context, n cluster.Node) (cluster.NodeCounters, error) {
	var counters cluster.NodeCounters
	err := c.do(ctx, n, request{path: "/v1/usage", limit: usageLimit}, &counters)
	if e := notFound(err); e != nil {
		e.text = "its agent is of an older version, which cannot measure; restart the cluster"
	}
	return counters, err
}

// Pod returns when the parts of a pod were created, as the node knows it.
func (c *Client) Pod(ctx context.Context, n cluster.Node, uid string) (cluster.PodOnNode, error) {
	var pod cluster.PodOnNode
	err := c.do(ctx, n, request{path: "/v1/pods/" + uid, limit: podLimit}, &pod)
	return pod, err
}

// Listening returns the ports that the programs of a pod listen on at this moment.
func (c *Client) Listening(ctx context.Context, n cluster.Node, uid string) ([]cluster.Listening, error) {
	var ports []cluster.Listening
	err := c.do(ctx, n, request{path: "/v1/pods/" + uid + "/listening", limit: podLimit}, &ports)
	return ports, err
}

// Images returns the images that the node has.
func (c *Client) Images(ctx context.Context, n cluster.Node) (images []cluster.NodeImage, err error) {
	err = c.do(ctx, n, request{path: "/v1/images", limit: podLimit}, &images)
	return images, err
}

// MakeVolume creates a volume, which may exist already, and returns its path on the node.
func (c *Client) MakeVolume(ctx context.Context, n cluster.Node, name string) (string, error) {
	var volume struct {
		Path string `json:"path"`
	}
	err := c.do(ctx, n, request{method: http.MethodPut, path: "/v1/volumes/" + name, limit: makeLimit}, &volume)
	if err == nil && !path.IsAbs(volume.Path) {
		return "", &Error{Status: http.StatusOK, Sent: true, text: fmt.Sprintf("its agent returned no path for volume %s", name)}
	}
	return volume.Path, err
}

// RemoveVolume deletes a volume, which may be gone already, with its data.
func (c *Client) RemoveVolume(ctx context.Context, n cluster.Node, name string) error {
	return c.do(ctx, n, request{method: http.MethodDelete, path: "/v1/volumes/" + name, limit: removeLimit}, nil)
}
