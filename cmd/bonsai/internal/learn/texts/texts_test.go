package texts

import (
	"slices"
	"testing"

	"bonsai/cmd/bonsai/internal/learn"
)

// TestTexts: all lessons can be read, in both languages, and each has what learners need.
func TestTexts(t *testing.T) {
	s, err := learn.Load(Files)
	if err != nil {
		t.Fatal(err)
	}
	for _, faults := range []bool{false, true} {
		orders := map[int]string{}
		for _, l := range s.All(faults, "en") {
			if got := s.Languages(l.Name); !slices.Equal(got, []string{"en", "zh"}) {
				t.Errorf("%s is in %q", l.Name, got)
			}
			if other := orders[l.Order]; other != "" {
				t.Errorf("%s and %s have the same order", l.Name, other)
			}
			orders[l.Order] = l.Name
			mistakes := 0
			for _, step := range l.Steps {
				mistakes += len(step.Mistakes)
			}
			if !faults && mistakes < 2 {
				t.Errorf("%s explains %d mistakes", l.Name, mistakes)
			}
			if _, err := l.Fill(learn.Places{Namespace: "n", Nodes: []string{"a", "b", "c"}}); err != nil {
				t.Errorf("%s: %v", l.Name, err)
			}
		}
	}
}
