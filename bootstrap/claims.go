package bootstrap

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"bonsai/bootstrap/checkpoint"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/node"
)

// claimsDir is where nodes keep the data of claims, from the root.
const claimsDir = "var/lib/bonsai/volumes"

// containerOf is the container of a node, as it was when the operation began.
func (o *operation) containerOf(name string) (node.Container, bool) {
	i := slices.IndexFunc(o.containers, func(c node.Container) bool { return c.Node == name })
	if i < 0 {
		return node.Container{}, false
	}
	return o.containers[i], true
}

// hasClaims reports whether a running node has the data of claims.
func (o *operation) hasClaims(ctx context.Context, c node.Container) (bool, error) {
	var list bytes.Buffer
	_, err := o.driver.Exec(ctx, c.Name, node.Exec{Cmd: []string{"ls", "-A", "/" + claimsDir}, Stdout: &list})
	return strings.TrimSpace(list.String()) != "", err // it is empty, too, if the folder is not there
}

// writeClaims writes the data of the claims on a running node, as a tar archive of its root folder.
func (o *operation) writeClaims(ctx context.Context, c node.Container, w io.Writer) error {
	said := &bytes.Buffer{}
	out := &remembering{w: w}
	code, err := o.driver.Exec(ctx, c.Name, node.Exec{Cmd: []string{"tar", "-C", "/", "-cf", "-", claimsDir}, Stdout: out, Stderr: said})
	switch {
	case out.err != nil: // which the engine may report as a broken connection
		return out.err
	case err != nil:
		return err
	case code != 0:
		return fault.New(fault.Node, "copy the data of claims on node "+c.Node, fmt.Errorf("%w: it exited with code %d: %s", errCopy, code, strings.TrimSpace(said.String())))
	}
	return nil
}

// remembering is a writer that keeps its first error.
type remembering struct {
	w   io.Writer
	err error
}

func (r *remembering) Write(p []byte) (int, error) {
	n, err := r.w.Write(p)
	if r.err == nil {
		r.err = err
	}
	return n, err
}

// saveWithVolumes saves a checkpoint with the data of claims. It does not remove the checkpoint spare, however many there are.
func (o *operation) saveWithVolumes(ctx context.Context, c cluster.Checkpoint, spare string) (cluster.Checkpoint, error) {
	c.WithVolumes = true
	ctx, cancel := o.limit(ctx, exportLimit, "the data of claims to be copied")
	defer cancel()
	var volumes []checkpoint.Volume
	if len(o.Current.Spec.Nodes) > 0 {
		if o.driver == nil {
			if err := o.connect(ctx); err != nil {
				return c, err
			}
		}
		var err error
		if volumes, err = o.presentVolumes(ctx, "save checkpoint "+c.Name); err != nil {
			return c, err
		}
	}
	folder := CheckpointsOf(o.state)
	folder.Spare = spare
	for again := copyAgain; ; again-- {
		saved, err := o.saveInto(ctx, folder, o.state, c, volumes...)
		if again == 0 || !errors.Is(err, errCopy) {
			return saved, err
		}
	}
}

// copyAgain is how often a copy is tried again that failed because a file went or shrank while it was read.
const copyAgain = 2

var errCopy = errors.New("tar did not copy everything")

// presentVolumes is the data of claims on the nodes, all of which have to run.
func (o *operation) presentVolumes(ctx context.Context, op string) (volumes []checkpoint.Volume, err error) {
	if !o.Current.Running { // before the nodes, which do not run then either
		return nil, fault.Newf(fault.NotRunning, "%s: cluster %q does not run", op, o.state.Name).
			Advise("start it", cluster.Bonsai("start").Of(o.state.Name).Cure())
	}
	if err := o.wake(ctx); err != nil {
		return nil, err
	}
	for place, n := range o.Current.Spec.Nodes {
		c, ok := o.containerOf(n.Name)
		if !ok || !c.Running {
			return nil, o.notRunning(op, n)
		}
		has, err := o.hasClaims(ctx, c)
		if err != nil {
			return nil, err
		}
		if has {
			volumes = append(volumes, checkpoint.Volume{Place: place, Node: n.Name, Write: func(w io.Writer) error { return o.writeClaims(ctx, c, w) }})
		}
	}
	return volumes, nil
}

// notRunning is the fault of a node whose claims cannot be copied or replaced.
func (o *operation) notRunning(op string, n cluster.Node) error {
	f := fault.Newf(fault.NotRunning, "%s: node %s does not run, and has the data of claims on it", op, n.Name)
	if n.Stopped {
		return f.Advise("start it", cluster.Bonsai("node", "start").On(n.Name).Of(o.state.Name).Cure())
	}
	return f.Advise("start it", cluster.Bonsai("start").Of(o.state.Name).Cure())
}

// savedClaims opens the data that a checkpoint has of the claims on the node in a place; see node.NodeSpec.Data. What it returns
// returns nil for a node of which there is none.
func savedClaims(folder checkpoint.Folder, c cluster.Checkpoint) func(place int) func() (io.ReadCloser, error) {
	return func(place int) func() (io.ReadCloser, error) {
		if !slices.ContainsFunc(c.Volumes, func(v cluster.VolumeCopy) bool { return v.Place == place }) {
			return nil
		}
		return withParents(func() (io.ReadCloser, error) { return folder.OpenVolume(c.Name, place) })
	}
}

// withParents puts the folders above those of claims in front of an archive: the engine would make them writable for everybody.
func withParents(open func() (io.ReadCloser, error)) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) {
		var parents bytes.Buffer
		w := tar.NewWriter(&parents)
		if err := errors.Join(w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: path.Dir(claimsDir) + "/", Mode: 0o755}), w.Flush()); err != nil {
			return nil, err
		}
		r, err := open()
		if err != nil {
			return nil, err
		}
		return struct {
			io.Reader
			io.Closer
		}{io.MultiReader(&parents, r), r}, nil
	}
}

// moved is an archive of claims in which claimsDir has another name.
func moved(open func() (io.ReadCloser, error), to string) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) {
		from, err := open()
		if err != nil {
			return nil, err
		}
		r, w := io.Pipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = w.CloseWithError(move(w, from, to))
		}()
		return &movedArchive{PipeReader: r, from: from, done: done}, nil
	}
}

type movedArchive struct {
	*io.PipeReader
	from io.Closer
	done chan struct{}
}

// Close waits for the goroutine that writes.
func (m *movedArchive) Close() error {
	err := m.PipeReader.Close()
	<-m.done
	return errors.Join(err, m.from.Close())
}

// move copies an archive to its end, where its checksum is verified.
func move(to io.Writer, from io.Reader, dir string) error {
	r, w := tar.NewReader(from), tar.NewWriter(to)
	rename := func(name string) string {
		if rest, ok := strings.CutPrefix(name, claimsDir); ok && (rest == "" || rest[0] == '/') {
			return dir + rest
		}
		return name
	}
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		h.Name, h.Format = rename(h.Name), tar.FormatUnknown
		if h.Typeflag == tar.TypeLink {
			h.Linkname = rename(h.Linkname)
		}
		if err := w.WriteHeader(h); err != nil {
			return err
		}
		if _, err := io.Copy(w, r); err != nil {
			return err
		}
	}
	if _, err := io.Copy(io.Discard, from); err != nil {
		return err
	}
	return w.Close()
}
