// Package imagetest makes small archives of images, as tests of the image store and of its users need them.
package imagetest

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
)

// Digest is that of a content.
func Digest[T string | []byte](content T) string {
	return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(content)))
}

// Config is the configuration of an image with these layers, for the architecture of the test.
func Config(layers ...string) string { return ConfigFor(runtime.GOARCH, layers...) }

// ConfigFor is a configuration for some architecture.
func ConfigFor(arch string, layers ...string) string {
	diffs := []string{}
	for _, l := range layers {
		diffs = append(diffs, Digest(l))
	}
	return encode(map[string]any{"architecture": arch, "os": "linux", "rootfs": map[string]any{"type": "layers", "diff_ids": diffs}})
}

// ID is what a Docker engine calls an image.
func ID(layers ...string) string { return Digest(Config(layers...)) }

// Tar makes an archive. A content that begins with "->" is a symbolic link.
func Tar(files ...[2]string) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: f[0], Mode: 0o644, Size: int64(len(f[1]))}
		if to, ok := strings.CutPrefix(f[1], "->"); ok {
			h.Typeflag, h.Linkname, h.Size, f[1] = tar.TypeSymlink, to, 0, ""
		}
		must(w.WriteHeader(h))
		_, err := w.Write([]byte(f[1]))
		must(err)
	}
	must(w.Close())
	return b.Bytes()
}

// Docker is an archive of "docker save" with one image.
func Docker(tags []string, layers ...string) []byte {
	return DockerFor(runtime.GOARCH, tags, layers...)
}

// DockerFor is one for some architecture.
func DockerFor(arch string, tags []string, layers ...string) []byte {
	config := ConfigFor(arch, layers...)
	name := strings.TrimPrefix(Digest(config), "sha256:") + ".json"
	saved := map[string]any{"Config": name, "RepoTags": tags}
	var files [][2]string
	var paths []string
	for n, l := range layers {
		path := fmt.Sprintf("%d/layer.tar", n)
		files = append(files, [2]string{path, l})
		paths = append(paths, path)
	}
	saved["Layers"] = paths
	files = append(files, [2]string{name, config}, [2]string{"manifest.json", encode([]any{saved})})
	return Tar(files...)
}

// OCI is an archive in OCI form with one image under a complete name, and the digest of its manifest.
func OCI(name string, layers ...string) (archive []byte, digest string) {
	config := Config(layers...)
	describe := func(kind, content string) map[string]any {
		return map[string]any{"mediaType": "application/vnd.oci.image." + kind, "digest": Digest(content), "size": len(content)}
	}
	content := []map[string]any{}
	files := [][2]string{{"oci-layout", `{"imageLayoutVersion":"1.0.0"}`}, Blob(config)}
	for _, l := range layers {
		content = append(content, describe("layer.v1.tar", l))
		files = append(files, Blob(l))
	}
	manifest := encode(map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": describe("config.v1+json", config), "layers": content,
	})
	top := describe("manifest.v1+json", manifest)
	if name != "" {
		top["annotations"] = map[string]string{"io.containerd.image.name": name}
	}
	files = append(files, Blob(manifest), [2]string{"index.json", encode(map[string]any{"schemaVersion": 2, "manifests": []any{top}})})
	return Tar(files...), Digest(manifest)
}

// Blob is a file of an archive in OCI form.
func Blob(content string) [2]string {
	return [2]string{"blobs/sha256/" + strings.TrimPrefix(Digest(content), "sha256:"), content}
}

func encode(v any) string {
	data, err := json.Marshal(v)
	must(err)
	return string(data)
}

func must(err error) {
	if err != nil {
		panic(err) // everything is in memory
	}
}
