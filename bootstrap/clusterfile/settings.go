package clusterfile

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/plan"
)

// component is what can be changed in a component of the control plane.
type component struct {
	ExtraArgs map[string]string `yaml:"extraArgs,omitempty" of:"number,boolean" doc:"Flags of the component, without dashes. Those that bonsai sets itself are refused."`
}

type apiServer struct {
	ExtraArgs      map[string]string `yaml:"extraArgs,omitempty" of:"number,boolean" doc:"Flags of the component, without dashes. Those that bonsai sets itself are refused."`
	AuditPolicy    *settings         `yaml:"auditPolicy,omitempty" doc:"An audit.k8s.io/v1 Policy, or the path of its file. What it selects is logged in the cluster's folder."`
	Admission      *settings         `yaml:"admission,omitempty" doc:"An AdmissionConfiguration, or the path of its file."`
	Authentication *settings         `yaml:"authentication,omitempty" doc:"An AuthenticationConfiguration, or the path of its file."`
	Encryption     *settings         `yaml:"encryption,omitempty" doc:"An EncryptionConfiguration, or the path of its file."`
}

// settings are the fields of a configuration of Kubernetes, or the path of a file that has them.
type settings struct {
	Path   string
	Inline inline
}

// inline is any mapping.
type inline struct{ yaml.Node }

func (s *settings) as(kind yaml.Kind) any {
	switch kind {
	case yaml.ScalarNode:
		return &s.Path
	case yaml.MappingNode:
		return &s.Inline
	}
	return nil
}

func (s settings) MarshalYAML() (any, error) {
	if s.Path != "" {
		return s.Path, nil
	}
	return &s.Inline.Node, nil
}

// settings reads what a document says about components into a wish.
func (d *decoder) settings(doc document, w *plan.Wish, o Options) {
	s := cluster.Settings{FeatureGates: doc.FeatureGates}
	args := func(name string, list map[string]string) {
		if list == nil {
			return
		}
		if s.Args == nil {
			s.Args = map[string]map[string]string{}
		}
		s.Args[name] = list
	}
	file := func(name, text string, ok bool) {
		if !ok {
			return
		}
		if s.Files == nil {
			s.Files = map[string]string{}
		}
		s.Files[name] = text
	}
	if a := doc.APIServer; a != nil {
		args(cluster.ComponentAPIServer, a.ExtraArgs)
		for _, f := range []struct {
			name string
			of   *settings
		}{
			{cluster.FileAudit, a.AuditPolicy}, {cluster.FileAdmission, a.Admission}, {cluster.FileAuthentication, a.Authentication}, {cluster.FileEncryption, a.Encryption},
		} {
			text, ok := d.contents(f.name, f.of, o)
			file(f.name, text, ok)
		}
	}
	if c := doc.ControllerManager; c != nil {
		args(cluster.ComponentControllerManager, c.ExtraArgs)
	}
	if c := doc.Scheduler; c != nil {
		args(cluster.ComponentScheduler, c.ExtraArgs)
	}
	text, ok := d.contents(cluster.FileKubelet, doc.Kubelet, o)
	file(cluster.FileKubelet, text, ok)
	if s.IsZero() {
		return
	}
	w.Settings = &s
	if o.Settings == nil || len(d.errs) > 0 { // what is not read cannot be judged
		return
	}
	wrong := o.Settings(*w)
	for _, path := range slices.Sorted(maps.Keys(wrong)) {
		d.badAt(path, wrong[path])
	}
}

// contents is the text of a configuration, "" to have none; false if the document does not say.
func (d *decoder) contents(path string, s *settings, o Options) (text string, ok bool) {
	switch {
	case s == nil:
		return "", false
	case s.Path == hidden:
		d.badAt(path, errors.New("it is hidden; write the real one, or use  bonsai config view --raw"))
		return "", false
	case s.Inline.Kind != 0:
		var fields map[string]any // which resolves aliases
		if err := s.Inline.Decode(&fields); err != nil {
			d.badAt(path, errors.New(syntaxLine.ReplaceAllString(err.Error(), "")))
			return "", false
		}
		return d.canonical(path, fields), true
	}
	var fields map[string]any
	text = d.read(path, s.Path, o)
	if err := yaml.Unmarshal([]byte(text), &fields); err != nil || text != "" && len(fields) == 0 {
		d.badAt(path, fmt.Errorf("%s is not a mapping in YAML; to have none, write {}", s.Path))
		return "", false
	}
	return d.canonical(path, fields), true
}

// canonical is the text of a configuration in the form that does not depend on how it was written.
func (d *decoder) canonical(path string, fields map[string]any) string {
	if len(fields) == 0 {
		return ""
	}
	data, err := yaml.Marshal(fields)
	d.badAt(path, err)
	return string(data)
}

// read returns the text of a file beside the cluster file, "" with a mistake if there is none.
func (d *decoder) read(path, name string, o Options) string {
	data, err := o.read(name)
	switch {
	case err != nil:
		d.badAt(path, err)
	case len(strings.TrimSpace(string(data))) == 0:
		d.badAt(path, fmt.Errorf("the file %s is empty", name))
	case len(data) > maxSize:
		d.badAt(path, fmt.Errorf("the file %s has %d bytes, at most %d are possible", name, len(data), maxSize))
	default:
		return string(data)
	}
	return ""
}

// read reads a file that the cluster file names.
func (o Options) read(name string) ([]byte, error) {
	if o.ReadFile == nil {
		return nil, errors.New("files cannot be read here")
	}
	if !filepath.IsAbs(name) {
		name = filepath.Join(o.Dir, name)
	}
	return o.ReadFile(name)
}

// viewSettings writes the settings of components. Keys may be in the encryption's, and credentials in the authentication's.
func viewSettings(s cluster.Settings, doc *document, raw bool) error {
	doc.FeatureGates = s.FeatureGates
	var errs []error
	of := func(name string) *settings {
		text := s.Files[name]
		switch {
		case text == "":
			return nil
		case name == cluster.FileEncryption && !raw:
			return &settings{Path: hidden}
		}
		var parsed yaml.Node
		if err := yaml.Unmarshal([]byte(text), &parsed); err != nil || len(parsed.Content) != 1 {
			errs = append(errs, fmt.Errorf("read the settings of %s: %w", name, err))
			return nil
		}
		return &settings{Inline: inline{*parsed.Content[0]}}
	}
	a := apiServer{
		ExtraArgs: s.Args[cluster.ComponentAPIServer], AuditPolicy: of(cluster.FileAudit), Admission: of(cluster.FileAdmission),
		Authentication: of(cluster.FileAuthentication), Encryption: of(cluster.FileEncryption),
	}
	if len(a.ExtraArgs) > 0 || a.AuditPolicy != nil || a.Admission != nil || a.Authentication != nil || a.Encryption != nil {
		doc.APIServer = &a
	}
	if args := s.Args[cluster.ComponentControllerManager]; len(args) > 0 {
		doc.ControllerManager = &component{ExtraArgs: args}
	}
	if args := s.Args[cluster.ComponentScheduler]; len(args) > 0 {
		doc.Scheduler = &component{ExtraArgs: args}
	}
	doc.Kubelet = of(cluster.FileKubelet)
	return errors.Join(errs...)
}
