// Package nodeimage builds the image of node containers. It is a few kilobytes of links and mount points: all programs
// of a node are in the payload volume, which is mounted at cluster.PayloadDir and shared by all nodes.
//
// Begin reading at Archive; layout.go lists the files.
package nodeimage

import (
	"archive/tar"
	"bytes"
	"io"
	"path"
	"runtime"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/node"
)

// Ref is the tag of the image that belongs to a payload.
func Ref(payloadHash string) string { return "bonsai-node:" + payloadHash[:min(12, len(payloadHash))] }

// Archive returns the image as a docker archive, which every engine since 1.10 loads. The same hash gives the same
// bytes.
func Archive(payloadHash string) ([]byte, error) {
	files, err := layerTar()
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(files)), nil })
	if err != nil {
		return nil, err
	}
	image, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return nil, err
	}
	file, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture = "linux", runtime.GOARCH
	file.Config = config(payloadHash)
	if image, err = mutate.ConfigFile(image, file); err != nil {
		return nil, err
	}
	tag, err := name.NewTag(Ref(payloadHash))
	if err != nil {
		return nil, err
	}
	var archive bytes.Buffer
	err = tarball.Write(tag, image, &archive)
	return archive.Bytes(), err
}

func config(payloadHash string) v1.Config {
	return v1.Config{
		Entrypoint: []string{path.Join(cluster.PayloadDir, "bin/bonsai-init")},
		WorkingDir: "/",
		Env: []string{
			"PATH=/opt/bonsai/bin:/usr/sbin:/usr/bin:/sbin:/bin",
			"container=docker", // by which programs such as runc and systemd know that they are in a container
			"HOME=/root",       // "docker exec" sets it too, but the agent's children inherit ours
		},
		StopSignal: "SIGTERM", // bonsai-init passes it on to the agent
		Labels:     map[string]string{node.LabelOurs: "", node.LabelPayload: payloadHash},
	}
}

// layerTar returns the only layer, in the order of layout.
func layerTar() ([]byte, error) {
	var buffer bytes.Buffer
	w := tar.NewWriter(&buffer)
	for _, e := range layout() {
		header := tar.Header{Name: e.path, Mode: e.mode, Format: tar.FormatUSTAR}
		switch {
		case e.link != "":
			header.Typeflag, header.Linkname = tar.TypeSymlink, e.link
		case e.data == "":
			header.Typeflag, header.Name = tar.TypeDir, e.path+"/"
		default:
			header.Typeflag, header.Size = tar.TypeReg, int64(len(e.data))
		}
		if err := w.WriteHeader(&header); err != nil {
			return nil, err
		}
		if _, err := io.WriteString(w, e.data); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return buffer.Bytes(), err
}
