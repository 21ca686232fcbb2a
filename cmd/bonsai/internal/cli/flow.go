package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/termsafe"
)

type flowOptions struct {
	follow    bool
	span      time.Duration
	namespace string
	pod       string
	all       bool
	refused   bool
}

func (a *app) flowCommand() *cobra.Command {
	var o flowOptions
	cmd := &cobra.Command{
		Use:   "flow",
		Short: "Show who talks to whom in the cluster",
		Long: `Flow shows the connections of pods as the kernels of the nodes track them: source, destination and port, the Service in
between, the name that the source asked DNS for, connections that are open, and what happens per second: new and
failed connections, bytes sent by the source and received by it. Those that fail are the first.

Refused means that the destination answered with a reset: nothing listens there. No answer means that nothing came back
for a second. Denied means that a NetworkPolicy stopped the packets: by the policies of the source (egress) or of the
destination (ingress), which are named. Nodes remember these for five minutes, also while nobody watches. A connection that never leaves its node's firewall, as to a Service without ready pods, is in no kernel's
table and not seen.

Nothing is measured while nobody watches. So flow watches for three seconds; --for and --follow change that. Names are
known of questions that are asked meanwhile. Connections between nodes and with this machine are left out unless --all
is given.`,
		Example: `  bonsai flow
  bonsai flow -f -n shop
  bonsai flow --pod shop/cart-6f7c --for 10s
  bonsai flow --refused -n shop
  bonsai flow -o json | jq -r '.flows[] | select(.failedPerSecond > 0) | .from.name + " " + .service'`,
		Args: argCount(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runFlow(cmd.Context(), o) },
	}
	f := cmd.Flags()
	f.BoolVarP(&o.follow, "follow", "f", false, "continue until Ctrl-C")
	f.DurationVar(&o.span, "for", 3*time.Second, "how long to watch")
	f.StringVarP(&o.namespace, "namespace", "n", "", "only traffic from or to this namespace")
	f.StringVar(&o.pod, "pod", "", "only traffic from or to this pod: POD of the namespace default, or NAMESPACE/POD")
	f.BoolVarP(&o.all, "all", "A", false, "also traffic between nodes, and with this machine")
	f.BoolVar(&o.refused, "refused", false, "only what fails: refused, denied by a NetworkPolicy, or without answer")
	a.addOutput(cmd, "a table for people, or an object; a line each with --follow")
	cmd.AddCommand(a.whyCommand())
	return cmd
}

func (a *app) runFlow(ctx context.Context, o flowOptions) error {
	if o.span < cluster.FlowInterval {
		return fault.Newf(fault.Usage, "--for %s is too short: traffic is measured once in %s", o.span, cluster.FlowInterval)
	}
	var err error
	if o.pod, err = podName(o.pod); err != nil {
		return err
	}
	client, _, err := a.wakeDaemon(ctx)
	if err != nil {
		return err
	}
	if !o.follow && styleFor(a.Stderr).terminal {
		a.note("watching for %s", o.span)
	}
	var last cluster.Flows
	shown := 0
	err = client.Flows(ctx, func(f cluster.Flows) error {
		last = f
		f.Flows = slices.DeleteFunc(slices.Clone(f.Flows), func(f cluster.Flow) bool { return !o.wants(f) })
		if !o.follow && f.Time.Sub(f.Since) < o.span {
			return nil
		}
		if err := a.showPage(o.follow, shown, func(page io.Writer) error { return a.showFlows(page, f, o) }); err != nil {
			return err
		}
		if shown++; !o.follow {
			return errEnough
		}
		return nil
	})
	for _, node := range slices.Sorted(maps.Keys(last.Nodes)) {
		a.note("traffic of %s: %s", node, firstLine(last.Nodes[node]))
	}
	switch {
	case ctx.Err() != nil && o.follow:
		return nil // Ctrl-C is how watching ends
	case err == nil && shown == 0:
		return a.explain(fault.Newf(fault.NotRunning, "the cluster was stopped"))
	case err == nil:
		a.note("the cluster was stopped")
		return nil
	case !errors.Is(err, errEnough):
		return a.explain(err)
	}
	return nil
}

