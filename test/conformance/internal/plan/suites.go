// Package plan says which of upstream's end-to-end tests a run consists of.
package plan

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// Suite is a selection of upstream's tests that has a name and a result line of its own.
type Suite struct {
	Name string
	// Labels is ginkgo's label filter, Focus and Skip are regular expressions on a test's full text.
	Labels, Focus, Skip string
	// Listed means that only those tests are run that a list file names.
	Listed bool
	// Storage means that upstream's tests for storage drivers are generated for the cluster's default class.
	Storage bool
}

// ordinary leaves out what needs something that not every cluster has, what breaks nodes, and what upstream marks as
// unreliable: the choice of upstream's own jobs that run on every change.
const ordinary = "Feature: isEmpty && !Disruptive && !Flaky"

// suites in the order of docs/conformance.md.
func suites() []Suite {
	return []Suite{
		{Name: "conformance", Labels: "Conformance"},
		{Name: "quick", Labels: "Conformance", Listed: true},
		{Name: "node", Labels: "NodeConformance && !Slow && " + ordinary},
		{Name: "dns", Labels: "!Flaky", Focus: `\[sig-network\] DNS `},
		{Name: "netpol", Labels: "!Flaky", Focus: `\[sig-network\] Netpol `},
		{Name: "loadbalancer", Labels: "!Flaky", Focus: `\[sig-network\] LoadBalancers `},
		{Name: "storage", Labels: "!Slow && " + ordinary, Focus: `External Storage `, Storage: true},
	}
}

// Named finds a suite.
func Named(name string) (Suite, error) {
	var names []string
	for _, s := range suites() {
		if s.Name == name {
			return s, nil
		}
		names = append(names, s.Name)
	}
	return Suite{}, fmt.Errorf("there is no suite %q; there are: %s", name, strings.Join(names, ", "))
}

// Title begins the result line: "conformance", "conformance-quick".
func (s Suite) Title() string {
	if s.Name == "conformance" {
		return s.Name
	}
	return "conformance-" + s.Name
}

// ReadList reads the names of a list file: one a line, without blank lines and those that begin with #.
func ReadList(text string) []string {
	var names []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			names = append(names, line)
		}
	}
	return names
}

// Only returns the tests with these names. A name that no test has is an error: upstream renames tests.
func Only(tests []Test, names []string) ([]Test, error) {
	var found []Test
	for _, t := range tests {
		if slices.Contains(names, t.Name) {
			found = append(found, t)
		}
	}
	for _, name := range names {
		if !slices.ContainsFunc(tests, func(t Test) bool { return t.Name == name }) {
			return nil, fmt.Errorf("no test has the name %q", name)
		}
	}
	return found, nil
}

// Known returns the tests that another version of Kubernetes has, too, and the names of the others. The argument is that
// version's test/conformance/testdata/conformance.yaml, which lists its conformance tests.
func Known(tests []Test, conformance []byte) (known []Test, unknown []string, err error) {
	var listed []struct {
		Codename string `json:"codename"`
	}
	if err := yaml.Unmarshal(conformance, &listed); err != nil {
		return nil, nil, fmt.Errorf("reading the list of another version's tests: %w", err)
	}
	names := make(map[string]bool, len(listed))
	for _, t := range listed {
		names[t.Codename] = true
	}
	for _, t := range tests {
		if names[t.Name] {
			known = append(known, t)
		} else {
			unknown = append(unknown, t.Name)
		}
	}
	return known, unknown, nil
}

// Matching returns the tests whose names match one regular expression and not the other. Empty ones leave out nothing.
func Matching(tests []Test, focus, skip string) ([]Test, error) {
	in, err := regexp.Compile(focus)
	if err != nil {
		return nil, err
	}
	out, err := regexp.Compile(skip)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(tests), func(t Test) bool {
		return !in.MatchString(t.Name) || skip != "" && out.MatchString(t.Name)
	}), nil
}
