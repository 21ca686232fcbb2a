package localapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

// DNSBackend is the part of Backend for the cluster's DNS servers, one per node. Its errors are faults: Addon if DNS is
// disabled or does not answer, NotRunning before the control plane is ready, NodeNotFound.
type DNSBackend interface {
	// DNSStatus queries the servers of all nodes. One that does not answer has PhaseUnknown and the reason.
	DNSStatus(ctx context.Context) ([]cluster.DNSStatus, error)
	// DNSLog calls watching once it is connected to every node that can be reached, and send with each question that is
	// answered from then on, until ctx ends or send fails. Other nodes are waited for.
	DNSLog(ctx context.Context, q cluster.DNSLogQuery, watching func(), send func(cluster.DNSQuery) error) error
	// DNSLookup queries one server. A name that does not exist is not an error.
	DNSLookup(ctx context.Context, q cluster.DNSQuestion) (cluster.DNSAnswer, error)
	// DNSFlush removes cached answers on one node, or on all if node is empty.
	DNSFlush(ctx context.Context, node string) ([]cluster.DNSFlushed, error)
	// HostDNS is what this machine's programs get answered.
	HostDNS() cluster.HostDNS
}

// maxQuestion is far more than the text of a lookup needs.
const maxQuestion = 64 << 10

func dnsRoutes(mux *http.ServeMux, b DNSBackend) {
	mux.HandleFunc("GET /v1/dns/status", func(w http.ResponseWriter, r *http.Request) {
		status, err := b.DNSStatus(r.Context())
		answer(w, status, err)
	})
	mux.HandleFunc("GET /v1/dns/log", func(w http.ResponseWriter, r *http.Request) {
		v := r.URL.Query()
		q := cluster.DNSLogQuery{Node: v.Get("node"), Pod: v.Get("pod"), Fold: v.Get("fold") == "true"}
		// The answer starts when no more questions are missed.
		var s *stream
		watching := func() {
			if s == nil {
				s = newStream(w, "application/jsonl")
			}
		}
		err := b.DNSLog(r.Context(), q, watching, func(v cluster.DNSQuery) error {
			watching()
			return s.send(v)
		})
		if s == nil && err != nil {
			fail(w, err)
			return
		}
		watching()
		s.end(err)
	})
	mux.HandleFunc("POST /v1/dns/lookup", func(w http.ResponseWriter, r *http.Request) {
		var q cluster.DNSQuestion
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxQuestion)).Decode(&q); err != nil {
			fail(w, fault.New(fault.Usage, "read the question", err))
			return
		}
		a, err := b.DNSLookup(r.Context(), q)
		answer(w, a, err)
	})
	mux.HandleFunc("GET /v1/dns/host", func(w http.ResponseWriter, _ *http.Request) { answer(w, b.HostDNS(), nil) })
	mux.HandleFunc("POST /v1/dns/flush", func(w http.ResponseWriter, r *http.Request) {
		flushed, err := b.DNSFlush(r.Context(), r.URL.Query().Get("node"))
		answer(w, flushed, err)
	})
}

func answer(w http.ResponseWriter, v any, err error) {
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// DNSStatus returns the state of the DNS servers of all nodes.
func (c *Client) DNSStatus(ctx context.Context) (status []cluster.DNSStatus, err error) {
	err = c.do(ctx, http.MethodGet, "/v1/dns/status", func(r *http.Response) error { return decode(r.Body, &status) })
	return status, err
}

// DNSLog calls watching, and then f with each question that is answered from that moment on, until f fails, ctx ends or
// the daemon exits. It returns f's error unchanged, and nil only if the daemon stopped in order.
func (c *Client) DNSLog(ctx context.Context, q cluster.DNSLogQuery, watching func(), f func(cluster.DNSQuery) error) error {
	v := url.Values{"node": {q.Node}, "pod": {q.Pod}, "fold": {strconv.FormatBool(q.Fold)}}
	return c.do(ctx, http.MethodGet, "/v1/dns/log?"+v.Encode(), func(r *http.Response) error {
		watching()
		return readLines(ctx, r, f)
	})
}

// DNSLookup queries a DNS server and returns each step.
func (c *Client) DNSLookup(ctx context.Context, q cluster.DNSQuestion) (a cluster.DNSAnswer, err error) {
	body, err := json.Marshal(q)
	if err != nil {
		return a, fmt.Errorf("encode the question: %w", err)
	}
	err = c.send(ctx, http.MethodPost, "/v1/dns/lookup", bytes.NewReader(body), func(r *http.Response) error { return decode(r.Body, &a) })
	return a, err
}

// DNSFlush removes cached answers on one node, or on all if node is empty.
func (c *Client) DNSFlush(ctx context.Context, node string) (flushed []cluster.DNSFlushed, err error) {
	path := "/v1/dns/flush?" + url.Values{"node": {node}}.Encode()
	err = c.do(ctx, http.MethodPost, path, func(r *http.Response) error { return decode(r.Body, &flushed) })
	return flushed, err
}

// HostDNS returns the names that the cluster has on this machine.
func (c *Client) HostDNS(ctx context.Context) (h cluster.HostDNS, err error) {
	err = c.do(ctx, http.MethodGet, "/v1/dns/host", func(r *http.Response) error { return decode(r.Body, &h) })
	return h, err
}

func decode(body io.Reader, v any) error {
	if err := json.NewDecoder(body).Decode(v); err != nil {
		return fmt.Errorf("read the daemon's answer: %w", err)
	}
	return nil
}
