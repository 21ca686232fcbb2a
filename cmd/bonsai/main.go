// Command bonsai runs real multi-node Kubernetes clusters on this machine. This file translates between the process and
// its parts: signals into a context, arguments into a verb or role, an error into an exit code. Nothing else in the
// repository calls os.Exit. What each verb does is in internal/cli, the code that starts clusters is in package
// bootstrap.
package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	// CronJobs name time zones, and this machine need not have any. Upstream's programs carry the data, too; 450 KB.
	_ "time/tzdata"

	"github.com/spf13/pflag"

	"bonsai/bootstrap"
	"bonsai/bootstrap/buildinfo"
	"bonsai/bootstrap/dockerlogins"
	"bonsai/bootstrap/doctor/look"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/hostdns"
	"bonsai/bootstrap/limits/machine"
	"bonsai/bootstrap/node"
	"bonsai/bootstrap/node/docker"
	"bonsai/bootstrap/payload"
	"bonsai/bootstrap/statedir"
	"bonsai/bootstrap/unit"
	"bonsai/bootstrap/wait"
	"bonsai/cmd/bonsai/internal/cli"
	"bonsai/controlplane"
	"bonsai/controlplane/addons/builtin"
)

func main() {
	// Linked Kubernetes packages register flags for the process, which cobra would offer as bonsai's own: its
	// --version collides with ours.
	pflag.CommandLine = pflag.NewFlagSet("bonsai", pflag.ContinueOnError)
	ctx, ignoreSignals := withSignals()
	os.Exit(cli.Run(ctx, cli.Env{
		Open: open,
		Kubectl: func(_ context.Context, args []string, kubeconfig string) int {
			ignoreSignals() // kubectl handles Ctrl-C itself
			return kubectl(args, kubeconfig)
		},
		UI:            showUI,
		CheckSettings: checkSettings,
		OpenBundle:    openBundle,
		Learn:         openLessons,
		Logins:        dockerlogins.New(wait.FromEnv()).Login,
		Roles:         roles(), Addons: builtin.Descriptions(), Info: buildinfo.Get(),
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
	}, os.Args[1:]))
}

// withSignals ends the context at the first signal, so that a running command can clean up, and the process at the
// second. A closed terminal counts as Ctrl-C, unless it is ignored because of nohup.
func withSignals() (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	c := make(chan os.Signal, 2)
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	signal.Notify(c, signals...)
	go func() { // lives as long as the process
		<-c
		cancel(fault.New(fault.Canceled, "", interrupted{}))
		<-c
		os.Exit(fault.ExitCode(&fault.Fault{Kind: fault.Canceled}))
	}()
	return ctx, func() { signal.Stop(c) }
}

// runKubectl is bootstrap.Env.Kubectl: a process of its own, because kubectl ends the one that it is in.
func runKubectl(executable string) func(ctx context.Context, cluster string, args []string, stdin io.Reader) (string, error) {
	return func(ctx context.Context, cluster string, args []string, stdin io.Reader) (string, error) {
		cmd := exec.CommandContext(ctx, executable, append([]string{"kubectl", "-p", cluster, "--"}, args...)...)
		cmd.Stdin = stdin
		said, err := cmd.CombinedOutput()
		return string(said), err
	}
}

// interrupted is context.Canceled in a user's words.
type interrupted struct{}

func (interrupted) Error() string        { return "interrupted" }
func (interrupted) Is(target error) bool { return target == context.Canceled }

// open creates the dependencies of the verbs.
func open(log *slog.Logger) (cli.Session, error) {
	dir, err := statedir.Home()
	if err != nil {
		return cli.Session{}, err
	}
	executable, err := os.Executable()
	if err != nil {
		return cli.Session{}, fault.New(fault.Internal, "find this executable", err)
	}
	scale := wait.FromEnv()
	connect := func() (node.Driver, error) {
		d, err := docker.Connect(os.Getenv, docker.Options{Log: log, Scale: scale})
		if err != nil {
			return nil, err
		}
		return node.Logged(d, log), nil
	}
	return cli.Session{
		Engine: bootstrap.New(bootstrap.Env{
			Dir: dir, Driver: connect, Payload: payload.New, PlanningLock: statedir.PlanningLock, Executable: executable,
			Machine: machine.This(), Host: look.This(unit.Lingers), Kubectl: runKubectl(executable), Redact: controlplane.Redact, Manifests: cli.ReadManifests,
			Adopt: func(ctx context.Context, name string, pid int) (bool, error) {
				to, err := unit.Adopt(ctx, name, pid)
				log.Debug("a unit of its own for the control plane", "of", string(to), "err", err)
				return to != unit.None && err == nil, err
			},
			Kubernetes: buildinfo.Get().Kubernetes, Scale: scale, Log: log, Resolver: hostdns.System{Scale: scale},
		}),
		State: dir, Driver: connect, Host: hostdns.System{Scale: scale},
	}, nil
}
