package storageprovisioner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"path"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/wait"
)

// Limits of a request to an agent on a quiet machine.
const (
	// connectLimit bounds connecting to an agent; a node that is stopped does not answer at all.
	connectLimit = 5 * time.Second
	makeLimit    = 10 * time.Second
	// removeLimit is for a volume with very many files. The agent continues after it, and the next attempt finds less
	// to do.
	removeLimit = 2 * time.Minute
)

// agents sends requests for volumes to the agents of nodes.
type agents struct {
	transport func(cluster.Node) http.RoundTripper
	scale     wait.Scale

	mu      sync.Mutex // guards clients
	clients map[string]*http.Client
}

func newAgents(transport func(cluster.Node) http.RoundTripper, scale wait.Scale) *agents {
	return &agents{transport: transport, scale: scale, clients: map[string]*http.Client{}}
}

// agentError is why a request to an agent failed.
type agentError struct {
	node string
	// unsent: the agent never got the request, so nothing has happened.
	unsent bool
	// answered: the agent refused, so nothing more happens. If neither is true, the outcome is unknown.
	answered bool
	err      error
}

func (e *agentError) Error() string { return fmt.Sprintf("node %s: %v", e.node, e.err) }
func (e *agentError) Unwrap() error { return e.err }

// create creates a volume, which may exist already, and returns its path on the node.
func (a *agents) create(ctx context.Context, n cluster.Node, name string) (string, error) {
	body, err := a.ask(ctx, n, http.MethodPut, name, makeLimit)
	if err != nil {
		return "", err
	}
	var volume struct {
		Path string `json:"path"`
	}
	if err := json.Unmarshal(body, &volume); err != nil || !path.IsAbs(volume.Path) {
		return "", &agentError{node: n.Name, answered: true, err: fmt.Errorf("its agent returned no path for volume %s: %q", name, body)}
	}
	return volume.Path, nil
}

// remove deletes a volume, which may be gone already, with its data.
func (a *agents) remove(ctx context.Context, n cluster.Node, name string) error {
	_, err := a.ask(ctx, n, http.MethodDelete, name, removeLimit)
	return err
}

var errConnect = errors.New("its agent does not answer; is the node running?")

func (a *agents) ask(ctx context.Context, n cluster.Node, method, name string, limit time.Duration) (answer []byte, err error) {
	ctx, cancel := a.scale.Limit(ctx, limit, "its agent")
	defer cancel()
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	connecting := time.AfterFunc(a.scale.Of(connectLimit), func() { giveUp(errConnect) })
	defer connecting.Stop()
	var sent atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) {
			connecting.Stop()
			sent.Store(true)
		},
	})
	url := "https://" + net.JoinHostPort(n.IP.String(), strconv.Itoa(cluster.AgentPort)) + "/v1/volumes/" + name
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return nil, fmt.Errorf("ask the agent of node %s: %w", n.Name, err)
	}
	// An agent that was restarted has closed the idle connection. Go then opens a new one if it may repeat the request,
	// which this header allows; an empty value is not sent.
	req.Header["Idempotency-Key"] = nil
	resp, err := a.client(n).Do(req)
	if err != nil {
		switch cause := context.Cause(ctx); {
		case cause != nil:
			err = cause
		case !sent.Load():
			err = fmt.Errorf("%w (%w)", errConnect, errors.Unwrap(err)) // without the URL, which does not help
		}
		return nil, &agentError{node: n.Name, unsent: !sent.Load(), err: err}
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if err != nil {
		return nil, &agentError{node: n.Name, err: err}
	}
	if resp.StatusCode/100 == 2 {
		return answer, nil
	}
	err = errors.New(strings.TrimSpace(string(answer)))
	if resp.StatusCode == http.StatusInsufficientStorage {
		err = fmt.Errorf("%w; this is tried again every few seconds", err)
	}
	return nil, &agentError{node: n.Name, answered: true, err: err}
}

// client keeps one client for each node, so that connections are reused.
func (a *agents) client(n cluster.Node) *http.Client {
	a.mu.Lock()
	defer a.mu.Unlock()
	c, ok := a.clients[n.Name]
	if !ok {
		c = &http.Client{Transport: a.transport(n)}
		a.clients[n.Name] = c
	}
	return c
}

// close closes idle connections. No request may be in progress.
func (a *agents) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.clients {
		c.CloseIdleConnections()
	}
}
