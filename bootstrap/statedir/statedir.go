// Package statedir owns the folder in which bonsai stores what must outlive a process: per cluster the spec,
// certificates, etcd's data, logs, locks and sockets.
//
// It guarantees that every folder is 0700 and every file 0600, that a file is written completely or not at all, and
// that errors are faults that name the folder and say what to do. Begin reading at Dir and Cluster.
package statedir

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/moby/sys/mountinfo"

	"bonsai/bootstrap/atomicfile"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

// EnvHome names the environment variable that moves the state folder.
const EnvHome = "BONSAI_HOME"

// Dir is the state folder. The zero value is not usable; create one with Home or a literal.
type Dir struct{ Root string }

// Home returns the state folder of this user: $BONSAI_HOME or ~/.bonsai. Nothing is created.
func Home() (Dir, error) {
	root := os.Getenv(EnvHome)
	if root == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return Dir{}, fault.New(fault.State, "find the state folder", err).
				Advise("set " + EnvHome + " to a folder that only you can read")
		}
		root = filepath.Join(home, ".bonsai")
	}
	abs, err := filepath.Abs(root)
	if err != nil {
		return Dir{}, wrap("find the state folder", root, err)
	}
	return Dir{Root: abs}, nil
}

// Cluster returns the folder of one cluster, which need not exist.
func (d Dir) Cluster(name string) Cluster {
	return Cluster{Name: name, dir: filepath.Join(d.Root, "clusters", name)}
}

// Clusters lists the names of all clusters that have a spec file, broken or not, in alphabetical order.
func (d Dir) Clusters() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(d.Root, "clusters"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, wrap("list clusters", d.Root, err)
	}
	var names []string
	for _, e := range entries {
		if cluster.ValidateName(e.Name()) == nil && d.Cluster(e.Name()).Exists() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// Cluster is the folder of one cluster.
type Cluster struct {
	Name string
	dir  string
}

// Dir returns the cluster's folder; the other methods of this group return paths in it.
func (c Cluster) Dir() string        { return c.dir }
func (c Cluster) SpecFile() string   { return c.path("spec.json") }
func (c Cluster) PKI() string        { return c.path("pki") }
func (c Cluster) Etcd() string       { return c.path("etcd") }
func (c Cluster) Logs() string       { return c.path("logs") }
func (c Cluster) History() string    { return c.path("history") }
func (c Cluster) Kubeconfig() string { return c.path("kubeconfig") }

// LogFile returns the log of one control-plane component ("daemon", "etcd", "kube-apiserver"…).
func (c Cluster) LogFile(component string) string { return filepath.Join(c.Logs(), component+".log") }

func (c Cluster) path(name string) string { return filepath.Join(c.dir, name) }

// Exists reports whether the cluster has a spec file, broken or not.
func (c Cluster) Exists() bool {
	_, err := os.Lstat(c.SpecFile())
	return err == nil
}

// Create creates the cluster's folders. It is safe to repeat and repairs their modes, but not that of the state folder
// itself: $BONSAI_HOME may be a folder that the user shares on purpose.
func (c Cluster) Create() error {
	for _, dir := range []string{filepath.Dir(c.dir), c.dir, c.PKI(), c.Etcd(), c.Logs()} {
		if err := MkdirPrivate(dir); err != nil {
			return err
		}
	}
	return nil
}

// CheckRemovable returns an error if something is mounted in the cluster's folder: Remove never empties what is not the
// cluster's.
func (c Cluster) CheckRemovable() error {
	dir, err := filepath.EvalSymlinks(c.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return wrap("delete cluster "+c.Name, c.dir, err)
	}
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(dir))
	if err != nil {
		return wrap("look for mounts in "+dir, dir, err)
	}
	var inside []string
	for _, m := range mounts {
		if m.Mountpoint != dir { // the folder may be a mount itself: everything in it is the cluster's
			inside = append(inside, m.Mountpoint)
		}
	}
	if len(inside) == 0 {
		return nil
	}
	slices.Reverse(inside) // the last one mounted is unmounted first
	return fault.Newf(fault.State, "delete cluster %s: other file systems are mounted in its folder (%s), and would be emptied", c.Name, inside[0]).
		Advise("unmount them first", cluster.Program("sudo", "umount").On(inside...).Change())
}

