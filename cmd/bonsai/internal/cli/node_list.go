package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"bonsai/bootstrap/cluster"
)

// Formats of node list besides text and json.
const (
	outputWide  = "wide"
	outputName  = "name"
	outputPlain = "plain"
)

func (a *app) nodeListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the nodes with their state and what they use",
		Long: `List prints a line for each node of the cluster, running or not: its state, role, address and version, how many pods
are on it, and the CPU (in cores) and memory that it uses.

For scripts, -o name prints the names, and -o plain a name, a tab and an address in each line; neither needs the
cluster to run.`,
		Example: `  bonsai node list
  bonsai node list -o wide
  bonsai node list -o name
  bonsai node list -o json | jq '.[].ip'`,
		Args: argCount(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runNodeList(cmd.Context()) },
	}
	a.addOutput(cmd, "format of the list", outputWide, outputName, outputPlain)
	return cmd
}

// nodeLine is a node in the list; the JSON form is stable.
type nodeLine struct {
	cluster.Node
	Role     string `json:"role"`
	Status   string `json:"status"`
	Cordoned bool   `json:"cordoned,omitempty"`
	Version  string `json:"version,omitempty"`
	// What follows is nil for a node that was not measured.
	Pods   *int     `json:"pods,omitempty"`
	CPU    *float64 `json:"cpu,omitempty"`
	Memory *uint64  `json:"memory,omitempty"`
}

func (a *app) runNodeList(ctx context.Context) error {
	s, err := a.open()
	if err != nil {
		return err
	}
	spec, err := a.spec(s)
	if err != nil {
		return err
	}
	switch a.output {
	case outputName, outputPlain:
		for _, n := range spec.Nodes {
			line := n.Name
			if a.output == outputPlain {
				line += "\t" + n.IP.String()
			}
			if _, err := fmt.Fprintln(a.Stdout, line); err != nil {
				return err
			}
		}
		return nil
	}
	snapshot, err := s.Engine.Status(ctx, a.profile)
	if err != nil {
		return err
	}
	lines := nodeLines(spec, snapshot)
	if snapshot.APIServer == cluster.PhaseRunning && len(lines) > 0 {
		a.addUsage(ctx, lines)
	}
	if a.json() {
		return writeJSON(a.Stdout, lines)
	}
	return table(a.Stdout, nodeTable(lines, a.output == outputWide))
}

func nodeLines(spec *cluster.Spec, s cluster.Snapshot) []nodeLine {
	lines := make([]nodeLine, 0, len(spec.Nodes))
	for _, n := range spec.Nodes {
		line := nodeLine{Node: n, Role: n.Role(), Status: string(cluster.PhaseUnknown)}
		if i := slices.IndexFunc(s.Nodes, func(o cluster.NodeStatus) bool { return o.Name == n.Name }); i >= 0 {
			o := s.Nodes[i]
			line.Status, line.Cordoned, line.Version = nodeState(n, o), o.Cordoned, o.Version
		}
		lines = append(lines, line)
	}
	return lines
}

// nodeState is the state of a node in one word, kubectl's where it has one.
func nodeState(n cluster.Node, o cluster.NodeStatus) string {
	switch {
	case n.Pending:
		return "Pending"
	case o.Host == cluster.PhaseStopped, o.Host == cluster.PhasePaused, o.Host == cluster.PhaseAbsent:
		return string(o.Host)
	case o.Ready:
		return "Ready"
	case o.Kubelet == cluster.PhaseStarting:
		return string(cluster.PhaseStarting)
	case o.Host == cluster.PhaseUnknown && o.Kubelet == cluster.PhaseUnknown:
		return string(cluster.PhaseUnknown)
	}
	return "NotReady"
}

// addUsage adds what nodes use. Those that cannot be measured go without.
func (a *app) addUsage(ctx context.Context, lines []nodeLine) {
	client, _, err := a.daemon()
	if err != nil {
		return
	}
	var last cluster.Load
	loads := 0
	err = client.Load(ctx, func(l cluster.Load) error {
		last = l
		if loads++; loads >= firstFigures || !slices.ContainsFunc(l.Nodes, func(n cluster.NodeUsage) bool { return unmeasured(n) && runs(lines, n.Node) }) {
			return errEnough
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return
	}
	for _, u := range last.Nodes {
		i := slices.IndexFunc(lines, func(l nodeLine) bool { return l.Name == u.Node })
		if i >= 0 && !u.Time.IsZero() && u.Reason == "" {
			pods := len(u.Pods)
			lines[i].Pods, lines[i].CPU, lines[i].Memory = &pods, &u.CPU, &u.Memory
		}
	}
}

func runs(lines []nodeLine, name string) bool {
	return slices.ContainsFunc(lines, func(l nodeLine) bool { return l.Name == name && l.Status == "Ready" })
}

func nodeTable(lines []nodeLine, wide bool) [][]string {
	head := []string{"NAME", "STATUS", "ROLES", "ADDRESS", "VERSION", "PODS", "CPU", "MEMORY"}
	if wide {
		head = append(head, "CPU LIMIT", "MEMORY LIMIT", "POD RANGE")
	}
	rows := [][]string{head}
	for _, l := range lines {
		status := l.Status
		if l.Cordoned {
			status += ",SchedulingDisabled"
		}
		row := []string{l.Name, status, l.Role, l.IP.String(), dash(l.Version), "-", "-", "-"}
		if l.Pods != nil {
			row[5], row[6], row[7] = strconv.Itoa(*l.Pods), cores(*l.CPU), memory(*l.Memory)
		}
		if wide {
			cpus, limit := "-", "-"
			if l.CPUs > 0 {
				cpus = trimmed(l.CPUs)
			}
			if l.MemoryBytes > 0 {
				limit = memory(uint64(l.MemoryBytes))
			}
			row = append(row, cpus, limit, l.PodCIDR.String())
		}
		rows = append(rows, row)
	}
	return rows
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
