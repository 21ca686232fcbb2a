package cli

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

type topOptions struct {
	watch     bool
	namespace string
	all       bool
}

func (a *app) topCommand() *cobra.Command {
	var o topOptions
	cmd := &cobra.Command{
		Use:   "top [nodes|pods]",
		Short: "Show how busy nodes, control plane and pods are",
		Long: `Top shows the CPU, memory and disk that each node and the control plane use, then the requests between components:
their rate and how long an answer takes, at most, in half of the cases (P50) and in 99 of 100 (P99). CPU is in
cores. Memory of nodes and pods is the working set, by which the kubelet evicts; that of the control plane is all
memory of its process. The disk is that of the machine, which nodes usually share.

Top pods shows the same for each pod, the busiest first. Nothing has to be installed for it.

Figures are averages over the last one or two seconds. Nothing is measured while nobody watches, so the first answer
takes a second.

Exit codes: 0 if a node could be measured; 34 if none could.`,
		Example: `  bonsai top
  bonsai top pods -A
  bonsai top pods -n shop -w
  bonsai top -o json | jq '.controlPlane.links'`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 && args[0] != "nodes" && args[0] != "pods" {
				return a.groupArgs(cmd, args)
			}
			return argCount(0, 1, "nodes or pods")(cmd, args)
		},
		ValidArgs: []string{"nodes", "pods"},
		RunE: func(cmd *cobra.Command, args []string) error {
			if slices.Contains(args, "pods") {
				return a.runTop(cmd.Context(), o, a.topPods)
			}
			if o.all || cmd.Flags().Changed("namespace") {
				return fault.Newf(fault.Usage, "nodes have no namespaces").Advise("", cluster.Bonsai("top", "pods").With("-A"))
			}
			return a.runTop(cmd.Context(), o, a.topNodes)
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&o.watch, "watch", "w", false, "continue until Ctrl-C")
	f.StringVarP(&o.namespace, "namespace", "n", "default", "pods of this namespace")
	f.BoolVarP(&o.all, "all-namespaces", "A", false, "pods of all namespaces")
	a.addOutput(cmd, "tables for people, or an object; a line each with --watch")
	return cmd
}

// firstFigures is how many Loads to wait for until every node has been measured, or has reported why it cannot.
const firstFigures = 5

// errEnough ends the stream of Loads.
var errEnough = errors.New("enough")

// showPage writes what show writes, at once, to avoid flicker. If pages follow each other, a terminal shows the newest alone, and
// elsewhere an empty line is between them; shown is how many there were before.
func (a *app) showPage(follow bool, shown int, show func(io.Writer) error) error {
	var page bytes.Buffer
	switch {
	case a.json() || !follow:
	case styleFor(a.Stdout).terminal:
		page.WriteString("\x1b[H\x1b[2J")
	case shown > 0:
		page.WriteByte('\n')
	}
	if err := show(&page); err != nil {
		return err
	}
	_, err := a.Stdout.Write(page.Bytes())
	return err
}

// runTop shows Loads, once or until Ctrl-C.
func (a *app) runTop(ctx context.Context, o topOptions, show func(io.Writer, cluster.Load, topOptions) error) error {
	client, _, err := a.wakeDaemon(ctx)
	if err != nil {
		return err
	}
	var last cluster.Load
	shown, waited := 0, 0
	err = client.Load(ctx, func(l cluster.Load) error {
		if waited++; shown == 0 && waited < firstFigures && slices.ContainsFunc(l.Nodes, unmeasured) {
			return nil
		}
		if err := a.showPage(o.watch, shown, func(page io.Writer) error { return show(page, l, o) }); err != nil {
			return err
		}
		last = l
		if shown++; !o.watch {
			return errEnough
		}
		return nil
	})
	switch {
	case ctx.Err() != nil && o.watch:
		return nil // Ctrl-C is how watching ends
	case err == nil && shown == 0:
		return a.explain(fault.Newf(fault.NotRunning, "the cluster was stopped"))
	case err == nil:
		a.note("the cluster was stopped")
		return nil
	case !errors.Is(err, errEnough):
		return a.explain(err)
	case len(last.Nodes) > 0 && !slices.ContainsFunc(last.Nodes, func(n cluster.NodeUsage) bool { return n.Reason == "" }):
		return exitCode(fault.ExitCode(&fault.Fault{Kind: fault.Node}))
	}
	return nil
}

