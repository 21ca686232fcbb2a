package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/statedir"
)

func (a *app) addonsStatusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status [NAME...]",
		Short: "Show the state of addons, and how to fix them",
		Long: `Status shows the state of each enabled addon, or of the named ones, and since when; then for each that is not running
the reason, and what to type.

Exit codes: 0 all of them are running; 30 there is no such cluster; 32 it is stopped; 36 there is no such addon;
37 one of them is not running.`,
		Example: `  bonsai addons status
  bonsai addons status dns -o json
  until bonsai addons status storage-provisioner >/dev/null; do sleep 1; done`,
		Args:              argCount(0, 100, "names of addons"),
		ValidArgsFunction: a.completeAddons,
		RunE:              func(cmd *cobra.Command, args []string) error { return a.runAddonsStatus(cmd.Context(), args) },
	}
	a.addOutput(cmd, "format of the answer")
	return cmd
}

func (a *app) runAddonsStatus(ctx context.Context, names []string) error {
	c, err := a.catalog()
	if err != nil {
		return err
	}
	if errs := findAddons(c, names); len(errs) > 0 {
		return errors.Join(errs...)
	}
	list, exists, err := a.addonStatuses(ctx, c)
	if err != nil {
		return err
	}
	if !exists {
		return statedir.NotFound(a.profile)
	}
	list = slices.DeleteFunc(list, func(s cluster.AddonStatus) bool {
		if len(names) > 0 {
			return !slices.Contains(names, s.Name)
		}
		return s.State == cluster.AddonDisabled
	})
	if a.json() {
		err = writeJSON(a.Stdout, append(list[:0:0], list...))
	} else {
		err = a.printAddonStatus(list)
	}
	if err != nil {
		return err
	}
	kind := fault.Kind("")
	for _, s := range list {
		switch s.State {
		case cluster.AddonRunning:
		case cluster.AddonStopped:
			kind = fault.NotRunning
		default:
			if kind == "" {
				kind = fault.Addon
			}
		}
	}
	if kind != "" {
		return exitCode(fault.ExitCode(&fault.Fault{Kind: kind}))
	}
	return nil
}

func (a *app) printAddonStatus(list []cluster.AddonStatus) error {
	look := styleFor(a.Stdout)
	rows := [][]string{{"NAME", "STATUS", "AGE"}}
	for _, s := range list {
		since := ""
		if !s.Since.IsZero() {
			since = age(time.Since(s.Since))
		}
		rows = append(rows, []string{s.Name, string(s.State), since})
	}
	if len(list) == 0 {
		_, err := fmt.Fprintln(a.Stdout, "No addon is enabled.")
		return err
	}
	if err := table(a.Stdout, rows); err != nil {
		return err
	}
	for _, s := range list {
		if !addonAilment(s) {
			continue
		}
		severity := cluster.SeverityWarning
		if s.State == cluster.AddonInstalling || s.State == cluster.AddonRemoving {
			severity = cluster.SeverityInfo
		}
		fmt.Fprintln(a.Stdout)
		printProblem(a.Stdout, look, cluster.Problem{
			Severity: severity, Summary: fmt.Sprintf("addon %s is %s", s.Name, s.State), Cause: s.Reason, Advice: s.For(a.profile).Advice,
		})
	}
	return nil
}
