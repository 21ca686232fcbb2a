package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bonsai/bootstrap"
	"bonsai/bootstrap/bundle"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/termsafe"
)

// BundleEngine is what the verb bundle needs from the engine.
type BundleEngine interface {
	Bundle(ctx context.Context, name string, wish bootstrap.BundleWish, w io.Writer) (bundle.Manifest, error)
}

// OpenBundle is a bundle whose objects are served.
type OpenBundle struct {
	bundle.Manifest
	// Server is the address of the API server, Kubeconfig a file with which kubectl reaches it.
	Server, Kubeconfig string
}

func (a *app) bundleCommand() *cobra.Command {
	var file string
	var wish bootstrap.BundleWish
	cmd := &cobra.Command{
		Use:   "bundle",
		Short: "Gather what is known about a cluster into a file, for somebody else to look at",
		Long: `Bundle writes an archive with what is needed to find out what is wrong with a cluster: its status and problems, the checks of
doctor, versions, its cluster file without passwords, the timings of its last starts, the logs of the control plane and of
nodes, what runs in nodes, and all objects. The cluster need not run; of one that does not, the objects are those of its end.

The values of Secrets are removed from the objects, unless --with-secrets keeps them. What else may be confidential, such as
ConfigMaps, the environment of pods, names, addresses and log lines, stays. Look at it before you give it away.

"bonsai bundle open" serves the objects as a read-only API.`,
		Example: `  bonsai bundle
  bonsai bundle -p dev -o dev.tar.gz
  bonsai bundle open dev.tar.gz`,
		Args: a.groupArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runBundle(cmd.Context(), file, wish) },
	}
	cmd.Flags().StringVarP(&file, "output", "o", "", "file to write (default bonsai-NAME-TIME.tar.gz); - for standard output")
	cmd.Flags().BoolVar(&wish.Secrets, "with-secrets", false, "keep the values of Secrets")
	cmd.Flags().BoolVar(&wish.NoObjects, "no-objects", false, "leave out the objects of the cluster")
	cmd.AddCommand(a.bundleOpenCommand())
	return cmd
}

func (a *app) runBundle(ctx context.Context, file string, wish bootstrap.BundleWish) error {
	if wish.Secrets && wish.NoObjects {
		return fault.Newf(fault.Usage, "--with-secrets is about the objects that --no-objects leaves out")
	}
	s, err := a.open()
	if err != nil {
		return err
	}
	if !s.State.Cluster(a.profile).Exists() {
		_, err := a.spec(s) // which says what to do
		return err
	}
	if file == "-" {
		if isScreen(a.Stdout) {
			return fault.Newf(fault.Usage, "a bundle is not for a terminal").Advise("name a file", cluster.Bonsai("bundle").With("-o", "bundle.tar.gz"))
		}
		m, err := s.Engine.Bundle(ctx, a.profile, wish, a.Stdout)
		if err == nil {
			a.notesOfBundle(m)
		}
		return err
	}
	if file == "" {
		file = fmt.Sprintf("bonsai-%s-%s.tar.gz", a.profile, time.Now().Format("20060102-150405"))
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case errors.Is(err, os.ErrExist):
		return fault.New(fault.Conflict, "write the bundle", err).Advise("name another file", cluster.Bonsai("bundle").With("-o", "FILE").Fill("FILE"))
	case err != nil:
		return fault.New(fault.Output, "write the bundle", err).Advise("name a file that you can write", cluster.Bonsai("bundle").With("-o", "FILE").Fill("FILE"))
	}
	m, err := s.Engine.Bundle(ctx, a.profile, wish, f)
	if err := errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(file)) // half of one is of no use
	}
	size := int64(0)
	if info, err := os.Stat(file); err == nil {
		size = info.Size()
	}
	a.notesOfBundle(m)
	_, err = fmt.Fprintf(a.Stdout, "%s, %s.\n", termsafe.String(file), diskSize(size))
	return err
}

// notesOfBundle says what the user has to know of a bundle before it is given away.
func (a *app) notesOfBundle(m bundle.Manifest) {
	for _, what := range m.Missing {
		a.note("not in it: %s", firstLine(what))
	}
	switch {
	case m.Secrets:
		a.note("it contains the values of Secrets")
	case m.Objects:
		a.note("the values of Secrets are removed; ConfigMaps, the environment of pods and logs are as they are")
	}
}

