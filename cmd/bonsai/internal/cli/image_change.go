package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/imagestore"
	"bonsai/bootstrap/node"
	"bonsai/bootstrap/nodeimages"
	"bonsai/bootstrap/statedir"
)

func (a *app) imageRemoveCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "rm IMAGE...",
		Aliases: []string{"remove", "delete"},
		Short:   "Remove images from every node",
		Long: `Rm removes names of images from every node, and what has no other name there. Running containers go on. Nodes that are
added or recreated later do not get these images again.`,
		Example: `  bonsai image rm my-app:dev other:1.0`,
		Args:    argCount(1, 100, "names of images"),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.runImageRemove(cmd.Context(), args) },
	}
}

func (a *app) imagePullCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "pull IMAGE...",
		Short: "Have every node pull images from their registry",
		Long: `Pull has every node pull images as it does for a pod: from the mirrors, with the credentials and through the proxy that
the cluster has. Nodes that are added later pull for themselves when a pod needs an image.`,
		Example: `  bonsai image pull nginx:alpine registry.k8s.io/pause:3.10`,
		Args:    argCount(1, 100, "names of images"),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.runImagePull(cmd.Context(), args) },
	}
}

func (a *app) imageSaveCommand() *cobra.Command {
	file := ""
	cmd := &cobra.Command{
		Use:   "save IMAGE... -o FILE",
		Short: "Write images of the nodes into an archive",
		Long:  `Save writes images that nodes have into an archive, in OCI form, which "bonsai image load" and "docker load" read. Without -o the archive goes to standard output.`,
		Example: `  bonsai image save my-app:dev -o my-app.tar
  bonsai image save nginx:alpine | docker load`,
		Args: argCount(1, 100, "names of images"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.runImageSave(cmd.Context(), args, file) },
	}
	cmd.Flags().StringVarP(&file, "output", "o", "-", "`file` to write, - for standard output")
	return cmd
}

// buildOptions are those of "docker build" that most people use.
type buildOptions struct {
	tags, args []string
	file       string
	target     string
	noCache    bool
	pull       bool
}

func (a *app) imageBuildCommand() *cobra.Command {
	var o buildOptions
	cmd := &cobra.Command{
		Use:   "build [-t NAME:TAG] FOLDER",
		Short: "Build an image with the Docker engine and load it into every node",
		Long: `Build runs "docker build", and loads the result into every node. FOLDER may also be a URL, or "-" for a Dockerfile or an
archive on standard input. Without -t the image has the name of the folder and the tag dev. What the builder prints goes to
standard error.`,
		Example: `  bonsai image build -t my-app:dev .
  bonsai image build -f deploy/Dockerfile --build-arg VERSION=2 .`,
		Args: argCount(1, 1, "one folder"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.runImageBuild(cmd.Context(), args[0], o) },
	}
	f := cmd.Flags()
	f.StringArrayVarP(&o.tags, "tag", "t", nil, "`name` of the image; may be repeated")
	f.StringVarP(&o.file, "file", "f", "", "the Dockerfile (default FOLDER/Dockerfile)")
	f.StringArrayVar(&o.args, "build-arg", nil, "`NAME=VALUE` for the Dockerfile; may be repeated")
	f.StringVar(&o.target, "target", "", "stage to build")
	f.BoolVar(&o.noCache, "no-cache", false, "build every step again")
	f.BoolVar(&o.pull, "pull", false, "pull newer base images")
	return cmd
}

