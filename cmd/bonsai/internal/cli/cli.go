// Package cli is the command line of bonsai: one file per verb, each with its flags, checks and texts.
//
// The rules of its output: the answer goes to stdout, everything else to stderr; with -o json the answer is stable JSON
// and an error is one line of JSON on stderr; control bytes are written to terminals only, and no colours if NO_COLOR
// is set; text from a cluster is made harmless first. Everything a user typed is checked before anything changes. Exit
// codes come from the fault package; status has its own, see statusCode.
//
// Nothing heavy is linked here: the code that starts clusters, and kubectl, come in through Env. Begin reading at Run.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/spf13/cobra"

	"bonsai/bootstrap"
	"bonsai/bootstrap/buildinfo"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/hostdns"
	"bonsai/bootstrap/kubeconfig"
	"bonsai/bootstrap/localapi"
	"bonsai/bootstrap/node"
	"bonsai/bootstrap/plan"
	"bonsai/bootstrap/registryclient"
	"bonsai/bootstrap/statedir"
	"bonsai/cmd/bonsai/internal/learn"
)

// Engine is what the verbs need from it; *bootstrap.Manager is one.
type Engine interface {
	Start(ctx context.Context, w plan.Wish, run bootstrap.Run) (*cluster.Timeline, error)
	Plan(ctx context.Context, w plan.Wish) (plan.Plan, error)
	Stop(ctx context.Context, name string, events func(cluster.Event)) error
	Delete(ctx context.Context, name string, events func(cluster.Event)) error
	List() ([]string, error)
	Foreign(ctx context.Context) ([]node.Holding, error)
	ForeignCluster(ctx context.Context, nameOrID string) (node.Holding, error)
	DeleteForeign(ctx context.Context, id string, events func(cluster.Event)) error
	Status(ctx context.Context, name string) (cluster.Snapshot, error)
	Watch(ctx context.Context, name string, f func(cluster.Snapshot) error) error
	UpdateContext(name string) (kubeconfig.Merged, error)
	AddonEngine
	PortEngine
	NodeEngine
	WishEngine
	CheckpointEngine
	MachineEngine
	DiskEngine
	BundleEngine
	PauseEngine
	CAEngine
	DashboardEngine
	MirrorEngine
	Services(ctx context.Context, name, namespace string) ([]bootstrap.Service, error)
}

var _ Engine = (*bootstrap.Manager)(nil)

// Session is what verbs that deal with clusters work on.
type Session struct {
	Engine Engine
	State  statedir.Dir
	// Driver connects to the container engine; the caller closes it.
	Driver func() (node.Driver, error)
	// Host is this machine, whose resolver can be configured.
	Host hostdns.System
}

// Role is another program that the executable can run as: it is chosen by "bonsai role NAME".
type Role struct {
	Name string
	// Doc is one line that says what it does and what starts it.
	Doc  string
	Main func(ctx context.Context, args []string) error
}

