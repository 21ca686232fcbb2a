package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/plan"
)

// PauseEngine is what these verbs need.
type PauseEngine interface {
	Pause(ctx context.Context, name string, idle bool, events func(cluster.Event)) error
	Unpause(ctx context.Context, name string, events func(cluster.Event)) error
	Wake(ctx context.Context, name string, events func(cluster.Event)) error
	SetAutoPause(ctx context.Context, name string, after time.Duration) (plan.Plan, error)
}

type pauseOptions struct {
	auto   string
	ifIdle bool
}

func (a *app) pauseCommand() *cobra.Command {
	var o pauseOptions
	cmd := &cobra.Command{
		Use:   "pause",
		Short: "Freeze a cluster, which then takes no CPU; the next request wakes it",
		Long: `Pause freezes all processes on the nodes, and stops everything in the control plane but etcd and the API server. Memory
stays in use, nothing ends, and no pod is evicted.

The next request for objects wakes the cluster, and is answered a moment later: kubectl needs nothing special. status and the
terminal UI look at a paused cluster without waking it. unpause, start, and every command that changes the cluster or needs
its nodes wake it, too.

With --auto the cluster is not paused now, but whenever no user has made a request for that long.`,
		Example: `  bonsai pause
  bonsai pause --auto 10m      whenever nobody has used it for ten minutes
  bonsai pause --auto off`,
		Args: argCount(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("auto") {
				return a.runAutoPause(cmd.Context(), o)
			}
			return a.runPause(cmd.Context(), o.ifIdle)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.auto, "auto", "", "pause whenever no user has made a request for this long (10m), or never on its own (off)")
	f.BoolVar(&o.ifIdle, "if-idle", false, "refuse if the cluster is used; for the daemon")
	_ = f.MarkHidden("if-idle")
	a.addOutput(cmd, "json prints each step as a line")
	return cmd
}

func (a *app) unpauseCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "unpause",
		Short: "Let a paused cluster run again",
		Long: `Unpause lets the nodes of a paused cluster, and then its control plane, continue where they were. Unpausing a cluster that
is not paused is not an error.`,
		Example: `  bonsai unpause`,
		Args:    argCount(0, 0, "no arguments"),
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.runUnpause(cmd.Context()) },
	}
	a.addOutput(cmd, "json prints each step as a line")
	return cmd
}

func (a *app) runPause(ctx context.Context, ifIdle bool) error {
	s, err := a.open()
	if err != nil {
		return err
	}
	err = a.operation("pause", false, func(p *progress) error { return s.Engine.Pause(ctx, a.profile, ifIdle, p.Event) })
	if err == nil && !a.json() {
		fmt.Fprintf(a.Stdout, "%s is paused. The next request wakes it, or:  %s\n", a.profile, a.command("unpause"))
	}
	return err
}

func (a *app) runUnpause(ctx context.Context) error {
	s, err := a.open()
	if err != nil {
		return err
	}
	err = a.operation("unpause", false, func(p *progress) error { return s.Engine.Unpause(ctx, a.profile, p.Event) })
	if err == nil && !a.json() {
		fmt.Fprintf(a.Stdout, "%s runs.\n", a.profile)
	}
	return err
}

func (a *app) runAutoPause(ctx context.Context, o pauseOptions) error {
	after, err := cluster.ParseAutoPause(o.auto)
	if err != nil {
		return fault.New(fault.Usage, "", fmt.Errorf("--auto: %w", err)).Advise("", help("bonsai pause"))
	}
	s, err := a.open()
	if err != nil {
		return err
	}
	p, err := s.Engine.SetAutoPause(ctx, a.profile, after)
	switch {
	case err != nil:
		return a.explain(err)
	case a.json():
		return writeJSON(a.Stdout, map[string]any{"autoPause": cluster.FormatAutoPause(after), "changed": len(p.Changes) > 0})
	case after == 0:
		fmt.Fprintf(a.Stdout, "%s does not pause on its own.\n", a.profile)
	default:
		fmt.Fprintf(a.Stdout, "%s pauses whenever no user has made a request for %s.\n", a.profile, cluster.FormatAutoPause(after))
	}
	return nil
}

// wake wakes a paused cluster for a verb that needs its nodes, and says so.
func (a *app) wake(ctx context.Context, s Session) error {
	paused := s.State.Cluster(a.profile).Paused() != nil
	if err := s.Engine.Wake(ctx, a.profile, nil); err != nil {
		return err
	}
	if paused {
		a.note("%s was paused; it runs again", a.profile)
	}
	return nil
}
