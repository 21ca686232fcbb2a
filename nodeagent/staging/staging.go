// Package staging unpacks layers of images into the volumes of nodes, beside the nodes: in a container that has all volumes and
// the machine's image store. Each layer is unpacked once, and the files of further nodes are hard links to those of the first, so
// that three nodes take as long as one, and the room of one. A node then makes its snapshots of what it finds
// (cluster.ImageDelivery).
//
// That nodes share files is safe because nobody writes into the files of a layer: overlayfs copies a file before it changes, and
// a node that removes a layer removes its own names of the files.
//
// Content of images is untrusted. It is unpacked by a process of its own, whose root folder is the volume of one node; links are
// made without following any.
//
// Begin reading at Stage.
package staging

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"bonsai/bootstrap/cluster"
)

// Unpacker is the verb of bonsai-agent that calls Unpack.
const Unpacker = "unpack"

// Stage unpacks layers, and blocks until all are in all volumes. After an error it has removed them. program is bonsai-agent.
func Stage(ctx context.Context, program string, s cluster.LayerStaging) (err error) {
	if err := check(s); err != nil {
		return err
	}
	folder, ok := strings.CutPrefix(s.Folder, cluster.NodeVar+"/")
	if !ok {
		return fmt.Errorf("%s is not in the volume of a node", s.Folder)
	}
	v := volumes{folder: folder, roots: map[string]*os.Root{}}
	defer func() { err = errors.Join(err, v.close(err != nil)) }()
	if err := v.open(s); err != nil {
		return err
	}
	for _, first := range v.names {
		if err := unpackIn(ctx, program, first, folder, s); err != nil {
			return err
		}
	}
	for _, l := range s.Layers {
		for _, other := range l.Volumes[1:] {
			if err := v.link(l.Volumes[0], other, nameOf(l.Chain)); err != nil {
				return fmt.Errorf("link layer %s: %w", l.Chain, err)
			}
		}
	}
	return ctx.Err()
}

// check refuses what leads out of the folders.
func check(s cluster.LayerStaging) error {
	staged := map[string][]string{"": nil}
	for _, l := range s.Layers {
		for _, d := range []string{l.Chain, l.DiffID, l.Blob} {
			if digest.Digest(d).Validate() != nil {
				return fmt.Errorf("%q is not a digest", d)
			}
		}
		below, known := staged[l.Parent]
		missing := func(volume string) bool { return l.Parent != "" && !slices.Contains(below, volume) }
		if !known || len(l.Volumes) == 0 || slices.ContainsFunc(l.Volumes, missing) || l.Parent != "" && l.Volumes[0] != below[0] {
			return fmt.Errorf("layer %s comes without the one below it, or goes nowhere", l.Chain)
		}
		staged[l.Chain] = l.Volumes
	}
	return nil
}

// nameOf is the name of a digest as a file.
func nameOf(d string) string { return digest.Digest(d).Encoded() }

// volumes are the volumes of nodes.
type volumes struct {
	folder string // of the layers, in each volume
	names  []string
	roots  map[string]*os.Root
}

func (v *volumes) open(s cluster.LayerStaging) error {
	for _, l := range s.Layers {
		for _, name := range l.Volumes {
			if v.roots[name] != nil {
				continue
			}
			root, err := os.OpenRoot(name)
			if err != nil {
				return err
			}
			v.names, v.roots[name] = append(v.names, name), root
			if err := makeFolder(root, v.folder); err != nil {
				return err
			}
		}
	}
	return nil
}

// makeFolder creates a folder that only root may enter: there are programs of images in it. Those above it may exist, as the node
// has made them.
func makeFolder(root *os.Root, folder string) error {
	if err := root.MkdirAll(path.Dir(path.Dir(folder)), 0o755); err != nil {
		return err
	}
	if err := root.MkdirAll(path.Dir(folder), 0o700); err != nil {
		return err
	}
	return root.Mkdir(folder, 0o700)
}

func (v *volumes) close(remove bool) error {
	var errs []error
	for _, root := range v.roots {
		if remove {
			errs = append(errs, root.RemoveAll(v.folder))
		}
		errs = append(errs, root.Close())
	}
	return errors.Join(errs...)
}

// link makes in one volume what another has of a layer.
func (v *volumes) link(from, to, name string) error {
	source, err := v.roots[from].Open(path.Join(v.folder, name))
	if err != nil {
		return err
	}
	defer source.Close()
	if err := v.roots[to].Mkdir(path.Join(v.folder, name), 0o700); err != nil {
		return err
	}
	target, err := v.roots[to].Open(path.Join(v.folder, name))
	if err != nil {
		return err
	}
	defer target.Close()
	return linkTree(source, target)
}

// unpackIn has a process of its own unpack those layers of which the volume is the first that gets them.
func unpackIn(ctx context.Context, program, volume, folder string, s cluster.LayerStaging) (err error) {
	u := Unpacking{Root: volume, Folder: "/" + folder}
	var files []*os.File
	defer func() {
		for _, f := range files {
			_ = f.Close()
		}
	}()
	for i, l := range s.Layers {
		if l.Volumes[0] != volume {
			continue
		}
		f, err := os.Open(filepath.Join(s.Blobs, nameOf(l.Blob)))
		if err != nil {
			return err
		}
		files = append(files, f)
		u.Layers = append(u.Layers, UnpackedLayer{Name: nameOf(l.Chain), DiffID: l.DiffID, Parents: parents(s.Layers[:i], l)})
	}
	if len(u.Layers) == 0 {
		return nil
	}
	input, err := json.Marshal(u)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, program, Unpacker)
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr, cmd.ExtraFiles = bytes.NewReader(input), &stderr, files
	if err := cmd.Run(); err != nil {
		return errors.New(cmp.Or(strings.TrimSpace(stderr.String()), err.Error()))
	}
	return nil
}

// parents are the names of the layers below one, from the top.
func parents(before []cluster.StagedLayer, l cluster.StagedLayer) (names []string) {
	for _, b := range slices.Backward(before) {
		if b.Chain == l.Parent {
			names, l = append(names, nameOf(b.Chain)), b
		}
	}
	return names
}

// Read reads the description of what to stage or to unpack.
func Read[T any](r io.Reader) (v T, err error) {
	if err := json.NewDecoder(r).Decode(&v); err != nil {
		return v, fmt.Errorf("read what to do: %w", err)
	}
	return v, nil
}

// validName reports whether a name is that of a layer.
func validName(name string) bool {
	return digest.NewDigestFromEncoded(digest.SHA256, name).Validate() == nil
}
