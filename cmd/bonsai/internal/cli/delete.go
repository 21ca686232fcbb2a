package cli

import (
	"context"
	"errors"
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
entries in your kubeconfig. Other entries stay as they are. It works on half-made and broken clusters too.

--all deletes the clusters of your state folder ($BONSAI_HOME or ~/.bonsai) and no others, even if the container
engine is shared with other users of bonsai. What is left of a cluster whose state is lost is deleted by its name.`,
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
	cmd.Flags().BoolVar(&all, "all", false, "delete every cluster of your state folder")
	a.addOutput(cmd, "json prints each step as a line")
	return cmd
}

func (a *app) runDelete(ctx context.Context, all bool) error {
	s, err := a.Open()
	if err != nil {
		return err
	}
	names := []string{a.profile}
	if all {
		// Not what the engine lists: it may be shared, and the labels there do not say whose a cluster is.
		if names, err = s.Engine.List(); err != nil {
			return err
		}
	}
	var deleted []string
	err = a.operation("delete", false, func(p *progress) error {
		var errs []error
		for _, name := range names {
			if err := s.Engine.Delete(ctx, name, p.Event); err != nil {
				errs = append(errs, err)
				continue
			}
			deleted = append(deleted, name)
		}
		return errors.Join(errs...)
	})
	if a.json() {
		return err
	}
	for _, name := range deleted {
		fmt.Fprintf(a.Stdout, "%s is deleted.\n", name)
	}
	if len(names) == 0 {
		fmt.Fprintln(a.Stdout, "There is no cluster.")
	}
	return err
}
