// Package gateway is the data plane of Ingress and Gateway API on a node: the agent's part, which gets tables from the daemon
// and keeps a process for them, and what that process does (Serve, with package proxy).
//
// The process exists only while there is something to serve. It is one of its own so that its load and its failures are not
// the agent's, on which the whole node depends. It gets its tables through the agent's socket, so that private keys are in
// the memory of both and nowhere else. When the daemon is away, the last table stays in force.
//
//	PUT    /table   from the daemon: a new table
//	DELETE /table   from the daemon: the addon is disabled
//	GET    /table   for the process: the table, now and after each change
//	PUT    /report  from the process: what it serves
//	GET    /report  for the daemon: the same, now and after each change
package gateway

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"reflect"
	"sync"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/gatewaytable"
	"bonsai/bootstrap/wait"
	"bonsai/nodeagent/supervise"
)

// Name is the part's, and thereby where its API is: /v1/gateway. It is also the name of the process.
const Name = cluster.GatewayAddon

const (
	// maxTable bounds a table; one with a thousand hosts is less than a megabyte.
	maxTable = 64 << 20
	// grace is what requests have when the process ends.
	grace = time.Second
)

// Config is what the part needs of its agent.
type Config struct {
	// Program and Args are the command that calls Serve.
	Program string
	Args    []string
	Env     func() []string
	LogFile string
	Scale   wait.Scale
	Log     *slog.Logger
}

// Part implements nodeagent.Runner. Create it with New.
type Part struct {
	cfg   Config
	child *supervise.Process

	mu      sync.Mutex // guards the rest
	table   gatewaytable.Table
	report  gatewaytable.Report
	changed chan struct{} // closed and replaced when one of both changes
}

// New returns a part that does nothing until a table comes.
func New(cfg Config) *Part {
	p := &Part{cfg: cfg, changed: make(chan struct{})}
	p.child = supervise.New(supervise.Spec{
		Name: Name, Path: cfg.Program, Args: cfg.Args, Env: cfg.Env, LogFile: cfg.LogFile, Grace: cfg.Scale.Of(grace),
		OnChange: func(c cluster.Component) {
			if c.Phase != cluster.PhaseRunning { // and with it all its ports are gone
				p.setReport(gatewaytable.Report{})
			}
		},
	}, cfg.Log)
	return p
}

// Name implements nodeagent.Part.
func (p *Part) Name() string { return Name }

// Component implements nodeagent.Runner. While there is nothing to serve, it has no name.
func (p *Part) Component() cluster.Component {
	c := p.child.Status()
	if c.Phase == cluster.PhaseStopped {
		return cluster.Component{}
	}
	return c
}

// Run keeps the process running while there is something to serve, until ctx ends.
func (p *Part) Run(ctx context.Context) error {
	for {
		table, _, changed := p.now()
		if len(table.Ports) == 0 {
			select {
			case <-ctx.Done():
				return nil
			case <-changed:
			}
			continue
		}
		serving, stop := context.WithCancel(ctx)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			p.child.Run(serving)
		}()
		for len(table.Ports) > 0 && ctx.Err() == nil {
			select {
			case <-ctx.Done():
			case <-changed:
				table, _, changed = p.now()
			}
		}
		stop()
		<-ended
	}
}

func (p *Part) now() (gatewaytable.Table, gatewaytable.Report, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.table, p.report, p.changed
}

func (p *Part) setTable(t gatewaytable.Table) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.table = t
	if len(t.Ports) == 0 { // nothing that a process could report
		p.report = gatewaytable.Report{Table: t.ID}
	}
	p.signal()
}

func (p *Part) setReport(r gatewaytable.Report) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.table.Ports) == 0 {
		r = gatewaytable.Report{Table: p.table.ID}
	}
	if !reflect.DeepEqual(r, p.report) {
		p.report = r
		p.signal()
	}
}

// signal wakes those who follow. p.mu is held.
func (p *Part) signal() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// Handler implements nodeagent.Part.
func (p *Part) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /table", func(w http.ResponseWriter, r *http.Request) {
		var t gatewaytable.Table
		if read(w, r, &t) {
			p.setTable(t)
		}
	})
	mux.HandleFunc("DELETE /table", func(w http.ResponseWriter, _ *http.Request) {
		p.setTable(gatewaytable.Table{})
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("PUT /report", func(w http.ResponseWriter, r *http.Request) {
		var report gatewaytable.Report
		if read(w, r, &report) {
			p.setReport(report)
		}
	})
	mux.HandleFunc("GET /table", func(w http.ResponseWriter, r *http.Request) {
		follow(w, r, func() (gatewaytable.Table, <-chan struct{}) { t, _, changed := p.now(); return t, changed },
			func(a, b gatewaytable.Table) bool { return a.ID == b.ID })
	})
	mux.HandleFunc("GET /report", func(w http.ResponseWriter, r *http.Request) {
		follow(w, r, func() (gatewaytable.Report, <-chan struct{}) { _, report, changed := p.now(); return report, changed },
			func(a, b gatewaytable.Report) bool { return reflect.DeepEqual(a, b) })
	})
	return mux
}

// read decodes the body of a request, or answers what is wrong with it.
func read(w http.ResponseWriter, r *http.Request, into any) bool {
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxTable)).Decode(into); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return false
	}
	w.WriteHeader(http.StatusNoContent)
	return true
}

// follow sends a value now and after each change, as lines of JSON, until the client ends it.
func follow[T any](w http.ResponseWriter, r *http.Request, now func() (T, <-chan struct{}), same func(a, b T) bool) {
	w.Header().Set("Content-Type", "application/json")
	encoder, flusher := json.NewEncoder(w), http.NewResponseController(w)
	var last T
	for first := true; ; first = false {
		value, changed := now()
		if first || !same(value, last) {
			last = value
			if encoder.Encode(value) != nil || flusher.Flush() != nil {
				return
			}
		}
		select {
		case <-r.Context().Done():
			return
		case <-changed:
		}
	}
}
