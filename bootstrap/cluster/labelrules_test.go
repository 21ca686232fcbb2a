package cluster

import (
	"math/rand/v2"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation"
)

// TestLabelRulesAreKubernetes: the vocabulary cannot import them, and what it lets through the API server would refuse only
// when the cluster has been changed.
func TestLabelRulesAreKubernetes(t *testing.T) {
	const letters = "aZ09-_./A é"
	r := rand.New(rand.NewPCG(1, 2))
	random := func() string {
		var b strings.Builder
		for range r.IntN(6) {
			b.WriteRune([]rune(letters)[r.IntN(len([]rune(letters)))])
		}
		return b.String()
	}
	texts := []string{
		strings.Repeat("a", 63), strings.Repeat("a", 64), strings.Repeat("a", 63) + "/" + strings.Repeat("b", 63),
		strings.Repeat("a", 64) + "/b", strings.Repeat("a.", 126) + "a/b", strings.Repeat("a.", 126) + "aa/b", "a/" + strings.Repeat("b", 64), "a//b",
	}
	for range 10_000 {
		texts = append(texts, random(), random()+"/"+random())
	}
	valid := 0
	for _, text := range texts {
		if ours, theirs := validateLabelKey(text), validation.IsQualifiedName(text); (ours == nil) != (len(theirs) == 0) {
			t.Errorf("key %q: %v, Kubernetes says %q", text, ours, theirs)
		} else if ours == nil {
			valid++
		}
		if ours, theirs := validateLabelValue(text), validation.IsValidLabelValue(text); (ours == nil) != (len(theirs) == 0) {
			t.Errorf("value %q: %v, Kubernetes says %q", text, ours, theirs)
		}
	}
	if valid < 500 {
		t.Errorf("only %d of %d keys are valid: the test compares too little", valid, len(texts))
	}
}
