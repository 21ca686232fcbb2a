// Package kinds is the registry of everything that bonsai reports as wrong: errors of commands, problems of clusters and what
// runs in them, and what doctor finds on a machine. Each kind has a stable name, perhaps an exit code, a meaning, and what is
// known about causes and remedies in general; the advice for one case comes with the problem itself.
//
// "bonsai explain" and docs/problems.md show it; a test keeps the page equal to it, and the registry complete.
package kinds

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"bonsai/bootstrap/fault"
)

// Group is where kinds come from.
type Group string

// The groups, in the order in which they are shown.
const (
	// Command has the errors of commands. Only these have exit codes.
	Command Group = "command"
	// Machine has what doctor finds.
	Machine Group = "machine"
	// Cluster has what status and the terminal UI report about a cluster and what runs in it.
	Cluster Group = "cluster"
)

// Kind is one kind of problem.
type Kind struct {
	Name  string `json:"kind"`
	Group Group  `json:"group"`
	// Code is the exit code of commands that fail with it, 0 if it has none.
	Code int `json:"exitCode,omitempty"`
	// Means says what it is, in a part of a sentence.
	Means string `json:"means"`
	// More has causes and what to do, as Markdown; it may be empty.
	More string `json:"more,omitempty"`
}

// All lists all kinds: those of commands by exit code, the others in the order of their texts.
func All() []Kind {
	var all []Kind
	for _, k := range fault.Kinds() {
		all = append(all, commandTexts[k].as(string(k), Command, fault.ExitCode(&fault.Fault{Kind: k})))
	}
	for _, t := range machineTexts {
		all = append(all, t.as(t.name, Machine, 0))
	}
	for _, t := range clusterTexts {
		all = append(all, t.as(t.name, Cluster, 0))
	}
	return all
}

// Find returns the kinds that a text means: a name, in any case, or an exit code.
func Find(text string) []Kind {
	code, err := strconv.Atoi(text)
	return slices.DeleteFunc(All(), func(k Kind) bool {
		if err == nil {
			return k.Code == 0 || k.Code != code
		}
		return !strings.EqualFold(k.Name, text)
	})
}

// link is one in Markdown.
var link = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)

// Plain is a text of Markdown for a terminal: without links and marks of code.
func Plain(markdown string) string {
	return strings.ReplaceAll(link.ReplaceAllString(markdown, "$1"), "`", "")
}

// text is what is written about a kind.
type text struct{ name, means, more string }

func (t text) as(name string, g Group, code int) Kind {
	return Kind{Name: name, Group: g, Code: code, Means: t.means, More: t.more}
}
