package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	kubectlcmd "k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
)

// applyManifest applies a manifest from a file: for "-f -" kubectl reads the input of the process, whatever streams it is given.
// The file has a short name, as kubectl takes a comma in it, which names of tests have, for the end of it.
func applyManifest(kubeconfig, namespace, manifest string) error {
	f, err := os.CreateTemp("", "bt-*.yaml")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.WriteString(manifest)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	_, err = runKubectl(kubeconfig, "-n", namespace, "apply", "-f", f.Name())
	return err
}

// fatal is what a command of kubectl ends with that would end the process.
type fatal struct {
	message string
	code    int
}

// catchFatal has kubectl panic where it would end the process; runKubectl recovers that.
func catchFatal() {
	util.BehaviorOnFatal(func(message string, code int) { panic(fatal{message, code}) })
}

// making keeps commands from being made at the same time.
var making sync.Mutex

// runKubectl runs the kubectl that is in bonsai in this process: hundreds of processes would take longer than the lessons. It has no
// input.
func runKubectl(kubeconfig string, args ...string) (output string, err error) {
	var out bytes.Buffer
	streams := genericiooptions.IOStreams{In: strings.NewReader(""), Out: &out, ErrOut: &out}
	defer func() {
		if p := recover(); p != nil {
			f, ok := p.(fatal)
			if !ok {
				panic(p)
			}
			output, err = out.String(), fmt.Errorf("kubectl %s: exit code %d: %s\n%s", strings.Join(args, " "), f.code, f.message, out.String())
		}
	}()
	making.Lock() // it registers completions
	cmd := kubectlcmd.NewKubectlCommand(kubectlcmd.KubectlOptions{
		Arguments: append([]string{"kubectl"}, args...), ConfigFlags: genericclioptions.NewConfigFlags(true), IOStreams: streams,
	})
	making.Unlock()
	cmd.SetArgs(append([]string{"--kubeconfig", kubeconfig}, args...))
	cmd.SetIn(streams.In)
	cmd.SetOut(io.Writer(&out))
	cmd.SetErr(&out)
	if err := cmd.Execute(); err != nil {
		return out.String(), fmt.Errorf("kubectl %s: %w\n%s", strings.Join(args, " "), err, out.String())
	}
	return out.String(), nil
}
