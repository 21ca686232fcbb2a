package dns

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"bonsai/bootstrap/cluster"
)

// agent is the DNS part of one node's agent.
type agent struct {
	base string
	http http.Client
}

func (v *View) agent(n cluster.Node) agent {
	return agent{
		base: "https://" + netip.AddrPortFrom(n.IP, cluster.AgentPort).String() + "/v1/dns/",
		http: http.Client{Transport: v.Agent(n)},
	}
}

func (a agent) close() { a.http.CloseIdleConnections() }

// refusal is an answer other than 200.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string {
	if r.status == http.StatusNotFound {
		return "no DNS server runs on the node"
	}
	return r.text
}

func (a agent) get(ctx context.Context, path string, answer any) error {
	return a.ask(ctx, http.MethodGet, path, nil, answer)
}

func (a agent) post(ctx context.Context, path string, question, answer any) error {
	return a.ask(ctx, http.MethodPost, path, question, answer)
}

func (a agent) ask(ctx context.Context, method, path string, question, answer any) error {
	body, err := a.open(ctx, method, path, question)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	if err := json.NewDecoder(body).Decode(answer); err != nil {
		return fmt.Errorf("read its answer: %w", err)
	}
	return nil
}

// open makes a request; the caller closes the answer's body.
func (a agent) open(ctx context.Context, method, path string, question any) (io.ReadCloser, error) {
	var body io.Reader
	if question != nil {
		data, err := json.Marshal(question)
		if err != nil {
			return nil, fmt.Errorf("encode the question: %w", err)
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, a.base+path, body)
	if err != nil {
		return nil, err
	}
	resp, err := a.http.Do(req)
	if err != nil {
		// The address says nothing to a user, who knows nodes by name.
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err
		}
		if errors.Is(err, context.DeadlineExceeded) {
			return nil, errors.New("its agent did not answer in time")
		}
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		_ = resp.Body.Close()
		return nil, &refusal{resp.StatusCode, strings.TrimSpace(string(text))}
	}
	return resp.Body, nil
}
