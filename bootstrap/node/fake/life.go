package fake

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/node"
	"bonsai/bootstrap/node/nodetest/guest"
)

// StopNode implements node.Driver.
func (e *Engine) StopNode(ctx context.Context, name string, _ time.Duration) error {
	done, err := e.begin(ctx, "StopNode", name)
	if err != nil {
		return err
	}
	defer done()
	c := e.containers[name]
	if c == nil {
		return fault.Newf(fault.NodeNotFound, "no container %s", name)
	}
	c.stop(0)
	return nil
}

// FillNode implements node.Driver.
func (e *Engine) FillNode(ctx context.Context, name string, open func() (io.ReadCloser, error)) error {
	done, err := e.begin(ctx, "FillNode", name)
	if err != nil {
		return err
	}
	defer done()
	c := e.containers[name]
	switch {
	case c == nil:
		return fault.Newf(fault.NodeNotFound, "no container %s", name)
	case c.Up():
		return fault.Newf(fault.Conflict, "container %s runs", name)
	}
	return fill(e.volumes[name+"-var"].files, open)
}

// PauseNode implements node.Driver.
func (e *Engine) PauseNode(ctx context.Context, name string) error {
	return e.freeze(ctx, "PauseNode", name, "running", "paused")
}

// UnpauseNode implements node.Driver.
func (e *Engine) UnpauseNode(ctx context.Context, name string) error {
	return e.freeze(ctx, "UnpauseNode", name, "paused", "running")
}

func (e *Engine) freeze(ctx context.Context, op, name, from, to string) error {
	done, err := e.begin(ctx, op, name)
	if err != nil {
		return err
	}
	defer done()
	c := e.containers[name]
	if c == nil {
		return fault.Newf(fault.NodeNotFound, "no container %s", name)
	}
	if c.State == from {
		c.State, c.Running = to, to == "running"
	}
	return nil
}

// RemoveNode implements node.Driver.
func (e *Engine) RemoveNode(ctx context.Context, id, nodeName string) error {
	done, err := e.begin(ctx, "RemoveNode", nodeName)
	if err != nil {
		return err
	}
	defer done()
	return e.remove(id, func(node string) bool { return node == nodeName })
}

// RemoveCluster implements node.Driver.
func (e *Engine) RemoveCluster(ctx context.Context, id string) error {
	done, err := e.begin(ctx, "RemoveCluster", id)
	if err != nil {
		return err
	}
	defer done()
	if err := e.remove(id, func(string) bool { return true }); err != nil {
		return err
	}
	maps.DeleteFunc(e.networks, func(_ string, n *network) bool { return n.ClusterID == id })
	return nil
}

// remove removes the containers and volumes of some nodes of a cluster.
func (e *Engine) remove(id string, which func(node string) bool) error {
	if id == "" {
		return fault.Newf(fault.Internal, "the cluster has no ID")
	}
	maps.DeleteFunc(e.containers, func(_ string, c *container) bool {
		if c.ClusterID != id || !which(c.Node) {
			return false
		}
		c.stop(137)
		return true
	})
	maps.DeleteFunc(e.volumes, func(_ string, v *volume) bool { return v.id == id && which(v.node) })
	return nil
}

// PrunePayloads implements node.Driver.
func (e *Engine) PrunePayloads(ctx context.Context, keep string) error {
	done, err := e.begin(ctx, "PrunePayloads", keep)
	if err != nil {
		return err
	}
	defer done()
	used := map[string]bool{keep: true}
	for _, c := range e.containers {
		used[c.Payload] = true
	}
	maps.DeleteFunc(e.payloads, func(hash string, old bool) bool { return old && !used[hash] })
	return nil
}

// DiskUse implements node.Driver. Volumes take the bytes of their files, payloads a mebibyte.
func (e *Engine) DiskUse(ctx context.Context, keep string) (list []node.Use, err error) {
	done, err := e.begin(ctx, "DiskUse", keep)
	if err != nil {
		return nil, err
	}
	defer done()
	used := map[string]bool{keep: true}
	for name, c := range e.containers {
		used[c.Payload] = true
		if !c.foreign {
			list = append(list, node.Use{Kind: node.UseContainer, Name: name, Cluster: c.Cluster, ClusterID: c.ClusterID, Node: c.Node, Payload: c.Payload})
		}
	}
	for name, v := range e.volumes {
		u := node.Use{Kind: node.UseVolume, Name: name, Cluster: v.cluster, ClusterID: v.id, Node: v.node}
		for _, f := range v.files {
			u.Bytes += int64(len(f.data))
		}
		if v.id != "" {
			list = append(list, u)
		}
	}
	for hash, old := range e.payloads {
		list = append(list, node.Use{Kind: node.UseVolume, Name: "payload-" + hash, Payload: hash, Bytes: 1 << 20, Prunable: old && !used[hash]})
	}
	slices.SortFunc(list, func(a, b node.Use) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name)) })
	return list, nil
}

