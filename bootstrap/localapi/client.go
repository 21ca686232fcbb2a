package localapi

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"syscall"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

// Client talks to the daemon behind one socket. It holds no connection between calls and is safe for concurrent use.
// Without a daemon every call returns the fault NotRunning.
type Client struct {
	socket string
	log    *slog.Logger
}

// NewClient returns a client. Nothing is dialled yet.
func NewClient(socket string) *Client {
	return &Client{socket: socket, log: slog.New(slog.DiscardHandler)}
}

// LogTo makes the client log each request at debug level, and returns it. Bodies are not logged.
func (c *Client) LogTo(log *slog.Logger) *Client {
	c.log = log
	return c
}

// Snapshot returns what the daemon currently knows.
func (c *Client) Snapshot(ctx context.Context) (s cluster.Snapshot, err error) {
	err = c.do(ctx, http.MethodGet, "/v1/snapshot", func(r *http.Response) error {
		return json.NewDecoder(r.Body).Decode(&s)
	})
	return s, err
}

// Watch calls f with the newest snapshot, at once and after each change, until f fails, ctx ends or the daemon exits.
// It returns f's error unchanged, and nil only if the daemon stopped in order.
func (c *Client) Watch(ctx context.Context, f func(cluster.Snapshot) error) error {
	return lines(ctx, c, "/v1/watch", f)
}

// Events calls f with every event since the daemon started and returns nil when its start has succeeded or failed.
func (c *Client) Events(ctx context.Context, f func(cluster.Event) error) error {
	return lines(ctx, c, "/v1/events", f)
}

// Logs copies log lines into w; with Follow until ctx ends or the daemon exits.
func (c *Client) Logs(ctx context.Context, q LogQuery, w io.Writer) error {
	query := url.Values{"component": {q.Component}, "tail": {strconv.Itoa(q.Tail)}, "follow": {strconv.FormatBool(q.Follow)}}
	return c.do(ctx, http.MethodGet, "/v1/logs?"+query.Encode(), func(r *http.Response) error {
		if _, err := io.Copy(w, r.Body); err != nil {
			return err
		}
		return streamEnd(r)
	})
}

// Reload makes the daemon read the spec again and returns when it has applied it.
func (c *Client) Reload(ctx context.Context) error {
	return c.do(ctx, http.MethodPost, "/v1/reload", nil)
}

// Stop makes the daemon begin its orderly stop.
func (c *Client) Stop(ctx context.Context) error {
	return c.do(ctx, http.MethodPost, "/v1/stop", nil)
}

// do makes one request on a connection of its own; read gets a successful answer.
func (c *Client) do(ctx context.Context, method, path string, read func(*http.Response) error) error {
	return c.send(ctx, method, path, nil, read)
}

// send is do with a body.
func (c *Client) send(ctx context.Context, method, path string, body io.Reader, read func(*http.Response) error) (err error) {
	began := time.Now()
	defer func() {
		log := c.log.With("request", method+" "+path, "took", time.Since(began).Round(time.Millisecond))
		if err != nil {
			log = log.With("err", err)
		}
		log.DebugContext(ctx, "daemon")
	}()
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", c.socket)
		},
	}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, method, "http://bonsai"+path, body)
	if err != nil {
		return fmt.Errorf("ask the daemon: %w", err)
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return dialFault(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode >= 300 {
		var p cluster.Problem
		if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&p); err != nil || p.Kind == "" {
			return fault.Newf(fault.Internal, "ask the daemon for %s: it answered %s", path, resp.Status).
				Advise("the daemon may have another version of bonsai; restart the cluster", cluster.Bonsai("stop").Change(), cluster.Bonsai("start").Change())
		}
		return fault.FromProblem(p)
	}
	if read == nil {
		return nil
	}
	return read(resp)
}

// lines decodes a stream of JSON values. f's own error passes unchanged.
func lines[T any](ctx context.Context, c *Client, path string, f func(T) error) error {
	return c.do(ctx, http.MethodGet, path, func(r *http.Response) error { return readLines(ctx, r, f) })
}

func readLines[T any](ctx context.Context, r *http.Response, f func(T) error) error {
	dec := json.NewDecoder(bufio.NewReader(r.Body))
	for {
		var v T
		err := dec.Decode(&v)
		switch {
		case errors.Is(err, io.EOF):
			return streamEnd(r)
		case err != nil && ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return fmt.Errorf("the daemon closed the connection: %w", err)
		}
		if err := f(v); err != nil {
			return err
		}
	}
}

// streamEnd distinguishes a complete stream from one that failed or broke off; its body has been read.
func streamEnd(r *http.Response) error {
	if text := r.Trailer.Get(problemTrailer); text != "" {
		var p cluster.Problem
		text, err := url.QueryUnescape(text)
		if err == nil {
			err = json.Unmarshal([]byte(text), &p)
		}
		if err != nil {
			return fmt.Errorf("the daemon's error cannot be read: %w", err)
		}
		return fault.FromProblem(p)
	}
	if r.Trailer.Get(endTrailer) == "" {
		return fmt.Errorf("the daemon closed the connection: %w", io.ErrUnexpectedEOF)
	}
	return nil
}

func dialFault(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("ask the daemon: %w", context.Cause(ctx))
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fault.New(fault.NotRunning, "ask the cluster's daemon", err).Advise("start the cluster", cluster.Bonsai("start").Cure())
	case errors.Is(err, fs.ErrPermission):
		return fault.New(fault.State, "ask the cluster's daemon", err).Advise("the cluster belongs to another user; run bonsai as that user")
	}
	return fmt.Errorf("ask the daemon: %w", err)
}
