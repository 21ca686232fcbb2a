package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"bonsai/bootstrap"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/clusterfile"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/plan"
	"bonsai/controlplane/addons/catalog"
)

// WishEngine makes a cluster what a file says.
type WishEngine interface {
	ApplyWish(ctx context.Context, w plan.Wish, d bootstrap.DeleteOptions, run bootstrap.Run) (plan.Plan, error)
	PlanWish(ctx context.Context, w plan.Wish) (plan.Plan, error)
}

// standardInput is the name of a file that stands for it.
const standardInput = "-"

// maxFile bounds what is read; the parser says what is possible.
const maxFile = 8 << 20

// addFile gives a verb the flag -f.
func (a *app) addFile(cmd *cobra.Command, path *string, what string) {
	cmd.Flags().StringVarP(path, "file", "f", "", "cluster `FILE`, - for the standard input: "+what)
	_ = cmd.MarkFlagFilename("file", "yaml", "yml", "json")
}

// fileFlagName accepts the names that -f has in other tools.
func fileFlagName(name string) pflag.NormalizedName {
	if name == "config" || name == "filename" {
		name = "file"
	}
	return pflag.NormalizedName(name)
}

// wishFlag is a flag of start that says what a file can say, in that field.
type wishFlag struct{ flag, field string }

func wishFlagList() []wishFlag {
	return []wishFlag{
		{"nodes", "nodes"}, {"kubernetes-version", "kubernetesVersion"}, {"registry-mirror", "registries"}, {"image-mirror-country", "registries"},
		{"registry-ca", "registries"}, {"api-port", "apiPort"}, {"subnet", "network"}, {"pod-subnet", "network"}, {"service-subnet", "network"},
		{"dns-search", "dns"}, {"cpus", "nodes"}, {"memory", "nodes"}, {"addons", "addons"}, {"port", "ports"}, {"mount", "mounts"},
		{"components", "components"}, {"feature-gates", "featureGates"}, {"extra-config", "extraArgs of a component"}, {"upstream-hooks", "upstreamHooks"},
		{"control-plane-taint", "controlPlaneTaint"},
	}
}

func wishFlagNames() (names []string) {
	for _, f := range wishFlagList() {
		names = append(names, f.flag)
	}
	return names
}

// wishFlags refuses the flags of start that say what a file says.
func wishFlags(flags *pflag.FlagSet) (errs []error) {
	for _, f := range wishFlagList() {
		if flags.Changed(f.flag) {
			errs = append(errs, fault.Newf(fault.Usage, "--%s and -f exclude each other: the file says it as %s", f.flag, f.field).
				Advise("write it into the file, or omit -f"))
		}
	}
	return errs
}

// readWish reads a cluster file. From then on the cluster of the command is that of the file, unless -p names another.
func (a *app) readWish(ctx context.Context, path string, c *catalog.Catalog) (plan.Wish, error) {
	data, err := a.readFile(path)
	if err != nil {
		return plan.Wish{}, fault.New(fault.Usage, "read the cluster file", err)
	}
	dir, err := fileDir(path)
	if err != nil {
		return plan.Wish{}, err
	}
	wish, err := clusterfile.Parse(path, data, clusterfile.Options{
		Kubernetes: a.Info.Kubernetes, Dir: dir, ReadFile: os.ReadFile, Settings: a.wrongSettings,
		Manifests: func(source string) ([]plan.Manifest, error) { return ReadManifests(ctx, source) },
		Addon:     c.Find,
	})
	if err != nil {
		return plan.Wish{}, err
	}
	if !a.profileGiven {
		a.profile = cmp.Or(wish.Name, a.profile)
	}
	wish.Name = a.profile
	if wish.Proxy == nil {
		wish.Proxy = a.environmentProxy()
	}
	return wish, nil
}

// fileDir is the folder that paths in a file start from: its own, or the current one for the standard input.
func fileDir(path string) (string, error) {
	dir := "."
	if path != standardInput {
		dir = filepath.Dir(path)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fault.New(fault.State, "find the folder of "+fileName(path), err)
	}
	return dir, nil
}

func (a *app) readFile(path string) ([]byte, error) {
	from := a.Stdin
	if path != standardInput {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }()
		from = f
	}
	return io.ReadAll(io.LimitReader(from, maxFile))
}

// openWish is the beginning of the verbs that work on a file.
func (a *app) openWish(ctx context.Context, path string) (s Session, wish plan.Wish, err error) {
	if path == "" {
		return s, wish, fault.Newf(fault.Usage, "-f FILE is missing").
			Advise("see the file of a cluster", cluster.Bonsai("config", "view"))
	}
	c, err := a.catalog()
	if err != nil {
		return s, wish, err
	}
	if wish, err = a.readWish(ctx, path, c); err != nil {
		return s, wish, err
	}
	if s, err = a.open(); err != nil {
		return s, wish, err
	}
	err = a.wishedAddons(s, &wish)
	return s, wish, err
}

func (a *app) planCommand() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "plan -f FILE",
		Short: "Show what a cluster file would change, and what each change needs",
		Long: `Plan compares a cluster with a file and prints what apply would change, and what each change needs: nothing, a restart of
nodes, a stopped cluster, or a new cluster. It changes nothing. docs/cluster-file.md describes the file.

If something is impossible in the cluster as it is, the exit code is 2; the plan is printed nevertheless.`,
		Example: `  bonsai plan -f cluster.yaml
  bonsai plan -f cluster.yaml -o json`,
		Args: argCount(0, 0, "no arguments; the file follows -f"),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runPlan(cmd.Context(), path) },
	}
	cmd.Flags().SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName { return fileFlagName(name) })
	a.addFile(cmd, &path, "what the cluster should be")
	a.addOutput(cmd, "json has the fields of each change")
	return cmd
}

