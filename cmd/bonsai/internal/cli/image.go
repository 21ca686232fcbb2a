package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"bonsai/bootstrap"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/imagestore"
	"bonsai/bootstrap/node"
	"bonsai/bootstrap/nodeimages"
	"bonsai/bootstrap/statedir"
)

func (a *app) imageCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "image",
		Short: "Build, load, pull, list, save and remove the images of the nodes",
		Example: `  bonsai image load my-app:dev
  bonsai image build -t my-app:dev .
  bonsai image ls`,
		Args: a.groupArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	load := &cobra.Command{
		Use:   "load ARCHIVE | - | IMAGE...",
		Short: "Load images into every node",
		Long: `Load copies images into every node, so that pods can use them without pulling. It accepts an archive of
"docker save" or an OCI tool, compressed or not; "-" for one on standard input; or names of images
of the Docker engine, also with a digest. A file that is not an archive is not in the way of an image of the same name; if
both are possible, write ./NAME for the file or NAME:TAG for the image.

A pod uses a loaded image if its imagePullPolicy is IfNotPresent or Never; for the tag :latest that has to be set explicitly.`,
		Example: `  docker build -t my-app:dev . && bonsai image load my-app:dev
  bonsai image load images.tar.gz
  docker save my-app:dev other:1.0 | bonsai image load -`,
		Args: argCount(1, 100, "an archive or names of images"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.runImageLoad(cmd.Context(), args) },
	}
	list := &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List the images in the nodes",
		Example: `  bonsai image ls`,
		Args:    argCount(0, 0, "no arguments"),
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.runImageList(cmd.Context()) },
	}
	a.addOutput(list, "format of the list")
	cmd.AddCommand(load, a.imageBuildCommand(), a.imagePullCommand(), list, a.imageSaveCommand(), a.imageRemoveCommand())
	return cmd
}

// onNodes runs f with all nodes but those that the user has stopped, or not started yet, which are in away.
func (a *app) onNodes(ctx context.Context, f func(driver node.Driver, nodes []node.Container, away []string) error) error {
	s, err := a.open()
	if err != nil {
		return err
	}
	spec, err := a.spec(s)
	if err != nil {
		return err
	}
	if _, err := a.findNode(spec, ""); err != nil {
		return err
	}
	if err := a.wake(ctx, s); err != nil {
		return err
	}
	driver, err := s.Driver()
	if err != nil {
		return err
	}
	defer func() { _ = driver.Close() }()
	containers, err := node.ByName(ctx, driver, spec.ID)
	if err != nil {
		return err
	}
	var nodes []node.Container
	var away []string
	for _, n := range spec.Nodes {
		c, ok := containers[n.Name]
		switch {
		case n.Pending && !ok, n.Stopped && !c.Running:
			away = append(away, n.Name)
		case !ok:
			return node.Gone(spec, n.Name)
		default:
			nodes = append(nodes, c)
		}
	}
	if len(nodes) == 0 {
		return a.explain(fault.Newf(fault.NotRunning, "no node of cluster %q is running", spec.Name))
	}
	return a.explain(f(driver, nodes, away))
}

func (a *app) runImageLoad(ctx context.Context, args []string) error {
	if err := checkNames(args); err != nil {
		return err
	}
	return a.onNodes(ctx, func(driver node.Driver, nodes []node.Container, _ []string) error {
		file, err := a.chooseSource(ctx, driver, args)
		if err != nil {
			return err
		}
		return a.load(ctx, driver, nodes, func(store imagestore.Store, source *statedir.ImageSource) ([]nodeimages.Image, error) {
			switch file {
			case "":
				source.Engine = true
				return nodeimages.FromEngine(ctx, driver, store, nodes, args, a.log)
			case "-":
				return nodeimages.FromArchive(store, a.Stdin)
			}
			return readFile(store, file, source)
		})
	})
}

