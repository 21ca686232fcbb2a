// Package api exposes one node's DNS server over HTTP. The node's agent mounts it, and admits only the cluster's
// daemon.
//
//	GET  /status       one cluster.DNSStatus
//	GET  /health       a Health per line: one at once, then whenever it changed
//	GET  /log?fold=    a cluster.DNSQuery per line: what is answered from now on
//	POST /lookup       a cluster.DNSLookup; answers with the cluster.DNSLookupResult
//	PUT  /resolvers    a cluster.Resolvers: those of the machine by now
//	POST /flush        forgets cached answers; answers with a Flushed
//
// Streams end with their client or with the HTTP server that serves the handler. An error is a status code and a line
// of text. Begin reading at Server and New.
package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"

	"bonsai/bootstrap/cluster"
)

const (
	// maxStreams limits the watchers of each kind. There is one daemon, which merges what its clients want to see.
	maxStreams = 16
	// maxBody is far more than a name and 32 search domains need.
	maxBody = 64 << 10
	// lookupLimit bounds a lookup with all its steps; the server bounds the time for upstreams.
	lookupLimit = 20 * time.Second
	// stallLimit ends a stream whose reader accepts no more data.
	stallLimit = 10 * time.Second

	// What a resolver accepts: glibc caps ndots, Kubernetes the number of search domains.
	maxNdots  = 15
	maxSearch = 32
)

// Server is what the API exposes. Its methods may be called from any goroutine and at any time, even before it serves.
type Server interface {
	Status() cluster.DNSStatus
	Lookup(ctx context.Context, q cluster.DNSLookup) cluster.DNSLookupResult
	// SetMachine says which resolvers the machine of the node has.
	SetMachine(r cluster.Resolvers)
	// Flush removes the cached answers of upstreams and returns their number.
	Flush() int
	// Subscribe is feed.Feed's.
	Subscribe(ctx context.Context, fold bool, send func(cluster.DNSQuery) error) error
	// Health returns the server's health, and a channel that is closed when it changes.
	Health() (Health, <-chan struct{})
}

// Health decides whether pods are sent to this server.
type Health struct {
	// Phase is Running if it answers from complete records; with any other phase pods should ask another node's server.
	Phase  cluster.Phase `json:"phase"`
	Reason string        `json:"reason,omitempty"`
}

// Flushed is the answer of a flush.
type Flushed struct {
	Entries int `json:"entries"`
}

type handler struct {
	server        Server
	logs, healths chan struct{} // a slot for each stream
}

// New returns the handler. It starts nothing.
func New(s Server) http.Handler {
	h := &handler{server: s, logs: make(chan struct{}, maxStreams), healths: make(chan struct{}, maxStreams)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { answer(w, s.Status()) })
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, r *http.Request) { h.stream(w, r, h.healths, h.health) })
	mux.HandleFunc("GET /log", func(w http.ResponseWriter, r *http.Request) { h.stream(w, r, h.logs, h.log) })
	mux.HandleFunc("POST /lookup", h.lookup)
	mux.HandleFunc("PUT /resolvers", h.resolvers)
	mux.HandleFunc("POST /flush", func(w http.ResponseWriter, _ *http.Request) { answer(w, Flushed{s.Flush()}) })
	return mux
}

// stream takes a slot among the watchers of a kind and runs send until it ends.
func (h *handler) stream(w http.ResponseWriter, r *http.Request, places chan struct{}, send func(*http.Request, *lines) error) {
	select {
	case places <- struct{}{}:
		defer func() { <-places }()
	default:
		http.Error(w, fmt.Sprintf("%d clients are watching already", maxStreams), http.StatusTooManyRequests)
		return
	}
	w.Header().Set("Content-Type", "application/jsonl")
	l := &lines{enc: json.NewEncoder(w), rc: http.NewResponseController(w)}
	// This shows the client that it is connected, before there is anything to send.
	if err := l.rc.Flush(); err != nil {
		return
	}
	// A stream that fails is cut off, which makes its reader connect again.
	if err := send(r, l); err != nil && r.Context().Err() == nil {
		panic(http.ErrAbortHandler)
	}
}

func (h *handler) log(r *http.Request, l *lines) error {
	fold, _ := strconv.ParseBool(r.URL.Query().Get("fold"))
	return h.server.Subscribe(r.Context(), fold, func(q cluster.DNSQuery) error { return l.send(q) })
}

func (h *handler) health(r *http.Request, l *lines) error {
	var sent Health
	for {
		now, changed := h.server.Health()
		if now != sent {
			if err := l.send(now); err != nil {
				return err
			}
			sent = now
		}
		select {
		case <-r.Context().Done():
			return nil
		case <-changed:
		}
	}
}

func (h *handler) lookup(w http.ResponseWriter, r *http.Request) {
	var q cluster.DNSLookup
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&q)
	if err == nil {
		err = check(q)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), lookupLimit)
	defer cancel()
	answer(w, h.server.Lookup(ctx, q))
}

func (h *handler) resolvers(w http.ResponseWriter, r *http.Request) {
	var machine cluster.Resolvers
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&machine); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	h.server.SetMachine(machine)
	w.WriteHeader(http.StatusNoContent)
}

// check returns why q is not a valid lookup.
func check(q cluster.DNSLookup) error {
	if _, ok := dns.IsDomainName(q.Name); !ok || q.Name == "" {
		return fmt.Errorf("%q is not a name", q.Name)
	}
	if q.Type != "" && !knownType(q.Type) {
		return fmt.Errorf("%q is not a type of DNS records", q.Type)
	}
	if q.Ndots < 0 || q.Ndots > maxNdots {
		return fmt.Errorf("ndots %d is not from 0 to %d", q.Ndots, maxNdots)
	}
	if len(q.Search) > maxSearch {
		return fmt.Errorf("%d search domains are more than %d", len(q.Search), maxSearch)
	}
	for _, s := range q.Search {
		if _, ok := dns.IsDomainName(s); !ok || s == "" {
			return fmt.Errorf("search domain %q is not a name", s)
		}
	}
	return nil
}

// knownType also accepts types by number, "TYPE65".
func knownType(name string) bool {
	if _, ok := dns.StringToType[name]; ok {
		return true
	}
	number, ok := strings.CutPrefix(name, "TYPE")
	_, err := strconv.ParseUint(number, 10, 16)
	return ok && err == nil
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // fails only if the client is gone
}

// lines is a streamed response; when send returns, the line has been flushed.
type lines struct {
	enc *json.Encoder
	rc  *http.ResponseController
}

func (l *lines) send(v any) error {
	// Not every server supports this; for those that do not, the stream ends with the connection.
	_ = l.rc.SetWriteDeadline(time.Now().Add(stallLimit))
	return errors.Join(l.enc.Encode(v), l.rc.Flush())
}
