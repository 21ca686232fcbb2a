package bonsaitest

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// access is the part of what "bonsai start -o json" prints that is used here; docs/commands.md has all of it.
type access struct {
	Name       string   `json:"name"`
	Server     string   `json:"server"`
	Kubeconfig string   `json:"kubeconfig"`
	Nodes      []string `json:"nodes"`
	Timeline   struct {
		Steps []Step `json:"steps"`
	} `json:"timeline"`
}

// event is a line of it.
type event struct {
	Kind    string   `json:"kind"`
	Step    string   `json:"step"`
	Problem *problem `json:"problem"`
	Cluster *access  `json:"cluster"`
}

// problem is what went wrong, as every command prints it.
type problem struct {
	Summary  string   `json:"summary"`
	Cause    string   `json:"cause"`
	Hint     string   `json:"hint"`
	Evidence []string `json:"evidence"`
}

func (p problem) Error() string {
	var b strings.Builder
	b.WriteString(p.Summary)
	if p.Cause != "" {
		b.WriteString(": " + p.Cause)
	}
	for _, line := range p.Evidence {
		b.WriteString("\n  | " + line)
	}
	for line := range strings.Lines(p.Hint) {
		b.WriteString("\n  hint: " + strings.TrimSpace(line))
	}
	return b.String()
}

// readStart finds in the output of a start, which ended with err, how to use the cluster, or why there is none.
func readStart(out said, err error) (access, error) {
	var last event
	for line := range strings.Lines(out.out) {
		var e event
		if json.Unmarshal([]byte(line), &e) == nil {
			last = e
		}
	}
	switch {
	case err == nil && last.Step == "start" && last.Kind == "done" && last.Cluster != nil:
		return *last.Cluster, nil
	case err == nil:
		return access{}, fmt.Errorf("it does not say how to use the cluster, so it is older than this package: %s", out.out)
	case last.Problem != nil:
		return access{}, *last.Problem
	}
	// What is wrong with a command line is said on stderr alone.
	for line := range strings.Lines(out.err) {
		var p problem
		if json.Unmarshal([]byte(line), &p) == nil && p.Summary != "" {
			return access{}, p
		}
	}
	return access{}, errors.Join(err, errors.New(strings.TrimSpace(out.err)))
}
