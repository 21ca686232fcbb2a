package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/node"
)

type deleteOptions struct {
	all     bool
	foreign string
	yes     bool
}

func (a *app) deleteCommand() *cobra.Command {
	var o deleteOptions
	cmd := &cobra.Command{
		Use:   "delete",
		Short: "Delete a cluster and everything in it",
		Long: `Delete removes every trace of the cluster: its nodes with their volumes and network, its state folder, and its
entries in your kubeconfig. Other entries stay as they are. It also works on incomplete and broken clusters.

It deletes clusters of your state folder ($BONSAI_HOME or ~/.bonsai) and no others, even if the container engine is
shared with other users of bonsai, and even if they use the same names.

--foreign removes from the container engine what it has of a cluster of another state folder, for example one that was
deleted by hand. It lists what will be removed and asks first. It cannot stop the control plane of such a cluster.`,
		Example: `  bonsai delete
  bonsai delete -p ci
  bonsai delete --all
  bonsai delete --foreign ci`,
		Args: argCount(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			profile, foreign := cmd.Flags().Changed("profile"), cmd.Flags().Changed("foreign")
			switch {
			case o.all && profile:
				return fault.Newf(fault.Usage, "--all and -p exclude each other").Advise("use one of them")
			case foreign && (o.all || profile):
				return fault.Newf(fault.Usage, "--foreign names the cluster itself, without --all and -p")
			case foreign:
				return a.runDeleteForeign(cmd.Context(), o)
			case o.yes:
				return fault.Newf(fault.Usage, "--yes answers the question of --foreign and has no effect otherwise")
			}
			return a.runDelete(cmd.Context(), o.all)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.all, "all", false, "delete every cluster of your state folder")
	f.StringVar(&o.foreign, "foreign", "", "remove what the container engine has of a cluster of another state folder, by name or ID")
	f.BoolVar(&o.yes, "yes", false, "with --foreign: do not ask")
	_ = cmd.RegisterFlagCompletionFunc("foreign", cobra.NoFileCompletions)
	a.addOutput(cmd, "json prints each step as a line")
	return cmd
}

func (a *app) runDelete(ctx context.Context, all bool) error {
	s, err := a.open()
	if err != nil {
		return err
	}
	names := []string{a.profile}
	if all {
		// Not the list of the engine, which may be shared.
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
		a.noteForeign(ctx, s)
	}
	return err
}

// noteForeign prints one line if the engine has clusters of other state folders, when none was found here. A missing
// engine is not mentioned.
func (a *app) noteForeign(ctx context.Context, s Session) {
	if a.json() {
		return
	}
	foreign, err := s.Engine.Foreign(ctx)
	if err != nil || len(foreign) == 0 {
		return
	}
	var names []string
	for _, h := range foreign {
		names = append(names, h.Cluster+" ("+h.ID+")")
	}
	a.note("the container engine has clusters of other state folders: %s; see  bonsai delete --help", strings.Join(names, ", "))
}

func (a *app) runDeleteForeign(ctx context.Context, o deleteOptions) error {
	s, err := a.open()
	if err != nil {
		return err
	}
	h, err := s.Engine.ForeignCluster(ctx, o.foreign)
	if err != nil {
		return err
	}
	if !o.yes {
		if err := a.confirm(ctx, h); err != nil {
			return err
		}
	}
	err = a.operation("delete", false, func(p *progress) error { return s.Engine.DeleteForeign(ctx, h.ID, p.Event) })
	if err == nil && !a.json() {
		fmt.Fprintf(a.Stdout, "Everything of %s (%s) was removed from the container engine.\n", h.Cluster, h.ID)
	}
	return err
}

// confirm lists what would be removed and returns nil if the user agrees.
func (a *app) confirm(ctx context.Context, h node.Holding) error {
	if !a.canAsk() {
		return fault.Newf(fault.Usage, "removing what another state folder made needs an answer, and there is no terminal to ask on").
			Advise("if you are sure", cluster.Bonsai("delete").With("--foreign", h.ID, "--yes").OfNone().Change())
	}
	fmt.Fprintf(a.Stderr, "Cluster %s (ID %s) was made from another state folder. The container engine has of it:\n", h.Cluster, h.ID)
	for _, kind := range []struct {
		name  string
		names []string
	}{{"container", h.Containers}, {"volume", h.Volumes}, {"network", h.Networks}} {
		for _, name := range kind.names {
			fmt.Fprintf(a.Stderr, "  %-10s %s\n", kind.name, name)
		}
	}
	return a.ask(ctx, "If its control plane is still running, it keeps running and loses its nodes. Remove all of this?")
}
