package clusterfile

import (
	"errors"
	"reflect"

	"go.yaml.in/yaml/v3"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/plan"
)

// Options are what Parse has to know of the program that reads the file.
type Options struct {
	// Kubernetes is the version of the linked components ("v1.37.2").
	Kubernetes string
	// Dir is the folder below which the file's own paths are that are not absolute.
	Dir string
	// ReadFile reads a file that the cluster file names; nil if there is none to read.
	ReadFile func(name string) ([]byte, error)
	// Manifests reads what is at an absolute path, a file or a folder, or at a URL. It may be nil.
	Manifests func(source string) ([]plan.Manifest, error)
	// Settings returns what is wrong with the settings of components of a wish, by their paths in the file. It may be nil.
	Settings func(w plan.Wish) map[string]error
	// Addon returns the addon of that name, or why there is none.
	Addon func(name string) (cluster.AddonDescription, error)
}

// Parse reads a file; name is what errors call it. The wish has no name if the file has none, and no proxy if the file has
// none. All mistakes are reported, each as one of the joined faults, with its line. They never contain passwords.
func Parse(name string, data []byte, o Options) (plan.Wish, error) {
	d := &decoder{name: name, lines: map[string]int{}}
	doc, ok := d.document(data)
	if !ok {
		return plan.Wish{}, d.failure()
	}
	wish := d.wish(doc, o)
	if err := d.failure(); err != nil {
		return plan.Wish{}, err
	}
	wish.File = name
	return wish, nil
}

func (d *decoder) failure() error { return errors.Join(d.errs...) }

// document decodes a file. It reports false if it is not one of ours at all.
func (d *decoder) document(data []byte) (doc document, ok bool) {
	root := d.root(data)
	if root == nil {
		return doc, false
	}
	if d.foreign(root) {
		return doc, false
	}
	d.value(root, reflect.ValueOf(&doc).Elem(), "", "")
	return doc, true
}

// foreign refuses files of other kinds with one error, in place of one for each of their fields.
func (d *decoder) foreign(root *yaml.Node) bool {
	if root.Kind != yaml.MappingNode {
		return false
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, item := root.Content[i], root.Content[i+1]
		want := map[string]string{"apiVersion": APIVersion, "kind": Kind}[key.Value]
		if want != "" && item.Kind == yaml.ScalarNode && item.ShortTag() != "!!null" && item.Value != want {
			d.errs = append(d.errs, fault.Newf(fault.Usage, "%s:%d: %s %q is not that of a cluster file of this bonsai, which is %s", d.name, key.Line, key.Value, item.Value, want).
				Advise("docs/cluster-file.md describes the file"))
			return true
		}
	}
	return false
}
