package cli

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"bonsai/bootstrap"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/plan"
)

// NodeEngine changes the nodes of a cluster.
type NodeEngine interface {
	Apply(ctx context.Context, verb, name string, want bootstrap.Want, run bootstrap.Run) (plan.Plan, error)
	DeleteNodes(ctx context.Context, name string, nodes []string, d bootstrap.DeleteOptions, run bootstrap.Run) (plan.Plan, error)
	RestartNodes(ctx context.Context, name string, nodes []string, run bootstrap.Run) error
}

func (a *app) nodeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "node",
		Short: "List, add, delete, stop, start and change nodes",
		Example: `  bonsai node list
  bonsai node add --count 2 --memory 2g
  bonsai node delete bonsai-3`,
		Args: a.groupArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.nodeListCommand(), a.nodeAddCommand(), a.nodeDeleteCommand(), a.nodeStopCommand(), a.nodeStartCommand(), a.nodeRestartCommand(), a.nodeUpdateCommand())
	return cmd
}

// nodeVerb runs a verb that changes nodes, with a display of its steps.
func (a *app) nodeVerb(verb string, f func(s Session, run bootstrap.Run) error) error {
	s, err := a.open()
	if err != nil {
		return err
	}
	return a.operation("node "+verb, false, func(p *progress) error { return f(s, bootstrap.Run{Events: p.Event}) })
}

// changed are the nodes of which a plan has changes of some kinds, by name, each once.
func changed(p plan.Plan, kinds ...plan.Kind) (names []string) {
	for _, c := range p.Changes {
		name := strings.TrimPrefix(c.Object(), "node/")
		if slices.Contains(kinds, c.Kind()) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// areIs is "dev-1 is" or "dev-1, dev-2 are".
func areIs(names []string) string {
	if len(names) == 1 {
		return names[0] + " is"
	}
	return strings.Join(names, ", ") + " are"
}

// manyNodes accepts one node or more, by name or number.
func manyNodes(cmd *cobra.Command, args []string) error {
	return argCount(1, cluster.MaxNodes, "one node or more, by name or number")(cmd, args)
}

func (a *app) completeManyNodes(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	all, directive := a.completeNodes(cmd, nil, typed)
	var left []string
	for _, n := range all {
		if !strings.Contains(" "+strings.Join(args, " ")+" ", " "+n+" ") {
			left = append(left, n)
		}
	}
	return left, directive
}
