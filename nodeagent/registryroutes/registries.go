// Package registryroutes is the part of the agent by which nodes pull from the daemon: it has the node's containerd ask the daemon for
// images of registries that an addon names. It stays so while the daemon is away.
//
// The API, at /v1/registries:
//
//	POST   /ADDON   takes a cluster.NodeRegistries; answers with a line when containerd uses it, and then with nothing until the
//	                client ends it, who thereby notices when the node needs it again
//	DELETE /ADDON   containerd does not use it any more
package registryroutes

import (
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"sync"

	"bonsai/bootstrap/cluster"
)

// Name is the part's.
const Name = "registries"

// maxRequest bounds what is read of a request: some names.
const maxRequest = 1 << 20

// Part implements nodeagent.Part. Create it with New.
type Part struct {
	set func(addon string, n *cluster.NodeRegistries) error
	mu  sync.Mutex // held while set runs
}

// New returns the part. set has containerd use what an addon of the daemon serves, nil for nothing any more.
func New(set func(addon string, n *cluster.NodeRegistries) error) *Part { return &Part{set: set} }

// Name implements nodeagent.Part.
func (*Part) Name() string { return Name }

// addonPattern is what names of addons are, which become names of files.
var addonPattern = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// Handler implements nodeagent.Part.
func (p *Part) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /{addon}", func(w http.ResponseWriter, r *http.Request) {
		var n cluster.NodeRegistries
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest)).Decode(&n); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if !p.apply(w, r, &n) {
			return
		}
		_, _ = io.WriteString(w, "{}\n") // the client may be gone
		if err := http.NewResponseController(w).Flush(); err != nil {
			return
		}
		<-r.Context().Done()
	})
	mux.HandleFunc("DELETE /{addon}", func(w http.ResponseWriter, r *http.Request) {
		if p.apply(w, r, nil) {
			w.WriteHeader(http.StatusNoContent)
		}
	})
	return mux
}

// apply sets what an addon serves, or answers why that is not possible.
func (p *Part) apply(w http.ResponseWriter, r *http.Request, n *cluster.NodeRegistries) bool {
	addon := r.PathValue("addon")
	if !addonPattern.MatchString(addon) {
		http.Error(w, "this is not the name of an addon", http.StatusBadRequest)
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.set(addon, n); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return false
	}
	return true
}
