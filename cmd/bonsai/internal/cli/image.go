package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/node"
)

func (a *app) imageCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "image",
		Short:   "Load images into a cluster without a registry",
		Example: `  bonsai image load my-app:dev`,
		Args:    a.groupArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	load := &cobra.Command{
		Use:   "load ARCHIVE | - | IMAGE...",
		Short: "Load images into every node",
		Long: `Load copies images into every node, so that pods can use them without pulling. It accepts an archive of
"docker save" or an OCI tool, compressed or not; "-" for one on standard input; or names of images
of the Docker engine.

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
	cmd.AddCommand(load, list)
	return cmd
}

// onNodes runs f on every node in parallel and joins the errors.
func (a *app) onNodes(ctx context.Context, f func(driver node.Driver, nodes []node.Container) error) error {
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
	for _, n := range spec.Nodes {
		c, ok := containers[n.Name]
		if !ok {
			return node.Gone(spec, n.Name)
		}
		nodes = append(nodes, c)
	}
	return a.explain(f(driver, nodes))
}

func (a *app) runImageLoad(ctx context.Context, args []string) error {
	file, err := archive(args)
	if err != nil {
		return err
	}
	return a.onNodes(ctx, func(driver node.Driver, nodes []node.Container) error {
		source := io.NopCloser(a.Stdin)
		switch {
		case file != "":
			source, err = os.Open(file)
		case args[0] != "-":
			source, err = driver.SaveImages(ctx, args)
		case isTerminal(a.Stdin):
			err = fault.Newf(fault.Usage, "standard input is the terminal, not an archive").
				Advise("load images of the engine by their names", cluster.Bonsai("image", "load", "IMAGE").Fill("IMAGE").Change()).
				Advise("or pipe the output of docker save into it")
		}
		if err != nil {
			return err
		}
		defer func() { _ = source.Close() }()
		loaded, err := importInto(ctx, driver, nodes, source)
		for _, name := range loaded {
			fmt.Fprintln(a.Stdout, name)
		}
		return err
	})
}

// archive returns the file that args name; "" if they are "-" or images of the engine.
func archive(args []string) (string, error) {
	usage := func(format string, v ...any) error {
		return fault.Newf(fault.Usage, format, v...).Advise("", help("bonsai image load"))
	}
	for _, arg := range args {
		info, err := os.Stat(arg)
		isPath := strings.HasPrefix(arg, ".") || strings.HasPrefix(arg, "/") || strings.HasSuffix(arg, ".tar") ||
			strings.HasSuffix(arg, ".gz") || strings.HasSuffix(arg, ".tgz") || strings.HasSuffix(arg, ".zst")
		switch {
		case arg == "":
			return "", usage("the name of an image is empty")
		case arg == "-" && len(args) > 1, err == nil && info.Mode().IsRegular() && len(args) > 1:
			return "", usage("%q is an archive; load one archive at a time", arg)
		case err == nil && info.Mode().IsRegular():
			return arg, nil
		case err == nil && isPath:
			return "", usage("%s is not a file", arg)
		case isPath && arg != "-":
			return "", fault.New(fault.Image, "open the archive", err).Advise("check the path; the name of an image looks like my-app:dev")
		}
	}
	return "", nil
}

// importInto streams one archive into all nodes in parallel and returns the names of its images. A node that fails does
// not affect the others.
func importInto(ctx context.Context, driver node.Driver, nodes []node.Container, source io.Reader) ([]string, error) {
	var wg sync.WaitGroup
	writers := make([]*io.PipeWriter, len(nodes))
	outputs, errs := make([]bytes.Buffer, len(nodes)), make([]error, len(nodes))
	for i, n := range nodes {
		r, w := io.Pipe()
		writers[i] = w
		wg.Go(func() {
			var stderr bytes.Buffer
			code, err := driver.Exec(ctx, n.Name, node.Exec{
				Cmd: []string{"bonsai-agent", "images", "import", "-"}, Stdin: r, Stdout: &outputs[i], Stderr: &stderr,
			})
			_ = r.CloseWithError(errImportEnded)
			if err == nil && code != 0 {
				err = fault.New(fault.Image, "load images into "+n.Node, errors.New(lastLine(stderr.String()))).
					Advise("check that it is an archive of docker save or OCI, for this machine's architecture")
			}
			errs[i] = err
		})
	}
	err := fanOut(writers, source)
	wg.Wait()
	names := strings.FieldsFunc(outputs[0].String(), func(r rune) bool { return r == '\n' })
	if joined := errors.Join(errs...); joined != nil {
		return nil, joined
	}
	if err != nil {
		return nil, fault.New(fault.Image, "read the archive", err)
	}
	return names, nil
}

// errImportEnded is what the writing side gets from a node that accepts no more.
var errImportEnded = errors.New("the import has ended")

// fanOut copies source to all writers and closes them. A writer that fails is skipped from then on.
func fanOut(writers []*io.PipeWriter, source io.Reader) error {
	buf := make([]byte, 256<<10)
	live := slices.Clone(writers)
	for len(live) > 0 {
		n, err := source.Read(buf)
		live = slices.DeleteFunc(live, func(w *io.PipeWriter) bool {
			_, err := w.Write(buf[:n])
			return err != nil
		})
		if err == nil {
			continue
		}
		if errors.Is(err, io.EOF) {
			err = nil
		}
		for _, w := range live {
			_ = w.CloseWithError(err) // nil reads as the end
		}
		return err
	}
	return nil
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// imageRow is one image and the nodes that have it.
type imageRow struct {
	Name  string   `json:"name"`
	Nodes []string `json:"nodes"`
}

func (a *app) runImageList(ctx context.Context) error {
	return a.onNodes(ctx, func(driver node.Driver, nodes []node.Container) error {
		outputs, errs := make([]bytes.Buffer, len(nodes)), make([]error, len(nodes))
		var wg sync.WaitGroup
		for i, n := range nodes {
			wg.Go(func() {
				var stderr bytes.Buffer
				code, err := driver.Exec(ctx, n.Name, node.Exec{Cmd: []string{"bonsai-agent", "images", "ls"}, Stdout: &outputs[i], Stderr: &stderr})
				if err == nil && code != 0 {
					err = fault.New(fault.Node, "list the images of "+n.Node, errors.New(lastLine(stderr.String())))
				}
				errs[i] = err
			})
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			return err
		}
		where := map[string][]string{}
		for i, n := range nodes {
			for line := range strings.Lines(outputs[i].String()) {
				fields := strings.Fields(line)
				if len(fields) == 0 || fields[0] == "NAME" || fields[0] == "IMAGE" || strings.HasPrefix(fields[0], "sha256:") {
					continue // a heading, or the name that containerd gives to an image's content
				}
				where[fields[0]] = append(where[fields[0]], n.Node)
			}
		}
		rows, text := []imageRow{}, [][]string{{"IMAGE", "NODES"}}
		for _, name := range sortedKeys(where) {
			rows = append(rows, imageRow{name, where[name]})
			on := strings.Join(where[name], ",")
			if len(where[name]) == len(nodes) {
				on = "all"
			}
			text = append(text, []string{name, on})
		}
		if a.json() {
			return writeJSON(a.Stdout, rows)
		}
		return table(a.Stdout, text)
	})
}
