package cli

import (
	"context"
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/statedir"
)

// envProfile names the variable with the cluster that commands use without -p.
const envProfile = "BONSAI_PROFILE"

// chooseProfile finds the cluster of a command line without -p: that of the environment, or the one that "profile use"
// chose. named says that the command line has it.
func (a *app) chooseProfile(named bool) error {
	name := os.Getenv(envProfile)
	if name == "" {
		name = cluster.DefaultName
		if dir, err := statedir.Home(); err == nil { // without one, every verb says so itself
			name = dir.DefaultCluster()
		}
	}
	a.otherDefault = name != cluster.DefaultName
	if named {
		return nil
	}
	if err := cluster.ValidateName(name); err != nil {
		return fault.New(fault.Usage, "read "+envProfile, err).Advise("for example:  " + envProfile + "=dev-2")
	}
	a.profile = name
	return nil
}

// named writes the name of the cluster into all commands of a problem, if a command without one means another cluster.
func (a *app) named(p cluster.Problem) cluster.Problem {
	if !a.otherDefault {
		return p
	}
	p.Advice = slices.Clone(p.Advice)
	for i, advice := range p.Advice {
		p.Advice[i].Commands = slices.Clone(advice.Commands)
		for j := range advice.Commands {
			p.Advice[i].Commands[j].Named = true
		}
	}
	return p
}

func (a *app) profileCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "profile",
		Short: "List the clusters, and choose the one that commands use without -p",
		Example: `  bonsai profile list
  bonsai profile use dev`,
		Args: a.groupArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	list := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the clusters with their state",
		Long: `List prints a line per cluster of the state folder. The asterisk marks the one that commands use without -p. A name
in BONSAI_PROFILE has precedence over the choice of "profile use", and -p over both.`,
		Example: `  bonsai profile list
  bonsai profile list -o json`,
		Args: argCount(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runProfileList(cmd.Context()) },
	}
	a.addOutput(list, "format of the list")
	use := &cobra.Command{
		Use:   "use NAME",
		Short: "Choose the cluster that commands use without -p",
		Long: `Use chooses an existing cluster. Commands without -p and without BONSAI_PROFILE are about it from then on, until it is
deleted or another one is chosen. kubectl's current context is not changed; that is what update-context does.`,
		Example: `  bonsai profile use dev
  bonsai profile use bonsai             as it was`,
		Args:              argCount(1, 1, "the name of a cluster"),
		ValidArgsFunction: a.completeProfiles,
		RunE:              func(_ *cobra.Command, args []string) error { return a.runProfileUse(args[0]) },
	}
	cmd.AddCommand(list, use)
	return cmd
}

// profileRow is one cluster of the state folder.
type profileRow struct {
	Name    string        `json:"name"`
	Default bool          `json:"default"`
	Phase   cluster.Phase `json:"phase"`
	Nodes   int           `json:"nodes"`
	Version string        `json:"kubernetesVersion,omitempty"`
	Server  string        `json:"server,omitempty"`
}

func (a *app) runProfileList(ctx context.Context) error {
	s, err := a.open()
	if err != nil {
		return err
	}
	names, err := s.Engine.List()
	if err != nil {
		return err
	}
	rows := make([]profileRow, 0, len(names))
	for _, name := range names {
		row := profileRow{Name: name, Default: name == a.profile, Phase: cluster.PhaseStopped}
		if spec, err := s.State.Cluster(name).LoadSpec(); err == nil {
			row.Nodes, row.Version = len(spec.Nodes), spec.KubernetesVersion
			row.Server = fmt.Sprintf("https://127.0.0.1:%d", spec.APIPort)
		} else {
			row.Phase = cluster.PhaseFailed
		}
		// What a cluster does is asked only where something runs.
		if s.State.Cluster(name).DaemonAlive() {
			row.Phase = cluster.PhaseRunning
			if snapshot, err := s.Engine.Status(ctx, name); err == nil {
				row.Phase = snapshot.Phase
			}
		}
		rows = append(rows, row)
	}
	if a.json() {
		return writeJSON(a.Stdout, rows)
	}
	if len(rows) == 0 {
		a.note("no cluster exists yet; create one:  %s", a.command("start"))
		return nil
	}
	text := [][]string{{"", "NAME", "STATE", "NODES", "KUBERNETES", "API SERVER"}}
	for _, r := range rows {
		mark := " "
		if r.Default {
			mark = "*"
		}
		text = append(text, []string{mark, r.Name, string(r.Phase), fmt.Sprint(r.Nodes), r.Version, r.Server})
	}
	text[0][0] = " "
	return table(a.Stdout, text)
}

func (a *app) runProfileUse(name string) error {
	if err := cluster.ValidateName(name); err != nil {
		return fault.New(fault.Usage, "", err).Advise("see the clusters", cluster.Bonsai("profile", "list").OfNone())
	}
	s, err := a.open()
	if err != nil {
		return err
	}
	if name != cluster.DefaultName && !s.State.Cluster(name).Exists() {
		return statedir.NotFound(name)
	}
	if err := s.State.SetDefaultCluster(name); err != nil {
		return err
	}
	if env := os.Getenv(envProfile); env != "" && env != name {
		a.note("%s=%s has precedence in this shell", envProfile, env)
	}
	_, err = fmt.Fprintf(a.Stdout, "Commands without -p use cluster %q.\n", name)
	return err
}
