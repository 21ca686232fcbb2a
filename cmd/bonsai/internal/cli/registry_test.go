package cli

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"bonsai/bootstrap/registrystore"
)

// pushImages puts images of one layer into a store: the folder, and their names.
func pushImages(ts *testscript.TestScript, _ bool, args []string) {
	store := registrystore.Open(ts.MkAbs(args[0]))
	for _, name := range args[1:] {
		repository, tag, _ := strings.Cut(name, ":")
		part := func(text string) registrystore.Descriptor {
			digest, err := store.Put([]byte(text))
			ts.Check(err)
			return registrystore.Descriptor{Digest: digest, Size: int64(len(text))}
		}
		config := part("config of " + name)
		data, err := json.Marshal(registrystore.Manifest{
			MediaType: "application/vnd.oci.image.manifest.v1+json", Config: &config, Layers: []registrystore.Descriptor{part("layer of " + name)},
		})
		ts.Check(err)
		_, err = store.PutManifest(repository, tag, "application/vnd.oci.image.manifest.v1+json", data)
		ts.Check(err)
	}
}

// serveRegistry serves an API that wants a login and counts requests, and sets the variable of that name to its URL.
func serveRegistry(ts *testscript.TestScript, _ bool, args []string) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, ok := r.BasicAuth(); !ok || user != "ann" || password != "secret" {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("RateLimit-Limit", "100;w=21600")
		w.Header().Set("RateLimit-Remaining", "76;w=21600")
	}))
	ts.Defer(server.Close)
	ts.Setenv(args[0], strings.TrimPrefix(server.URL, "http://"))
}
