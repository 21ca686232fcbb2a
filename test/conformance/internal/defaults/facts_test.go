package defaults

import (
	"os"
	"slices"
	"strings"
	"testing"
)

func TestCompare(t *testing.T) {
	kubeadm := Facts{"same": "1", "changed": "1", "gone": "1", "path /a": "there", "path /b": "there"}
	bonsai := Facts{"same": "1", "changed": "2", "added": "1"}
	table := []Known{
		{Fact: "path *", How: OnlyKubeadm},
		{Fact: "changed", How: OnlyKubeadm}, // another way of being different
		{Fact: "added", How: OnlyBonsai},
		{Fact: "same", How: Changed},
	}
	r := Compare(kubeadm, bonsai, table)
	if r.Compared != 6 {
		t.Errorf("compared %d things, want 6", r.Compared)
	}
	if got, want := facts(r.Explained), []string{"added", "path /a", "path /b"}; !slices.Equal(got, want) {
		t.Errorf("explained %q, want %q", got, want)
	}
	if got, want := facts(r.Unexplained), []string{"changed", "gone"}; !slices.Equal(got, want) {
		t.Errorf("unexplained %q, want %q", got, want)
	}
	if want := []Known{table[1], table[3]}; !slices.Equal(r.Stale, want) {
		t.Errorf("stale %v, want %v", r.Stale, want)
	}
	if r.OK() {
		t.Error("it is OK nevertheless")
	}
}

func TestCompareAgrees(t *testing.T) {
	r := Compare(Facts{"a": "1", "b": "1"}, Facts{"a": "1"}, []Known{{Fact: "b", How: OnlyKubeadm}})
	if !r.OK() {
		t.Errorf("not OK: %v", r)
	}
}

func facts(differences []Difference) (names []string) {
	for _, d := range differences {
		names = append(names, d.Fact)
	}
	return names
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"a", "a", true},
		{"a", "ab", false},
		{"a*", "ab", true},
		{"a*", "ba", false},
		{"*b", "ab", true},
		{"a*a", "a", false},
		{"a*a", "aa", true},
		{"a*b*c", "a1b2c", true},
		{"a*b*c", "ac", false},
	} {
		if got := match(c.pattern, c.text); got != c.want {
			t.Errorf("match(%q, %q) = %v, want %v", c.pattern, c.text, got, c.want)
		}
	}
}

// TestDocumented: users read the table in docs/conformance.md.
func TestDocumented(t *testing.T) {
	data, err := os.ReadFile("../../../../docs/conformance.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		for _, how := range []How{OnlyBonsai, OnlyKubeadm, Changed} {
			if strings.Contains(line, "` | "+string(how)+" | ") {
				documented = append(documented, line)
			}
		}
	}
	var want []string
	for _, k := range slices.Concat(Table, Emulated) {
		want = append(want, "| `"+k.Fact+"` | "+string(k.How)+" | "+k.Reason+" |")
	}
	for _, row := range want {
		if !slices.Contains(documented, row) {
			t.Errorf("docs/conformance.md lacks the row\n%s", row)
		}
	}
	for _, row := range documented {
		if !slices.Contains(want, row) {
			t.Errorf("docs/conformance.md has a row that is not in the table:\n%s", row)
		}
	}
}

func TestObject(t *testing.T) {
	item := map[string]any{
		"metadata": map[string]any{"name": "a", "namespace": "b", "uid": "1", "resourceVersion": "2", "labels": map[string]any{"c": "d"}},
		"status":   map[string]any{"phase": "Active"},
		"rules":    []any{"e"},
	}
	name, value, err := object(item, true)
	if err != nil {
		t.Fatal(err)
	}
	if name != "b/a" || value != `{"metadata":{"labels":{"c":"d"},"name":"a","namespace":"b"},"rules":["e"]}` {
		t.Errorf("%s is %s", name, value)
	}
}
