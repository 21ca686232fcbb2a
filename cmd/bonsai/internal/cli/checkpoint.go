package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"bonsai/bootstrap"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

// CheckpointEngine is what the checkpoint verbs need from the engine.
type CheckpointEngine interface {
	Checkpoints(name string) ([]cluster.Checkpoint, error)
	SaveCheckpoint(ctx context.Context, name, checkpoint string, withVolumes bool) (cluster.Checkpoint, error)
	RestoreCheckpoint(ctx context.Context, name, checkpoint string, run bootstrap.Run) error
	DeleteCheckpoint(ctx context.Context, name, checkpoint string) error
	ExportCluster(ctx context.Context, name, checkpoint string, w io.Writer, run bootstrap.Run) (bootstrap.Export, error)
	StartFrom(ctx context.Context, name string, r io.Reader, run bootstrap.Run) (*cluster.Timeline, error)
	Fork(ctx context.Context, name, checkpoint, as string, withVolumes bool, run bootstrap.Run) (*cluster.Timeline, error)
}

func (a *app) checkpointCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "checkpoint",
		Short: "Save all objects of a cluster, and go back to them",
		Example: `  bonsai checkpoint save before-upgrade
  bonsai checkpoint list
  bonsai checkpoint restore before-upgrade
  bonsai checkpoint export cluster.bonsai`,
		Args: a.groupArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var withVolumes bool
	save := &cobra.Command{
		Use:   "save [NAME]",
		Short: "Save all objects as they are now",
		Long: `Save copies all objects of a running cluster, as they are at one moment, into its state folder. The cluster goes on
meanwhile. Without NAME the checkpoint is called after the time. Images are not part of it.

With --with-volumes it has the data of claims, too, and a restore brings that back as well. Data is copied file by file while
pods go on: stop what writes to it if it has to be of one moment. All nodes have to run.

Exit codes: 13 if there is a checkpoint of that name; 32 if the cluster or a node does not run; 43 if there are too many already,
or no room for the data.`,
		Example: `  bonsai checkpoint save
  bonsai checkpoint save before-upgrade
  bonsai checkpoint save before-upgrade --with-volumes`,
		Args: argCount(0, 1, "at most one name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runCheckpointSave(cmd.Context(), args, withVolumes)
		},
	}
	save.Flags().BoolVar(&withVolumes, "with-volumes", false, "save the data of claims, too")
	a.addOutput(save, "format of the answer")
	list := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the checkpoints, the newest first",
		Example: `  bonsai checkpoint list
  bonsai checkpoint list -o json`,
		Args: argCount(0, 0, "no arguments"),
		RunE: func(*cobra.Command, []string) error { return a.runCheckpointList() },
	}
	a.addOutput(list, "format of the list")
	restore := &cobra.Command{
		Use:   "restore NAME",
		Short: "Go back to the objects of a checkpoint",
		Long: `Restore replaces all objects of the cluster by those of the checkpoint, and returns when the API server serves them. Nodes
keep running: they start and stop pods as the objects say. What watches objects learns that it has to list them again.

Nodes, addons, ports and settings of the cluster stay as they are now. Data of claims stays as it is; the folder of one
that was deleted since then is created again, empty. If the checkpoint was saved with --with-volumes, the data of its claims is
replaced by that of the checkpoint: the nodes that have some stop with all their pods, and start with the data in place.

If the cluster runs, a checkpoint of what is replaced is saved before, so that the restore can be undone. If the control plane cannot
start with the checkpoint, it goes on with the objects that it had. A cluster that does not run is started.

Exit codes: 32 if a node does not run that has to get data; 42 if there is no such checkpoint; 43 if it is damaged, or of another
cluster or version; 33 if the control plane
did not start with it.`,
		Example:           `  bonsai checkpoint restore before-upgrade`,
		Args:              argCount(1, 1, "the name of a checkpoint"),
		ValidArgsFunction: a.completeCheckpoints,
		RunE:              func(cmd *cobra.Command, args []string) error { return a.runCheckpointRestore(cmd.Context(), args[0]) },
	}
	a.addOutput(restore, "json prints each step as a line")
	remove := &cobra.Command{
		Use:               "delete NAME...",
		Aliases:           []string{"rm", "remove"},
		Short:             "Delete checkpoints",
		Example:           `  bonsai checkpoint delete before-upgrade`,
		Args:              argCount(1, 100, "names of checkpoints"),
		ValidArgsFunction: a.completeCheckpoints,
		RunE:              func(cmd *cobra.Command, args []string) error { return a.runCheckpointDelete(cmd.Context(), args) },
	}
	cmd.AddCommand(save, list, restore, remove, a.checkpointExportCommand())
	return cmd
}

