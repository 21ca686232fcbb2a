// Package kubeconfig adds a cluster to the user's kubeconfig and removes it.
//
// It leaves everything else in the file as it was: the file is edited as a YAML tree, so that entries, fields and
// comments that bonsai does not know survive, as do a symbolic link, the file's mode and its owner. Files are found as
// kubectl finds them ($KUBECONFIG, a list, or ~/.kube/config) and changed under kubectl's own lock. Begin reading at
// Entry and Merge.
package kubeconfig

import (
	"bytes"
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"bonsai/bootstrap/atomicfile"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

// Results of Inspect.
const (
	Configured    = "Configured"
	Misconfigured = "Misconfigured" // a context of this name exists but leads elsewhere
	Missing       = "Missing"
)

// Entry is one cluster with its administrator. Cluster, user and context all carry Name.
type Entry struct {
	Name   string
	Server string
	// CA, Cert and Key are PEM; they are embedded, so that the kubeconfig also works when it is copied elsewhere.
	CA, Cert, Key []byte
}

// File returns a whole kubeconfig with this entry only.
func (e Entry) File() []byte {
	d := newDocument()
	d.put(e)
	d.setCurrent(e.Name)
	return d.bytes()
}

// Merge adds e to the user's kubeconfig, makes it the current context and returns the file that contains it. An entry
// of the same name is replaced, whichever file of the list it is in.
func Merge(e Entry) (path string, err error) {
	paths, err := files()
	if err != nil {
		return "", err
	}
	target := paths.target(e.Name)
	current := paths.current()
	for _, p := range paths {
		if p == target {
			continue
		}
		// Of two entries of the same name kubectl uses the first file's: a stale one must not hide ours.
		if err := edit(p, false, func(d *document) { d.remove(e.Name) }); err != nil {
			return "", err
		}
	}
	decides := current.path == "" || current.path == target
	err = edit(target, true, func(d *document) {
		previous := current.context
		if decides {
			previous = d.current() // read again, under the lock
		}
		if previous == e.Name {
			previous = d.previous(e.Name)
		}
		d.put(e)
		d.setPrevious(e.Name, previous)
		if decides {
			d.setCurrent(e.Name)
		}
	})
	if err == nil && !decides {
		// kubectl uses the first file that names a current context.
		err = edit(current.path, false, func(d *document) { d.setCurrent(e.Name) })
	}
	return target, err
}

// Check reports what would prevent Merge from changing the kubeconfig, without changing anything.
func Check() error {
	paths, err := files()
	if err != nil {
		return err
	}
	for _, p := range paths {
		if _, err := load(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return unusable("read", p, "then try again", nil, err)
		}
	}
	return nil
}

// Remove removes the entry of that name from all files of the user's kubeconfig if it belongs to the cluster with this CA
// (PEM); that of another cluster of the same name stays. If it was the current context, the previous one becomes current
// again, if it still exists. It returns whether an entry was found; a missing one is not an error.
func Remove(name string, ca []byte) (removed bool, err error) {
	paths, err := files()
	if err != nil {
		return false, err
	}
	previous, another, known := "", false, false
	var contexts []string
	for _, p := range paths {
		d, err := load(p)
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			return false, broken(p, err)
		}
		if slices.Contains(d.contexts(), name) {
			known = known || d.trusts(name, ca)
			another = another || !d.trusts(name, ca)
		}
		if before := d.previous(name); before != "" {
			previous = before
		}
		contexts = append(contexts, d.contexts()...)
	}
	if !slices.Contains(contexts, previous) || previous == name {
		previous = ""
	}
	for _, p := range paths {
		err := edit(p, false, func(d *document) {
			removed = d.trusts(name, ca) && d.remove(name) || removed
			if known && !another && d.current() == name {
				d.setCurrent(previous)
				removed = true
			}
		})
		if err != nil {
			return removed, err
		}
	}
	return removed, nil
}

