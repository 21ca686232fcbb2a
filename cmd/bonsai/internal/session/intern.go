package session

import (
	"maps"
	"slices"
	"strings"
)

const (
	// generation is how many strings an interner remembers before it forgets those that did not recur.
	generation = 4096
	// longest is the length up to which a string is likely to recur.
	longest = 80
)

// interner gives equal strings, and equal sets of labels, the same memory. Ten thousand rows have few different nodes,
// states and labels. It forgets what does not recur, so that it needs little memory itself. The zero value is ready; it
// is not safe for concurrent use.
type interner struct {
	young, old             map[string]string
	youngLabels, oldLabels map[string]map[string]string
	key                    strings.Builder
}

// bytes is string for bytes that may change afterwards.
func (n *interner) bytes(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	if known, ok := n.young[string(b)]; ok { // the compiler makes no string for the look-up
		return known
	}
	return n.string(string(b))
}

func (n *interner) string(s string) string {
	if s == "" || len(s) > longest {
		return s
	}
	if known, ok := n.young[s]; ok {
		return known
	}
	if known, ok := n.old[s]; ok {
		s = known
	}
	if len(n.young) >= generation || n.young == nil {
		n.old, n.young = n.young, make(map[string]string)
	}
	n.young[s] = s
	return s
}

// labels returns a set that the caller must not change.
func (n *interner) labels(l map[string]string) map[string]string {
	if len(l) == 0 {
		return nil
	}
	n.key.Reset()
	for _, k := range slices.Sorted(maps.Keys(l)) {
		n.key.WriteString(k)
		n.key.WriteByte('=') // in neither keys nor values of labels, and no "," either
		n.key.WriteString(l[k])
		n.key.WriteByte(',')
	}
	key := n.key.String()
	if known, ok := n.youngLabels[key]; ok {
		return known
	}
	set, ok := n.oldLabels[key]
	if !ok {
		set = make(map[string]string, len(l))
		for k, v := range l {
			set[n.string(k)] = n.string(v)
		}
	}
	if len(n.youngLabels) >= generation/4 || n.youngLabels == nil {
		n.oldLabels, n.youngLabels = n.youngLabels, make(map[string]map[string]string)
	}
	n.youngLabels[key] = set
	return set
}
