package main

import (
	"fmt"
	"os"
	"strings"

	basecli "k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	kubectlcmd "k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"

	_ "bonsai/cmd/bonsai/internal/kubectltexts" // before kubectl: only its own processes load translations
	// Credential plugins that a kubeconfig may name, as in upstream's main.
	_ "k8s.io/client-go/plugin/pkg/client/auth"
)

// kubectlExit carries an exit code out of kubectl's code.
type kubectlExit int

// kubectl is upstream's main (cmd/kubectl/kubectl.go in the Kubernetes repository), with the kubeconfig set and the
// exit code returned.
func kubectl(args []string, kubeconfig string) (code int) {
	// kubectl reads both from the process. Nothing else runs in it by now.
	os.Args = append([]string{"kubectl"}, args...)
	if err := os.Setenv("KUBECONFIG", kubeconfig); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	// Its commands end the process on an error; panicking instead runs their deferred work, and ours.
	util.BehaviorOnFatal(func(message string, code int) {
		if message != "" {
			fmt.Fprintln(os.Stderr, strings.TrimSuffix(message, "\n"))
		}
		panic(kubectlExit(code))
	})
	defer func() {
		switch p := recover().(type) {
		case nil:
		case kubectlExit:
			code = int(p)
		default:
			panic(p)
		}
	}()
	_, _ = logs.GlogSetter(kubectlcmd.GetLogVerbosity(os.Args)) // a level that is none is refused again below
	if err := basecli.RunNoErrOutput(kubectlcmd.NewDefaultKubectlCommand()); err != nil {
		util.CheckErr(err)
	}
	return 0
}
