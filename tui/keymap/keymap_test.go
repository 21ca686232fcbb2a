package keymap

import (
	"slices"
	"strings"
	"testing"
)

// in a place, everywhere.
func at(contexts ...Context) []Context { return Chain(append(contexts, Global)...) }

func TestFindFromTheMostSpecificContext(t *testing.T) {
	m := Default()
	for _, c := range []struct {
		chain   []Context
		key, id string
	}{
		{at(), "q", "quit"}, {at(), "ctrl+c", "quit"}, {at(), "j", ""},
		{at(Pods), "q", "quit"}, {at(Pods), "l", "logs"}, {at(Pods), "j", "down"}, {at(Pods), "S", "sort"}, {at(Pods), "t", "tree"},
		{at(Lines), "right", "text.right"}, {at(Lines), "l", ""}, {at(Lines), "n", "namespace"}, {at(Search, Lines), "n", "text.next"},
		// One key, as many actions as there are places.
		{at(Node, Objects), "u", "cordon"}, {at(DNS), "u", "dns.group"}, {at(Pods), "u", ""},
		{at(Node, Objects), "r", "node.restart"}, {at(Node, Objects), "D", "node.drain"}, {at(Pods), "r", "restart"}, {at(Lookup), "r", "lookup.again"}, {at(Forwards), "r", "forward.retry"},
		{at(Pods), "f", "fix"}, {at(Events), "f", "events.warnings"}, {at(Events), "delete", ""}, {at(DNS), "f", "dns.failures"}, {at(Addons), "f", "addon.fix"},
		{at(Pods), " ", "mark"}, {at(Addons), " ", "addon.toggle"}, {at(DNS), " ", "dns.pause"}, {at(Logs), " ", "text.pause"},
	} {
		if id := m.Find(c.chain, c.key); id != c.id {
			t.Errorf("in %v %q is %q, want %q", c.chain, c.key, id, c.id)
		}
	}
	if k := m.Key("mark"); k != "space" {
		t.Errorf("the key to mark is shown as %q", k)
	}
	if k := m.Keys(at(Node, Objects), "restart"); len(k) > 0 {
		t.Errorf("on a node %q restarts, but drains", k)
	}
}