func (a *app) runPlan(ctx context.Context, path string) error {
	s, wish, err := a.openWish(ctx, path)
	if err != nil {
		return err
	}
	p, refused := s.Engine.PlanWish(ctx, wish)
	if refused != nil && len(p.Changes) == 0 {
		return refused
	}
	if a.json() {
		err = writeJSON(a.Stdout, struct {
			Cluster string             `json:"cluster"`
			Exists  bool               `json:"exists"`
			Running bool               `json:"running"`
			Changes []plan.Description `json:"changes"`
		}{a.profile, p.Current.Spec != nil, p.Current.Running, p.Described()})
		return errors.Join(refused, err)
	}
	switch {
	case p.Has(plan.KindCreate):
		err = a.printPlan(p)
	case len(p.Changes) == 0:
		_, err = fmt.Fprintf(a.Stdout, "Nothing to change: %s is as %s says.\n", a.profile, fileName(path))
	default:
		if err = table(a.Stdout, changeRows(p)); err == nil {
			_, err = fmt.Fprintln(a.Stdout, "\nThis is a plan; nothing was changed.")
		}
	}
	return errors.Join(refused, err)
}

// changeRows are the changes of a plan with what each needs.
func changeRows(p plan.Plan) [][]string {
	rows := [][]string{{"CHANGE", "NEEDS"}}
	for _, c := range p.Changes {
		rows = append(rows, []string{c.String(), c.Needs().String()})
	}
	return rows
}

// fileName is what a file is called in a sentence.
func fileName(path string) string {
	if path == standardInput {
		return "the standard input"
	}
	return path
}

func (a *app) applyCommand() *cobra.Command {
	var path string
	var o bootstrap.DeleteOptions
	cmd := &cobra.Command{
		Use:   "apply -f FILE",
		Short: "Make a cluster what a file says",
		Long: `Apply changes a cluster to what a file says, and touches nothing that is so already. A cluster that does not exist is
created and started; one that is stopped stays stopped. plan shows the changes before. docs/cluster-file.md describes the file.

Nodes that the file no longer has are emptied and removed, as by node delete. One is not removed if something on it would be
lost, or if its pods do not end within --timeout; the error names what keeps it, and nothing has changed then.

It returns when nodes that it adds are Ready, addons that it enables are running, and the objects of manifests are applied.`,
		Example: `  bonsai apply -f cluster.yaml
  bonsai config view -p dev | bonsai apply -p test -f -`,
		Args: argCount(0, 0, "no arguments; the file follows -f"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Limit <= 0 {
				return fault.Newf(fault.Usage, "--timeout %s is not a time to wait", o.Limit).Advise("for example:  --timeout 5m")
			}
			return a.runApply(cmd.Context(), path, o)
		},
	}
	cmd.Flags().SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName { return fileFlagName(name) })
	a.addFile(cmd, &path, "what the cluster should be")
	cmd.Flags().BoolVar(&o.Force, "force", false, "remove nodes with everything that is on them, and whatever budgets say")
	cmd.Flags().DurationVar(&o.Limit, "timeout", drainLimit, "how long to wait for pods of nodes that are removed to end")
	a.addOutput(cmd, "json prints each step as a line")
	return cmd
}

func (a *app) runApply(ctx context.Context, path string, d bootstrap.DeleteOptions) error {
	s, wish, err := a.openWish(ctx, path)
	if err != nil {
		return err
	}
	if !s.State.Cluster(a.profile).Exists() {
		return a.startAs(ctx, s, wish, bootstrap.Run{}, startOptions{file: path})
	}
	return a.operation("apply", false, func(p *progress) error {
		done, err := s.Engine.ApplyWish(ctx, wish, d, bootstrap.Run{Events: p.Event})
		if err == nil {
			err = a.awaitChanged(ctx, s, p, done)
		}
		if err != nil || a.json() {
			return err
		}
		p.Close()
		return a.printApplied(done, path)
	})
}

// awaitChanged returns when the addons that a plan has enabled or configured are running, and those that it has disabled are gone.
func (a *app) awaitChanged(ctx context.Context, s Session, p *progress, done plan.Plan) error {
	names := map[bool][]string{}
	for _, c := range done.Changes {
		if addon, ok := c.(plan.Addon); ok {
			names[addon.Enabled] = append(names[addon.Enabled], addon.Addon)
		}
	}
	c, err := a.catalog()
	if err != nil {
		return err
	}
	wanted := c.Wanted(done.Wanted.Spec.Addons)
	for _, change := range done.Changes {
		if v, ok := change.(plan.AddonValues); ok && wanted[v.Addon] && !slices.Contains(names[true], v.Addon) {
			names[true] = append(names[true], v.Addon)
		}
	}
	for _, on := range []bool{true, false} {
		if len(names[on]) == 0 || !done.Current.Running {
			continue
		}
		if err := a.awaitAddons(ctx, s.Engine, p, names[on], on); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) printApplied(p plan.Plan, path string) error {
	var lines strings.Builder
	for _, c := range p.Changes {
		fmt.Fprintf(&lines, "  %s\n", c)
	}
	switch name := fileName(path); {
	case len(p.Changes) == 0:
		fmt.Fprintf(&lines, "Nothing to change: %s is as %s says.\n", a.profile, name)
	case p.Current.Running:
		fmt.Fprintf(&lines, "%s is as %s says.\n", a.profile, name)
	default:
		fmt.Fprintf(&lines, "%s is as %s says, and stopped. Start it:  %s\n", a.profile, name, a.command("start"))
	}
	_, err := fmt.Fprint(a.Stdout, lines.String())
	return err
}
