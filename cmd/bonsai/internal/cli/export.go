package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"bonsai/bootstrap"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

func (a *app) checkpointExportCommand() *cobra.Command {
	var checkpoint string
	cmd := &cobra.Command{
		Use:   "export FILE",
		Short: "Write the whole cluster into a file",
		Long: `Export writes a cluster into one file, from which "bonsai start --from FILE" makes a cluster, on this machine or another one:
all objects, as they are now or as a checkpoint has them; the settings of the cluster; the images that "image load" and "image
build" have brought; and the data of claims, which a checkpoint has if it was saved with --with-volumes. With - the file goes to standard output.

The cluster goes on meanwhile. Data of claims is copied file by file: stop what writes to it if it has to be of one moment.

The file holds the cluster's Secrets and passwords of registries. Only you can read it.

Exit codes: 32 if the cluster does not run and no checkpoint is given; 42 if there is no such checkpoint; 43 if it is damaged.`,
		Example: `  bonsai checkpoint export cluster.bonsai
  bonsai checkpoint export --checkpoint before-upgrade cluster.bonsai
  bonsai start -p copy --from cluster.bonsai`,
		Args: argCount(1, 1, "the name of a file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runCheckpointExport(cmd.Context(), checkpoint, args[0])
		},
	}
	cmd.Flags().StringVar(&checkpoint, "checkpoint", "", "`name` of the checkpoint whose objects the file gets (default those of now)")
	_ = cmd.RegisterFlagCompletionFunc("checkpoint", a.completeCheckpoints)
	a.addOutput(cmd, "json prints each step as a line")
	return cmd
}

func (a *app) runCheckpointExport(ctx context.Context, checkpoint, file string) error {
	if file == "-" && (isTerminal(a.Stdout) || a.json()) {
		return fault.Newf(fault.Usage, "the file cannot be written to where the answer goes").
			Advise("name a file", cluster.Bonsai("checkpoint", "export").On("cluster.bonsai"))
	}
	s, err := a.open()
	if err != nil {
		return err
	}
	var has bootstrap.Export
	write := func(w io.Writer) error {
		return a.operation("checkpoint export", false, func(p *progress) (err error) {
			has, err = s.Engine.ExportCluster(ctx, a.profile, checkpoint, w, bootstrap.Run{Events: p.Event})
			return err
		})
	}
	if file == "-" {
		return a.explain(write(a.Stdout))
	}
	if err := saveTo(file, 0o600, func(f *os.File) error { return write(f) }); err != nil {
		return a.explain(err)
	}
	if a.json() {
		return nil
	}
	info, err := os.Stat(file)
	if err != nil {
		return fault.New(fault.Output, "write the file", err)
	}
	_, err = fmt.Fprintf(a.Stdout, "%s has %s, %s and the data of claims of %s: %s.\n", file,
		count(has.Checkpoint.Objects, "object"), count(has.Images, "image"), count(has.NodesWithClaims, "node"), fileSize(info.Size()))
	return err
}

// fromFlags refuses the flags of start that say what an exported cluster says.
func fromFlags(flags *pflag.FlagSet) (errs []error) {
	for _, flag := range append(wishFlagNames(), "file", "dry-run", "foreground") {
		if flags.Changed(flag) {
			errs = append(errs, fault.Newf(fault.Usage, "--%s and --from exclude each other: the cluster becomes what the file has", flag).
				Advisef("omit --%s, and change the cluster when it runs", flag))
		}
	}
	return errs
}

// runStartFrom creates a cluster from a file.
func (a *app) runStartFrom(ctx context.Context, flags *pflag.FlagSet, o startOptions) error {
	noWait, err := o.noWait()
	if err := errors.Join(append(fromFlags(flags), err)...); err != nil {
		return err
	}
	run := bootstrap.Run{Keep: o.keep, NoWait: noWait}
	r := a.Stdin
	if o.from != "-" {
		f, err := os.Open(o.from)
		if err != nil {
			return fault.New(fault.Usage, "read the exported cluster", err)
		}
		defer f.Close()
		r = f
	}
	s, err := a.open()
	if err != nil {
		return err
	}
	return a.operation("start", false, func(p *progress) error {
		run.Events = p.Event
		run.Started = func(t *cluster.Timeline) {
			if !a.json() {
				p.Close()
				a.printStarted(s, t, false)
				p.PrintAdvice()
			}
		}
		_, err := s.Engine.StartFrom(ctx, a.profile, r, run)
		return err
	})
}
