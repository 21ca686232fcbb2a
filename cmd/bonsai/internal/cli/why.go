package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/termsafe"
)

func (a *app) whyCommand() *cobra.Command {
	var q cluster.WhyQuestion
	cmd := &cobra.Command{
		Use:   "why FROM TO [PORT]",
		Short: "Show where the way from a pod to something ends, and why",
		Long: `Why walks from a pod to something else as a connection does, and says at which step it ends, with what it saw and what to
type: the name that is asked, the answer of DNS, the Service and its port, its pods that are ready, the NetworkPolicies of
both ends, the program that should listen, and a real connection from the network of the pod. Nothing is installed in the
pod.

FROM is a pod: POD of the namespace default or of -n, NAMESPACE/POD, or a pod of a workload: deploy/NAME or
NAMESPACE/deploy/NAME; a Deployment's name is enough.

TO is a name as the pod asks for it (db, db.shop, example.com), NAMESPACE/NAME of a Service or pod, svc/NAME, pod/NAME, an
address, or a URL. PORT is a number or the name of a port; it can be left out if there is only one.

With --http the path is requested once the connection exists; a URL does that, too. The rules for NetworkPolicies are
judged by the nodes that enforce them.

Exit codes: 0 if the way leads there; 44 if it ends before; 40 if FROM or TO does not exist.`,
		Example: `  bonsai flow why shop/web db 5432
  bonsai flow why shop/deploy/web http://api.shop/healthz
  bonsai flow why web svc/db -n shop -o json
  bonsai flow why shop/web 192.0.2.7 443
  bonsai flow why shop/web kube-system/kube-dns 53 --udp`,
		Args: argCount(2, 3, "a pod, what it is to reach, and perhaps a port"),
		RunE: func(cmd *cobra.Command, args []string) error {
			q.From, q.To = args[0], args[1]
			if len(args) > 2 {
				q.Port = args[2]
			}
			return a.runWhy(cmd.Context(), q)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&q.Namespace, "namespace", "n", "", "namespace of ends that name none (default: default, for TO that of the pod)")
	f.BoolVar(&q.UDP, "udp", false, "ask about UDP, of which nothing is sent")
	f.StringVar(&q.HTTP, "http", "", "path to request once the connection exists")
	a.addOutput(cmd, "steps for people, or an object")
	return cmd
}

func (a *app) runWhy(ctx context.Context, q cluster.WhyQuestion) error {
	client, _, err := a.wakeDaemon(ctx)
	if err != nil {
		return err
	}
	way, err := client.Why(ctx, q)
	if err != nil {
		return a.explain(err)
	}
	if a.json() {
		err = writeJSON(a.Stdout, way)
	} else {
		err = a.showWay(a.Stdout, way)
	}
	if err != nil || way.Reaches {
		return err
	}
	step, _ := way.Step(way.Ends)
	f := fault.Newf(fault.NotReached, "%s does not reach %s: %s", termsafe.String(way.From.String()), termsafe.String(way.To), termsafe.String(step.Saw))
	f.Advice = step.Advice
	return f
}

// showWay prints the steps. What to type is printed with the error, for the step at which the way ends.
func (a *app) showWay(w io.Writer, way cluster.Why) error {
	s := styleFor(a.Stdout)
	for _, step := range way.Steps {
		mark := whyMark(s, step.State)
		line := fmt.Sprintf("%s %-13s %s", mark, termsafe.String(step.Topic.Word()), termsafe.String(step.Saw))
		if step.Took > 0 {
			line += " (" + latency(step.Took) + ")"
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
		for _, more := range step.More {
			fmt.Fprintln(w, strings.Repeat(" ", 21)+termsafe.String(more))
		}
	}
	return nil
}

// whyMark is what became of a step, in one word.
func whyMark(s style, state cluster.WhyState) string {
	switch text := fmt.Sprintf("%-6s", map[cluster.WhyState]string{
		cluster.WhyOK: "ok", cluster.WhyFailed: "FAILED", cluster.WhyDoubtful: "?", cluster.WhySkipped: "-",
	}[state]); state {
	case cluster.WhyOK:
		return s.green(text)
	case cluster.WhyFailed:
		return s.red(text)
	case cluster.WhyDoubtful:
		return s.yellow(text)
	default:
		return s.dim(text)
	}
}