// wants selects the flows that were requested.
func (o flowOptions) wants(f cluster.Flow) bool {
	ends := []cluster.FlowEnd{f.From, f.To}
	switch {
	case o.refused && f.Judged().State == cluster.FlowWorks:
		return false
	case o.pod != "":
		return slices.ContainsFunc(ends, func(e cluster.FlowEnd) bool { return e.Kind == cluster.FlowPod && e.String() == o.pod })
	case o.namespace != "":
		return strings.HasPrefix(f.Service, o.namespace+"/") || slices.ContainsFunc(ends, func(e cluster.FlowEnd) bool { return e.Namespace == o.namespace })
	}
	return o.all || f.WithPod()
}

func (a *app) showFlows(w io.Writer, f cluster.Flows, o flowOptions) error {
	if a.json() {
		if o.follow {
			return writeJSONLine(w, f)
		}
		return writeJSON(w, f)
	}
	if len(f.Flows) == 0 {
		if o.refused {
			a.note("nothing failed")
			return nil
		}
		a.note("no traffic was seen")
		return nil
	}
	rows := [][]string{{"SOURCE", "DESTINATION", "PORT", "SERVICE", "ASKED", "OPEN", "NEW/S", "FAILED/S", "SENT/S", "RECEIVED/S", "FAILED"}}
	for _, x := range f.Flows {
		rows = append(rows, []string{
			x.From.String(), x.To.String(), flowPort(x), x.Service, x.Asked, strconv.Itoa(x.Open), rate(x.New), rate(x.Failed),
			flowBytes(x.Sent), flowBytes(x.Received), flowFailures(x),
		})
	}
	if err := table(w, withoutEmptyLast(rows)); err != nil {
		return err
	}
	if f.Omitted > 0 {
		fmt.Fprintf(w, "and %d more\n", f.Omitted)
	}
	return nil
}

// flowPort is "80", with the one of the endpoint if it differs, and the protocol unless it is TCP.
func flowPort(f cluster.Flow) string {
	text := strconv.Itoa(int(f.Port))
	if f.EndpointPort != 0 {
		text += "->" + strconv.Itoa(int(f.EndpointPort))
	}
	if f.Proto != "TCP" {
		text += "/" + termsafe.String(f.Proto)
	}
	return text
}

// flowFailures is "3 refused, 1 no answer", since the watch began.
func flowFailures(f cluster.Flow) string {
	var parts []string
	if f.Refused > 0 {
		parts = append(parts, fmt.Sprintf("%d refused", f.Refused))
	}
	if f.Unanswered > 0 {
		parts = append(parts, fmt.Sprintf("%d without answer", f.Unanswered))
	}
	if f.Denied > 0 {
		parts = append(parts, flowDenial(f))
	}
	return strings.Join(parts, ", ")
}

// flowDenial is "12 denied by shop/db-only-api (ingress)".
func flowDenial(f cluster.Flow) string {
	text := fmt.Sprintf("%d denied", f.Denied)
	if f.Denial == nil {
		return text
	}
	var names []string
	for _, p := range f.Denial.Policies {
		names = append(names, p.String())
	}
	const most = 3
	if len(names) > most {
		names = append(names[:most], fmt.Sprintf("%d more", len(names)-most))
	}
	direction := "ingress"
	if f.Denial.Egress {
		direction = "egress"
	}
	switch {
	case len(names) == 0:
		return text + " (" + direction + "), by a policy that is gone"
	case !f.Denial.Still:
		return text + " (" + direction + "), which " + strings.Join(names, ", ") + " allow now"
	}
	return text + " by " + strings.Join(names, ", ") + " (" + direction + ")"
}

// flowBytes is a number of bytes per second.
func flowBytes(n float64) string {
	switch {
	case n < 0.5:
		return "0"
	case n < 1<<10:
		return fmt.Sprintf("%.0f B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", n/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.1f MiB", n/(1<<20))
	}
	return fmt.Sprintf("%.1f GiB", n/(1<<30))
}
