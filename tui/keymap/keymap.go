// Package keymap says which key does what. Code asks for the action of a key; nobody compares keys with letters.
//
// Actions live in contexts. A page says which contexts count on it now, and a key is looked up in these from the most
// specific to the most general; Global comes last. A user may give any action other keys (Parse). Start reading at
// Places and Default.
package keymap

import (
	"fmt"
	"slices"
	"strings"
)

// Action is what keys do.
type Action struct {
	ID string
	// In are the contexts that have the action, the one where it is at home first.
	In []Context
	// Keys are named as Bubble Tea names them; the first is shown.
	Keys []string
	// Hint is a word or two for the line of hints; empty where Help is short enough, or where no hint is worth it.
	Hint string
	// Help says in a few words what it does. Both are English, and translated when they are shown.
	Help string
}

// Map is a set of actions and their keys. It is immutable.
type Map struct {
	actions []Action
	byKey   map[Context]map[string]string
}

// reserved keys are never bound: ctrl-h, -i, -j, -m and -[ are the same bytes as other keys, ctrl-a and ctrl-b belong
// to terminal multiplexers, ctrl-z would stop the whole process group.
var reserved = []string{"ctrl+h", "ctrl+i", "ctrl+j", "ctrl+m", "ctrl+[", "ctrl+a", "ctrl+b", "ctrl+z"}

// New makes a map of actions, each key at most once in a context.
func New(actions []Action) (*Map, error) {
	m := &Map{actions: slices.Clone(actions), byKey: map[Context]map[string]string{}}
	for _, a := range actions {
		for _, k := range a.Keys {
			if slices.Contains(reserved, k) {
				return nil, fmt.Errorf("%s cannot be %s: that key is another's", a.ID, k)
			}
			for _, c := range a.In {
				if other := m.byKey[c][k]; other != "" {
					return nil, fmt.Errorf("%s cannot be %s: that is %s", a.ID, k, other)
				}
				m.bind(c, k, a.ID)
			}
		}
	}
	return m, nil
}

func (m *Map) bind(c Context, key, id string) {
	if m.byKey[c] == nil {
		m.byKey[c] = map[string]string{}
	}
	m.byKey[c][key] = id
}

// Find returns the action of a key where the contexts of a chain count: that of the first that has the key; or "".
func (m *Map) Find(chain []Context, key string) string {
	for _, c := range chain {
		if id := m.byKey[c][key]; id != "" {
			return id
		}
	}
	return ""
}

// Keys are those that lead to an action where the contexts of a chain count.
func (m *Map) Keys(chain []Context, id string) []string {
	a, _ := m.Action(id)
	return slices.DeleteFunc(slices.Clone(a.Keys), func(k string) bool { return m.Find(chain, k) != id })
}

// Key returns the first key of an action as people write it, wherever that counts; "" if it has none.
func (m *Map) Key(id string) string {
	a, _ := m.Action(id)
	for _, k := range a.Keys {
		if slices.ContainsFunc(a.In, func(c Context) bool { return m.byKey[c][k] == id }) {
			return Name(k)
		}
	}
	return ""
}

// Action returns the action of that name.
func (m *Map) Action(id string) (Action, bool) {
	if i := slices.IndexFunc(m.actions, func(a Action) bool { return a.ID == id }); i >= 0 {
		return m.actions[i], true
	}
	return Action{}, false
}

// Actions lists those of a context: first its own, then those that it shares with a context that has them first.
func (m *Map) Actions(c Context) []Action {
	var own, shared []Action
	for _, a := range m.actions {
		switch slices.Index(a.In, c) {
		case -1:
		case 0:
			own = append(own, a)
		default:
			shared = append(shared, a)
		}
	}
	return append(own, shared...)
}

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