// Remove deletes the cluster's folder and its sockets. A missing one is not an error. The error is CheckRemovable's if
// something is mounted in it.
func (c Cluster) Remove() error {
	if err := c.CheckRemovable(); err != nil {
		return err
	}
	// The spec is deleted last, except for empty folders, so that an interrupted delete can be repeated by name.
	if err := c.empty(c.SpecFile(), c.idFile()); err != nil {
		return err
	}
	if err := os.RemoveAll(c.dir); err != nil {
		return wrap("delete cluster "+c.Name, c.dir, err)
	}
	return nil
}

// Clear is Remove for somebody who holds the operation lock and is about to create the cluster again.
func (c Cluster) Clear() error {
	if err := c.CheckRemovable(); err != nil {
		return err
	}
	lock := c.path("operation.lock")
	return c.empty(lock, lock+".json")
}

// empty deletes what is in the cluster's folder, and its sockets, but for some files.
func (c Cluster) empty(but ...string) error {
	if target, err := os.Readlink(c.runDir()); err == nil && c.isFallback(target) {
		if err := os.RemoveAll(target); err != nil {
			return wrap("delete the sockets of "+c.Name, target, err)
		}
	}
	entries, err := os.ReadDir(c.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return wrap("delete cluster "+c.Name, c.dir, err)
	}
	for _, e := range entries {
		path := c.path(e.Name())
		if slices.Contains(but, path) {
			continue
		}
		if err := os.RemoveAll(path); err != nil {
			return wrap("delete cluster "+c.Name, c.dir, err)
		}
	}
	return nil
}

// SaveSpec writes the spec, and its ID beside it.
func (c Cluster) SaveSpec(spec *cluster.Spec) error {
	if have, err := os.ReadFile(c.idFile()); err != nil || string(have) != spec.ID {
		if err := WriteFile(c.idFile(), []byte(spec.ID)); err != nil {
			return err
		}
	}
	return c.saveJSON(c.SpecFile(), spec)
}

// idFile stores the ID again: a cluster whose spec is damaged has to be found in the engine to be deleted.
func (c Cluster) idFile() string { return c.path("id") }

// savedID finds the ID in what is left of a spec.
var savedID = regexp.MustCompile(`"id":\s*"([A-Za-z0-9]+)"`)

// ID returns the ID of the cluster, also if its spec is damaged; "" if it is lost.
func (c Cluster) ID() string {
	if spec, err := c.LoadSpec(); err == nil {
		return spec.ID
	}
	if id, err := os.ReadFile(c.idFile()); err == nil && len(id) > 0 {
		return string(id)
	}
	rest, err := os.ReadFile(c.SpecFile())
	if err != nil {
		return ""
	}
	if match := savedID.FindSubmatch(rest); match != nil {
		return string(match[1])
	}
	return ""
}

// LoadSpec reads and checks the spec. The fault is NotFound without a spec file and SpecBroken if it cannot be used,
// because it is damaged or was written by a newer bonsai.
func (c Cluster) LoadSpec() (*cluster.Spec, error) {
	data, err := os.ReadFile(c.SpecFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, NotFound(c.Name)
	}
	if err != nil {
		return nil, wrap("read the spec of cluster "+c.Name, c.SpecFile(), err)
	}
	broken := func(err error) error {
		return fault.New(fault.SpecBroken, "read "+c.SpecFile(), err).
			Advise("restore the file, or delete the cluster", cluster.Bonsai("delete").Of(c.Name).Change())
	}
	var head struct{ Version int }
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, broken(err)
	}
	if head.Version > cluster.SpecVersion {
		newer := "a newer bonsai"
		if d, ok := c.Daemon(); ok && d.Bonsai != "" {
			newer = "bonsai " + d.Bonsai
		}
		return nil, fault.Newf(fault.SpecBroken, "cluster %s was last started by %s (spec version %d, this one reads up to %d)",
			c.Name, newer, head.Version, cluster.SpecVersion).
			Advise("use that bonsai, or delete the cluster", cluster.Bonsai("delete").Of(c.Name).Change())
	}
	spec := &cluster.Spec{}
	if err := json.Unmarshal(data, spec); err != nil {
		return nil, broken(err)
	}
	if err := spec.Validate(); err != nil {
		return nil, broken(err)
	}
	spec.Upgrade()
	if spec.Name != c.Name {
		return nil, broken(fmt.Errorf("it is the spec of cluster %q", spec.Name))
	}
	return spec, nil
}

