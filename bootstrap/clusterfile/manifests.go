package clusterfile

import (
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/plan"
)

// manifests reads the manifests that a file names; nil for a file that does not say. The lines of their mistakes are their
// own.
func (d *decoder) manifests(sources []string, o Options) []plan.Manifest {
	if sources == nil {
		return nil
	}
	list, seen := []plan.Manifest{}, map[string]int{}
	for i, source := range sources {
		at := fmt.Sprintf("manifests[%d]", i)
		if !strings.Contains(source, "://") && !filepath.IsAbs(source) {
			source = filepath.Join(o.Dir, source)
		}
		if o.Manifests == nil {
			d.badAt(at, errors.New("files cannot be read here"))
			continue
		}
		files, err := o.Manifests(source)
		d.badAt(at, err)
		for _, m := range files {
			if line, twice := seen[m.Source]; twice {
				d.badAt(at, fmt.Errorf("%s is in line %d already", m.Source, line))
				continue
			}
			seen[m.Source] = d.lines[at]
			d.badAt(at, checkManifest(path.Base(filepath.ToSlash(m.Source)), m.Data))
			list = append(list, m)
		}
	}
	return list
}

// checkManifest returns the mistakes of a file of objects that need no cluster to be found.
func checkManifest(name, data string) error {
	var errs []error
	objects := 0
	for in := yaml.NewDecoder(strings.NewReader(data)); ; {
		var doc yaml.Node
		err := in.Decode(&doc)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			line := 1
			if match := syntaxLine.FindStringSubmatch(err.Error()); match != nil && match[1] != "" {
				line, _ = strconv.Atoi(match[1])
			}
			return errors.Join(append(errs, fmt.Errorf("%s:%d: this is not YAML: %s", name, line, syntaxLine.ReplaceAllString(err.Error(), "")))...)
		}
		if len(doc.Content) != 1 || doc.Content[0].ShortTag() == "!!null" { // nothing between two lines ---
			continue
		}
		objects++
		var head struct {
			APIVersion string `yaml:"apiVersion"`
			Kind       string
			Metadata   struct {
				Name         string
				GenerateName string `yaml:"generateName"`
			}
		}
		node := doc.Content[0]
		bad := func(what string) { errs = append(errs, fmt.Errorf("%s:%d: %s", name, node.Line, what)) }
		switch err := node.Decode(&head); {
		case node.Kind != yaml.MappingNode:
			bad("an object of Kubernetes has to be a mapping, not " + kindName(node))
		case err != nil:
			bad(syntaxLine.ReplaceAllString(err.Error(), ""))
		case head.APIVersion == "":
			bad("the object has no apiVersion")
		case head.Kind == "":
			bad("the object has no kind")
		case head.Metadata.Name == "" && head.Metadata.GenerateName != "":
			bad("the " + head.Kind + " has generateName in place of a name: each apply would make another one")
		case head.Metadata.Name == "" && !strings.HasSuffix(head.Kind, "List"):
			bad("the " + head.Kind + " has no metadata.name")
		}
	}
	if objects == 0 && len(errs) == 0 {
		errs = append(errs, fmt.Errorf("%s has no objects", name))
	}
	return errors.Join(errs...)
}

func viewManifests(list []cluster.Manifest) (sources []string) {
	for _, m := range list {
		sources = append(sources, m.Source)
	}
	return sources
}