func (a *app) runCheckpointSave(ctx context.Context, args []string, withVolumes bool) error {
	name := ""
	if len(args) > 0 {
		name = args[0]
		c := cluster.Checkpoint{Name: name}
		err := cluster.ValidateCheckpointName(name)
		if err == nil && c.Automatic() {
			err = fmt.Errorf("names that begin with %q are those of bonsai's own checkpoints", cluster.AutomaticCheckpoint)
		}
		if err != nil {
			return fault.New(fault.Usage, "", err).Advise("for example:  before-upgrade")
		}
	}
	s, err := a.open()
	if err != nil {
		return err
	}
	began := time.Now()
	c, err := s.Engine.SaveCheckpoint(ctx, a.profile, name, withVolumes)
	if err != nil {
		return a.explain(err)
	}
	if a.json() {
		return writeJSON(a.Stdout, c)
	}
	claims := ""
	if c.WithVolumes {
		claims = fmt.Sprintf(", %s of claims", fileSize(c.VolumeBytes()))
	}
	_, err = fmt.Fprintf(a.Stdout, "Checkpoint %s: %d objects%s, %s, saved in %.1fs.\n", c.Name, c.Objects, claims, fileSize(c.FileBytes), time.Since(began).Seconds())
	return err
}

// fileSize is a size in the unit that suits it.
func fileSize(n int64) string {
	if n < 1e6 {
		return fmt.Sprintf("%d kB", (n+999)/1000)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}

func (a *app) runCheckpointList() error {
	s, err := a.open()
	if err != nil {
		return err
	}
	list, err := s.Engine.Checkpoints(a.profile)
	if err != nil {
		return err
	}
	if a.json() {
		return writeJSON(a.Stdout, list)
	}
	if len(list) == 0 {
		a.note("no checkpoint exists yet; save one:  %s", a.command("checkpoint save"))
		return nil
	}
	text := [][]string{{"NAME", "AGE", "OBJECTS", "CLAIMS", "SIZE", "KUBERNETES", "NOTE"}}
	for _, c := range list {
		objects, claims, note := fmt.Sprint(c.Objects), "-", c.Reason
		if c.WithVolumes {
			claims = fileSize(c.VolumeBytes())
		}
		if c.Problem != "" {
			objects, claims, note = "?", "?", c.Problem
		}
		text = append(text, []string{c.Name, ageSince(c.Created), objects, claims, fileSize(c.FileBytes), c.KubernetesVersion, note})
	}
	return table(a.Stdout, text)
}

func (a *app) runCheckpointRestore(ctx context.Context, name string) error {
	s, err := a.open()
	if err != nil {
		return err
	}
	err = a.operation("checkpoint restore", false, func(p *progress) error {
		return s.Engine.RestoreCheckpoint(ctx, a.profile, name, bootstrap.Run{Events: p.Event})
	})
	if err == nil && !a.json() {
		_, err = fmt.Fprintf(a.Stdout, "%s is as it was in checkpoint %s.\n", a.profile, name)
	}
	return err
}

func (a *app) runCheckpointDelete(ctx context.Context, names []string) error {
	s, err := a.open()
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		if err := s.Engine.DeleteCheckpoint(ctx, a.profile, name); err != nil {
			errs = append(errs, err)
			continue
		}
		if _, err := fmt.Fprintf(a.Stdout, "Checkpoint %s is deleted.\n", name); err != nil {
			return err
		}
	}
	return errors.Join(errs...)
}

func (a *app) completeCheckpoints(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	s, err := a.open()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	list, err := s.Engine.Checkpoints(a.profile)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, c := range list {
		names = append(names, c.Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