// NotFound is the fault for a cluster that does not exist.
func NotFound(name string) *fault.Fault {
	return fault.Newf(fault.NotFound, "cluster %q does not exist", name).Advise("create it", cluster.Bonsai("start").Of(name).Change())
}

// maxTimelines is how many past starts are remembered.
const maxTimelines = 5

// SaveTimeline writes the record of the newest start, and keeps those of the few before.
func (c Cluster) SaveTimeline(t *cluster.Timeline) error {
	all := append([]cluster.Timeline{*t}, c.LoadTimelines()...)
	return errors.Join(
		c.saveJSON(c.path("timeline.json"), t),
		c.saveJSON(c.path("timelines.json"), all[:min(len(all), maxTimelines)]),
	)
}

// LoadTimelines returns the records of the last starts that can be read, newest first.
func (c Cluster) LoadTimelines() []cluster.Timeline {
	var all []cluster.Timeline
	if c.loadJSON(c.path("timelines.json"), &all) {
		return all
	}
	if t := c.LoadTimeline(); t != nil { // an older bonsai kept only this one
		return []cluster.Timeline{*t}
	}
	return nil
}

// LoadTimeline returns the record of the newest start, nil if there is none that can be read.
func (c Cluster) LoadTimeline() *cluster.Timeline {
	t := &cluster.Timeline{}
	if !c.loadJSON(c.path("timeline.json"), t) {
		return nil
	}
	return t
}

func (c Cluster) saveJSON(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
	return WriteFile(path, append(data, '\n'))
}

func (c Cluster) loadJSON(path string, v any) bool {
	data, err := os.ReadFile(path)
	return err == nil && json.Unmarshal(data, v) == nil
}

// MkdirPrivate creates a folder and its missing parents with mode 0700, and sets that mode on an existing one.
func MkdirPrivate(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return wrap("create "+dir, dir, err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return wrap("create "+dir, dir, err)
	}
	if info.Mode().Perm() != 0o700 {
		if err := os.Chmod(dir, 0o700); err != nil {
			return wrap("make "+dir+" private", dir, err)
		}
	}
	return nil
}

// WriteFile replaces path by data with mode 0600: a reader, and a machine that lost power, sees the old content
// or the new one.
func WriteFile(path string, data []byte) error { return write(path, data, true) }

// WriteFileFast is WriteFile without waiting for the disk: after a power failure the file may be empty. It is for files
// that are checked and rewritten at each start.
func WriteFileFast(path string, data []byte) error { return write(path, data, false) }

func write(path string, data []byte, durable bool) error {
	if err := atomicfile.Write(path, data, 0o600, atomicfile.Options{Durable: durable}); err != nil {
		return wrap("write "+path, filepath.Dir(path), err)
	}
	return nil
}

// Fault returns the fault of something in the state folder, where, that cannot be read or written.
func Fault(op, where string, err error) *fault.Fault {
	if f, ok := errors.AsType[*fault.Fault](wrap(op, where, err)); ok {
		return f
	}
	return fault.New(fault.State, op, err)
}

// wrap returns the fault for a state folder that cannot be used as requested; a cancelled wait stays what it is.
func wrap(op, where string, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s: %w", op, err)
	}
	f := fault.New(fault.State, op, err)
	switch {
	case errors.Is(err, syscall.EROFS):
		return f.Advisef("%s is on a read-only file system; set %s to a folder that can be written", where, EnvHome)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return f.Advisef("the disk of %s is full (or its quota is used up); make room, or set %s to a folder elsewhere", where, EnvHome)
	case errors.Is(err, fs.ErrPermission):
		return f.Advisef("%s cannot be used by this user (was bonsai run with sudo before?); change its owner with chown, or set %s to a folder that you own",
			strings.TrimSuffix(where, "/"), EnvHome)
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, fs.ErrExist):
		return f.Advisef("something that is not a folder is in the way of %s", where)
	}
	return f.Advise("set " + EnvHome + " to a folder in which this user can create files")
}

// remove removes a file, which may not be there, for an operation in dir; see wrap.
func remove(op, dir, path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return wrap(op, dir, err)
	}
	return nil
}