// Env is everything that the command line needs from its process.
type Env struct {
	// Open is called by verbs that deal with clusters. What it returns logs to log what it does.
	Open func(log *slog.Logger) (Session, error)
	// Kubectl runs the built-in kubectl on the process's own standard streams and returns its exit code.
	Kubectl func(ctx context.Context, args []string, kubeconfig string) int
	// UI shows the terminal UI on the process's own terminal until the user leaves it or ctx ends.
	UI func(ctx context.Context, s Session, o UIOptions) (UIOutcome, error)
	// CheckSettings returns what is wrong with settings of Kubernetes' components in a cluster of that minor version, by their
	// paths in cluster files; nil, and there is no check.
	CheckSettings func(s cluster.Settings, minor string) map[string]error
	// OpenBundle serves the objects of a bundle on a port of 127.0.0.1, 0 for a free one, for as long as use runs. The context
	// of use ends with ctx, or if the server does.
	OpenBundle func(ctx context.Context, file string, port int, use func(context.Context, OpenBundle) error) error
	// Learn makes a running cluster what lessons take place in, until leave is called.
	Learn func(state statedir.Cluster, daemon *localapi.Client) (world learn.World, leave func(), err error)
	// Logins returns what this user logs in with at a registry; nil: nothing.
	Logins func(ctx context.Context, registry string) (registryclient.Login, error)
	Roles  []Role
	// Addons are those that this executable has.
	Addons []cluster.AddonDescription
	Info   buildinfo.Info

	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// Run executes one command line, without the program's name, and returns the exit code. ctx ends at the first Ctrl-C;
// Run then returns once everything is cleaned up.
func Run(ctx context.Context, env Env, args []string) int {
	out := &output{Writer: env.Stdout}
	env.Stdout = out
	a := &app{Env: env, style: styleFor(env.Stderr), log: slog.New(slog.DiscardHandler), logTo: &redirect{to: env.Stderr}}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	a.strictCompletion(root)
	err := root.ExecuteContext(ctx)
	if failure := out.failure(); failure != nil && (err == nil || errors.Is(err, out.err)) {
		err = failure
	}
	return a.finish(ctx, err)
}

// app is the state of one run: the global flags and where to write.
type app struct {
	Env
	style   style
	profile string
	// profileGiven says that the command line has -p.
	profileGiven bool
	// otherDefault says that a command without -p means another cluster than cluster.DefaultName.
	otherDefault bool

	output  string
	verbose bool
	// log is for what is done (-v); it writes to logTo, which is stderr unless the terminal is the UI's.
	log   *slog.Logger
	logTo *redirect
	// checked reports that cobra has accepted flags and arguments: a later error is the verb's own.
	checked bool
}

// exitCode ends the run with a code and without output: everything has been printed.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "bonsai",
		Short: "Real multi-node Kubernetes on this machine, in seconds",
		Long: `bonsai runs a real Kubernetes cluster of several nodes on this machine. Nothing is downloaded: etcd, the
control plane, the nodes' software and kubectl are inside this executable. The nodes are containers of your
Docker engine. On a terminal, bonsai alone shows the cluster full screen (bonsai ui).`,
		Example: `  bonsai start                          three nodes, ready in seconds
  bonsai kubectl -- get nodes           or any other kubectl
  bonsai status                         every component with its state
  bonsai delete                         nothing is left behind`,
		Version:       a.Info.Version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          a.groupArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return a.runAlone(cmd) },
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			a.checked = true
			if cmd.Name() == "role" { // another program, with a log of its own
				return nil
			}
			return a.checkGlobals(cmd)
		},
	}
	root.SetVersionTemplate("bonsai {{.Version}}\n")
	root.SetFlagErrorFunc(flagError)
	flags := root.PersistentFlags()
	flags.StringVarP(&a.profile, "profile", "p", cluster.DefaultName, "name of the cluster")
	flags.BoolVarP(&a.verbose, "verbose", "v", false, "log to stderr what is being done")
	_ = root.RegisterFlagCompletionFunc("profile", a.completeProfiles)
	root.AddCommand(
		a.startCommand(), a.uiCommand(), a.stopCommand(), a.deleteCommand(), a.statusCommand(), a.nodeCommand(), a.kubectlCommand(),
		a.logsCommand(), a.topCommand(), a.addonsCommand(), a.dnsCommand(), a.birthCommand(), a.sshCommand(), a.imageCommand(), a.updateContextCommand(),
		a.versionCommand(), a.roleCommand(), a.profileCommand(), a.ipCommand(), a.cpCommand(), a.serviceCommand(), a.portCommand(), a.proxyCommand(), a.caCommand(),
		a.planCommand(), a.applyCommand(), a.configCommand(), a.autostartCommand(), a.checkpointCommand(), a.forkCommand(),
		a.doctorCommand(), a.explainCommand(), a.dfCommand(), a.pruneCommand(), a.bundleCommand(),
		a.historyCommand(), a.diffCommand(), a.revertCommand(), a.pauseCommand(), a.unpauseCommand(), a.flowCommand(),
		a.dashboardCommand(), a.learnCommand(), a.registryCommand(),
	)
	a.addElsewhere(root)
	return root
}

