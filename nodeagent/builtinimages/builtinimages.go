// Package builtinimages gives pods the images that are part of the payload, without a registry.
//
// It has two halves. Part is in the agent, and imports an image into containerd when it is wanted for the first time. Proxy is in
// the kubelet's process, between the kubelet and containerd's image service: it passes everything on, except that an image of
// the payload counts as present, and as pulled, whenever the kubelet asks for it. So "bonsai/hello", which has no tag and
// therefore the pull policy Always, starts without a network; decision 041 says why it is not a mirror.
package builtinimages

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/distribution/reference"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/wait"
)

// Name of the part; its API is at /v1/builtin-images.
const Name = "builtin-images"

// importLimit bounds one import, which takes a fraction of a second.
const importLimit = time.Minute

// Images is what Part needs of containerd.
type Images interface {
	// EnsureBuiltin imports the archive file, which has this digest, unless the image of that name is that of the archive, or is not
	// of a payload: somebody has loaded it.
	EnsureBuiltin(ctx context.Context, name, file, digest string) error
}

// Part imports images on request:
//
//	PUT /HELLO   imports the image of the payload whose archive is HELLO.tar, unless it is there
type Part struct {
	// Dir has the archives.
	dir    string
	images Images
	scale  wait.Scale

	mu sync.Mutex // held during an import: two of one image would do the work twice
	// digests are those of the archives, which do not change while the agent runs.
	digests map[string]string
}

// New returns the part of the agent. dir has the archives of the payload.
func New(dir string, images Images, scale wait.Scale) *Part {
	return &Part{dir: dir, images: images, scale: scale, digests: map[string]string{}}
}

// Name implements nodeagent.Part.
func (*Part) Name() string { return Name }

// Handler implements nodeagent.Part.
func (p *Part) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /{image}", func(w http.ResponseWriter, r *http.Request) {
		for image, archive := range cluster.BuiltinImages() {
			if archive != r.PathValue("image")+".tar" {
				continue
			}
			if err := p.ensure(r.Context(), image, archive); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			w.WriteHeader(http.StatusNoContent)
			return
		}
		http.Error(w, "there is no such image in the payload", http.StatusNotFound)
	})
	return mux
}

func (p *Part) ensure(ctx context.Context, image, archive string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	ctx, cancel := p.scale.Limit(ctx, importLimit, "containerd to import "+image)
	defer cancel()
	file := filepath.Join(p.dir, archive)
	if p.digests[archive] == "" {
		digest, err := digestOf(file)
		if err != nil {
			return fmt.Errorf("read the payload's image: %w", err)
		}
		p.digests[archive] = digest
	}
	return p.images.EnsureBuiltin(ctx, image, file, p.digests[archive])
}

func digestOf(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", h.Sum(nil)), nil
}

// Archive is what Part calls an image of the payload, by any name that a pod may have for it; "" if it is another image.
func Archive(name string) string {
	return strings.TrimSuffix(cluster.BuiltinImages()[builtin(name)], ".tar")
}

// builtin returns the full name of an image of the payload, by any name that a pod may have for it; "" if it is another.
func builtin(name string) string {
	full, err := reference.ParseDockerRef(name)
	if err != nil {
		return ""
	}
	if _, ok := cluster.BuiltinImages()[full.String()]; ok {
		return full.String()
	}
	return ""
}