// load brings into all nodes what read puts into the image store, prints the names of the images, and remembers them for nodes
// that come later.
func (a *app) load(ctx context.Context, driver node.Driver, nodes []node.Container,
	read func(imagestore.Store, *statedir.ImageSource) ([]nodeimages.Image, error)) error {
	s, err := a.open()
	if err != nil {
		return err
	}
	store := imagestore.New(s.State.ImageStore())
	release, err := store.Use(ctx)
	if err != nil {
		return fault.New(fault.State, "load images", err)
	}
	// What this replaces, or leaves unfinished, goes when nobody uses the store any more.
	defer func() { a.collectImages(context.WithoutCancel(ctx), s) }()
	defer release()
	source := statedir.ImageSource{}
	images, err := read(store, &source)
	if err != nil {
		return err
	}
	if err := nodeimages.Deliver(ctx, driver, store, nodes, images, nodeimages.Options{Log: a.log}); err != nil {
		return err
	}
	for _, i := range images {
		fmt.Fprintln(a.Stdout, strings.Join(i.Names, "\n"))
	}
	if !source.Engine {
		a.noteDigests(images)
	}
	if err := s.State.Cluster(a.profile).RecordImages(ctx, bootstrap.RecordOf(images, source)); err != nil {
		a.note("nodes that are added later will lack these images: %v", err)
	}
	return nil
}

// collectImages removes from the image store what no cluster needs any more.
func (a *app) collectImages(ctx context.Context, s Session) {
	if _, err := bootstrap.CollectImages(ctx, s.State); err != nil {
		a.note("the image store keeps what no cluster needs: %v", err)
	}
}

// readFile reads an archive, and notes in source where it can be read again.
func readFile(store imagestore.Store, file string, source *statedir.ImageSource) ([]nodeimages.Image, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fault.New(fault.Image, "open the archive", err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, fault.New(fault.Image, "open the archive", err)
	}
	if !isStream(info) {
		if source.File, err = filepath.Abs(file); err != nil {
			return nil, err
		}
	}
	return nodeimages.FromArchive(store, f)
}

// noteDigests says which images of an archive pods do not find by digest.
func (a *app) noteDigests(images []nodeimages.Image) {
	var names []string
	for _, i := range images {
		if !slices.ContainsFunc(i.Names, func(name string) bool { return strings.Contains(name, "@") }) {
			names = append(names, i.Names...)
		}
	}
	if len(names) > 0 {
		a.note("pods that name an image with @sha256:… do not find it, because this archive does not contain the registry's digests; they find: %s",
			strings.Join(names, ", "))
	}
}

func (a *app) runImageList(ctx context.Context) error {
	return a.onNodes(ctx, func(driver node.Driver, nodes []node.Container, _ []string) error {
		byNode, err := nodeimages.List(ctx, driver, nodes)
		if err != nil {
			return err
		}
		rows := imageRows(byNode, nodes)
		if a.json() {
			return writeJSON(a.Stdout, rows)
		}
		text := [][]string{{"IMAGE", "NODES", "MISSING ON"}}
		for _, r := range rows {
			on := strings.Join(r.Nodes, ",")
			if len(r.Missing) == 0 {
				on = "all"
			}
			text = append(text, []string{r.Name, on, strings.Join(r.Missing, ",")})
		}
		return table(a.Stdout, text)
	})
}

// imageRow is one image, the nodes that have it, and those that do not.
type imageRow struct {
	Name    string   `json:"name"`
	Nodes   []string `json:"nodes"`
	Missing []string `json:"missing"`
	// Loaded says that "image load" brought it, to one of the nodes at least.
	Loaded bool `json:"loaded"`
}

func imageRows(byNode map[string][]cluster.NodeImage, nodes []node.Container) []imageRow {
	rows := map[string]imageRow{}
	for _, n := range nodes {
		for _, i := range byNode[n.Node] {
			r := rows[i.Name]
			r.Name, r.Nodes, r.Loaded = i.Name, append(r.Nodes, n.Node), r.Loaded || i.Loaded
			rows[i.Name] = r
		}
	}
	list := make([]imageRow, 0, len(rows))
	for _, name := range sortedKeys(rows) {
		r := rows[name]
		r.Missing = []string{}
		for _, n := range nodes {
			if !slices.Contains(r.Nodes, n.Node) {
				r.Missing = append(r.Missing, n.Node)
			}
		}
		list = append(list, r)
	}
	return list
}
