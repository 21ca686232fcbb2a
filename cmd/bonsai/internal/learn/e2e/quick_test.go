package e2e

import (
	"slices"
	"strings"
	"testing"

	"bonsai/cmd/bonsai/internal/learn"
	"bonsai/cmd/bonsai/internal/learn/texts"
)

// words are those of conditions; what is between them differs from lesson to lesson. "is" is not among them: lessons that need it take
// minutes, and "ready" of pods and Jobs is the same.
var words = []string{
	"exists", "absent", "ready", "image", "label", "annotation", "waiting", "terminated", "restarts", "endpoints",
	"count", "where", "any", "none", "dns", "reach", "http", "answers", "fails", "has", "not", "and", "=", ">=",
}

// TestQuick: what CI carries out has everything that a lesson checks with and does.
func TestQuick(t *testing.T) {
	all, err := learn.Load(texts.Files)
	if err != nil {
		t.Fatal(err)
	}
	covered, has := map[string]bool{}, map[string]bool{}
	for _, l := range slices.Concat(all.All(false, ""), all.All(true, "")) {
		is := slices.Contains(quick, l.Name)
		use := func(what string) {
			has[what] = true
			covered[what] = covered[what] || is
		}
		use(map[bool]string{true: "a fault", false: "a lesson"}[l.Fault])
		if l.Alone {
			use("nodes")
		}
		if is {
			covered[l.Name] = true
		}
		for _, s := range l.Steps {
			for _, c := range s.Checks {
				for word := range strings.FieldsSeq(c.Condition.String()) {
					if slices.Contains(words, word) {
						use(word)
					}
				}
			}
			for _, a := range s.Solution {
				if a.Manifest != "" {
					use("a manifest")
				}
			}
		}
	}
	for what := range has {
		if !covered[what] {
			t.Errorf("no lesson of quick has %q", what)
		}
	}
	for _, name := range quick {
		if !covered[name] {
			t.Errorf("quick has %q, which is no lesson", name)
		}
	}
	for _, word := range words {
		if !has[word] {
			t.Errorf("no lesson has %q in a check", word)
		}
	}
}
