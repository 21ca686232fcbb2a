package clusterfile

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"

	"go.yaml.in/yaml/v3"

	"bonsai/bootstrap/cluster"
)

// mount is text in the form of --mount, or the fields that kind's extraMounts have.
type mount struct {
	Text string
	mountFields
}

type mountFields struct {
	HostPath      string `yaml:"hostPath" required:"true" filled:"true" doc:"File or folder of the engine's machine; one that is not absolute is beside the file."`
	ContainerPath string `yaml:"containerPath" required:"true" filled:"true" doc:"Where the nodes have it."`
	ReadOnly      bool   `yaml:"readOnly,omitempty" doc:"Nobody in the nodes can write to it."`
}

func (m *mount) as(kind yaml.Kind) any {
	switch kind {
	case yaml.ScalarNode:
		return &m.Text
	case yaml.MappingNode:
		return &m.mountFields
	}
	return nil
}

func (m mount) MarshalYAML() (any, error) { return m.Text, nil }

// mounts checks a list of mounts, which may be nil; dir is the folder of the file. The result is sorted.
func (d *decoder) mounts(path string, list []mount, dir string) []cluster.Mount {
	if list == nil {
		return nil
	}
	read, seen := []cluster.Mount{}, map[string]int{}
	for i, m := range list {
		at := fmt.Sprintf("%s[%d]", path, i)
		c, err := m.read(dir)
		if err != nil {
			d.badAt(at, err)
			continue
		}
		if c.Path == "" { // which is a mistake already
			continue
		}
		if line, twice := seen[c.Path]; twice {
			d.badAt(at, fmt.Errorf("%s of the node has a mount in line %d already", c.Path, line))
		}
		seen[c.Path] = d.lines[at]
		read = append(read, c)
	}
	slices.SortFunc(read, func(a, b cluster.Mount) int { return cmp.Compare(a.Path, b.Path) })
	return read
}

func (m mount) read(dir string) (cluster.Mount, error) {
	if m.mountFields == (mountFields{}) {
		return cluster.ParseMount(m.Text, dir)
	}
	if m.HostPath == "" || m.ContainerPath == "" {
		return cluster.Mount{}, nil
	}
	c := cluster.Mount{Host: filepath.Clean(m.HostPath), Path: m.ContainerPath, ReadOnly: m.ReadOnly}
	if !filepath.IsAbs(c.Host) {
		c.Host = filepath.Join(dir, c.Host)
	}
	return c, c.Validate()
}

func viewMounts(list []cluster.Mount) (view []mount) {
	for _, m := range list {
		view = append(view, mount{Text: m.String()})
	}
	return view
}
