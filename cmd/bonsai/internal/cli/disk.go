package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"bonsai/bootstrap"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/termsafe"
)

// DiskEngine is what df and prune need from the engine.
type DiskEngine interface {
	DiskUse(ctx context.Context) (cluster.DiskUse, error)
	Prune(ctx context.Context, w bootstrap.PruneWish) ([]cluster.DiskItem, error)
}

func (a *app) dfCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "df",
		Short: "Show what takes room on the disk",
		Long: `Df shows what all clusters of the state folder take on this machine's disk and in the container engine: etcd, logs,
checkpoints, the disks of nodes with the images, volumes and logs in them, images that were loaded, and the software that
nodes share. What "bonsai prune" removes is marked, and so is what it removes if it is asked for.

Lines that are indented further are parts of the line above, and not added to it. Images that share layers count them each;
their sizes are those of what was pulled or loaded. With -p only that cluster is shown, and what all share.`,
		Example: `  bonsai df
  bonsai df -p dev
  bonsai df -o json`,
		Args: argCount(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runDF(cmd.Context()) },
	}
	a.addOutput(cmd, "format of the answer")
	return cmd
}

func (a *app) runDF(ctx context.Context) error {
	s, err := a.open()
	if err != nil {
		return err
	}
	if a.profileGiven {
		if _, err := a.spec(s); err != nil {
			return err
		}
	}
	use, err := s.Engine.DiskUse(ctx)
	if err != nil {
		return err
	}
	if a.profileGiven {
		var items []cluster.DiskItem
		for _, i := range use.Items {
			if i.Cluster == "" || i.Cluster == a.profile && !i.Foreign {
				items = append(items, i)
			}
		}
		use.Items = items
		use.Sum()
	}
	if a.json() {
		return writeJSON(a.Stdout, use)
	}
	if err := printDisk(a.Stdout, use); err != nil {
		return err
	}
	for _, why := range use.Unseen {
		a.note("not measured: %s", firstLine(why))
	}
	if use.Prunable > 0 {
		a.note("this removes what nothing needs, %s:  bonsai prune", diskSize(use.Prunable))
	}
	return nil
}

// diskSize is a size in the unit that suits it, from bytes to gigabytes.
func diskSize(n int64) string {
	if n >= 1e9 {
		return fmt.Sprintf("%.1f GB", float64(n)/1e9)
	}
	return fileSize(n)
}

// diskRow is a line of df.
type diskRow struct{ name, size, note string }

func printDisk(w io.Writer, use cluster.DiskUse) error {
	rows := diskRows(use)
	width := 0
	for _, r := range rows {
		width = max(width, utf8.RuneCountInString(r.name))
	}
	for _, r := range rows {
		line := fmt.Sprintf("%-*s  %9s  %s", width, r.name, r.size, r.note)
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " ")); err != nil {
			return err
		}
	}
	return nil
}

func diskRows(use cluster.DiskUse) []diskRow {
	rows := []diskRow{{"WHAT", "SIZE", "NOTE"}}
	group := ""
	for _, i := range use.Items {
		if g := groupOf(i); g != group {
			group = g
			rows = append(rows, diskRow{termsafe.String(g), diskSize(sumOf(use.Items, g)), ""})
		}
		rows = append(rows, diskRow{indent(i) + termsafe.String(diskName(i)), diskSize(i.Bytes), termsafe.String(diskNote(i))})
	}
	return append(rows, diskRow{"total", diskSize(use.Total), ""})
}

// diskNote is what is known of an item, and how it can be removed.
func diskNote(i cluster.DiskItem) string {
	removal := ""
	switch {
	case i.Prunable:
		removal = "prune removes it"
	case i.Offered && i.Kind == cluster.DiskImage:
		removal = "prune --images removes it"
	case i.Offered && i.Kind == cluster.DiskCheckpoint:
		removal = "prune --checkpoints removes it"
	}
	if i.Note == "" || removal == "" {
		return i.Note + removal
	}
	return i.Note + "; " + removal
}

func groupOf(i cluster.DiskItem) string {
	switch {
	case i.Foreign:
		return "cluster " + i.Cluster + " of another state folder"
	case i.Cluster != "":
		return "cluster " + i.Cluster
	}
	return "shared by all clusters"
}

func sumOf(items []cluster.DiskItem, group string) (sum int64) {
	for _, i := range items {
		if groupOf(i) == group && !i.Part {
			sum += i.Bytes
		}
	}
	return sum
}

func indent(i cluster.DiskItem) string {
	switch {
	case i.Part && i.Node != "" && i.Kind == cluster.DiskImage:
		return "      "
	case i.Part:
		return "    "
	}
	return "  "
}

