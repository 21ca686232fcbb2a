package cli

import (
	"context"

	"github.com/spf13/cobra"

	"bonsai/bootstrap"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

func (a *app) forkCommand() *cobra.Command {
	var as string
	var withVolumes bool
	cmd := &cobra.Command{
		Use:   "fork [CHECKPOINT] --as NAME",
		Short: "Create a second cluster with the objects of this one",
		Long: `Fork creates a cluster with the settings and the objects of another one: those of a checkpoint, or, without CHECKPOINT,
those that it has now. The other cluster goes on. The new one has as many nodes, and an authority, certificates, addresses and an
API port of its own; tokens of the other one are not valid in it. Pods are started on the node in the same place.

Claims are empty, and a warning names them, unless their data comes along: with --with-volumes that which they have now, for
which all nodes have to run, or with a CHECKPOINT that was saved with --with-volumes what is in it. Ports of this machine lead to
the other cluster only. Images that "image load" has brought come along.

Exit codes: 13 if there is a cluster NAME; 32 if the cluster or, with --with-volumes, a node does not run and no CHECKPOINT is
given; 42 if there is no such checkpoint; 43 if it has no data of claims, and has to with --with-volumes; otherwise those of start.`,
		Example: `  bonsai fork --as experiment
  bonsai fork --as experiment --with-volumes
  bonsai fork before-upgrade --as experiment`,
		Args:              argCount(0, 1, "at most one checkpoint"),
		ValidArgsFunction: a.completeCheckpoints,
		RunE: func(cmd *cobra.Command, args []string) error {
			if as == "" {
				return fault.Newf(fault.Usage, "a fork needs a name").Advise("for example:  --as experiment")
			}
			if err := cluster.ValidateName(as); err != nil {
				return fault.New(fault.Usage, "", err).Advise("for example:  --as experiment")
			}
			if as == a.profile {
				return fault.Newf(fault.Usage, "%q is the cluster itself", as).Advise("for example:  --as experiment")
			}
			checkpoint := ""
			if len(args) > 0 {
				checkpoint = args[0]
			}
			return a.runFork(cmd.Context(), checkpoint, as, withVolumes)
		},
	}
	cmd.Flags().StringVar(&as, "as", "", "name of the new cluster")
	cmd.Flags().BoolVar(&withVolumes, "with-volumes", false, "the data of claims comes along")
	_ = cmd.RegisterFlagCompletionFunc("as", cobra.NoFileCompletions)
	a.addOutput(cmd, "json prints each step as a line")
	return cmd
}

func (a *app) runFork(ctx context.Context, checkpoint, as string, withVolumes bool) error {
	s, err := a.open()
	if err != nil {
		return err
	}
	var timeline *cluster.Timeline
	err = a.operation("fork", false, func(p *progress) (err error) {
		timeline, err = s.Engine.Fork(ctx, a.profile, checkpoint, as, withVolumes, bootstrap.Run{Events: p.Event})
		return err
	})
	if err != nil {
		return a.explain(err)
	}
	if !a.json() {
		a.profile = as // what comes next is about the new one
		a.printStarted(s, timeline, false)
	}
	return nil
}
