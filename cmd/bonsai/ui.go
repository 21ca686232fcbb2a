package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"

	"bonsai/bootstrap/buildinfo"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/statedir"
	"bonsai/bootstrap/wait"
	"bonsai/cmd/bonsai/internal/cli"
	"bonsai/cmd/bonsai/internal/session"
	"bonsai/controlplane/addons/builtin"
	"bonsai/controlplane/addons/catalog"
	"bonsai/tui"
	"bonsai/tui/paint"
)

// showUI shows the terminal UI of one cluster on the process's own terminal.
func showUI(ctx context.Context, s cli.Session, o cli.UIOptions) (cli.UIOutcome, error) {
	executable, err := os.Executable()
	if err != nil {
		return cli.UIOutcome{}, fault.New(fault.Internal, "find this executable", err)
	}
	addons := builtin.Descriptions()
	c, err := catalog.New(addons)
	if err != nil {
		return cli.UIOutcome{}, fault.New(fault.Internal, "read the list of addons", err)
	}
	world := session.New(session.Options{
		Name: o.Cluster, State: s.State, Engine: s.Engine, Driver: s.Driver, Executable: executable, Addons: addons, Scale: wait.FromEnv(),
	})
	defer world.Close()
	// While the UI has the terminal, log output of Kubernetes' libraries goes where all other log output goes.
	klog.SetLogger(logr.FromSlogHandler(slog.Default().Handler()))
	options := tui.Options{
		Theme: o.Theme, Depth: depths()[o.Depth], ASCII: o.ASCII, Calm: o.Calm, ReadOnly: o.ReadOnly, Lang: o.Lang, Keys: o.Keys, Start: o.Screen,
		Kubernetes: buildinfo.Get().Kubernetes, Detected: o.Detected, Editor: editor(), SaveDir: ".",
	}
	for _, e := range c.Elsewhere() {
		options.Elsewhere = append(options.Elsewhere, tui.ElsewhereAddon{Name: e.Name, Fate: string(e.Fate), Story: e.Summary()})
	}
	out, err := tui.Run(ctx, world, options, os.Stdin, os.Stdout)
	return cli.UIOutcome{Cluster: out.Cluster, Message: out.Message}, crashed(s.State, err)
}

// crashed saves the details of a crash of the UI, which does not affect the cluster.
func crashed(dir statedir.Dir, err error) error {
	c, ok := errors.AsType[*tui.Crash](err)
	if !ok {
		return err
	}
	f := fault.Newf(fault.Internal, "%w", c).Advise("the cluster is untouched; open it again", cluster.Bonsai("ui"))
	path := filepath.Join(dir.Root, "ui-crash.txt")
	if statedir.WriteFile(path, []byte(c.Error()+"\n\n"+c.Stack)) == nil {
		f = f.Advisef("what happened is in %s", path)
	}
	return f
}

// depths maps the colour depths of the command line to the UI's.
func depths() map[cli.ColorDepth]paint.Depth {
	return map[cli.ColorDepth]paint.Depth{
		cli.NoColor: paint.Mono, cli.Colors16: paint.Colors16, cli.Colors256: paint.Colors256, cli.TrueColor: paint.TrueColor,
	}
}

// editor is the user's, as kubectl finds it.
func editor() string {
	for _, name := range []string{"KUBE_EDITOR", "VISUAL", "EDITOR"} {
		if e := os.Getenv(name); e != "" {
			return e
		}
	}
	return "vi"
}