func diskName(i cluster.DiskItem) string {
	names := map[string]string{
		cluster.DiskEtcd: "etcd", cluster.DiskLogs: "logs", cluster.DiskHistory: "history of objects", cluster.DiskCheckpoint: "checkpoint " + i.Name, cluster.DiskState: "certificates and others",
		cluster.DiskVolume: "disk of " + i.Node, cluster.DiskContainer: "container of " + i.Node, cluster.DiskImages: "images and containers",
		cluster.DiskImage: i.Name, cluster.DiskClaim: "volume " + i.Name, cluster.DiskStore: "loaded images", cluster.DiskSoftware: "software of nodes, " + i.Name,
		cluster.DiskNodeImage: "image of nodes, " + i.Name, cluster.DiskUnfinished: "what no cluster needs",
	}
	if name := names[i.Kind]; name != "" {
		return name
	}
	return strings.TrimSpace(i.Kind + " " + i.Name)
}

func (a *app) pruneCommand() *cobra.Command {
	var w bootstrap.PruneWish
	var yes bool
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Remove what nothing needs",
		Long: `Prune removes what nothing needs: the software of nodes of other versions of bonsai that no container uses, and content of
the image store that no cluster has loaded. It never touches clusters, their data, or what other state folders have.

More is removed only if it is asked for, of the cluster that -p names, after a question or with --yes: with --images the images
in its running nodes that were pulled and that no container uses (the next pod that needs one pulls it again); with
--checkpoints those that bonsai took itself. Objects, claims and your own checkpoints are never removed.`,
		Example: `  bonsai prune --dry-run
  bonsai prune
  bonsai prune -p dev --images --checkpoints --yes`,
		Args: argCount(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runPrune(cmd.Context(), w, yes) },
	}
	cmd.Flags().BoolVar(&w.DryRun, "dry-run", false, "only show what would be removed")
	cmd.Flags().BoolVar(&w.Images, "images", false, "also images in the cluster's nodes that were pulled and that no container uses")
	cmd.Flags().BoolVar(&w.Checkpoints, "checkpoints", false, "also checkpoints of the cluster that bonsai took itself")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	a.addOutput(cmd, "json prints what was removed as a list")
	return cmd
}

func (a *app) runPrune(ctx context.Context, w bootstrap.PruneWish, yes bool) error {
	ofCluster := w.Images || w.Checkpoints
	if ofCluster && !a.profileGiven {
		return fault.Newf(fault.Usage, "--images and --checkpoints are about one cluster, which has to be named").
			Advise("for example", cluster.Bonsai("prune").Of(a.profile).With("--images"))
	}
	s, err := a.open()
	if err != nil {
		return err
	}
	if w.Cluster = a.profile; ofCluster {
		if _, err := a.spec(s); err != nil {
			return err
		}
	}
	if ofCluster && !w.DryRun && !yes {
		look := w
		look.DryRun = true
		items, err := s.Engine.Prune(ctx, look)
		if err != nil || len(items) == 0 {
			return errors.Join(err, a.printPruned(items, true))
		}
		if err := a.agree(ctx, items); err != nil {
			return err
		}
	}
	items, err := s.Engine.Prune(ctx, w)
	return errors.Join(a.printPruned(items, w.DryRun), err)
}

// agree shows what would be removed, and returns nil if the user agrees.
func (a *app) agree(ctx context.Context, items []cluster.DiskItem) error {
	if !a.canAsk() {
		return fault.Newf(fault.Usage, "this removes %s of cluster %q, which needs an answer, and there is no terminal to ask on", numbered(len(items), "item"), a.profile).
			Advise("see what it is with --dry-run; agree with --yes")
	}
	fmt.Fprintf(a.Stderr, "This removes:\n")
	for _, i := range items {
		fmt.Fprintf(a.Stderr, "  %s\n", prunedLine(i))
	}
	return a.ask(ctx, "Remove all of this?")
}

func prunedLine(i cluster.DiskItem) string {
	where := ""
	if i.Node != "" {
		where = " on " + i.Node
	}
	return fmt.Sprintf("%s%s, %s", firstLine(diskName(i)), where, diskSize(i.Bytes))
}

func (a *app) printPruned(items []cluster.DiskItem, only bool) error {
	if a.json() {
		if items == nil {
			items = []cluster.DiskItem{}
		}
		return writeJSON(a.Stdout, items)
	}
	var sum int64
	for _, i := range items {
		sum += i.Bytes
		if _, err := fmt.Fprintln(a.Stdout, prunedLine(i)); err != nil {
			return err
		}
	}
	word := "are removed"
	if only {
		word = "would be removed"
	}
	if len(items) == 0 {
		_, err := fmt.Fprintln(a.Stdout, "There is nothing to remove.")
		return err
	}
	_, err := fmt.Fprintf(a.Stdout, "%s %s.\n", diskSize(sum), word)
	return err
}