// strictCompletion makes an unknown shell an error: cobra's own command prints its help for one, with exit code 0, and
// eval would run that. The output has to be set before.
func (a *app) strictCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	if completion, _, err := root.Find([]string{"completion"}); err == nil {
		completion.Args = a.groupArgs
		completion.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	}
}

// checkGlobals runs before every verb.
func (a *app) checkGlobals(cmd *cobra.Command) error {
	level := slog.LevelWarn
	if a.verbose {
		level = slog.LevelDebug
	}
	a.log = slog.New(slog.NewTextHandler(a.logTo, &slog.HandlerOptions{Level: level}))
	slog.SetDefault(a.log) // for libraries, also those that use package log
	a.profileGiven = cmd.Flags().Changed("profile")
	if err := a.chooseProfile(a.profileGiven); err != nil {
		return err
	}
	if err := cluster.ValidateName(a.profile); err != nil {
		return fault.New(fault.Usage, "", err).Advise("for example:  -p dev-2")
	}
	if formats := outputs(cmd); a.output != "" && !slices.Contains(formats, a.output) {
		wrong := a.output
		a.output = outputText
		return fault.Newf(fault.Usage, "output format %q is not valid: use %s", wrong, oneOf(formats))
	}
	return nil
}

// open makes what the verb works on.
func (a *app) open() (Session, error) { return a.Open(a.log) }

// redirect is a writer whose target can be changed at any time.
type redirect struct {
	mu sync.Mutex // guards to, and keeps lines whole
	to io.Writer
}

func (r *redirect) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.to.Write(p)
}

// redirect changes the target; the returned function changes it back.
func (r *redirect) redirect(to io.Writer) (back func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.to
	r.to = to
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.to = before
	}
}

const (
	outputText = "text"
	outputJSON = "json"
	// outputAnnotation has the formats that a verb knows besides.
	outputAnnotation = "outputs"
)

// addOutput gives a verb the flag -o. more are formats besides text and json.
func (a *app) addOutput(cmd *cobra.Command, what string, more ...string) {
	if len(more) > 0 {
		cmd.Annotations = map[string]string{outputAnnotation: strings.Join(more, ",")}
	}
	cmd.Flags().StringVarP(&a.output, "output", "o", outputText, oneOf(outputs(cmd))+": "+what)
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(outputs(cmd), cobra.ShellCompDirectiveNoFileComp))
}

// outputs are the formats that a verb knows.
func outputs(cmd *cobra.Command) []string {
	formats := []string{outputText, outputJSON}
	if more := cmd.Annotations[outputAnnotation]; more != "" {
		formats = append(formats, strings.Split(more, ",")...)
	}
	return formats
}

// oneOf is "a, b or c".
func oneOf(list []string) string {
	last := len(list) - 1
	return strings.Join(list[:last], ", ") + " or " + list[last]
}

func (a *app) json() bool { return a.output == outputJSON }

// command is the command line that a hint names, with the profile where it is needed.
func (a *app) command(verb string) string {
	if a.profile == cluster.DefaultName && !a.otherDefault {
		return "bonsai " + verb
	}
	return "bonsai " + verb + " -p " + a.profile
}

// finish prints an error and turns it into the exit code.
func (a *app) finish(ctx context.Context, err error) int {
	code, silent := errors.AsType[exitCode](err)
	switch {
	case err == nil:
		return 0
	case silent:
		return int(code)
	case errors.Is(err, syscall.EPIPE):
		return 128 + int(syscall.SIGPIPE) // the reader of our output has closed it
	case ctx.Err() != nil && fault.KindOf(err) != fault.Canceled:
		err = errors.Join(fault.Newf(fault.Canceled, "interrupted"), notCancelled(err))
	case !a.checked:
		if _, ok := errors.AsType[*fault.Fault](err); !ok {
			err = fault.New(fault.Usage, "", err).Advise("", help("bonsai"))
		}
	}
	a.printError(err)
	return fault.ExitCode(err)
}