func (a *app) bundleOpenCommand() *cobra.Command {
	var port int
	cmd := &cobra.Command{
		Use:   "open FILE [-- COMMAND...]",
		Short: "Serve the objects of a bundle as a read-only API",
		Long: `Open serves the objects of a bundle: an API server runs over them in this process, with nothing else of a control plane, so that
everything stays as it was. kubectl and other clients can read and watch all objects, also custom resources; requests that
change something, and those that need a node, are refused. There is no container engine involved.

It runs until Ctrl-C, or, with a COMMAND, until that ends: the command gets KUBECONFIG, and "kubectl" is the built-in one. What
was unpacked is removed then. Its exit code is the command's.`,
		Example: `  bonsai bundle open dev.tar.gz
  bonsai bundle open dev.tar.gz -- kubectl get pods -A`,
		Args: func(cmd *cobra.Command, args []string) error {
			if dash := cmd.ArgsLenAtDash(); dash >= 0 && dash != 1 || dash < 0 && len(args) != 1 {
				return fault.Newf(fault.Usage, "%s takes one file, and perhaps a command after two dashes", cmd.CommandPath()).Advise("", help(cmd.CommandPath()))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runBundleOpen(cmd.Context(), args[0], port, args[1:])
		},
	}
	cmd.Flags().IntVar(&port, "port", 0, "port of the API server on 127.0.0.1; 0 for a free one")
	return cmd
}

func (a *app) runBundleOpen(ctx context.Context, file string, port int, command []string) error {
	if port < 0 || port > 65535 {
		return fault.Newf(fault.Usage, "port %d is not valid", port).Advise("choose another port, or 0 for a free one")
	}
	return a.OpenBundle(ctx, file, port, func(running context.Context, b OpenBundle) error {
		if len(command) > 0 {
			return a.runWith(running, b, command)
		}
		a.printOpened(b)
		<-running.Done()
		if ctx.Err() != nil {
			return nil // Ctrl-C is how it ends
		}
		return context.Cause(running)
	})
}

func (a *app) printOpened(b OpenBundle) {
	fmt.Fprintf(a.Stdout, "Cluster %s as of %s, to be looked at only, at %s.\n\nIn another terminal:\n", termsafe.String(b.Cluster),
		b.Created.Local().Format(time.DateTime), b.Server)
	for _, line := range []string{
		"export KUBECONFIG=" + termsafe.Quote(b.Kubeconfig), "kubectl get pods -A",
	} {
		fmt.Fprintf(a.Stdout, "  %s\n", line)
	}
	fmt.Fprintf(a.Stdout, "or, with the built-in kubectl:\n  bonsai kubectl --kubeconfig %s -- get pods -A\n\n", termsafe.Quote(b.Kubeconfig))
	if !b.Secrets {
		a.note("the values of Secrets were removed when the bundle was made")
	}
	a.note("Ctrl-C ends it, and removes what was unpacked")
}

// runWith runs a command that finds the API of the bundle in its environment.
func (a *app) runWith(ctx context.Context, b OpenBundle, command []string) error {
	if command[0] == "kubectl" {
		self, err := os.Executable()
		if err != nil {
			return fault.New(fault.Internal, "find this executable", err)
		}
		command = append([]string{self, "kubectl", "--kubeconfig", b.Kubeconfig, "--"}, command[1:]...)
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = a.Stdin, commandOutput(a.Stdout), a.Stderr
	cmd.Env = append(os.Environ(), "KUBECONFIG="+b.Kubeconfig)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second // for a command that does not end with the interrupt
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() > 0 {
		return exitCode(exit.ExitCode())
	}
	if err != nil && ctx.Err() == nil {
		return fault.New(fault.Usage, "run "+strings.Join(command[:1], ""), err)
	}
	return err
}

// commandOutput is the file behind standard output, so that a command sees whether it is a terminal.
func commandOutput(w io.Writer) io.Writer {
	if o, ok := w.(*output); ok {
		return o.Writer
	}
	return w
}

// kubeconfigOf checks a kubeconfig that the user names.
func kubeconfigOf(file string) (string, error) {
	abs, err := filepath.Abs(file)
	if err == nil {
		_, err = os.Stat(abs)
	}
	if err != nil {
		return "", fault.New(fault.Usage, "use kubeconfig "+file, err)
	}
	return abs, nil
}
