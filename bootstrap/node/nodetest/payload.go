package nodetest

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync/atomic"
	"testing"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/node"
)

// Payload is a payload for tests that counts how often its volume was read.
type Payload struct {
	node.Payload
	Opened *atomic.Int32
}

// entrypoint is the program of test nodes, in the payload volume.
const entrypoint = cluster.PayloadDir + "/bin/init"

// NewPayload returns a payload around a static program, distinct for each seed. A volume's stream is longer than
// any buffer on its way, so that a broken one is noticed in the middle.
func NewPayload(t testing.TB, program []byte, seed string) Payload {
	t.Helper()
	sum := sha256.Sum256(append([]byte(seed+"\n"), program...))
	hash := hex.EncodeToString(sum[:])
	content := archive(t, file{"bin/init", 0o755, program}, file{"seed", 0o644, []byte(seed)}, file{"ballast", 0o644, make([]byte, 4<<20)})
	ref := "bonsai-nodetest:" + hash[:12]
	image := imageArchive(t, ref, hash)
	p := Payload{Opened: new(atomic.Int32)}
	p.Payload = node.Payload{
		Hash: hash, Size: int64(len(content)), ImageRef: ref,
		Volume: func() (io.ReadCloser, error) {
			p.Opened.Add(1)
			return io.NopCloser(bytes.NewReader(content)), nil
		},
		Image: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(image)), nil },
	}
	return p
}

// broken is the payload with a stream that breaks in the middle.
func (p Payload) broken() node.Payload {
	b := p.Payload
	b.Volume = func() (io.ReadCloser, error) {
		whole, err := p.Volume()
		if err != nil {
			return nil, err
		}
		half := io.LimitReader(whole, p.Size/2)
		return struct {
			io.Reader
			io.Closer
		}{io.MultiReader(half, failing{}), whole}, nil
	}
	return b
}

var errBroken = errors.New("the stream broke")

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errBroken }

type file struct {
	name string
	mode int64
	data []byte
}

// archive makes a tar of files; names that end in a slash are folders.
func archive(t testing.TB, files ...file) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, f := range files {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: f.name, Mode: f.mode, Size: int64(len(f.data))}
		if f.name[len(f.name)-1] == '/' {
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(f.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// imageArchive makes what `docker load` reads: one layer of mount points, and the entry point in the payload.
func imageArchive(t testing.TB, ref, hash string) []byte {
	t.Helper()
	var dirs []file
	for _, d := range []string{"etc", "run", "tmp", "var", "proc", "sys", "dev", "opt", "opt/bonsai"} {
		dirs = append(dirs, file{d + "/", 0o755, nil})
	}
	layer := archive(t, dirs...)
	config := asJSON(t, map[string]any{
		"architecture": runtime.GOARCH, "os": "linux",
		"config": map[string]any{
			"Entrypoint": []string{entrypoint},
			"Labels":     map[string]string{node.LabelOurs: "", node.LabelPayload: hash},
		},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{fmt.Sprintf("sha256:%x", sha256.Sum256(layer))}},
	})
	manifest := asJSON(t, []map[string]any{{"Config": "config.json", "RepoTags": []string{ref}, "Layers": []string{"layer.tar"}}})
	return archive(t, file{"layer.tar", 0o644, layer}, file{"config.json", 0o644, config}, file{"manifest.json", 0o644, manifest})
}

func asJSON(t testing.TB, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
