// Package kubeconfig adds a cluster to the user's kubeconfig and removes it.
//
// Entries that lead to a cluster are recognised by its CA and address, not by names: users rename and add contexts.
// Everything else in a file stays as it was: the file is edited as a YAML tree, so that entries, fields and comments
// that bonsai does not know survive, as do a symbolic link, the file's mode and its owner. Files are found as kubectl
// finds them ($KUBECONFIG, a list, or ~/.kube/config) and seen as kubectl merges them; only those that change are locked,
// with kubectl's own lock, and written. Begin reading at Entry and Merge.
package kubeconfig

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"bonsai/bootstrap/atomicfile"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

// Results of Inspect.
const (
	Configured    = "Configured"
	Misconfigured = "Misconfigured" // contexts that lead to it need a repair, or one of its name leads elsewhere
	Missing       = "Missing"
	// Own is that of a cluster to which the user's kubeconfig does not lead on purpose; Inspect does not know that.
	Own = "Own"
)

// Entry is one cluster with its administrator. In a new entry cluster, user and context all carry Name, if it is free.
type Entry struct {
	Name   string
	Server string
	// CA, Cert and Key are PEM; they are embedded, so that the kubeconfig also works when it is copied elsewhere.
	CA, Cert, Key []byte
}

// File returns a whole kubeconfig with this entry only.
func (e Entry) File() []byte {
	v := &view{files: []*file{{doc: newDocument()}}}
	if _, err := v.put(e); err != nil {
		panic(err) // there is nothing in its way
	}
	v.files[0].doc.setCurrent(e.Name)
	return v.files[0].doc.bytes()
}

// Merged is what Merge made of the kubeconfig.
type Merged struct {
	// Path is the file with the context.
	Path string
	// Context leads to the cluster. It is the current one unless Current says otherwise.
	Context string
	// Current is another current context, which a file determines that cannot be changed; normally it is empty.
	Current string
	// Changed says whether the contexts had to be changed, apart from which one is the current one.
	Changed bool
	// Displaced is the server to which the context led before, if that was another cluster.
	Displaced string
}

// Merge makes the user's kubeconfig lead to the cluster of e. Contexts that do so already, whatever their names, are
// repaired where needed and nothing is added; otherwise a context of e.Name is added or replaced. The current context stays
// if it leads to the cluster.
func Merge(e Entry) (m Merged, err error) {
	paths, err := files()
	if err != nil {
		return m, err
	}
	err = paths.update(func(v *view) error {
		m = Merged{}
		v.repair(e)
		ways := v.ways(e)
		if len(ways) == 0 || !ways[0].works {
			displaced, err := v.put(e)
			if err != nil {
				return err
			}
			m.Displaced, ways = displaced, v.ways(e)
		}
		m.Changed = v.changed()
		m.Context = v.choose(e, ways)
		if m.Context == "" {
			_, m.Current = v.current()
			m.Context = ways[0].context
		}
		f, _ := v.find(contexts, m.Context)
		m.Path = f.path
		return nil
	})
	return m, err
}

// Repair makes the contexts that lead to the cluster of e work again, whatever their names. It adds nothing, and the current
// context stays.
func Repair(e Entry) error {
	paths, err := files()
	if err != nil {
		return err
	}
	return paths.update(func(v *view) error {
		v.repair(e)
		return nil
	})
}

// Check reports what would prevent Merge from adding a cluster, without changing anything.
func Check() error {
	paths, err := files()
	if err != nil {
		return err
	}
	v, err := paths.read()
	if err == nil && len(v.places()) == 0 {
		err = v.unwritable()
	}
	if f, ok := errors.AsType[*fault.Fault](err); ok {
		return f.Advise("then try again")
	}
	return err
}

// Remove removes what leads to the cluster with this CA (PEM) from all files of the user's kubeconfig. If its context was
// the current one, the previous one becomes current again, if it still exists. It returns whether there was anything to
// remove; nothing is not an error. The fault names what stays in a file that cannot be changed.
func Remove(ca []byte) (removed bool, err error) {
	paths, err := files()
	if err != nil {
		return false, err
	}
	var found remains
	err = paths.update(func(v *view) error {
		found = v.remove(ca)
		return nil
	})
	if err == nil && found.stuck != nil {
		err = unusable("change", found.stuck.path, found.stuck.locked)
	}
	if f, ok := errors.AsType[*fault.Fault](err); ok && len(found.contexts) > 0 {
		f.Advise("then remove the contexts that led to the cluster: " + strings.Join(found.contexts, ", "))
	}
	return found.any, err
}

