package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

// What a change restarts, in Need.Parts.
const (
	PartControlPlane = "control-plane"
	PartKubelet      = "kubelet"
)

// FeatureGates turns gates of all components on or off, or back to their default.
type FeatureGates struct {
	Name string          `json:"name"`
	From map[string]bool `json:"from"`
	To   map[string]bool `json:"to"`
	// Running says that the components run.
	Running bool `json:"running"`
}

func (c FeatureGates) Kind() Kind     { return KindFeatureGates }
func (c FeatureGates) Object() string { return "cluster/" + c.Name }
func (c FeatureGates) Needs() Need    { return restart(c.Running, PartControlPlane, PartKubelet) }
func (c FeatureGates) String() string {
	var on, off, usual []string
	for _, name := range keys(c.From, c.To) {
		was, had := c.From[name]
		switch is, has := c.To[name]; {
		case !has:
			usual = append(usual, name)
		case had && was == is:
		case is:
			on = append(on, name)
		default:
			off = append(off, name)
		}
	}
	var parts []string
	for _, p := range []struct {
		verb  string
		names []string
	}{{"turn on", on}, {"turn off", off}, {"reset", usual}} {
		if len(p.names) > 0 {
			parts = append(parts, p.verb+" "+strings.Join(p.names, ", "))
		}
	}
	return "feature gates: " + strings.Join(parts, "; ")
}

// Args changes flags of one component of the control plane.
type Args struct {
	Name      string            `json:"name"`
	Component string            `json:"component"`
	From      map[string]string `json:"from"`
	To        map[string]string `json:"to"`
	// Running says that the component runs.
	Running bool `json:"running"`
}

func (c Args) Kind() Kind     { return KindArgs }
func (c Args) Object() string { return "cluster/" + c.Name }
func (c Args) Needs() Need    { return restart(c.Running, PartControlPlane) }
func (c Args) String() string {
	var parts []string
	for _, name := range keys(c.From, c.To) {
		was, had := c.From[name]
		switch is, has := c.To[name]; {
		case !has:
			parts = append(parts, "without --"+name)
		case !had || was != is:
			parts = append(parts, "with --"+name+"="+is)
		}
	}
	return fmt.Sprintf("run %s %s", c.Component, strings.Join(parts, ", "))
}

// File changes a configuration file of a component. What is in it is not shown: keys may be.
type File struct {
	Name string `json:"name"`
	// File is one of the constants cluster.File….
	File string `json:"file"`
	// Removed says that there is none any more.
	Removed bool `json:"removed,omitempty"`
	// Running says that the component runs.
	Running bool `json:"running"`
}

func (c File) Kind() Kind     { return KindFile }
func (c File) Object() string { return "cluster/" + c.Name }
func (c File) Needs() Need {
	if c.File == cluster.FileKubelet {
		return restart(c.Running, PartKubelet)
	}
	return restart(c.Running, PartControlPlane)
}
func (c File) String() string {
	if c.Removed {
		return "remove the settings " + c.File
	}
	return "change the settings " + c.File
}

// Components changes which components of the control plane run.
type Components struct {
	Name string `json:"name"`
	// Off are those that do not run afterwards.
	Off []string `json:"off"`
	// Running says that the control plane runs.
	Running bool `json:"running"`
}

func (c Components) Kind() Kind     { return KindComponents }
func (c Components) Object() string { return "cluster/" + c.Name }
func (c Components) Needs() Need    { return restart(c.Running, PartControlPlane) }
func (c Components) String() string {
	if len(c.Off) == 0 {
		return "run all components of the control plane"
	}
	return "run the control plane without " + strings.Join(c.Off, " and ")
}

// checkComponents refuses a control plane that its nodes cannot do with.
func checkComponents(wanted State) error {
	err := wanted.Spec.CheckComponents()
	if err == nil {
		return nil
	}
	f := fault.New(fault.Usage, "", err)
	if wanted.File != "" {
		return f.Advise("write  nodes: 0, or leave out only the scheduler, in the file")
	}
	start := cluster.Bonsai("start").Of(wanted.Spec.Name)
	return f.Advise("have no nodes", start.With("--nodes", "0").With("--components", "etcd,apiserver").Change()).
		Advise("or run all components", start.With("--components", "all").Change())
}

// restart is the need of something that processes read when they start.
func restart(running bool, parts ...string) Need {
	if !running {
		return Need{Effect: Live}
	}
	return Need{Effect: Restart, Parts: parts}
}

func diffSettings(have, want cluster.Spec, running bool) (changes []Change) {
	name := want.Name
	if off := want.LeftOut(); !slices.Equal(have.LeftOut(), off) {
		changes = append(changes, Components{name, off, running})
	}
	if !maps.Equal(have.Settings.FeatureGates, want.Settings.FeatureGates) {
		changes = append(changes, FeatureGates{name, have.Settings.FeatureGates, want.Settings.FeatureGates, running})
	}
	for _, component := range cluster.Components() {
		from, to := have.Settings.Args[component], want.Settings.Args[component]
		if !maps.Equal(from, to) {
			changes = append(changes, Args{name, component, from, to, running})
		}
	}
	for _, file := range keys(have.Settings.Files, want.Settings.Files) {
		if from, to := have.Settings.Files[file], want.Settings.Files[file]; from != to {
			changes = append(changes, File{name, file, to == "", running})
		}
	}
	return changes
}

// withSettings returns the settings with what is wished. Of an exact wish, what is mentioned is all of it.
func (w Wish) withSettings(have cluster.Settings) cluster.Settings {
	if w.Settings == nil {
		return have
	}
	s := cluster.Settings{FeatureGates: have.FeatureGates, Args: maps.Clone(have.Args), Files: overlay(have.Files, w.Settings.Files)}
	switch {
	case w.Exact && w.Settings.FeatureGates != nil:
		s.FeatureGates = w.Settings.FeatureGates
	default:
		s.FeatureGates = overlay(have.FeatureGates, w.Settings.FeatureGates)
	}
	for component, args := range w.Settings.Args {
		if s.Args == nil {
			s.Args = map[string]map[string]string{}
		}
		if !w.Exact {
			args = overlay(have.Args[component], args)
		}
		s.Args[component] = args
	}
	// What is empty is not there.
	maps.DeleteFunc(s.Args, func(_ string, args map[string]string) bool { return len(args) == 0 })
	if s.Files != nil {
		s.Files = maps.Clone(s.Files)
		maps.DeleteFunc(s.Files, func(_, text string) bool { return text == "" })
	}
	if len(s.FeatureGates) == 0 {
		s.FeatureGates = nil
	}
	if len(s.Args) == 0 {
		s.Args = nil
	}
	if len(s.Files) == 0 {
		s.Files = nil
	}
	return s
}

// Restarts reports whether one of the changes restarts a part, one of the constants Part….
func (p Plan) Restarts(part string) bool {
	return slices.ContainsFunc(p.Changes, func(c Change) bool { return slices.Contains(c.Needs().Parts, part) })
}
