package cli

import (
	"context"
	"errors"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

func (a *app) kubectlCommand() *cobra.Command {
	var kubeconfig string
	cmd := &cobra.Command{
		Use:   "kubectl -- ARGUMENTS",
		Short: "Run the built-in kubectl on the cluster",
		Long: `Kubectl is the complete kubectl of the built-in Kubernetes version. It talks to the cluster that -p names, regardless
of your kubeconfig, or to the one of --kubeconfig. What follows "--" is kubectl's own command line; its exit code is kubectl's.`,
		Example: `  bonsai kubectl -- get pods -A
  bonsai kubectl -p ci -- apply -f deploy.yaml
  alias k="bonsai kubectl --"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if kubeconfig != "" {
				return a.runKubectlOn(cmd.Context(), kubeconfig, args)
			}
			return a.runKubectl(cmd.Context(), args)
		},
	}
	cmd.Flags().StringVar(&kubeconfig, "kubeconfig", "", "use this kubeconfig, for example that of an open bundle, and no cluster of bonsai")
	// Without this, "bonsai kubectl get pods -o wide" would give -o to bonsai.
	cmd.Flags().SetInterspersed(false)
	return cmd
}

func (a *app) runKubectl(ctx context.Context, args []string) error {
	s, err := a.open()
	if err != nil {
		return err
	}
	state := s.State.Cluster(a.profile)
	kubeconfig := state.Kubeconfig()
	if _, err := os.Stat(kubeconfig); err != nil {
		_, specErr := state.LoadSpec()
		switch {
		case clientOnly(args):
			kubeconfig = os.DevNull // kubectl reads it as an empty one
		case specErr != nil:
			return specErr
		case errors.Is(err, os.ErrNotExist):
			return fault.Newf(fault.NotRunning, "cluster %q was never started completely", a.profile).Advise("", cluster.Bonsai("start").Cure())
		default:
			return fault.New(fault.State, "read the cluster's kubeconfig", err)
		}
	}
	code := a.Kubectl(ctx, args, kubeconfig)
	if code != 0 && ctx.Err() == nil && !clientOnly(args) && !state.DaemonAlive() {
		a.note("cluster %q is not running; start it:  %s", a.profile, a.command("start"))
	}
	if code != 0 {
		return exitCode(code)
	}
	return nil
}

// runKubectlOn runs kubectl on whatever a kubeconfig leads to.
func (a *app) runKubectlOn(ctx context.Context, file string, args []string) error {
	kubeconfig, err := kubeconfigOf(file)
	if err != nil {
		return err
	}
	if code := a.Kubectl(ctx, args, kubeconfig); code != 0 {
		return exitCode(code)
	}
	return nil
}

// clientOnly reports whether kubectl can do this without a cluster.
func clientOnly(args []string) bool {
	if len(args) == 0 || slices.Contains([]string{"help", "completion", "kustomize", "options", "plugin", "__complete"}, args[0]) {
		return true
	}
	return slices.ContainsFunc(args, func(arg string) bool { return slices.Contains([]string{"--help", "-h", "--client"}, arg) })
}
