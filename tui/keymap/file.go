package keymap

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"bonsai/bootstrap/nearmiss"
)

// Parse reads a user's file over a map: a YAML mapping of action to a key or a list of keys, an empty list for none.
// What cannot be is reported, each with its reason, and left as it was; so is what an action has lost.
func Parse(base *Map, data []byte) (*Map, []string) {
	var file map[string]any
	if err := yaml.Unmarshal(data, &file); err != nil {
		return base, []string{fmt.Sprintf("the key file is not a YAML mapping: %v", err)}
	}
	ids := make([]string, 0, len(file))
	for id := range file {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	f := reading{base: base, keys: map[string][]string{}}
	for _, id := range ids {
		a, ok := base.Action(id)
		if !ok {
			f.problem("unknown action %q%s", id, base.nearest(id))
			continue
		}
		keys, err := keysOf(a, file[id])
		if err != nil {
			f.problem("%s: %v", id, err)
			continue
		}
		f.keys[id] = keys
	}
	return f.make(), f.problems
}

// nearest suggests the action that was meant, if one is near.
func (m *Map) nearest(id string) string {
	var ids []string
	for _, a := range m.actions {
		ids = append(ids, a.ID)
	}
	if best := nearmiss.Nearest(id, ids); best != "" {
		return fmt.Sprintf("; did you mean %q?", best)
	}
	return "; docs/keys.md lists all"
}

// reading is the work of Parse.
type reading struct {
	base     *Map
	keys     map[string][]string // what the file says, by action
	problems []string
}

func (f *reading) problem(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(f.problems, text) {
		f.problems = append(f.problems, text)
	}
}

// make binds what the file says first, and then what is left of the defaults.
func (f *reading) make() *Map {
	m := &Map{actions: slices.Clone(f.base.actions), byKey: map[Context]map[string]string{}}
	given := map[Context][]string{} // keys that actions have by the file and not by default
	for i := range m.actions {
		a := &m.actions[i]
		keys, ok := f.keys[a.ID]
		if !ok {
			continue
		}
		for _, k := range keys {
			for _, c := range a.In {
				if other := m.byKey[c][k]; other != "" && other != a.ID {
					f.problem("%s is wanted for %s and for %s; it stays with %s", Name(k), other, a.ID, other)
					continue
				}
				m.bind(c, k, a.ID)
				if !slices.Contains(a.Keys, k) {
					given[c] = append(given[c], k)
				}
			}
		}
		a.Keys = keys
	}
	for i := range m.actions {
		a := &m.actions[i]
		if _, ok := f.keys[a.ID]; ok {
			continue
		}
		for _, k := range a.Keys {
			for _, c := range a.In {
				// A key given to what this context is made of is not hidden by a default.
				at := slices.IndexFunc(Chain(c)[1:], func(part Context) bool { return slices.Contains(given[part], k) })
				switch other := m.byKey[c][k]; {
				case other != "":
					f.lost(m, a, k, other)
				case at >= 0:
					f.lost(m, a, k, m.byKey[Chain(c)[1+at]][k])
				default:
					m.bind(c, k, a.ID)
				}
			}
		}
	}
	return m
}

// lost reports that a default key of an action now is another's, where both count.
func (f *reading) lost(m *Map, a *Action, key, other string) {
	taker, _ := m.Action(other)
	var where []string
	for _, c := range a.In {
		chain := Chain(c)
		if slices.ContainsFunc(taker.In, func(t Context) bool { return slices.Contains(chain, t) }) {
			where = append(where, string(c))
		}
	}
	text := fmt.Sprintf("%s now is %s; %s has lost it", Name(key), other, a.ID)
	if len(where) < len(a.In) {
		text += " (" + strings.Join(where, ", ") + ")"
	}
	f.problem("%s", text)
}

// keysOf reads the keys of an action.
func keysOf(a Action, v any) ([]string, error) {
	var keys []string
	switch v := v.(type) {
	case nil:
	case string:
		keys = []string{v}
	case []any:
		for _, k := range v {
			keys = append(keys, fmt.Sprint(k))
		}
	default:
		keys = []string{fmt.Sprint(v)} // a digit
	}
	for i, k := range keys {
		k = strings.ReplaceAll(k, "ctrl-", "ctrl+")
		switch k {
		case "space":
			k = " "
		case "del":
			k = "delete"
		case "pgdn":
			k = "pgdown"
		case "":
			return nil, fmt.Errorf("an empty key")
		}
		if slices.Contains(reserved, k) {
			return nil, fmt.Errorf("%s cannot be used: terminals cannot tell it from another key, or use it themselves", Name(k))
		}
		if utf8.RuneCountInString(k) == 1 && (slices.Contains(a.In, Input) || slices.Contains(a.In, Prompt)) {
			return nil, fmt.Errorf("%s cannot be used: where text is typed it is a part of the text", Name(k))
		}
		keys[i] = k
	}
	return keys, nil
}
