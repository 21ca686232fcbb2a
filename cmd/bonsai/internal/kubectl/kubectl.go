// Package kubectl is upstream's kubectl, as part of this executable and of the same version as its API server.
package kubectl

import (
	"context"
	"os"

	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"

	// Credential plugins that a kubeconfig may name, as in upstream's main.
	_ "k8s.io/client-go/plugin/pkg/client/auth"
)

// Run turns the process into kubectl with these arguments and returns its exit code. Streams and signals are the
// process's own. kubeconfig, if not empty, is used in place of the user's.
func Run(_ context.Context, args []string, kubeconfig string) int {
	if kubeconfig != "" {
		if err := os.Setenv("KUBECONFIG", kubeconfig); err != nil {
			util.CheckErr(err)
		}
	}
	// kubectl looks for plugins and its verbosity in os.Args, and prints its own name from there.
	os.Args = append([]string{"kubectl"}, args...)
	_, _ = logs.GlogSetter(cmd.GetLogVerbosity(os.Args)) // what upstream's main ignores as well
	if err := cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()); err != nil {
		util.CheckErr(err) // prints and exits with the error's code
		return 1
	}
	return 0
}