// Access is how the user's kubeconfig leads to a cluster.
type Access struct {
	State    string   // Configured, Misconfigured or Missing
	Contexts []string // the contexts that lead to it, if it is Configured, the current one first
}

// Inspect reports whether the user's kubeconfig leads to the cluster of e. A file that cannot be read counts as empty.
func Inspect(e Entry) Access {
	paths, err := files()
	if err != nil {
		return Access{State: Missing}
	}
	v := &view{}
	for _, p := range paths {
		if f, err := open(p); err == nil {
			v.files = append(v.files, f)
		}
	}
	a := Access{State: Missing}
	if f, _ := v.find(contexts, e.Name); f != nil {
		a.State = Misconfigured
	}
	_, current := v.current()
	for _, w := range v.ways(e) {
		switch {
		case !w.works && a.State == Missing:
			a.State = Misconfigured
		case !w.works:
		case w.context == current:
			a.State, a.Contexts = Configured, slices.Insert(a.Contexts, 0, w.context)
		default:
			a.State, a.Contexts = Configured, append(a.Contexts, w.context)
		}
	}
	return a
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

// read reads all files; one that does not exist is empty.
func (l fileList) read() (*view, error) {
	v := &view{}
	for _, p := range l {
		f, err := open(p)
		if err != nil {
			return nil, unusable("read", p, err)
		}
		if !slices.ContainsFunc(v.files, func(other *file) bool { return other.real == f.real }) {
			v.files = append(v.files, f)
		}
	}
	return v, nil
}

func (v *view) changed() bool { return slices.ContainsFunc(v.files, (*file).changed) }

// updates is how often an update begins again because other programs change other files than those that it has locked.
const updates = 5

// update applies a change and writes the files that it changes, each under its lock; others are not touched. Which files
// those are is only known from applying it, so it is applied once before locking, and again to what is there then.
func (l fileList) update(change func(*view) error) error {
	var locked []string
	for range updates {
		done, want, err := l.tryUpdate(locked, change)
		if done || err != nil {
			return err
		}
		locked = want
	}
	return fault.Newf(fault.Kubeconfig, "other programs keep changing the kubeconfig").Advise("try again later")
}

// tryUpdate writes the changes if they are in the given files only, and returns in which ones they are otherwise.
func (l fileList) tryUpdate(locked []string, change func(*view) error) (done bool, want []string, err error) {
	for _, real := range locked {
		if err := os.MkdirAll(filepath.Dir(real), 0o700); err != nil {
			return false, nil, unusable("change", real, err)
		}
		unlock, lockErr := lock(real)
		if lockErr != nil {
			return false, nil, unusable("change", real, lockErr)
		}
		defer func() { err = errors.Join(err, unlock()) }()
	}
	v, err := l.read()
	if err != nil {
		return false, nil, err
	}
	if err := change(v); err != nil {
		return false, nil, err
	}
	for _, f := range v.files {
		if f.changed() {
			want = append(want, f.real)
		}
	}
	slices.Sort(want) // an order that everybody keeps, so that nobody waits for each other
	if slices.ContainsFunc(want, func(real string) bool { return !slices.Contains(locked, real) }) {
		return false, want, nil
	}
	for _, f := range v.files {
		if !f.changed() {
			continue
		}
		if err := atomicfile.Write(f.real, f.doc.bytes(), 0o600, atomicfile.Options{Durable: true, Keep: true}); err != nil {
			return false, nil, unusable("change", f.path, err)
		}
	}
	return true, nil, nil
}

// unwritable is the fault of a kubeconfig of which no file can be changed.
func (v *view) unwritable() *fault.Fault {
	f := v.files[0]
	list := []string{"FILE"}
	for _, other := range v.files {
		list = append(list, other.path)
	}
	return fault.New(fault.Kubeconfig, "change the kubeconfig "+f.path, f.locked).Advise("put a file in front that can be changed",
		cluster.Program("export").On("KUBECONFIG="+strings.Join(list, string(filepath.ListSeparator))).Fill("FILE").Change())
}

// unusable is the fault for a kubeconfig that cannot be read or written.
func unusable(verb, path string, err error) *fault.Fault {
	if f, ok := errors.AsType[*fault.Fault](err); ok {
		return f
	}
	f := fault.New(fault.Kubeconfig, verb+" the kubeconfig "+path, err)
	switch {
	case errors.Is(err, errForm):
		return f.Advise("move the file away; kubectl cannot read it either")
	case errors.Is(err, fs.ErrPermission):
		return f.Advisef("this user may not %s %s", verb, path)
	}
	return f.Advise("repair the file, or move it away")
}
