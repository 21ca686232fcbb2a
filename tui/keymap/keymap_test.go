package keymap

import (
	"slices"
	"strings"
	"testing"
)

func TestFindInContext(t *testing.T) {
	m := Default()
	for _, c := range []struct {
		context Context
		key, id string
	}{
		{Global, "q", "quit"}, {Global, "ctrl+c", "quit"}, {List, "q", ""}, {List, "l", "logs"}, {Text, "right", "text.right"}, {Text, "l", ""}, {Text, "n", "text.next"}, {Global, "n", "namespace"},
	} {
		if id := m.Find(c.context, c.key); id != c.id {
			t.Errorf("%s %q is %q, want %q", c.context, c.key, id, c.id)
		}
	}
	if k := m.Key("mark"); k != "space" {
		t.Errorf("the key to mark is shown as %q", k)
	}
}

// TestNoSingleKeyDestroys keeps what cannot be undone off the keys that are typed by accident.
func TestNoSingleKeyDestroys(t *testing.T) {
	for _, b := range Default().Bindings() {
		if b.ID == "delete" && slices.ContainsFunc(b.Keys, func(k string) bool { return len(k) == 1 }) {
			t.Errorf("%s is on a bare key: %v", b.ID, b.Keys)
		}
	}
}

func TestParse(t *testing.T) {
	for name, c := range map[string]struct {
		file     string
		problems []string // a part of each
		find     map[string]string
	}{
		"free key":     {"logs: o", nil, map[string]string{"o": "logs", "l": ""}},
		"several":      {"logs: [l, o]", nil, map[string]string{"o": "logs", "l": "logs"}},
		"none":         {"logs: []", nil, map[string]string{"l": ""}},
		"names":        {"mark: space\ndelete: ctrl-q", nil, map[string]string{" ": "mark", "ctrl+q": "delete"}},
		"a digit":      {"logs: 5", nil, map[string]string{"5": "logs"}},
		"taken":        {"logs: d", []string{"d now is logs; describe has lost it"}, map[string]string{"d": "logs"}},
		"swap":         {"logs: d\ndescribe: l", nil, map[string]string{"d": "logs", "l": "describe"}},
		"both want it": {"logs: o\ndescribe: o", []string{"o is wanted for"}, map[string]string{"o": "describe"}},
		"unknown":      {"logz: o", []string{`no action "logz"`}, map[string]string{"l": "logs"}},
		"reserved":     {"logs: ctrl-a", []string{"ctrl-a cannot be used"}, map[string]string{"l": "logs"}},
		"empty key":    {`logs: ""`, []string{"empty key"}, map[string]string{"l": "logs"}},
		"no mapping":   {"- a", []string{"no YAML mapping"}, map[string]string{"l": "logs"}},
	} {
		t.Run(name, func(t *testing.T) {
			m, problems := Parse(Default(), []byte(c.file))
			if len(problems) != len(c.problems) {
				t.Fatalf("problems: %q", problems)
			}
			for i, p := range problems {
				if !strings.Contains(p, c.problems[i]) {
					t.Errorf("problem %q, want %q", p, c.problems[i])
				}
			}
			for key, id := range c.find {
				if got := m.Find(List, key); got != id {
					t.Errorf("%q is %q, want %q", key, got, id)
				}
			}
		})
	}
}
