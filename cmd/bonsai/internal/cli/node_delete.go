package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"bonsai/bootstrap"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/plan"
)

// drainLimit is the default of --timeout.
const drainLimit = 2 * time.Minute

func (a *app) nodeDeleteCommand() *cobra.Command {
	var o bootstrap.DeleteOptions
	cmd := &cobra.Command{
		Use:     "delete NODE...",
		Aliases: []string{"rm"},
		Short:   "Empty nodes and delete them",
		Long: `Delete moves the pods of nodes elsewhere, as kubectl drain does, and removes the nodes with their data: container,
volume, Node object, certificates, addresses, and ports of this machine that lead to them. The cluster need not run. If no
other node has the role control-plane, the oldest one gets it.

A node is not deleted, and takes pods again, if something on it would be lost: pods without a controller, pods with
data in emptyDir volumes, claims whose data is on its disk. The same is true if pods do not end within --timeout, for
example because of a PodDisruptionBudget. The error names all of them. --force deletes it nevertheless.

Exit codes: 31 if there is no such node; 39 if something keeps a node from being emptied.`,
		Example: `  bonsai node delete bonsai-3
  bonsai node delete 2 3 --timeout 10m
  bonsai node delete bonsai-3 --force`,
		Args:              manyNodes,
		ValidArgsFunction: a.completeManyNodes,
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.Limit <= 0 {
				return fault.Newf(fault.Usage, "--timeout %s is not a time to wait", o.Limit).Advise("for example:  --timeout 5m")
			}
			return a.runNodeDelete(cmd.Context(), args, o)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.Force, "force", false, "delete them with everything that is on them, and whatever budgets say")
	f.DurationVar(&o.Limit, "timeout", drainLimit, "how long to wait for pods to end")
	a.addOutput(cmd, "json prints each step as a line")
	return cmd
}

func (a *app) runNodeDelete(ctx context.Context, names []string, o bootstrap.DeleteOptions) error {
	return a.nodeVerb("delete", func(s Session, run bootstrap.Run) error {
		p, err := s.Engine.DeleteNodes(ctx, a.profile, names, o, run)
		if err == nil && !a.json() {
			fmt.Fprintf(a.Stdout, "%s deleted.\n", areIs(changed(p, plan.KindRemoveNode)))
			for _, c := range p.Changes {
				switch c := c.(type) {
				case plan.LabelNode:
					fmt.Fprintf(a.Stdout, "%s has the role %s now.\n", c.Node, c.Role)
				case plan.Port:
					fmt.Fprintf(a.Stdout, "%s is no longer forwarded to %s.\n", c.Listen, c.From)
				}
			}
		}
		return err
	})
}
