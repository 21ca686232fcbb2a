// Package keymap says which key does what. Code asks for the action of a key; nobody compares keys with letters.
//
// Actions live in contexts: a key of the context in front hides the same key of Global. A user may give any action
// other keys (Parse); what collides then is reported and keeps its default.
package keymap

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Context is where a key counts.
type Context string

// The contexts. What is typed into a prompt counts only there.
const (
	Global Context = "global"
	List   Context = "list"   // rows: move, open, act on the row
	Text   Context = "text"   // logs, YAML, descriptions: scroll and search
	Start  Context = "start"  // the start view: begin, look at, retry
	Object Context = "object" // the tabs of an object's page, before the keys of the tab
	Panes  Context = "panes"  // panes beside each other, on wide terminals, before the keys of the pane
	Dialog Context = "dialog" // questions and menus
)

// Binding is one action and its keys, the first of which is shown.
type Binding struct {
	ID      string
	Context Context
	Keys    []string
	// Help says in a few words what it does; it is translated when it is shown.
	Help string
}

// Map is a set of bindings. It is immutable.
type Map struct {
	bindings []Binding
	byKey    map[Context]map[string]string
}

// reserved keys are never bound: ctrl-h, -i, -j, -m and -[ are the same bytes as other keys, ctrl-a and ctrl-b belong to
// terminal multiplexers, ctrl-z would stop the whole process group.
var reserved = []string{"ctrl+h", "ctrl+i", "ctrl+j", "ctrl+m", "ctrl+[", "ctrl+a", "ctrl+b", "ctrl+z"}

// New makes a map of bindings, each key at most once in its context.
func New(bindings []Binding) (*Map, error) {
	m := &Map{bindings: slices.Clone(bindings), byKey: map[Context]map[string]string{}}
	for _, b := range bindings {
		if m.byKey[b.Context] == nil {
			m.byKey[b.Context] = map[string]string{}
		}
		for _, k := range b.Keys {
			if slices.Contains(reserved, k) {
				return nil, fmt.Errorf("%s cannot be %s: that key is another's", b.ID, k)
			}
			if other, taken := m.byKey[b.Context][k]; taken {
				return nil, fmt.Errorf("%s cannot be %s: that is %s", b.ID, k, other)
			}
			m.byKey[b.Context][k] = b.ID
		}
	}
	return m, nil
}

// Find returns the action of a key in a context, or "".
func (m *Map) Find(c Context, key string) string { return m.byKey[c][key] }

// Key returns the first key of an action, for hints; "" if it has none.
func (m *Map) Key(id string) string {
	for _, b := range m.bindings {
		if b.ID == id && len(b.Keys) > 0 {
			return Name(b.Keys[0])
		}
	}
	return ""
}

// Bindings lists all, in their order.
func (m *Map) Bindings() []Binding { return slices.Clone(m.bindings) }

// Name is a key as people write it.
func Name(key string) string {
	switch key {
	case " ":
		return "space"
	case "delete":
		return "del"
	case "pgdown":
		return "pgdn"
	}
	return strings.ReplaceAll(key, "ctrl+", "ctrl-")
}

// Parse reads a user's file over a map: a YAML mapping of action to a key or a list of keys, an empty list for none.
// What cannot be is reported, each with its reason, and left as it was.
func Parse(base *Map, data []byte) (*Map, []string) {
	var file map[string]any
	if err := yaml.Unmarshal(data, &file); err != nil {
		return base, []string{fmt.Sprintf("the key file is no YAML mapping: %v", err)}
	}
	var problems []string
	bindings := slices.Clone(base.bindings)
	changed := make([]bool, len(bindings))
	ids := make([]string, 0, len(file))
	for id := range file {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		i := slices.IndexFunc(bindings, func(b Binding) bool { return b.ID == id })
		if i < 0 {
			problems = append(problems, fmt.Sprintf("there is no action %q", id))
			continue
		}
		keys, err := keysOf(file[id])
		if err != nil {
			problems = append(problems, fmt.Sprintf("%s: %v", id, err))
			continue
		}
		bindings[i].Keys, changed[i] = keys, true
	}
	// A key that the user took for one action leaves another's default; two wishes for one key are a conflict.
	for i := range bindings {
		for _, k := range slices.Clone(bindings[i].Keys) {
			for j := range bindings {
				if i == j || bindings[j].Context != bindings[i].Context || !slices.Contains(bindings[j].Keys, k) {
					continue
				}
				loser := j
				if changed[j] && !changed[i] {
					loser = i
				}
				if changed[i] && changed[j] {
					problems = append(problems, fmt.Sprintf("%s is wanted for %s and for %s; it stays with %s", Name(k), bindings[i].ID, bindings[j].ID, bindings[i].ID))
				} else {
					problems = append(problems, fmt.Sprintf("%s now is %s; %s has lost it", Name(k), bindings[i+j-loser].ID, bindings[loser].ID))
				}
				bindings[loser].Keys = slices.DeleteFunc(slices.Clone(bindings[loser].Keys), func(x string) bool { return x == k })
			}
		}
	}
	m, err := New(bindings)
	if err != nil {
		return base, append(problems, err.Error())
	}
	return m, problems
}

func keysOf(v any) ([]string, error) {
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
		keys[i] = k
	}
	return keys, nil
}
