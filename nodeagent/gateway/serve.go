package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"bonsai/bootstrap/gatewaytable"
	"bonsai/nodeagent/gateway/proxy"
)

// Server is the process that the part keeps.
type Server struct {
	// Socket is the agent's.
	Socket string
	// Address is where it listens.
	Address netip.Addr
	// Access gets the access log.
	Access io.Writer
	Log    *slog.Logger
}

const (
	// reconnectPause is between two attempts to reach the agent.
	reconnectPause = 200 * time.Millisecond
	reportLimit    = 5 * time.Second
)

// Serve does what the agent's tables say until ctx ends.
func (s Server) Serve(ctx context.Context) error {
	access := proxy.NewAccessLog(s.Access)
	defer access.Close()
	p := proxy.New(proxy.Config{Address: s.Address, Access: access.Record, Log: s.Log})
	client := &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", s.Socket)
		},
	}}
	defer client.CloseIdleConnections()
	var tasks sync.WaitGroup
	defer tasks.Wait()
	tasks.Go(func() { p.Run(ctx) })
	tasks.Go(func() { s.report(ctx, client, p) })
	for ctx.Err() == nil {
		if err := s.tables(ctx, client, p); ctx.Err() == nil {
			s.Log.Warn("the agent's tables cannot be followed; the last one stays in force", "err", err)
			pause(ctx, reconnectPause)
		}
	}
	return nil
}

// tables applies the agent's tables until the connection ends.
func (s Server) tables(ctx context.Context, client *http.Client, p *proxy.Proxy) error {
	resp, err := ask(ctx, client, http.MethodGet, "/table", nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	for decoder := json.NewDecoder(resp.Body); ; {
		var t gatewaytable.Table
		if err := decoder.Decode(&t); err != nil {
			return err
		}
		if err := p.Apply(t); err != nil {
			s.Log.Error("a table cannot be used; the one before stays in force", "err", err)
		}
	}
}

// report sends what is served to the agent, now and after each change.
func (s Server) report(ctx context.Context, client *http.Client, p *proxy.Proxy) {
	for {
		report, changed := p.Report()
		err := s.send(ctx, client, report)
		if err != nil && ctx.Err() == nil {
			s.Log.Warn("the agent does not take the report", "err", err)
			pause(ctx, reconnectPause)
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}

func (s Server) send(ctx context.Context, client *http.Client, report gatewaytable.Report) error {
	ctx, cancel := context.WithTimeout(ctx, reportLimit)
	defer cancel()
	data, err := json.Marshal(report)
	if err != nil {
		return err
	}
	resp, err := ask(ctx, client, http.MethodPut, "/report", bytes.NewReader(data))
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

func ask(ctx context.Context, client *http.Client, method, path string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://agent/v1/"+Name+path, body)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the node agent: %w", err)
	}
	if resp.StatusCode/100 != 2 {
		_ = resp.Body.Close()
		return nil, errors.New("the node agent answers " + resp.Status)
	}
	return resp, nil
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
