// Package defaults compares what two control planes offer: feature gates, the API, admission plugins, controllers and
// the objects of a fresh cluster. One plane is as kubeadm configures it, the other is
// bonsai's; each difference between them must be in a table, with its reason.
//
// Begin reading at Compare. The table is in known.go; how a plane is asked is in observe.go.
package defaults

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Facts are what was seen of a control plane: the name of a thing, and how it is.
type Facts map[string]string

// A Difference is one thing that two planes do not have in common.
type Difference struct {
	// Fact is its name, such as "feature gate of kube-apiserver: X".
	Fact string
	How  How
	// Kubeadm and Bonsai are how it is on each side; empty where it is not there.
	Kubeadm, Bonsai string
}

// How says in what way two planes differ.
type How string

// The ways.
const (
	OnlyBonsai  How = "only here"
	OnlyKubeadm How = "not here"
	Changed     How = "different"
)

func (d Difference) String() string {
	switch d.How {
	case OnlyBonsai:
		return fmt.Sprintf("%s: %s\n    bonsai   %s", d.Fact, d.How, d.Bonsai)
	case OnlyKubeadm:
		return fmt.Sprintf("%s: %s\n    kubeadm  %s", d.Fact, d.How, d.Kubeadm)
	default:
		return fmt.Sprintf("%s: %s\n    kubeadm  %s\n    bonsai   %s", d.Fact, d.How, d.Kubeadm, d.Bonsai)
	}
}

// Known is a difference that is meant to be.
type Known struct {
	// Fact is the name of the thing, or of several with * for any text.
	Fact   string
	How    How
	Reason string
}

func (k Known) matches(d Difference) bool { return k.How == d.How && match(k.Fact, d.Fact) }

// match reports whether the text is the pattern, in which * stands for any text.
func match(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == text
	}
	first, last := parts[0], parts[len(parts)-1]
	if len(text) < len(first)+len(last) || !strings.HasPrefix(text, first) || !strings.HasSuffix(text, last) {
		return false
	}
	text = text[len(first) : len(text)-len(last)]
	for _, part := range parts[1 : len(parts)-1] {
		_, rest, found := strings.Cut(text, part)
		if !found {
			return false
		}
		text = rest
	}
	return true
}

// Result is what a comparison found.
type Result struct {
	// Compared is how many things at least one of the planes has.
	Compared int
	// Explained are differences that are in the table, Unexplained those that are not.
	Explained, Unexplained []Difference
	// Stale are entries of the table that no difference matches any more.
	Stale []Known
}

// OK reports whether the table says exactly what was found.
func (r Result) OK() bool { return len(r.Unexplained) == 0 && len(r.Stale) == 0 }

// Compare finds all differences, in the order of their names.
func Compare(kubeadm, bonsai Facts, table []Known) Result {
	names := maps.Clone(kubeadm)
	maps.Copy(names, bonsai)
	r := Result{Compared: len(names)}
	used := make([]bool, len(table))
	for _, name := range slices.Sorted(maps.Keys(names)) {
		theirs, there := kubeadm[name]
		ours, here := bonsai[name]
		d := Difference{Fact: name, How: Changed, Kubeadm: theirs, Bonsai: ours}
		switch {
		case !there:
			d.How = OnlyBonsai
		case !here:
			d.How = OnlyKubeadm
		case theirs == ours:
			continue
		}
		known := false
		for i, k := range table {
			if k.matches(d) {
				used[i], known = true, true
			}
		}
		if known {
			r.Explained = append(r.Explained, d)
		} else {
			r.Unexplained = append(r.Unexplained, d)
		}
	}
	for i, k := range table {
		if !used[i] {
			r.Stale = append(r.Stale, k)
		}
	}
	return r
}