// fullNames completes names of images, and refuses what is none.
func fullNames(verb string, refs []string) ([]string, error) {
	var names []string
	for _, ref := range refs {
		if ref == "" || strings.ToLower(imagestore.Repository(ref)) != imagestore.Repository(ref) || strings.ContainsAny(ref, " \t\n\"'") || strings.HasPrefix(ref, "-") {
			f := fault.Newf(fault.Usage, "%q is not the name of an image", ref)
			f.Advice = []cluster.Advice{cluster.Advise("", help("bonsai image "+verb))}
			return nil, f
		}
		if name := imagestore.FullName(ref); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, nil
}

// noSuchImages is the fault for names that no node has.
func noSuchImages(names []string) error {
	return fault.Newf(fault.Image, "no node has the image %s", strings.Join(names, ", ")).Advise("see what they have", cluster.Bonsai("image", "ls"))
}

func (a *app) runImageRemove(ctx context.Context, args []string) error {
	names, err := fullNames("rm", args)
	if err != nil {
		return err
	}
	return a.onNodes(ctx, func(driver node.Driver, nodes []node.Container, away []string) error {
		have, err := nodeimages.List(ctx, driver, nodes)
		if err != nil {
			return err
		}
		var missing []string
		for _, name := range names {
			if !slices.ContainsFunc(nodes, func(n node.Container) bool {
				return slices.ContainsFunc(have[n.Node], func(i cluster.NodeImage) bool { return i.Name == name })
			}) {
				missing = append(missing, name)
			}
		}
		if len(missing) > 0 {
			return noSuchImages(missing) // before anything has changed
		}
		byNode, err := nodeimages.Remove(ctx, driver, nodes, names)
		removed := map[string]bool{}
		for _, list := range byNode {
			for _, name := range list {
				removed[name] = true
			}
		}
		all := sortedKeys(removed)
		s, openErr := a.open()
		if openErr != nil {
			return errors.Join(err, openErr)
		}
		if forgetErr := s.State.Cluster(a.profile).ForgetImages(ctx, all, len(away) > 0); forgetErr != nil {
			a.note("nodes that are added later may get these images again: %v", forgetErr)
		}
		a.collectImages(ctx, s)
		for _, name := range all {
			if _, err := fmt.Fprintln(a.Stdout, name); err != nil {
				return err
			}
		}
		return err
	})
}

func (a *app) runImagePull(ctx context.Context, args []string) error {
	names, err := fullNames("pull", args)
	if err != nil {
		return err
	}
	return a.onNodes(ctx, func(driver node.Driver, nodes []node.Container, _ []string) error {
		err := nodeimages.Pull(ctx, driver, nodes, names, func(n string) {
			if len(nodes) > 1 {
				a.note("%s has %s", n, strings.Join(names, ", "))
			}
		})
		if err != nil {
			return err
		}
		for _, name := range names {
			if _, err := fmt.Fprintln(a.Stdout, name); err != nil {
				return err
			}
		}
		return nil
	})
}

func (a *app) runImageSave(ctx context.Context, args []string, file string) error {
	names, err := fullNames("save", args)
	if err != nil {
		return err
	}
	if file == "" || file == "-" && isTerminal(a.Stdout) {
		return fault.Newf(fault.Usage, "the archive cannot be written to a terminal").
			Advise("name a file", cluster.Bonsai("image", "save").On(args...).With("-o", "images.tar"))
	}
	return a.onNodes(ctx, func(driver node.Driver, nodes []node.Container, _ []string) error {
		s, err := a.open()
		if err != nil {
			return err
		}
		store := imagestore.New(s.State.ImageStore())
		release, err := store.Use(ctx)
		if err != nil {
			return fault.New(fault.State, "save images", err)
		}
		defer func() { a.collectImages(context.WithoutCancel(ctx), s) }()
		defer release()
		images, missing, err := nodeimages.Gather(ctx, driver, store, nodes, names)
		switch {
		case err != nil:
			return err
		case len(missing) > 0:
			return noSuchImages(missing)
		}
		if file == "-" {
			return nodeimages.Save(store, images, a.Stdout)
		}
		return saveTo(file, 0o644, func(f *os.File) error { return nodeimages.Save(store, images, f) })
	})
}

// saveTo writes a file that is complete or not there, and replaces an existing one only when it is complete.
func saveTo(file string, mode os.FileMode, write func(f *os.File) error) error {
	f, err := os.CreateTemp(filepath.Dir(file), ".bonsai-*")
	if err != nil {
		return fault.New(fault.Output, "write the archive", err).Advise("make room, or write it elsewhere")
	}
	defer func() { _ = os.Remove(f.Name()) }()
	if err := write(f); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Chmod(mode), f.Close(), os.Rename(f.Name(), file)); err != nil {
		return fault.New(fault.Output, "write the archive", err).Advise("make room, or write it elsewhere")
	}
	return nil
}

func (a *app) runImageBuild(ctx context.Context, folder string, o buildOptions) error {
	if len(o.tags) == 0 {
		tag, err := tagOf(folder)
		if err != nil {
			return err
		}
		o.tags = []string{tag}
	}
	if _, err := fullNames("build", o.tags); err != nil {
		return err
	}
	if info, err := os.Stat(folder); folder != "-" && !strings.Contains(folder, "://") && (err != nil || !info.IsDir()) {
		return fault.Newf(fault.Usage, "%s is not a folder", folder).Advise("", help("bonsai image build"))
	}
	docker, err := exec.LookPath("docker")
	if err != nil {
		return fault.Newf(fault.Image, "images are built by the docker command, which is not installed").
			Advise("build it with another program, and load the archive", cluster.Bonsai("image", "load", "ARCHIVE").Fill("ARCHIVE").Change())
	}
	return a.onNodes(ctx, func(driver node.Driver, nodes []node.Container, _ []string) error { // which checks that there are some
		cmd := exec.CommandContext(ctx, docker, o.arguments(folder)...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = a.Stdin, a.Stderr, a.Stderr
		if err := cmd.Run(); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return fault.New(fault.Image, "build "+o.tags[0], fmt.Errorf("docker build: %w", err))
		}
		return a.load(ctx, driver, nodes, func(store imagestore.Store, source *statedir.ImageSource) ([]nodeimages.Image, error) {
			source.Engine = true
			return nodeimages.FromEngine(ctx, driver, store, nodes, o.tags, a.log)
		})
	})
}

// arguments are those of "docker build".
func (o buildOptions) arguments(folder string) []string {
	args := []string{"build"}
	for _, t := range o.tags {
		args = append(args, "--tag", t)
	}
	if o.file != "" {
		args = append(args, "--file", o.file)
	}
	for _, v := range o.args {
		args = append(args, "--build-arg", v)
	}
	if o.target != "" {
		args = append(args, "--target", o.target)
	}
	if o.noCache {
		args = append(args, "--no-cache")
	}
	if o.pull {
		args = append(args, "--pull")
	}
	return append(args, "--", folder)
}

// tagOf names an image like the folder that it is built from.
func tagOf(folder string) (string, error) {
	unnamed := fault.Newf(fault.Usage, "%s does not give the image a name", folder).
		Advise("name it", cluster.Bonsai("image", "build").On(folder).With("-t", "NAME:TAG").Fill("NAME:TAG").Change())
	if folder == "-" || strings.Contains(folder, "://") {
		return "", unnamed
	}
	path, err := filepath.Abs(folder)
	if err != nil {
		return "", err
	}
	name := strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(filepath.Base(path))), "-")
	for strings.Contains(name, "--") {
		name = strings.ReplaceAll(name, "--", "-")
	}
	if name == "" {
		return "", unnamed
	}
	return name + ":dev", nil
}