// Displaced returns the server of the entry that a Merge of e would replace although it leads to another cluster; "" if
// there is none.
func Displaced(e Entry) (server string) {
	paths, err := files()
	if err != nil {
		return ""
	}
	for _, p := range paths {
		d, err := load(p)
		if err == nil && slices.Contains(d.contexts(), e.Name) && !d.trusts(e.Name, e.CA) {
			return cmp.Or(d.access(e.Name)[0], "?")
		}
	}
	return ""
}

// Inspect reports whether the user's kubeconfig contains e, and with the same data: Configured, Misconfigured or Missing.
// A file that cannot be read counts as missing.
func Inspect(e Entry) string {
	paths, err := files()
	if err != nil {
		return Missing
	}
	for _, p := range paths {
		d, err := load(p)
		if err != nil || !slices.Contains(d.contexts(), e.Name) {
			continue
		}
		want := newDocument()
		want.put(e)
		if d.access(e.Name) != want.access(e.Name) {
			return Misconfigured
		}
		return Configured
	}
	return Missing
}

// fileList are the files of the user's kubeconfig, in order of precedence.
type fileList []string

// files finds them as kubectl does.
func files() (fileList, error) {
	var list fileList
	for _, p := range filepath.SplitList(os.Getenv("KUBECONFIG")) {
		if p != "" && !slices.Contains(list, p) {
			list = append(list, p)
		}
	}
	if len(list) > 0 {
		return list, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return nil, fault.New(fault.Kubeconfig, "find the kubeconfig", err).Advise("set KUBECONFIG to a file")
	}
	return fileList{filepath.Join(home, ".kube", "config")}, nil
}

// target is the file to write to: the one that has the entry, otherwise the first that exists, otherwise the last.
func (l fileList) target(name string) string {
	for _, p := range l {
		if d, err := load(p); err == nil && slices.Contains(d.contexts(), name) {
			return p
		}
	}
	for _, p := range l {
		if _, err := os.Stat(p); err == nil {
			return p
		}
	}
	return l[len(l)-1]
}

type currentContext struct{ path, context string }

// current finds the file that determines the current context.
func (l fileList) current() currentContext {
	for _, p := range l {
		if d, err := load(p); err == nil && d.current() != "" {
			return currentContext{p, d.current()}
		}
	}
	return currentContext{}
}

// edit changes one file under its lock. A missing file is created only if create is set; a file without changes is not
// written.
func edit(path string, create bool, change func(*document)) (err error) {
	real, err := resolve(path)
	if err != nil {
		return broken(path, err)
	}
	if _, err := os.Stat(real); errors.Is(err, fs.ErrNotExist) && !create {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(real), 0o700); err != nil {
		return broken(path, err)
	}
	unlock, err := lock(real)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	d, err := load(real)
	if errors.Is(err, fs.ErrNotExist) {
		d, err = newDocument(), nil
	}
	if err != nil {
		return broken(path, err)
	}
	before := d.bytes()
	change(d)
	if after := d.bytes(); !bytes.Equal(before, after) {
		if err := atomicfile.Write(real, after, 0o600, atomicfile.Options{Durable: true, Keep: true}); err != nil {
			return broken(path, err)
		}
	}
	return nil
}

// broken is the fault for a kubeconfig that cannot be read or written.
func broken(path string, err error) error {
	return unusable("change", path, "then write the entry again", []cluster.Command{cluster.Bonsai("update-context").Change()}, err)
}

// unusable says what was tried on the file, and what to do once it is repaired: then, with the given commands.
func unusable(verb, path, then string, by []cluster.Command, err error) error {
	if f, ok := errors.AsType[*fault.Fault](err); ok {
		return f
	}
	f := fault.New(fault.Kubeconfig, verb+" the kubeconfig "+path, err)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return f.Advisef("this user may not change %s; set KUBECONFIG to a file that you own", path)
	case errors.Is(err, errForm):
		f.Advise("move the file away; kubectl cannot read it either")
	default:
		f.Advise("repair the file, or move it away")
	}
	return f.Advise(then, by...)
}
