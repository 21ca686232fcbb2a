package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"
)

// learnOptions are the flags of the verbs below learn.
type learnOptions struct {
	dir, lang string
	follow    bool
	faults    bool // the verb is below "learn faults"
	count     int
	seed      uint64
	end       bool
}

func (a *app) learnCommand() *cobra.Command {
	var o learnOptions
	cmd := &cobra.Command{
		Use:   "learn",
		Short: "Learn Kubernetes on this cluster: lessons, and faults to find",
		Long: `Learn has lessons of about ten minutes each. A lesson says what to do, you do it with kubectl in a namespace of the lesson's
own, and the cluster itself shows whether it is done: how you did it does not matter. There are hints, and explanations of
usual mistakes. Nothing is downloaded.

Learn faults is the other way round: something in the cluster is broken, and you find out what.

The lessons are in English and Chinese (--lang zh). With --dir you have lessons of your own: text files, which docs/learn.md
describes and "learn lint" checks.

Exit codes: 48 if the step is not done.`,
		Example: `  bonsai learn list
  bonsai learn start pod
  bonsai learn check
  bonsai learn hint
  bonsai learn next
  bonsai learn start service --follow       in a second terminal: it says at once what is done
  bonsai learn faults next`,
		Args: a.groupArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	o.add(cmd)
	faults := &cobra.Command{
		Use:   "faults",
		Short: "Find and fix what is broken",
		Long: `Each fault is in a namespace of its own. What is wrong is not said until it is fixed; then you see why it was so, the
shortest way, and what bonsai itself said about it. A fault is worth 100 points; a hint takes off 20, and after five minutes
each minute one.`,
		Example: `  bonsai learn faults list
  bonsai learn faults start silent-shop
  bonsai learn faults check
  bonsai learn faults exam`,
		Args: a.groupArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	of := o
	of.faults = true
	of.add(faults)
	faults.AddCommand(a.learnVerbs(&of)...)
	faults.AddCommand(a.examCommand(&of))
	cmd.AddCommand(a.learnVerbs(&o)...)
	cmd.AddCommand(a.lintCommand(&o), faults)
	return cmd
}

// add gives a group the flags of all its verbs.
func (o *learnOptions) add(cmd *cobra.Command) {
	f := cmd.PersistentFlags()
	f.StringVar(&o.dir, "dir", "", "folder with lessons of your own, instead of those in bonsai")
	f.StringVar(&o.lang, "lang", "", "en or zh (default from LANG)")
	_ = cmd.RegisterFlagCompletionFunc("lang", cobra.FixedCompletions(uiLanguages, cobra.ShellCompDirectiveNoFileComp))
}

// learnVerbs are those that lessons and faults have in common.
func (a *app) learnVerbs(o *learnOptions) []*cobra.Command {
	thing, example := "lesson", "pod"
	if o.faults {
		thing, example = "fault", "silent-shop"
	}
	prefix := "  bonsai learn "
	if o.faults {
		prefix += "faults "
	}
	verb := func(use, short, long string, most int, run func(ctx context.Context, name string) error) *cobra.Command {
		cmd := &cobra.Command{
			Use: use, Short: short, Long: long,
			Args: argCount(0, most, "at most one "+thing),
			RunE: func(cmd *cobra.Command, args []string) error {
				name := ""
				if len(args) > 0 {
					name = args[0]
				}
				return run(cmd.Context(), name)
			},
		}
		if most > 0 {
			cmd.ValidArgsFunction = a.completeLessons(o)
		}
		a.addOutput(cmd, "text for people, or objects")
		return cmd
	}
	list := verb("list", "List the "+thing+"s, and which of them you have done", "", 0, func(context.Context, string) error { return a.learnList(*o) })
	start := verb("start NAME", "Begin a "+thing+", or go on with it",
		"Start makes the namespace learn-NAME with what the "+thing+" begins with, and says what to do. A "+thing+` that was begun in this
cluster goes on where it was; "reset" starts it again.`, 1,
		func(ctx context.Context, name string) error { return a.learnStart(ctx, *o, name) })
	start.Args = argCount(1, 1, "the name of a "+thing)
	check := verb("check", "Say whether it is done, and which usual mistakes were made", "", 0, func(ctx context.Context, _ string) error { return a.learnCheck(ctx, *o) })
	for _, cmd := range []*cobra.Command{start, check} {
		cmd.Flags().BoolVarP(&o.follow, "follow", "f", false, "watch the cluster, and say at once what is done; Ctrl-C ends it")
	}
	nextLong := "Next shows the next step, once the current one is done."
	if o.faults {
		nextLong = "Next begins the next fault that you have not fixed yet; in an exam, the next one of it. The current one is taken away."
	}
	next := verb("next", "Go on with what is next", nextLong, 0, func(ctx context.Context, _ string) error { return a.learnNext(ctx, *o) })
	hint := verb("hint", "Give a hint; the last one is the solution", "", 0, func(ctx context.Context, _ string) error { return a.learnHint(ctx, *o) })
	reset := verb("reset [NAME]", "Take away a "+thing+" and what you did in it", `Reset deletes the namespace of a `+thing+`, by default of the current one, and gives back the nodes that it has changed. That you
have done it once stays in the list.`, 1, func(ctx context.Context, name string) error { return a.learnReset(ctx, *o, name) })
	all := []*cobra.Command{list, start, check, next, hint, reset}
	for _, cmd := range all {
		cmd.Example = prefix + cmd.Name()
		if cmd == start || cmd == reset {
			cmd.Example += " " + example
		}
	}
	return all
}

func (a *app) examCommand(o *learnOptions) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "exam",
		Short: "Draw ten faults, with a clock",
		Long: `Exam draws faults of all levels and begins the first one. The time is six minutes for each. "learn faults next" goes on; a fault that
is not fixed then has no points. Exam shows the state of an exam that runs.`,
		Example: `  bonsai learn faults exam
  bonsai learn faults exam --count 3
  bonsai learn faults exam --end`,
		Args: argCount(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.learnExam(cmd.Context(), *o) },
	}
	f := cmd.Flags()
	f.IntVar(&o.count, "count", 10, "how many faults")
	f.Uint64Var(&o.seed, "seed", 0, "number that decides which ones are drawn; 0 is another draw each time")
	f.BoolVar(&o.end, "end", false, "end the exam that runs")
	a.addOutput(cmd, "text for people, or an object")
	return cmd
}

func (a *app) lintCommand(o *learnOptions) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lint",
		Short: "Check the files of lessons",
		Long: `Lint reads the lessons of --dir, by default those in bonsai, and prints each mistake with its file and line. Whether solutions work is not
checked; that takes a cluster.`,
		Example: `  bonsai learn lint --dir ./lessons`,
		Args:    argCount(0, 0, "no arguments"),
		RunE:    func(*cobra.Command, []string) error { return a.learnLint(*o) },
	}
	a.addOutput(cmd, "a line per mistake, or an object")
	return cmd
}

// now is the time, in whole seconds, as it is kept.
func now() time.Time { return time.Now().Truncate(time.Second).UTC() }
