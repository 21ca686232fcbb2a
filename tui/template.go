package tui

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"bonsai/bootstrap/kube"
	"bonsai/tui/paint"
)

// This file changes containers of a workload's pod template: their images, what they request, and their limits.

// templateContainer is a container of a pod template, as far as it can be changed here.
type templateContainer struct {
	Name      string `yaml:"name"`
	Image     string `yaml:"image"`
	Resources struct {
		Requests map[string]string `yaml:"requests"`
		Limits   map[string]string `yaml:"limits"`
	} `yaml:"resources"`
}

// templateSpec is the part of an object that has containers: its own, or those of its template.
type templateSpec struct {
	Init       []templateContainer `yaml:"initContainers"`
	Containers []templateContainer `yaml:"containers"`
	Template   *struct {
		Spec templateSpec `yaml:"spec"`
	} `yaml:"template"`
	JobTemplate *struct {
		Spec templateSpec `yaml:"spec"`
	} `yaml:"jobTemplate"`
}

// containersOf are the containers of an object's pod template, those that run before the others first.
func containersOf(text string) ([]templateContainer, error) {
	var o struct {
		Spec templateSpec `yaml:"spec"`
	}
	if err := yaml.Unmarshal([]byte(text), &o); err != nil {
		return nil, fmt.Errorf("read the containers: %w", err)
	}
	spec := &o.Spec
	for {
		switch {
		case spec.JobTemplate != nil:
			spec = &spec.JobTemplate.Spec
		case spec.Template != nil:
			spec = &spec.Template.Spec
		default:
			return slices.Concat(spec.Init, spec.Containers), nil
		}
	}
}

var templated = []string{"deployments", "statefulsets", "daemonsets", "cronjobs"}

func needsTemplate(u *ui, s *subject) string {
	if !slices.Contains(templated, s.ref.Type.Resource) {
		return u.T("it has no pod template that can change")
	}
	return ""
}

func needsImages(u *ui, s *subject) string {
	if s.ref.Type.Resource == "pods" {
		return ""
	}
	return needsTemplate(u, s)
}

// withContainers reads the containers of an object's template.
func (u *ui) withContainers(s *subject, then func([]templateContainer)) {
	ref := s.ref
	fetch(u, func(ctx context.Context) ([]templateContainer, error) {
		text, err := u.session.YAML(ctx, ref)
		if err != nil {
			return nil, err
		}
		return containersOf(text)
	}, func(list []templateContainer, err error) {
		switch {
		case err != nil:
			u.fail(err)
		case len(list) == 0:
			u.toast.say(paint.Warn, u.T("it has no containers"))
		default:
			then(list)
		}
	})
}

// askImages asks for the images of the containers, and shows what another one would change.
func (u *ui) askImages(s *subject) {
	ref, what := s.ref, s.name()
	u.withContainers(s, func(list []templateContainer) {
		f := &form{title: u.T("images of %s", what), accept: u.T("Show what changes"), text: []string{u.T("nothing is changed before you have seen what would change")}}
		for _, c := range list {
			f.fields = append(f.fields, &field{label: paint.Clean(c.Name), value: paint.Clean(c.Image), hint: u.T("an image, such as web:2"), check: func(text string) string {
				if text == "" || strings.ContainsAny(text, " \t") {
					return u.T("not the name of an image")
				}
				return ""
			}})
		}
		f.done = func(values []string) {
			images := map[string]string{}
			for i, c := range list {
				if values[i] != c.Image {
					images[c.Name] = values[i]
				}
			}
			if len(images) == 0 {
				u.toast.say(paint.Dim, u.T("nothing was changed"))
				return
			}
			u.propose(proposal{
				action: kube.Action{Verb: kube.VerbSetImage, Ref: ref, Images: images}, title: u.T("set the image of %s", what), accept: u.T("Change"),
				notes: u.rolloutNotes(ref),
			})
		}
		u.openForm(f)
	})
}

// rolloutNotes say what a change of a pod template does.
func (u *ui) rolloutNotes(ref kube.Ref) []string {
	switch ref.Type.Resource {
	case "pods":
		return []string{u.T("the container restarts with it")}
	case "cronjobs":
		return []string{u.T("it counts for the next run")}
	}
	return []string{u.T("its pods are replaced one after the other; the palette can undo it")}
}

// resourceFields are what can be asked for, in the order of the form.
var resourceFields = []struct {
	title, resource string
	limit           bool
}{
	{"cpu requested", "cpu", false}, {"cpu limit", "cpu", true}, {"memory requested", "memory", false}, {"memory limit", "memory", true},
}

// quantity is what the API takes as an amount (apimachinery, pkg/api/resource).
var quantity = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]+)?$`)

// askResources asks for what a container requests and for its limits, and shows what that would change.
func (u *ui) askResources(s *subject) {
	ref, what := s.ref, s.name()
	u.withContainers(s, func(list []templateContainer) {
		if len(list) == 1 {
			u.askResourcesOf(ref, what, list[0])
			return
		}
		choices := make([]choice, len(list))
		for i, c := range list {
			choices[i] = choice{title: paint.Clean(c.Name), hint: paint.Clean(c.Image), run: func() { u.askResourcesOf(ref, what, c) }}
		}
		u.choose(u.T("which container?"), choices)
	})
}

func (u *ui) askResourcesOf(ref kube.Ref, what string, c templateContainer) {
	f := &form{
		title: u.T("resources of %s in %s", paint.Clean(c.Name), what), accept: u.T("Show what changes"),
		text: []string{u.T("requests decide which node has room; above its memory limit a container is killed, at its cpu limit it is slowed down")},
	}
	old := make([]string, len(resourceFields))
	for i, d := range resourceFields {
		from := c.Resources.Requests
		if d.limit {
			from = c.Resources.Limits
		}
		old[i] = from[d.resource]
		hint := u.T("such as 250m or 1; empty for none")
		if d.resource == "memory" {
			hint = u.T("such as 64Mi or 1Gi; empty for none")
		}
		f.fields = append(f.fields, &field{label: u.T(d.title), value: paint.Clean(old[i]), hint: hint, check: func(text string) string {
			if text != "" && !quantity.MatchString(text) {
				return u.T("not an amount: %s", hint)
			}
			return ""
		}})
	}
	f.done = func(values []string) {
		r := kube.Resources{Requests: map[string]string{}, Limits: map[string]string{}}
		for i, d := range resourceFields {
			if values[i] == old[i] {
				continue
			}
			if d.limit {
				r.Limits[d.resource] = values[i]
			} else {
				r.Requests[d.resource] = values[i]
			}
		}
		if len(r.Requests)+len(r.Limits) == 0 {
			u.toast.say(paint.Dim, u.T("nothing was changed"))
			return
		}
		u.propose(proposal{
			action: kube.Action{Verb: kube.VerbSetResources, Ref: ref, Resources: map[string]kube.Resources{c.Name: r}},
			title:  u.T("set the resources of %s", what), accept: u.T("Change"), notes: u.rolloutNotes(ref),
		})
	}
	u.openForm(f)
}

// assignments are the entries of a map as arguments: "a=1,b=2". What is taken away is 0, as kubectl has it.
func assignments(list map[string]string, between string) string {
	var all []string
	for _, k := range slices.Sorted(maps.Keys(list)) {
		all = append(all, k+"="+cmp.Or(list[k], "0"))
	}
	return strings.Join(all, between)
}