// notCancelled drops the parts of an error that only say that they were cancelled.
func notCancelled(err error) error {
	return errors.Join(slices.DeleteFunc(parts(err), func(e error) bool { return errors.Is(e, context.Canceled) })...)
}

// ofPath is the command of bonsai that a path names ("bonsai image load").
func ofPath(path string) cluster.Command { return cluster.Bonsai(strings.Fields(path)[1:]...) }

// help shows how a command is used.
func help(path string) cluster.Command { return ofPath(path).With("--help").OfNone() }

// flagError explains an unknown flag or an invalid value.
func flagError(cmd *cobra.Command, err error) error {
	text, _, _ := strings.Cut(err.Error(), ": strconv.") // the name of Go's parser means nothing to a user
	return fault.Newf(fault.Usage, "%s", text).Advise("", help(cmd.CommandPath()))
}

// groupArgs refuses an unknown verb below a command that only groups others.
func (a *app) groupArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	f := fault.Newf(fault.Usage, "unknown command %q for %q", args[0], cmd.CommandPath())
	if cmd.SuggestionsMinimumDistance <= 0 {
		cmd.SuggestionsMinimumDistance = 2
	}
	if like := cmd.SuggestionsFor(args[0]); len(like) > 0 {
		return f.Advise("did you mean this?", ofPath(cmd.CommandPath()).On(like[0]).OfNone())
	}
	return f.Advise("", help(cmd.CommandPath()))
}

// argCount accepts from least to most arguments; what names them in the error.
func argCount(least, most int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) >= least && len(args) <= most {
			return nil
		}
		f := fault.Newf(fault.Usage, "%s takes %s, not %q", cmd.CommandPath(), what, args)
		if most == 0 && len(args) == 1 && cluster.ValidateName(args[0]) == nil {
			return f.Advise("a cluster is named with -p", ofPath(cmd.CommandPath()).Of(args[0]))
		}
		return f.Advise("", help(cmd.CommandPath()))
	}
}

func (a *app) completeProfiles(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	s, err := a.open()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	names, err := s.Engine.List()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// spec loads the cluster that -p names.
func (a *app) spec(s Session) (*cluster.Spec, error) { return s.State.Cluster(a.profile).LoadSpec() }

// findNode takes a node's name or number; "" is the first node.
func (a *app) findNode(spec *cluster.Spec, arg string) (cluster.Node, error) {
	if len(spec.Nodes) == 0 {
		return cluster.Node{}, fault.Newf(fault.NodeNotFound, "cluster %q has no nodes", spec.Name).
			Advise("add one", cluster.Bonsai("node", "add").Change())
	}
	if arg == "" {
		return spec.Nodes[0], nil
	}
	var names []string
	for _, n := range spec.Nodes {
		if n.Name == arg || fmt.Sprint(n.Number()) == arg {
			return n, nil
		}
		names = append(names, n.Name)
	}
	return cluster.Node{}, fault.Newf(fault.NodeNotFound, "cluster %q has no node %q", spec.Name, arg).
		Advisef("its nodes: %s", strings.Join(names, ", "))
}

func (a *app) completeNodes(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	s, err := a.open()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	spec, err := a.spec(s)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, n := range spec.Nodes {
		names = append(names, n.Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// explain gives the faults of a stopped cluster a hint with this cluster's name.
func (a *app) explain(err error) error {
	if err == nil {
		return nil
	}
	for _, e := range parts(err) {
		if f, ok := errors.AsType[*fault.Fault](e); ok && f.Kind == fault.NotRunning {
			f.Advice = []cluster.Advice{cluster.Advise("", cluster.Bonsai("start").Cure())}
		}
	}
	return err
}
