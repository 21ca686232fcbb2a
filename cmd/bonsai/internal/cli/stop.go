package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
)

func (a *app) stopCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "stop",
		Short: "Stop a cluster and keep everything in it",
		Long: `Stop stops the nodes and the control plane in order. Objects, volumes and images are kept, and start brings the
cluster back as it was. Stopping a stopped cluster is not an error.`,
		Example: `  bonsai stop
  bonsai stop -p ci`,
		Args: argCount(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runStop(cmd.Context()) },
	}
	a.addOutput(cmd, "json prints each step as a line")
	return cmd
}

func (a *app) runStop(ctx context.Context) error {
	s, err := a.open()
	if err != nil {
		return err
	}
	err = a.operation("stop", false, func(p *progress) error { return s.Engine.Stop(ctx, a.profile, p.Event) })
	if err == nil && !a.json() {
		fmt.Fprintf(a.Stdout, "%s is stopped. Start it again:  %s\n", a.profile, a.command("start"))
	}
	return err
}
