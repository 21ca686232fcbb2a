package traffic

import (
	"net/http"
	"strings"
	"time"

	"k8s.io/apiserver/pkg/endpoints/responsewriter"
)

// Handler counts what next serves. It belongs around all other filters of the API server, so that it sees requests that
// these refuse, and how long they delay others. Loopback is the server name that the API server's client of itself
// uses.
func (c *Counters) Handler(next http.Handler, loopback string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l := &c.callers[callerOf(r, loopback)]
		l.begun.Add(1)
		s := &statusWriter{ResponseWriter: w}
		w = responsewriter.WrapForHTTP1Or2(s)
		switch kind := kindOf(r); kind {
		case short:
			begin := time.Now()
			c.inflight.Add(1)
			defer func() {
				c.inflight.Add(-1)
				l.end(time.Since(begin), failed(s.status))
			}()
		default:
			// How long it took is up to the client.
			if kind == watch {
				c.watches.Add(1)
			}
			defer func() {
				if kind == watch {
					c.watches.Add(-1)
				}
				if failed(s.status) {
					l.failed.Add(1)
				}
			}()
		}
		next.ServeHTTP(w, r)
	})
}

// failed reports that the server could not do its work, or refused because of overload.
func failed(status int) bool { return status >= 500 || status == http.StatusTooManyRequests }

// statusWriter remembers the status, which stays 0 for the implicit 200.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (s *statusWriter) WriteHeader(status int) {
	if s.status == 0 {
		s.status = status
	}
	s.ResponseWriter.WriteHeader(status)
}

func (s *statusWriter) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// controllersPrefix begins the last part of a controller's user agent: "bonsai/v1.37.2 (linux/amd64) kubernetes/abc/"
// and its name (constructClient in k8s.io/controller-manager/pkg/clientbuilder). They have tokens instead of
// certificates.
const controllersPrefix = "system:serviceaccount:kube-system:"

// callerOf uses what a client says about itself, unverified: the figures are for people who want to see what is going
// on, and a client that wants to be counted as another does no harm.
func callerOf(r *http.Request, loopback string) caller {
	if r.TLS == nil {
		return clients
	}
	if r.TLS.ServerName == loopback {
		return apiServer
	}
	if len(r.TLS.PeerCertificates) > 0 {
		switch user := r.TLS.PeerCertificates[0].Subject.CommonName; {
		case strings.HasPrefix(user, "system:node:"):
			return kubelet
		case user == "system:kube-scheduler":
			return scheduler
		case user == "system:kube-controller-manager":
			return controllerManager
		}
		return clients
	}
	agent := r.UserAgent()
	if strings.HasPrefix(agent[strings.LastIndexByte(agent, '/')+1:], controllersPrefix) {
		return controllerManager
	}
	return clients
}

// kind is how long a request takes by its nature.
type kind int

const (
	short  kind = iota
	watch       // open until the client or the server ends it
	stream      // logs that are followed, exec, attach, port-forward, proxy
)

// kindOf does roughly what upstream's request info does, without parsing everything.
func kindOf(r *http.Request) kind {
	path, query := r.URL.Path, r.URL.RawQuery
	switch {
	case query != "" && (has(query, "watch=true") || has(query, "watch=1")), strings.Contains(path, "/watch/"):
		return watch
	case has(query, "follow=true") || has(query, "follow=1"), strings.Contains(path, "/proxy/"):
		return stream
	}
	switch path[strings.LastIndexByte(path, '/')+1:] {
	case "exec", "attach", "portforward", "proxy":
		return stream
	}
	return short
}

// has looks for one parameter of a query.
func has(query, parameter string) bool {
	for {
		i := strings.Index(query, parameter)
		if i < 0 {
			return false
		}
		end := i + len(parameter)
		if (i == 0 || query[i-1] == '&') && (end == len(query) || query[end] == '&') {
			return true
		}
		query = query[end:]
	}
}
