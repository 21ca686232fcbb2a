package apiserver

import (
	"net/http"
	"strings"
	"sync"

	apidiscoveryv2 "k8s.io/api/apidiscovery/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/endpoints/discovery/aggregated"
)

// Groups are groups of the API that this process serves itself, besides those of Kubernetes, each for as long as somebody wants
// that. An APIService without a Service announces such a group; upstream expects the API server to serve it then. Requests
// for them have passed everything that other requests pass: authentication, authorization, fairness, audit. The zero value serves
// none.
type Groups struct {
	mu     sync.RWMutex // guards the rest
	served map[string]http.Handler
	// listed is the aggregated discovery of the server; nil until that is built.
	listed aggregated.ResourceManager
}

// Serve lets h answer all requests for a group, and lists one version of it, until end is called. The server has to be built,
// and nobody else serves the group.
func (g *Groups) Serve(group string, version apidiscoveryv2.APIVersionDiscovery, h http.Handler) (end func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.served == nil {
		g.served = map[string]http.Handler{}
	}
	g.served[group] = h
	if g.listed != nil {
		g.listed.AddGroupVersion(group, version)
		// The lowest that upstream's manifests have: names such as "pods" mean other groups first.
		g.listed.SetGroupVersionPriority(metav1.GroupVersion{Group: group, Version: version.Version}, 100, 100)
	}
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.served, group)
		if g.listed != nil {
			g.listed.RemoveGroup(group)
		}
	}
}

// list lets the groups be listed by the server that has this discovery.
func (g *Groups) list(all aggregated.ResourceManager) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.listed = all.WithSource(aggregated.BuiltinSource)
}

// wrap answers requests for what is served, and leaves all others to next.
func (g *Groups) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h := g.handler(r.URL.Path); h != nil {
			h.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// handler is the one of a path, /apis/GROUP/VERSION and below; the list of versions of a group is made of APIServices.
func (g *Groups) handler(path string) http.Handler {
	rest, ok := strings.CutPrefix(path, "/apis/")
	if !ok {
		return nil
	}
	group, version, _ := strings.Cut(rest, "/")
	if version == "" {
		return nil
	}
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.served[group]
}