// Exec implements node.Driver.
func (e *Engine) Exec(ctx context.Context, name string, x node.Exec) (int, error) {
	done, err := e.begin(ctx, "Exec", name)
	if err != nil {
		return 0, err
	}
	c := e.containers[name]
	running := c != nil && c.Running
	done()
	switch {
	case c == nil:
		return 0, fault.Newf(fault.NodeNotFound, "no container %s", name)
	case !running:
		return 0, fault.Newf(fault.NotRunning, "container %s does not run", name)
	case e.Commands != nil:
		return e.Commands(name, x)
	case len(x.Cmd) == 0:
		return 126, nil
	}
	stdin, stdout, stderr := x.Stdin, x.Stdout, x.Stderr
	if stdin == nil {
		stdin = strings.NewReader("")
	}
	if stdout == nil {
		stdout = io.Discard
	}
	if stderr == nil {
		stderr = io.Discard
	}
	return guest.Run(view{e, c}, x.Cmd[1:], x.Env, stdin, stdout, stderr), nil
}

// view is a container's files as its commands see them: the root, the volume on /var, the payload.
type view struct {
	e *Engine
	c *container
}

var _ guest.Files = view{}

func (v view) dir(path string) files {
	if strings.HasPrefix(path, "/var/") {
		return v.e.volumes[v.c.Name+"-var"].files
	}
	return v.c.root
}

func (v view) ReadFile(path string) ([]byte, error) {
	v.e.mu.Lock()
	defer v.e.mu.Unlock()
	if path == cluster.PayloadDir+"/ballast" { // all payloads of nodetest have it; contents are not kept
		return make([]byte, 4<<20), nil
	}
	f, ok := v.dir(path)[path]
	if !ok {
		return nil, fmt.Errorf("open %s: %w", path, fs.ErrNotExist)
	}
	return f.data, nil
}

func (v view) WriteFile(path string, data []byte) error {
	v.e.mu.Lock()
	defer v.e.mu.Unlock()
	v.dir(path)[path] = file{0o644, data}
	return nil
}

func (v view) Stat(path string) (fs.FileMode, error) {
	v.e.mu.Lock()
	defer v.e.mu.Unlock()
	f, ok := v.dir(path)[path]
	if !ok {
		return 0, fmt.Errorf("stat %s: %w", path, fs.ErrNotExist)
	}
	return f.mode, nil
}

// Logs implements node.Driver; what follows a first read comes when the container has stopped.
func (e *Engine) Logs(ctx context.Context, name string, tail int, follow bool, w io.Writer) error {
	done, err := e.begin(ctx, "Logs", name)
	if err != nil {
		return err
	}
	c := e.containers[name]
	if c == nil {
		done()
		return fault.Newf(fault.NodeNotFound, "no container %s", name)
	}
	log, stopped, running := c.log, c.stopped, c.Running
	done()
	if lines := strings.SplitAfter(strings.TrimSuffix(log, "\n"), "\n"); tail > 0 && tail < len(lines) {
		log = strings.Join(lines[len(lines)-tail:], "") + "\n"
	}
	if _, err := io.WriteString(w, log); err != nil {
		return err
	}
	if follow && running {
		select {
		case <-stopped:
		case <-ctx.Done():
			return fault.New(fault.Canceled, "follow logs of "+name, ctx.Err())
		}
	}
	return nil
}

// FindImages implements node.Driver; the engine has what Images lists.
func (e *Engine) FindImages(ctx context.Context, refs []string) (found []node.Image, err error) {
	done, err := e.begin(ctx, "FindImages", strings.Join(refs, " "))
	if err != nil {
		return nil, err
	}
	defer done()
	for _, ref := range refs {
		for _, i := range e.Images {
			if i.Ref == ref {
				found = append(found, i)
			}
		}
	}
	return found, nil
}

// ImageNames implements node.Driver.
func (e *Engine) ImageNames(ctx context.Context) ([]string, error) {
	done, err := e.begin(ctx, "ImageNames", "")
	if err != nil {
		return nil, err
	}
	defer done()
	var names []string
	for _, i := range e.Images {
		names = append(names, i.Ref)
	}
	slices.Sort(names)
	return names, nil
}

// SaveImages implements node.Driver; the result is what Archive has, whatever is asked for.
func (e *Engine) SaveImages(ctx context.Context, refs []string) (io.ReadCloser, error) {
	done, err := e.begin(ctx, "SaveImages", strings.Join(refs, " "))
	if err != nil {
		return nil, err
	}
	defer done()
	return io.NopCloser(bytes.NewReader(e.Archive)), nil
}

// ReadLayers implements node.Driver; this engine cannot do it.
func (e *Engine) ReadLayers(ctx context.Context, container, id string, _ []string, _ io.Writer) error {
	done, err := e.begin(ctx, "ReadLayers", container+" "+id)
	if err != nil {
		return err
	}
	defer done()
	return fault.Newf(fault.Engine, "this engine does not give single layers")
}

// StageLayers implements node.Driver; this engine cannot do it.
func (e *Engine) StageLayers(ctx context.Context, s cluster.LayerStaging) error {
	done, err := e.begin(ctx, "StageLayers", s.Folder)
	if err != nil {
		return err
	}
	defer done()
	return fault.Newf(fault.Engine, "this engine does not unpack layers into volumes")
}

// Close implements node.Driver.
func (e *Engine) Close() error { return nil }

// fill extracts an archive into the /var of a node, as an engine does before the node starts.
func fill(into files, open func() (io.ReadCloser, error)) error {
	r, err := open()
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	archive := tar.NewReader(r)
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		data, err := io.ReadAll(archive)
		if err != nil {
			return err
		}
		into[path.Clean("/"+h.Name)] = file{h.FileInfo().Mode().Perm(), data}
	}
}
