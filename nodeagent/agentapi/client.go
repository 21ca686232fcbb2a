package agentapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
)

// Client talks to the agent of its own node over the unix socket.
type Client struct{ http *http.Client }

// NewClient returns a client for the agent's socket; it connects on first use.
func NewClient(socket string) *Client {
	return &Client{&http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		},
	}}}
}

// State fetches the node's state.
func (c *Client) State(ctx context.Context) (s State, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://agent/v1/state", nil)
	if err != nil {
		return s, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return s, fmt.Errorf("ask the node agent: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		return s, fmt.Errorf("ask the node agent: %w", errors.New(strings.TrimSpace(string(text))))
	}
	return s, json.NewDecoder(resp.Body).Decode(&s)
}

// EnsureImage has the agent import an image of the payload, by the name that package builtinimages has for it, unless the node has it.
func (c *Client) EnsureImage(ctx context.Context, name string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://agent/v1/builtin-images/"+name, nil)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("ask the node agent: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		return fmt.Errorf("ask the node agent: %w", errors.New(strings.TrimSpace(string(text))))
	}
	return nil
}