func TestChainPutsWhatIsSharedBehindAllThatShareIt(t *testing.T) {
	want := []Context{Node, Objects, Object, About, Table, List, Global}
	if got := at(Node, Objects); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestEveryActionHasAPlace also keeps the places and the contexts of actions the same set.
func TestEveryActionHasAPlace(t *testing.T) {
	known := map[Context]bool{}
	for _, p := range Places() {
		known[p.Context] = true
		if len(Default().Actions(p.Context)) == 0 {
			t.Errorf("%s has no action", p.Context)
		}
	}
	seen := map[string]bool{}
	for _, a := range Default().actions {
		if seen[a.ID] {
			t.Errorf("there are two actions %s", a.ID)
		}
		seen[a.ID] = true
		for _, c := range a.In {
			if !known[c] {
				t.Errorf("%s is in %q, which is not a place", a.ID, c)
			}
		}
	}
}

// TestNoSingleKeyDestroys keeps what cannot be undone off the keys that are typed by accident.
func TestNoSingleKeyDestroys(t *testing.T) {
	for _, a := range Default().actions {
		if slices.Contains([]string{"delete", "start.delete", "addon.off", "forward.stop", "history.end"}, a.ID) &&
			slices.ContainsFunc(a.Keys, func(k string) bool { return len(k) == 1 }) {
			t.Errorf("%s is on a bare key: %v", a.ID, a.Keys)
		}
	}
}

func TestParse(t *testing.T) {
	for name, c := range map[string]struct {
		file     string
		problems []string // a part of each
		in       []Context
		find     map[string]string
	}{
		"free key":     {"logs: O", nil, at(Pods), map[string]string{"O": "logs", "l": ""}},
		"several":      {"logs: [l, O]", nil, at(Pods), map[string]string{"O": "logs", "l": "logs"}},
		"none":         {"logs: []", nil, at(Pods), map[string]string{"l": ""}},
		"names":        {"mark: space\ndelete: ctrl-q", nil, at(Pods), map[string]string{" ": "mark", "ctrl+q": "delete"}},
		"a digit":      {"logs: 5", nil, at(Pods), map[string]string{"5": "logs"}},
		"taken":        {"logs: d", []string{"d now is logs; describe has lost it"}, at(Pods), map[string]string{"d": "logs"}},
		"swap":         {"logs: d\ndescribe: l", nil, at(Pods), map[string]string{"d": "logs", "l": "describe"}},
		"both want it": {"logs: O\ndescribe: O", []string{"O is wanted for"}, at(Pods), map[string]string{"O": "describe"}},
		"unknown":      {"logz: o", []string{`unknown action "logz"; did you mean "logs"?`}, at(Pods), map[string]string{"l": "logs"}},
		"from nowhere": {"xyzzyxyzzy: o", []string{`unknown action "xyzzyxyzzy"; docs/keys.md lists all`}, at(Pods), nil},
		"reserved":     {"logs: ctrl-a", []string{"ctrl-a cannot be used"}, at(Pods), map[string]string{"l": "logs"}},
		"empty key":    {`logs: ""`, []string{"empty key"}, at(Pods), map[string]string{"l": "logs"}},
		"in a text":    {"input.left: h", []string{"a part of the text"}, at(Input), map[string]string{"left": "input.left"}},
		"no mapping":   {"- a", []string{"not a YAML mapping"}, at(Pods), map[string]string{"l": "logs"}},

		// What has the same key elsewhere keeps it.
		"cordon alone":      {"cordon: E", nil, at(DNS), map[string]string{"u": "dns.group", "E": ""}},
		"cordon on a node":  {"cordon: E", nil, at(Node, Objects), map[string]string{"E": "cordon", "u": ""}},
		"group alone":       {"dns.group: E", nil, at(Node, Objects), map[string]string{"u": "cordon"}},
		"restart alone":     {"restart: E", nil, at(Node, Objects), map[string]string{"r": "node.restart"}},
		"mark alone":        {"mark: E", nil, at(Addons), map[string]string{" ": "addon.toggle"}},
		"fix alone":         {"fix: E", nil, at(Events), map[string]string{"f": "events.warnings", "E": "fix"}},
		"its own place":     {"dns.group: d", []string{"d now is dns.group; describe has lost it (dns)"}, at(DNS), map[string]string{"d": "dns.group"}},
		"and not elsewhere": {"dns.group: d", []string{"(dns)"}, at(Pods), map[string]string{"d": "describe"}},

		// A key that is given to what a place is made of counts in that place too.
		"of an object": {"logs: u", []string{"u now is logs; cordon has lost it", "u now is logs; dns.group has lost it"}, at(Node, Objects), map[string]string{"u": "logs"}},
		"everywhere":   {"theme: t", nil, at(Pods), map[string]string{"t": "tree"}},
		"the default":  {"open: [enter, O]", nil, at(DNS, Table), map[string]string{"enter": "dns.explain", "O": "open"}},
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
				if got := m.Find(c.in, key); got != id {
					t.Errorf("%q is %q, want %q", key, got, id)
				}
			}
		})
	}
}

// TestOldNamesAreKept: what users' files have named since the first release goes on to name the same action, or is
// answered with the name that it has now.
func TestOldNamesAreKept(t *testing.T) {
	for name := range strings.FieldsSeq(`
		screen.overview screen.nodes screen.pods screen.logs screen.events screen.dns screen.addons screen.control screen.ports
		next.screen prev.screen command palette filter namespace all back history.back history.forward last help theme mouse log quit
		cluster.stop down up top bottom page.down page.up open mark sort wide tree describe yaml edit logs logs.previous shell forward
		owner birth copy.name copy.line cordon restart scale actions fix trace resolve delete
		text.down text.up text.top text.bottom text.page.down text.page.up text.left text.right text.next text.prev text.filter
		text.pause text.wrap text.time text.raw text.prev.run text.next.run text.copy text.save text.previous text.container text.expand
		tab.next tab.prev pane.next pane.prev pane.zoom pane.larger pane.smaller start.down start.up start.open start.nodes start.version
		start.retry start.copy start.log start.delete start.back dialog.next dialog.prev dialog.accept dialog.cancel`) {
		m, problems := Parse(Default(), []byte(name+": f9"))
		if len(problems) > 0 {
			t.Errorf("%s: %q", name, problems)
		}
		if a, _ := m.Action(name); m.Find(Chain(a.In...), "f9") != name {
			t.Errorf("%s does not get its key", name)
		}
	}
}
