package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"bonsai/bootstrap/fault"
)

func (a *app) deleteCommand() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "delete",
		Short: "Delete a cluster and everything in it",
		Long: `Delete removes every trace of the cluster: its nodes with their volumes and network, its state folder, and its
entries in your kubeconfig. Other entries stay as they are. It works on half-made and broken clusters too.`,
		Example: `  bonsai delete
  bonsai delete -p ci
  bonsai delete --all`,
		Args: argCount(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if all && cmd.Flags().Changed("profile") {
				return fault.Newf(fault.Usage, "--all and -p exclude each other").WithHint("use one of them")
			}
			return a.runDelete(cmd.Context(), all)
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "delete every cluster of this user")
	a.addOutput(cmd, "json prints each step as a line")
	return cmd
}

func (a *app) runDelete(ctx context.Context, all bool) error {
	s, err := a.Open()
	if err != nil {
		return err
	}
	deleted := []string{a.profile}
	err = a.operation("delete", false, func(p *progress) (err error) {
		if all {
			deleted, err = s.Engine.DeleteAll(ctx, p.Event)
			return err
		}
		return s.Engine.Delete(ctx, a.profile, p.Event)
	})
	if a.json() || err != nil && !all {
		return err
	}
	for _, name := range deleted {
		fmt.Fprintf(a.Stdout, "%s is deleted.\n", name)
	}
	if err == nil && len(deleted) == 0 {
		fmt.Fprintln(a.Stdout, "There is no cluster.")
	}
	return err
}