// unmeasured reports that a node has not answered yet, neither with figures nor with an error.
func unmeasured(n cluster.NodeUsage) bool { return n.Time.IsZero() && n.Reason == "" }

func (a *app) topNodes(w io.Writer, l cluster.Load, o topOptions) error {
	if a.json() {
		return a.writeTop(w, l, o)
	}
	nodes := [][]string{{"NODE", "CPU", "OF", "CPU%", "MEMORY", "OF", "MEMORY%", "DISK%", "PODS", "REASON"}}
	for _, n := range l.Nodes {
		row := []string{n.Node, "", "", "", "", "", "", "", "", n.Reason}
		if !n.Time.IsZero() {
			row = []string{
				n.Node, cores(n.CPU), trimmed(n.CPUs), percent(n.CPU, n.CPUs), memory(n.Memory), memory(n.MemoryLimit),
				percent(float64(n.Memory), float64(n.MemoryLimit)), percent(float64(n.DiskUsed), float64(n.DiskSize)), fmt.Sprint(len(n.Pods)), n.Reason,
			}
		}
		nodes = append(nodes, row)
	}
	cp := l.ControlPlane
	nodes = append(nodes, []string{"control plane", cores(cp.CPU), "", "", memory(cp.Memory), "", "", "", "", ""})
	if err := table(w, withoutEmptyLast(nodes)); err != nil {
		return err
	}
	links := [][]string{{"FROM", "TO", "PER SECOND", "ERRORS", "P50", "P99"}}
	for _, k := range cp.Links {
		links = append(links, []string{k.From, k.To, rate(k.Rate), rate(k.Errors), latency(k.P50), latency(k.P99)})
	}
	fmt.Fprintln(w)
	return table(w, links)
}

// podLoad is a pod with its node, in the form of the JSON output.
type podLoad struct {
	Node string `json:"node"`
	cluster.PodUsage
}

func (a *app) topPods(w io.Writer, l cluster.Load, o topOptions) error {
	pods := []podLoad{}
	for _, n := range l.Nodes {
		for _, p := range n.Pods {
			if o.all || p.Namespace == o.namespace {
				pods = append(pods, podLoad{n.Node, p})
			}
		}
	}
	slices.SortFunc(pods, func(a, b podLoad) int {
		return cmp.Or(-cmp.Compare(a.CPU, b.CPU), -cmp.Compare(a.Memory, b.Memory), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	if a.json() {
		return a.writeTop(w, pods, o)
	}
	for _, n := range l.Nodes {
		if n.Reason != "" {
			a.note("pods of %s: %s", n.Node, firstLine(n.Reason))
		}
	}
	if len(pods) == 0 && !o.all {
		a.note("no pods run in namespace %s; those of all namespaces:  %s", firstLine(o.namespace), a.command("top pods -A"))
		return nil
	}
	rows := [][]string{{"NAMESPACE", "NAME", "NODE", "CPU", "MEMORY"}}
	for _, p := range pods {
		rows = append(rows, []string{p.Namespace, cmp.Or(p.Name, p.UID), p.Node, cores(p.CPU), memory(p.Memory)})
	}
	return table(w, rows)
}

// writeTop writes JSON: one line of many, or one value to read.
func (a *app) writeTop(w io.Writer, v any, o topOptions) error {
	if o.watch {
		return writeJSONLine(w, v)
	}
	return writeJSON(w, v)
}

// cores is a number of busy CPUs.
func cores(n float64) string {
	if n >= 9.95 {
		return fmt.Sprintf("%.1f", n)
	}
	return fmt.Sprintf("%.2f", n)
}

// trimmed is a limit as it was set: "2", "0.5".
func trimmed(n float64) string { return fmt.Sprintf("%.3g", n) }

// rate is a number per second.
func rate(n float64) string {
	switch {
	case n == 0:
		return "0"
	case n < 9.95:
		return fmt.Sprintf("%.1f", n)
	}
	return fmt.Sprintf("%.0f", n)
}

func percent(part, whole float64) string {
	if whole <= 0 {
		return ""
	}
	return fmt.Sprintf("%.0f%%", 100*part/whole)
}

// memory is a size as kubectl prints it, with two digits at least.
func memory(bytes uint64) string {
	if mi := bytes >> 20; mi < 10<<10 {
		return fmt.Sprintf("%dMi", mi)
	}
	return fmt.Sprintf("%.1fGi", float64(bytes)/(1<<30))
}
