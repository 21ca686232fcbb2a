// Package api shows one node's DNS server over HTTP. The node's agent mounts it, and lets only the cluster's daemon in.
//
//	GET  /status       one cluster.DNSStatus
//	GET  /health       a Health per line: one at once, then whenever it changed
//	GET  /log?fold=    a cluster.DNSQuery per line: what is answered from now on
//	POST /lookup       a cluster.DNSLookup; answers with the cluster.DNSLookupResult
//	POST /flush        forgets cached answers; answers with a Flushed
//
// Streams end with their client or with the HTTP server that serves the handler. An error is a status and a line of
// text. Begin reading at Server and New.
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
	// maxStreams bounds the watchers of each kind. There is one daemon, which merges what its clients want to see.
	maxStreams = 16
	// maxBody is far more than a name and 32 search domains take.
	maxBody = 64 << 10
	// lookupLimit bounds a lookup with all its steps; what an upstream may take is bounded by the server.
	lookupLimit = 20 * time.Second
	// stallLimit ends a stream whose reader takes nothing any more.
	stallLimit = 10 * time.Second

	// What a resolver accepts: glibc caps ndots, Kubernetes the number of search domains.
	maxNdots  = 15
	maxSearch = 32
)

// Server is what the API shows. Its methods may be called from any goroutine and at any time, before it serves too.
type Server interface {
	Status() cluster.DNSStatus
	Lookup(ctx context.Context, q cluster.DNSLookup) cluster.DNSLookupResult
	// Flush forgets the cached answers of upstreams and says how many there were.
	Flush() int
	// Subscribe is that of feed.Feed.
	Subscribe(ctx context.Context, fold bool, send func(cluster.DNSQuery) error) error
	// Health returns how the server is, and a channel that is closed when that is no longer so.
	Health() (Health, <-chan struct{})
}

// Health is what decides whether pods are sent to this server.
type Health struct {
	// Phase is Running if it answers from complete records; anything else is a reason to ask another node's server.
	Phase  cluster.Phase `json:"phase"`
	Reason string        `json:"reason,omitempty"`
}

// Flushed is the answer of a flush.
type Flushed struct {
	Entries int `json:"entries"`
}

type handler struct {
	server        Server
	logs, healths chan struct{} // a place for each stream
}

// New makes the handler. It starts nothing.
func New(s Server) http.Handler {
	h := &handler{server: s, logs: make(chan struct{}, maxStreams), healths: make(chan struct{}, maxStreams)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { answer(w, s.Status()) })
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, r *http.Request) { h.stream(w, r, h.healths, h.health) })
	mux.HandleFunc("GET /log", func(w http.ResponseWriter, r *http.Request) { h.stream(w, r, h.logs, h.log) })
	mux.HandleFunc("POST /lookup", h.lookup)
	mux.HandleFunc("POST /flush", func(w http.ResponseWriter, _ *http.Request) { answer(w, Flushed{s.Flush()}) })
	return mux
}

// stream takes a place among the watchers of a kind and runs tell until it ends.
func (h *handler) stream(w http.ResponseWriter, r *http.Request, places chan struct{}, tell func(*http.Request, *lines) error) {
	select {
	case places <- struct{}{}:
		defer func() { <-places }()
	default:
		http.Error(w, fmt.Sprintf("%d clients watch already", maxStreams), http.StatusTooManyRequests)
		return
	}
	w.Header().Set("Content-Type", "application/jsonl")
	l := &lines{enc: json.NewEncoder(w), rc: http.NewResponseController(w)}
	// The client knows that it is connected before there is anything to tell.
	if err := l.rc.Flush(); err != nil {
		return
	}
	// A stream that ends with an error breaks off, which its reader takes as a reason to come again.
	if err := tell(r, l); err != nil && r.Context().Err() == nil {
		panic(http.ErrAbortHandler)
	}
}

func (h *handler) log(r *http.Request, l *lines) error {
	fold, _ := strconv.ParseBool(r.URL.Query().Get("fold"))
	return h.server.Subscribe(r.Context(), fold, func(q cluster.DNSQuery) error { return l.send(q) })
}

func (h *handler) health(r *http.Request, l *lines) error {
	var told Health
	for {
		now, changed := h.server.Health()
		if now != told {
			if err := l.send(now); err != nil {
				return err
			}
			told = now
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

// check says why q cannot be asked.
func check(q cluster.DNSLookup) error {
	if _, ok := dns.IsDomainName(q.Name); !ok || q.Name == "" {
		return fmt.Errorf("%q is no name", q.Name)
	}
	if q.Type != "" && !knownType(q.Type) {
		return fmt.Errorf("%q is no type of DNS records", q.Type)
	}
	if q.Ndots < 0 || q.Ndots > maxNdots {
		return fmt.Errorf("ndots %d is not from 0 to %d", q.Ndots, maxNdots)
	}
	if len(q.Search) > maxSearch {
		return fmt.Errorf("%d search domains are more than %d", len(q.Search), maxSearch)
	}
	for _, s := range q.Search {
		if _, ok := dns.IsDomainName(s); !ok || s == "" {
			return fmt.Errorf("search domain %q is no name", s)
		}
	}
	return nil
}

// knownType also reads types by number, "TYPE65".
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
	_ = json.NewEncoder(w).Encode(v) // the client is gone, or all is well
}

// lines is an answer that grows; each line is on its way when send returns.
type lines struct {
	enc *json.Encoder
	rc  *http.ResponseController
}

func (l *lines) send(v any) error {
	// Not every server can do this; one that cannot ends the stream with the connection.
	_ = l.rc.SetWriteDeadline(time.Now().Add(stallLimit))
	return errors.Join(l.enc.Encode(v), l.rc.Flush())
}
