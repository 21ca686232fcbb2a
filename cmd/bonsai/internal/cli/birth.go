package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/termsafe"
)

func (a *app) birthCommand() *cobra.Command {
	watch := false
	cmd := &cobra.Command{
		Use:   "birth [NAMESPACE/]POD",
		Short: "Show how a pod came to be: every step, who did it, and how long it took",
		Long: `Birth shows how one pod came to be, from the API call that created it until it is Ready: admission, the write to etcd,
the scheduler's queue and decision, the binding, what kubelet and the container runtime did on the node. Then it shows
how the scheduler rated each node: the scores by plugin, or why a node was rejected.

Times are relative to the first byte of the API call. Times that are known only in whole seconds are marked with ~. The
control plane remembers the last 500 pods since it was started; for older ones the node still has most steps.

With -w each step is printed when it is done, and everything once the pod is Ready.

Exit codes: 40 there is no such pod, or it was deleted before it was Ready.`,
		Example: `  bonsai birth web-6f7c9d-x2xrb
  bonsai birth kube-system/coredns-5d78c -o json
  bonsai kubectl -- run web --image=nginx && bonsai birth web -w`,
		Args: argCount(1, 1, "one pod"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.runBirth(cmd.Context(), args[0], watch) },
	}
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "follow the pod until it is Ready")
	a.addOutput(cmd, "format of the answer; with -w an object per change")
	return cmd
}

// errSeen ends a stream after the first piece, which is enough.
var errSeen = errors.New("seen")

func (a *app) runBirth(ctx context.Context, arg string, watch bool) error {
	pod, err := podName(arg)
	if err != nil {
		return err
	}
	if pod == "" {
		return fault.Newf(fault.Usage, "no pod was given").Advise("", help("bonsai birth"))
	}
	client, _, err := a.daemon()
	if err != nil {
		return err
	}
	namespace, name, _ := strings.Cut(pod, "/")
	var last cluster.Birth
	printed := map[string]string{}
	err = client.Birth(ctx, namespace, name, func(b cluster.Birth) error {
		last = b
		switch {
		case !watch:
			return errSeen
		case a.json():
			return writeJSONLine(a.Stdout, b)
		}
		return a.printSteps(b, printed)
	})
	if err != nil && !errors.Is(err, errSeen) {
		return a.explain(err)
	}
	switch {
	case watch && !a.json():
		fmt.Fprintln(a.Stdout)
		err = a.printBirth(last, time.Now())
	case !watch && a.json():
		err = writeJSON(a.Stdout, last)
	case !watch:
		err = a.printBirth(last, time.Now())
	}
	switch {
	case err != nil || last.Ready:
		return err
	case watch:
		return fault.Newf(fault.ObjectNotFound, "pod %s was deleted before it was Ready", termsafe.String(pod))
	}
	a.note("the pod is not Ready yet; follow it:  %s", a.command("birth "+termsafe.String(arg)+" -w"))
	return nil
}

// printSteps writes a line for each step that is done, or has failed, and was not printed yet.
func (a *app) printSteps(b cluster.Birth, printed map[string]string) error {
	for _, s := range b.Steps {
		if s.End == 0 && !s.Failed {
			continue
		}
		news := "done"
		if s.Failed {
			news = "failed: " + s.Detail
		}
		if printed[s.Step] == news {
			continue
		}
		printed[s.Step] = news
		at := s.End
		if at == 0 {
			at = s.Begin
		}
		if _, err := fmt.Fprintln(a.Stdout, strings.TrimRight(fmt.Sprintf("%9s  %-16s %s", stepTime(at, s.Exact), termsafe.String(s.Step),
			termsafe.String(stepDetail(s))), " ")); err != nil {
			return err
		}
	}
	return nil
}
