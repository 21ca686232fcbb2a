package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/doctor"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/kinds"
	"bonsai/bootstrap/nearmiss"
	"bonsai/bootstrap/termsafe"
)

// MachineEngine is what verbs about this machine need from the engine.
type MachineEngine interface {
	Doctor(ctx context.Context, fix bool) ([]cluster.Check, error)
}

func (a *app) doctorCommand() *cobra.Command {
	var fix bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check whether this machine is fit for clusters",
		Long: `Doctor looks at what clusters need of this machine: the container engine and the right to use it, control groups, the
kernel, limits such as inotify, memory, disks, the clock, the state folder, the kubeconfig, ports, networks, the path from
nodes to the API server, proxies and sessions; and whether the clusters that exist can be used. Each problem comes with
what to type. It changes nothing.

With --fix it repairs what this user has the rights for: modes of folders, entries of the kubeconfig and, as root, limits
(until the machine restarts). Then it looks again.

Exit codes: 0 without errors (warnings do not count); otherwise that of the first error, such as 20 if Docker does not
answer, 21 if this user may not use it, 16 if a limit is too low; 18 for errors without a code of their own.`,
		Example: `  bonsai doctor
  bonsai doctor --fix
  bonsai doctor -o json`,
		Args: argCount(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runDoctor(cmd.Context(), fix) },
	}
	cmd.Flags().BoolVar(&fix, "fix", false, "repair what this user has the rights for")
	a.addOutput(cmd, "format of the answer")
	return cmd
}

func (a *app) runDoctor(ctx context.Context, fix bool) error {
	s, err := a.open()
	if err != nil {
		return err
	}
	checks, err := s.Engine.Doctor(ctx, fix)
	if err != nil {
		return err
	}
	if a.json() {
		err = writeJSON(a.Stdout, checks)
	} else {
		err = a.printChecks(checks)
	}
	if err != nil {
		return err
	}
	if unfit := doctor.Unfit(checks); unfit != nil {
		return exitCode(fault.ExitCode(unfit))
	}
	return nil
}

func (a *app) printChecks(checks []cluster.Check) error {
	out, look := a.Stdout, styleFor(a.Stdout)
	word := map[cluster.CheckState]string{
		cluster.CheckOK: look.green("ok     "), cluster.CheckUnknown: look.dim("unknown"),
		cluster.CheckWarning: look.yellow("warning"), cluster.CheckError: look.red("error  "),
	}
	count := map[cluster.CheckState]int{}
	for _, c := range checks {
		if _, err := fmt.Fprintf(out, "%s  %-16s  %s\n", word[c.State], c.Title, termsafe.String(c.Detail)); err != nil {
			return err
		}
		for _, fixed := range c.Fixed {
			fmt.Fprintf(out, "         %-16s  fixed: %s\n", "", termsafe.String(fixed))
		}
		for _, p := range c.Problems {
			count[cluster.Worst([]cluster.Problem{p})]++
		}
	}
	for _, c := range checks {
		for _, p := range c.Problems {
			fmt.Fprintln(out)
			printProblem(out, look, a.named(p.For(a.profile)))
		}
	}
	_, err := fmt.Fprintf(out, "\n%s\n", verdict(count))
	return err
}

// verdict sums up how many problems there are.
func verdict(count map[cluster.CheckState]int) string {
	errors, warnings := count[cluster.CheckError], count[cluster.CheckWarning]
	switch {
	case errors+warnings == 0:
		return "This machine is fit for clusters."
	case errors == 0:
		return fmt.Sprintf("This machine is fit for clusters, with %s.", numbered(warnings, "warning"))
	case warnings == 0:
		return fmt.Sprintf("There is something to repair: %s.", numbered(errors, "error"))
	}
	return fmt.Sprintf("There is something to repair: %s and %s.", numbered(errors, "error"), numbered(warnings, "warning"))
}

func numbered(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}

func (a *app) explainCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "explain [KIND | EXIT-CODE]",
		Short: "Explain a kind of problem or an exit code",
		Long: `Explain prints what a kind of problem means, and what its usual causes and remedies are. A kind is what -o json has as
"kind"; the exit code of a command names one, too. Without an argument it lists all kinds.

Fields of Kubernetes objects are explained by:  bonsai kubectl -- explain pods`,
		Example: `  bonsai explain 21
  bonsai explain CrashLoop
  bonsai explain -o json`,
		Args: argCount(0, 1, "one kind or exit code"),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return kindNames(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error { return a.runExplain(args) },
	}
	a.addOutput(cmd, "format of the answer")
	return cmd
}

func kindNames() (names []string) {
	for _, k := range kinds.All() {
		names = append(names, k.Name)
	}
	return names
}

func (a *app) runExplain(args []string) error {
	if len(args) == 0 {
		return a.listKinds(kinds.All())
	}
	found := kinds.Find(args[0])
	if len(found) == 0 {
		f := fault.Newf(fault.Usage, "%q is not a kind of problem, and not an exit code of bonsai", args[0])
		if like := nearmiss.Nearest(args[0], kindNames()); like != "" {
			f.Advise("did you mean this?", cluster.Bonsai("explain").On(like).OfNone())
		}
		return f.Advise("see all of them", cluster.Bonsai("explain").OfNone())
	}
	if a.json() {
		return writeJSON(a.Stdout, found)
	}
	for _, k := range found {
		head := k.Name
		if k.Code > 0 {
			head = fmt.Sprintf("%s (exit code %d)", k.Name, k.Code)
		}
		if _, err := fmt.Fprintf(a.Stdout, "%s: %s\n", head, kinds.Plain(k.Means)); err != nil {
			return err
		}
		if more := strings.TrimSpace(kinds.Plain(k.More)); more != "" {
			fmt.Fprintf(a.Stdout, "\n%s\n", more)
		}
	}
	return nil
}

func (a *app) listKinds(all []kinds.Kind) error {
	if a.json() {
		return writeJSON(a.Stdout, all)
	}
	rows := [][]string{{"KIND", "EXIT CODE", "MEANING"}}
	for _, k := range all {
		code := ""
		if k.Code > 0 {
			code = fmt.Sprint(k.Code)
		}
		rows = append(rows, []string{k.Name, code, shortened(kinds.Plain(k.Means))})
	}
	return table(a.Stdout, slices.Clip(rows))
}

// shortened is the beginning of a text that is too long for a row.
func shortened(text string) string {
	const most = 80
	if len([]rune(text)) <= most {
		return text
	}
	return string([]rune(text)[:most-1]) + "…"
}
