package clusterfile

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/plan"
)

// addon is true or false, or more.
type addon struct {
	On *bool
	addonFields
}

type addonFields struct {
	Enabled *bool                 `yaml:"enabled,omitempty" doc:"Enable the addon (true, also if it is not given) or disable it (false)."`
	Values  map[string]addonValue `yaml:"values,omitempty" doc:"Values of the addon's settings; those that are not given have their default."`
}

func (a *addon) as(kind yaml.Kind) any {
	switch kind {
	case yaml.ScalarNode:
		a.On = new(bool)
		return a.On
	case yaml.MappingNode:
		return &a.addonFields
	}
	return nil
}

func (a addon) MarshalYAML() (any, error) {
	if a.On != nil {
		return *a.On, nil
	}
	return a.addonFields, nil
}

// enabled reports whether the file wants the addon.
func (a addon) enabled() bool {
	switch {
	case a.On != nil:
		return *a.On
	case a.Enabled != nil:
		return *a.Enabled
	}
	return true
}

// addonValue is text, a number or a list of them.
type addonValue struct {
	Text string
	List []string
}

func (v *addonValue) as(kind yaml.Kind) any {
	switch kind {
	case yaml.ScalarNode:
		return &v.Text
	case yaml.SequenceNode:
		v.List = []string{}
		return &v.List
	}
	return nil
}

func (v addonValue) MarshalYAML() (any, error) {
	if v.List != nil {
		return v.List, nil
	}
	if n, err := strconv.Atoi(v.Text); err == nil {
		return n, nil // without quotes
	}
	return v.Text, nil
}

// addons reads what a document says about addons into a wish.
func (d *decoder) addons(all map[string]addon, w *plan.Wish, o Options) {
	if all == nil {
		return
	}
	w.Addons = map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		path, entry := "addons."+name, all[name]
		w.Addons[name] = entry.enabled()
		var about cluster.AddonDescription
		if o.Addon != nil {
			var err error
			if about, err = o.Addon(name); err != nil {
				d.badAt(path, err)
				continue
			}
		}
		if entry.Values == nil {
			continue
		}
		if w.AddonValues == nil {
			w.AddonValues = map[string]map[string]string{}
		}
		w.AddonValues[name] = d.addonValues(path+".values", entry.Values, about)
	}
}

func (d *decoder) addonValues(path string, values map[string]addonValue, about cluster.AddonDescription) map[string]string {
	var names []string
	for _, s := range about.Settings {
		names = append(names, s.Name)
	}
	read := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		at, v := path+"."+name, values[name]
		s, known := about.Setting(name)
		switch {
		case len(names) == 0:
			d.bad(d.lines[at], "unknown field %q in %s: the addon has no settings", name, path)
			continue
		case !known:
			d.bad(d.lines[at], "%s", unknown(name, path, names))
			continue
		case v.List != nil && !s.IsList():
			d.badAt(at, errors.New("it has to be a single value, not a list"))
			continue
		}
		for i, entry := range v.List {
			if strings.Contains(entry, ",") {
				d.badAt(fmt.Sprintf("%s[%d]", at, i), fmt.Errorf("%q has a comma; write two entries", entry))
			}
		}
		given := v.Text
		if v.List != nil {
			given = strings.Join(v.List, ",")
		}
		text, err := s.Canonical(given)
		d.badAt(at, err)
		read[name] = text
	}
	return read
}

// viewAddons writes the choices of addons. off reports whether one that nobody has enabled or disabled is disabled.
func viewAddons(spec cluster.Spec, off func(name string) bool) map[string]addon {
	all := map[string]addon{}
	for name, on := range spec.Addons {
		all[name] = addon{On: &on}
	}
	for name, values := range spec.AddonValues {
		a := addon{addonFields: addonFields{Values: map[string]addonValue{}}}
		if !spec.Wants(name, off == nil || !off(name)) {
			a.Enabled = new(false)
		}
		for setting, text := range values {
			v := addonValue{Text: text}
			if strings.Contains(text, ",") {
				v = addonValue{List: cluster.List(text)}
			}
			a.Values[setting] = v
		}
		all[name] = a
	}
	if len(all) == 0 {
		return nil
	}
	return all
}

// addonsSchema describes the addons that there are.
func addonsSchema(all []cluster.AddonDescription) map[string]any {
	named := map[string]any{}
	for _, a := range all {
		values := map[string]any{}
		for _, s := range a.Settings {
			values[s.Name] = settingSchema(s)
		}
		fields := schemaOfStruct(reflect.TypeFor[addonFields]())
		fields["properties"].(map[string]any)["values"].(map[string]any)["additionalProperties"] = false
		fields["properties"].(map[string]any)["values"].(map[string]any)["properties"] = values
		named[a.Name] = map[string]any{"description": a.Description + ".", "oneOf": []any{map[string]any{"type": "boolean"}, fields}}
	}
	return map[string]any{"type": "object", "properties": named, "additionalProperties": false}
}

func settingSchema(s cluster.AddonSetting) map[string]any {
	schema := map[string]any{"type": "string", "minLength": 1}
	switch s.Type {
	case cluster.SettingChoice:
		schema = map[string]any{"enum": s.Options}
	case cluster.SettingInteger:
		schema = map[string]any{"type": "integer", "minimum": s.Min, "maximum": s.Max}
	case cluster.SettingAddresses, cluster.SettingHosts, cluster.SettingOrigins, cluster.SettingRanges, cluster.SettingDomains, cluster.SettingRegistries:
		entries := map[string]any{"type": "array", "items": map[string]any{"type": "string"}}
		if s.Max > 0 {
			entries["maxItems"] = s.Max
		}
		schema = map[string]any{"oneOf": []any{map[string]any{"type": "string"}, entries}}
	}
	schema["description"] = s.Description + ". " + s.Cost + "."
	if s.Default != "" {
		schema["description"] = s.Description + "; " + s.Default + " if it is not given. " + s.Cost + "."
	}
	return schema
}
