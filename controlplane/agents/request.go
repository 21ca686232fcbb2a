package agents

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/wait"
)

const (
	// connectLimit bounds connecting to an agent, on a quiet machine; a node that is stopped does not answer at all.
	connectLimit = 5 * time.Second
	// maxAnswer and maxRefusal bound what is read of an answer, and of a refusal.
	maxAnswer  = 16 << 20
	maxRefusal = 4 << 10
)

// Error is why an agent did not do what was requested. Its text does not name the node, which the caller knows.
type Error struct {
	// Status is that of the agent's answer, 0 if there was none. With one, the request is over.
	Status int
	// Sent says that the agent received the request, or may have. Without a Status its outcome is unknown.
	Sent  bool
	text  string // in place of cause, if that is not empty
	cause error
}

func (e *Error) Error() string {
	if e.text != "" {
		return e.text
	}
	return e.cause.Error()
}

func (e *Error) Unwrap() error { return e.cause }

// notFound returns the Error in err if the agent answered that it does not have what was asked for, otherwise nil.
func notFound(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok && e.Status == http.StatusNotFound {
		return e
	}
	return nil
}

var errConnect = errors.New("its agent does not answer; is the node running?")

// request is one request to an agent.
type request struct {
	method   string // GET if empty
	path     string
	question any // is sent as JSON unless it is nil
	// limit is how long the answer, or the start of a stream, may take.
	limit time.Duration
}

// do sends a request and decodes its answer into answer, unless that is nil.
func (c *Client) do(ctx context.Context, n cluster.Node, r request, answer any) error {
	return c.stream(ctx, n, r, func(body io.Reader, _ func()) error {
		data, err := io.ReadAll(io.LimitReader(body, maxAnswer)) // all of it, so that the connection can be reused
		if err != nil {
			return fmt.Errorf("its agent's answer cannot be read: %w", err)
		}
		if answer == nil {
			return nil
		}
		if err := json.Unmarshal(data, answer); err != nil {
			return &Error{Status: http.StatusOK, Sent: true, cause: fmt.Errorf("its agent's answer cannot be read: %w", err)}
		}
		return nil
	})
}

// stream sends a request and calls read with the answer. The limit holds until read returns or calls begun.
func (c *Client) stream(ctx context.Context, n cluster.Node, r request, read func(body io.Reader, begun func()) error) error {
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	limit := c.scale.Of(r.limit)
	late := time.AfterFunc(limit, func() { giveUp(&wait.Timeout{After: limit, For: "its agent"}) })
	defer late.Stop()
	connecting := time.AfterFunc(c.scale.Of(connectLimit), func() { giveUp(errConnect) })
	defer connecting.Stop()
	var sent atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) {
			connecting.Stop()
			sent.Store(true)
		},
	})
	req, err := c.newRequest(ctx, n, r)
	if err != nil {
		return &Error{cause: err}
	}
	resp, err := c.client(n).Do(req)
	connecting.Stop()
	if err != nil {
		return &Error{Sent: sent.Load(), cause: cause(ctx, err, sent.Load())}
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode/100 != 2 {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, maxRefusal))
		refusal := strings.TrimSpace(string(text))
		if refusal == "" {
			refusal = "its agent answers " + resp.Status
		}
		return &Error{Status: resp.StatusCode, Sent: true, cause: errors.New(refusal)}
	}
	err = read(resp.Body, func() { late.Stop() })
	if _, ok := errors.AsType[*Error](err); ok || err == nil {
		return err
	}
	return &Error{Sent: true, cause: cause(ctx, err, true)}
}

func (c *Client) newRequest(ctx context.Context, n cluster.Node, r request) (*http.Request, error) {
	var body io.Reader
	if r.question != nil {
		data, err := json.Marshal(r.question)
		if err != nil {
			return nil, fmt.Errorf("encode the question to an agent: %w", err)
		}
		body = bytes.NewReader(data)
	}
	address := "https://" + netip.AddrPortFrom(n.IP, cluster.AgentPort).String() + r.path
	req, err := http.NewRequestWithContext(ctx, r.method, address, body)
	if err != nil {
		return nil, err
	}
	// An agent that was restarted has closed the idle connection. Go then opens a new one if it may repeat the request,
	// which this header allows; an empty value is not sent.
	req.Header["Idempotency-Key"] = nil
	return req, nil
}

// cause explains why a request failed.
func cause(ctx context.Context, err error, sent bool) error {
	if c := context.Cause(ctx); c != nil {
		return c
	}
	// The address means nothing to a user, who knows nodes by name.
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	if !sent {
		return fmt.Errorf("%w (%w)", errConnect, err)
	}
	return err
}
