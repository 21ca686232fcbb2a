package staging

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"

	"github.com/containerd/containerd/v2/pkg/archive"
	"github.com/containerd/containerd/v2/pkg/archive/compression"
	"github.com/moby/sys/userns"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
)

// Unpacking is what one process unpacks. The content of its layers are its open files, from the first after the standard ones.
type Unpacking struct {
	// Root becomes the root folder of the process; Folder is in it, and exists.
	Root   string          `json:"root"`
	Folder string          `json:"folder"`
	Layers []UnpackedLayer `json:"layers"`
}

// UnpackedLayer is a layer for a folder of its name.
type UnpackedLayer struct {
	Name   string `json:"name"`
	DiffID string `json:"diffID"`
	// Parents are the names of the layers below, from the top; they are there.
	Parents []string `json:"parents,omitempty"`
}

// firstFile is the first of the files that a process gets besides the standard ones.
const firstFile = 3

// Unpack unpacks layers. It gives the process another root folder: there is nothing to do for it afterwards but to exit.
func Unpack(ctx context.Context, u Unpacking) error {
	if userns.RunningInUserNS() { // where containerd unpacks in another way, too
		return errors.New("layers cannot be unpacked in a user namespace")
	}
	if err := unix.Chroot(u.Root); err != nil {
		return fmt.Errorf("enter %s: %w", u.Root, err)
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	unix.Umask(0) // modes are those of the layers
	for i, l := range u.Layers {
		f := os.NewFile(firstFile+uintptr(i), l.Name)
		err := unpack(ctx, f, u.Folder, l)
		if err := errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("unpack layer %s: %w", l.DiffID, err)
		}
	}
	return nil
}

// unpack does what containerd's applier does for its overlay snapshotter.
func unpack(ctx context.Context, r io.Reader, folder string, l UnpackedLayer) error {
	if !validName(l.Name) {
		return fmt.Errorf("%q is not the name of a layer", l.Name)
	}
	target := path.Join(folder, l.Name)
	if err := os.Mkdir(target, 0o755); err != nil {
		return err
	}
	plain, err := compression.DecompressStream(r)
	if err != nil {
		return err
	}
	defer plain.Close()
	digester := digest.Canonical.Digester()
	content := io.TeeReader(plain, digester.Hash())
	var opts []archive.ApplyOpt
	if len(l.Parents) > 0 {
		var below []string
		for _, name := range l.Parents {
			if !validName(name) {
				return fmt.Errorf("%q is not the name of a layer", name)
			}
			below = append(below, path.Join(folder, name))
		}
		opts = append(opts, archive.WithConvertWhiteout(archive.OverlayConvertWhiteout), archive.WithParents(below))
	}
	if _, err := archive.Apply(ctx, target, content, opts...); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, content); err != nil { // what comes after the end of the archive
		return err
	}
	if got := digester.Digest().String(); got != l.DiffID {
		return fmt.Errorf("its content has the digest %s", got)
	}
	return nil
}
